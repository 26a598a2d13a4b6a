// Checks of operations on single vectors, and of the second half of products of low rank.

#include "check.h"

// Odd lengths and whole numbers of lanes, most of them short.
static size_t draw_length(duet_checker *c) { return duet_below(c, 6) == 0 ? 64 + duet_below(c, 600) : duet_one_to(c, 70); }

// MARK: Quantizing

// Values of a run: of some size, that are nothing, next to nothing, as large as can be, halfway between steps, or with one
// that is no number.
static void draw_run(duet_checker *c, float *x) {
    static const float sizes[] = {1, 1e-3f, 1e5f, 1e-30f, 1e30f, 0, 1e-37f, 1e-44f, 0x1p-130f, 3.4e38f};
    static const float odd[] = {NAN, -NAN, INFINITY, -INFINITY};
    const float most = sizes[duet_below(c, sizeof sizes / sizeof *sizes)];
    for (size_t i = 0; i < DUET_RUN; i++) x[i] = most * duet_within(c, -1, 1);
    const size_t place = duet_below(c, DUET_RUN);
    switch (duet_below(c, 6)) {
    case 0: x[place] = odd[duet_below(c, 4)]; break;
    case 1:
        for (size_t i = 0; i < DUET_RUN; i++) x[i] = (float)duet_below(c, 253) - 126 + 0.5f;
        x[place] = duet_flip(c) ? 127 : -127;
        break;
    case 2:
        for (size_t i = 0; i < DUET_RUN; i++) x[i] = duet_flip(c) ? most : -most;
        break;
    default: break;
    }
}

static bool check_run(duet_checker *c, const float *x, const int8_t *q, const duet_run_scale *s) {
    double largest = 0;
    bool is_finite = true, are_ties = true;
    int32_t sums[2] = {0, 0};
    for (size_t i = 0; i < DUET_RUN; i++) {
        is_finite = is_finite && isfinite(x[i]);
        largest = fmax(largest, fabs((double)x[i]));
        are_ties = are_ties && (x[i] - floorf(x[i]) == 0.5f || fabsf(x[i]) == 127);
        sums[i / 16] += q[i];
        if (q[i] == -128) return duet_report(c, "value %zu of %g is -128", i, (double)x[i]);
    }
    // Beyond these the inverse of a scale is no number.
    const bool is_tiny = largest / 127 < 0x1p-126, is_nothing = !is_finite || largest == 0;
    for (size_t i = 0; i < DUET_RUN; i++) {
        const double value = (double)q[i] * s->scale, allowed = is_tiny ? fabs(x[i]) + 2e-45 : s->scale * 0.50002;
        const double expected = is_nothing ? 0 : x[i];
        if (!duet_expect(c, i, value, expected, is_nothing ? 0 : allowed)) return false;
        if (is_nothing && q[i] != 0) return duet_report(c, "value %zu is %d, not 0", i, q[i]);
        if (are_ties && largest == 127 && q[i] != (int)rintf(x[i]))
            return duet_report(c, "value %zu of %g is %d", i, (double)x[i], q[i]);
    }
    const double scale = is_nothing ? 0 : largest / 127;
    if (!is_tiny || is_nothing)
        if (fabs(s->scale - scale) > scale * 2e-7) return duet_report(c, "a scale is %g, not %g", (double)s->scale, scale);
    for (size_t half = 0; half < 2; half++) {
        const float sum = s->scale * (float)sums[half];
        const int32_t middle = -128 * sums[half];
        if (s->half[half] != sum) return duet_report(c, "a sum is %g, not %g", (double)s->half[half], (double)sum);
        if (s->middle[half] != middle) return duet_report(c, "a middle is %d, not %d", s->middle[half], middle);
    }
    return true;
}

bool duet_check_quantize(duet_checker *c) {
    // Some runs of usual values between the odd ones, as tiers quantize several together.
    const size_t runs = 12 + duet_below(c, 8), n = runs * DUET_RUN;
    float *x = duet_take_random(c, n, 2);
    int8_t *q = duet_take(c, n, 16);
    duet_run_scale *scales = duet_take(c, runs * sizeof *scales, 4);
    for (size_t i = 0; i < runs; i++)
        if (duet_flip(c)) draw_run(c, x + DUET_RUN * i);
    c->tier->quantize(x, n, q, scales);
    for (size_t i = 0; i < runs; i++) {
        duet_subject(c, "quantize of %zu values, run %zu", n, i);
        if (!check_run(c, x + DUET_RUN * i, q + DUET_RUN * i, &scales[i])) return false;
    }
    return true;
}

// MARK: Norms

// Makes one of some values odd: no number, infinite, or so large that its square is.
static void make_odd(duet_checker *c, float *x, size_t n) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, 1e25f, -1e30f};
    x[duet_below(c, n)] = odd[duet_below(c, sizeof odd / sizeof *odd)];
}

static bool check_rms_norm(duet_checker *c, size_t n, const float *x, const float *weight, float *out) {
    const float epsilon = 1e-5f;
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)x[i] * x[i];
    duet_subject(c, "rms_norm of %zu values", n);
    c->tier->rms_norm(x, weight, n, epsilon, out);
    for (size_t i = 0; i < n; i++) {
        const double expected = x[i] / sqrt(squares / (double)n + (double)epsilon) * weight[i];
        if (!duet_expect(c, i, out[i], expected, 2e-6 * fabs(expected))) return false;
    }
    return true;
}

static bool check_layer_norm(duet_checker *c, size_t n, const float *x, const float *weight, const float *bias,
                             float *out) {
    const float epsilon = 1e-5f;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    const double factor = 1 / sqrt(squares / (double)n + (double)epsilon);
    duet_subject(c, "layer_norm of %zu values", n);
    c->tier->layer_norm(x, weight, bias, n, epsilon, out);
    for (size_t i = 0; i < n; i++) {
        const double expected = (x[i] - mean) * factor * weight[i] + bias[i];
        // The mean is rounded, which counts for more where values are alike.
        if (!duet_expect(c, i, out[i], expected, 2e-5 + 3e-6 * factor * fabs((double)weight[i]))) return false;
    }
    return true;
}

static bool check_softmax(duet_checker *c, size_t n) {
    const float scale = duet_within(c, 0.1f, 2);
    float *x = duet_take_random(c, n, duet_flip(c) ? 3 : 60), *out = duet_take_floats(c, n);
    if (duet_below(c, 4) == 0) x[duet_below(c, n)] = duet_flip(c) ? NAN : -INFINITY;
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, (double)scale * x[i]);
    for (size_t i = 0; i < n; i++) sum += exp((double)scale * x[i] - largest);
    duet_subject(c, "softmax of %zu values", n);
    memcpy(out, x, n * sizeof *x);
    c->tier->softmax(out, n, scale);
    for (size_t i = 0; i < n; i++) {
        const double expected = exp((double)scale * x[i] - largest) / sum;
        // The rounding of a product, which grows with it, is the error of its exponential.
        if (!duet_expect(c, i, out[i], expected, 1e-6 + 2e-7 * fabs(largest) * expected)) return false;
    }
    return true;
}

bool duet_check_norms(duet_checker *c) {
    const size_t n = draw_length(c);
    float *x = duet_take_random(c, n, 3), *weight = duet_take_random(c, n, 3), *bias = duet_take_random(c, n, 3);
    float *out = duet_take_floats(c, n), *same = duet_take_floats(c, n);
    if (duet_below(c, 16) == 0) memset(x, 0, n * sizeof *x);
    if (!check_rms_norm(c, n, x, weight, out)) return false;
    duet_subject(c, "rms_norm of %zu values in place", n);
    memcpy(same, x, n * sizeof *x);
    c->tier->rms_norm(same, weight, n, 1e-5f, same);
    if (!duet_expect_same(c, same, out, n) || !check_layer_norm(c, n, x, weight, bias, out)) return false;
    float *odd = duet_take_floats(c, n);
    memcpy(odd, x, n * sizeof *x);
    make_odd(c, odd, n);
    if (!check_rms_norm(c, n, odd, weight, same)) return false;
    duet_subject(c, "layer_norm of %zu values in place", n);
    memcpy(same, x, n * sizeof *x);
    c->tier->layer_norm(same, weight, bias, n, 1e-5f, same);
    return duet_expect_same(c, same, out, n) && check_softmax(c, n);
}

// MARK: Sums and rotation

static bool check_rotate(duet_checker *c, bool split) {
    const size_t n = 2 * duet_one_to(c, 70), half = n / 2;
    float *x = duet_take_random(c, n, 1);
    float *cosines = duet_take_floats(c, half), *sines = duet_take_floats(c, half), *out = duet_take_floats(c, n);
    for (size_t i = 0; i < half; i++) {
        const float angle = duet_within(c, -100, 100);
        cosines[i] = cosf(angle), sines[i] = sinf(angle);
    }
    if (duet_below(c, 4) == 0) x[duet_below(c, n)] = duet_flip(c) ? NAN : INFINITY;
    duet_subject(c, "rotate of %zu values%s", n, split ? ", split" : "");
    memcpy(out, x, n * sizeof *x);
    c->tier->rotate(out, n, cosines, sines, split);
    for (size_t i = 0; i < half; i++) {
        const size_t left = split ? i : 2 * i, right = split ? i + half : 2 * i + 1;
        const double a = x[left], b = x[right], cosine = cosines[i], sine = sines[i];
        if (!duet_expect(c, left, out[left], a * cosine - b * sine, 3e-7)) return false;
        if (!duet_expect(c, right, out[right], a * sine + b * cosine, 3e-7)) return false;
    }
    return true;
}

bool duet_check_sums(duet_checker *c) {
    const size_t n = draw_length(c);
    const float *x = duet_take_random(c, n, 1);
    float *out = duet_take_random(c, n, 1), *expected = duet_take_floats(c, n);
    if (duet_flip(c)) make_odd(c, out, n);
    for (size_t i = 0; i < n; i++) expected[i] = out[i] + x[i];
    duet_subject(c, "add of %zu values", n);
    c->tier->add(x, n, out);
    return duet_expect_same(c, out, expected, n) && check_rotate(c, true) && check_rotate(c, false);
}

// MARK: Activations

typedef enum { SILU, GELU, GELU_ERF } gate;

static double activated(gate kind, double x) {
    switch (kind) {
    case SILU: return x / (1 + exp(-x));
    case GELU: return 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
    default: return 0.5 * x * (1 + erf(x * 0.70710678118654752));
    }
}

static void run_gate(const duet_operations *o, gate kind, const float *gates, const float *up, size_t n, float *out) {
    if (kind == SILU) o->silu_multiply(gates, up, n, out);
    if (kind == GELU) o->gelu_multiply(gates, up, n, out);
    if (kind != GELU_ERF) return;
    memcpy(out, gates, n * sizeof *out);
    o->gelu_bias(up, n, out);
}

static bool check_gate(duet_checker *c, gate kind) {
    static const char *const names[] = {"silu_multiply", "gelu_multiply", "gelu_bias"};
    static const float large[] = {0, 1e-30f, 20, 60, 87, 88.5f, 89, 103, 200, 1e4f, 1e18f, 1e30f, INFINITY, NAN};
    const size_t n = draw_length(c);
    float *gates = duet_take_random(c, n, 12), *out = duet_take_floats(c, n), *up = duet_take_floats(c, n);
    for (size_t i = 0; i < n; i++) {
        up[i] = duet_within(c, 0.5f, 2);
        if (duet_below(c, 8) > 0) continue;
        gates[i] = large[duet_below(c, sizeof large / sizeof *large)];
        if (duet_flip(c)) gates[i] = -gates[i];
        if (duet_below(c, 16) == 0) up[i] = NAN;
    }
    duet_subject(c, "%s of %zu values", names[kind], n);
    run_gate(c->tier, kind, gates, up, n, out);
    for (size_t i = 0; i < n; i++) {
        const float x = kind == GELU_ERF ? gates[i] + up[i] : gates[i], factor = kind == GELU_ERF ? 1 : up[i];
        // What an infinite negative number gives is the product of it and of nothing: no number, or nothing.
        if (x == -INFINITY && !isnan(factor) && (out[i] == 0 || isnan(out[i]))) continue;
        const double expected = activated(kind, x) * factor;
        // The tanh of large negative numbers is 1 less its rounding, as in the readable twin.
        const double allowed = 1e-6 * fabs(expected) + 7e-7 * fmin(1, fabs((double)x));
        if (!duet_expect(c, i, out[i], expected, isnan(allowed) || isinf(allowed) ? 0 : allowed)) return false;
    }
    if (kind == GELU_ERF) return true;
    duet_subject(c, "%s of %zu values in place", names[kind], n);
    float *same = duet_flip(c) ? gates : up;
    run_gate(c->tier, kind, gates, up, n, same);
    return duet_expect_same(c, same, out, n);
}

bool duet_check_gates(duet_checker *c) { return check_gate(c, SILU) && check_gate(c, GELU) && check_gate(c, GELU_ERF); }

// MARK: The largest

bool duet_check_argmax(duet_checker *c) {
    for (int kind = 0; kind < 7; kind++) {
        const size_t n = draw_length(c);
        float *x = duet_take_random(c, n, 1);
        for (size_t i = 0; i < n; i++) {
            if (kind == 1 && duet_flip(c)) x[i] = NAN;
            if (kind == 2) x[i] = NAN;
            if (kind == 3) x[i] = duet_below(c, 8) ? -INFINITY : -3;
            if (kind == 4) x[i] = (float)duet_below(c, 3);
            if (kind == 6) x[i] = duet_flip(c) ? NAN : -INFINITY;
        }
        if (kind == 0) x[duet_below(c, n)] = x[duet_below(c, n)] = 2;
        if (kind == 5) x[duet_below(c, n)] = x[duet_below(c, n)] = INFINITY;
        const size_t expected = c->generic->argmax(x, n), found = c->tier->argmax(x, n);
        duet_subject(c, "argmax of %zu values", n);
        if (found == expected) continue;
        const double value = found < n ? (double)x[found] : (double)NAN;
        return duet_report(c, "%zu with %g, not %zu with %g", found, value, expected, (double)x[expected]);
    }
    return true;
}

// MARK: Products of low rank

static bool check_expand(duet_checker *c, bool in_float) {
    const char *kind = in_float ? "floats" : "bytes";
    const size_t rank = duet_one_to(c, 40), rows = duet_one_to(c, 70), tokens = duet_one_to(c, 9);
    const size_t lanes = DUET_LOW_RANK_ROWS, groups = (rows + lanes - 1) / lanes;
    const size_t low_stride = rank + duet_below(c, 4), stride = rows + duet_below(c, 4);
    const size_t group_bytes = lanes * (in_float ? rank * sizeof(float) : sizeof(float) + rank);
    uint8_t *b = duet_take(c, groups * group_bytes, 4);
    const float *low = duet_take_random(c, tokens * low_stride, 1), *before = duet_take_random(c, tokens * stride, 1);
    float *out = duet_take_floats(c, tokens * stride), *one = duet_take_floats(c, rows);
    for (size_t g = 0; g < groups; g++) {
        float *floats = (float *)(b + g * group_bytes);
        int8_t *bytes = (int8_t *)(floats + lanes);
        for (size_t i = 0; i < lanes * (in_float ? rank : 1); i++) {
            // Rows that are missing are no numbers, and change nothing.
            const bool is_missing = g * lanes + i % lanes >= rows;
            floats[i] = is_missing ? NAN : duet_within(c, -1, 1) / (in_float ? 1 : 127);
        }
        for (size_t i = 0; i < lanes * rank && !in_float; i++) bytes[i] = (int8_t)((int)duet_below(c, 255) - 127);
    }
    duet_subject(c, "expand of %s, rank %zu, %zu rows, %zu tokens", kind, rank, rows, tokens);
    memcpy(out, before, tokens * stride * sizeof *out);
    c->tier->expand(b, in_float, rank, rows, low, low_stride, tokens, out, stride);
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            const float *floats = (const float *)(b + r / lanes * group_bytes);
            const int8_t *bytes = (const int8_t *)(floats + lanes);
            double sum = before[t * stride + r], magnitude = fabs(sum);
            for (size_t j = 0; j < rank; j++) {
                const size_t at = j * lanes + r % lanes;
                const double value = in_float ? floats[at] : (double)floats[r % lanes] * bytes[at];
                sum += value * low[t * low_stride + j];
                magnitude += fabs(value * low[t * low_stride + j]);
            }
            if (!duet_expect(c, t * stride + r, out[t * stride + r], sum, 1e-6 * magnitude)) return false;
        }
        if (!duet_expect_same(c, out + t * stride + rows, before + t * stride + rows, stride - rows)) return false;
    }
    const size_t t = duet_below(c, tokens);
    duet_subject(c, "expand of %s, rank %zu, %zu rows, token %zu of %zu alone", kind, rank, rows, t, tokens);
    memcpy(one, before + t * stride, rows * sizeof *one);
    c->tier->expand(b, in_float, rank, rows, low + t * low_stride, low_stride, 1, one, rows);
    return duet_expect_same(c, one, out + t * stride, rows);
}

bool duet_check_expand(duet_checker *c) { return check_expand(c, true) && check_expand(c, false); }

// MARK: What the CPU could do

bool duet_check_peak(duet_checker *c) {
    duet_subject(c, "peak");
    for (int in_float = 0; in_float < 2 && c->tier->peak; in_float++) {
        const unsigned long long one = c->tier->peak(in_float, 1), three = c->tier->peak(in_float, 3);
        if (one == 0 || three != 3 * one) return duet_report(c, "%llu products, and %llu of three rounds", one, three);
    }
    return true;
}
