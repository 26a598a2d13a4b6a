// Operations on single vectors. Included once per file, inside of its target attribute, after the floats side by
// side that it is written in: zero, spread, load_some, store_some, add_up, subtract, multiply, multiply_add,
// multiply_subtract, divide, magnitude_of, with_sign_of, exp_of, tanh_of, total_of, largest_of, which gives b where a is no
// number, and maximum_of (avx2_vector.h and its siblings).

static inline void rms_norm(const float *x, const float *weight, size_t n, float epsilon, float *out) {
    vector even = zero(), odd = zero();
    for (size_t i = 0; i < n; i += 2 * LANES) {
        vector a = load_some(x + i, n - i);
        even = multiply_add(a, a, even);
        if (i + LANES >= n) break;
        vector b = load_some(x + i + LANES, n - i - LANES);
        odd = multiply_add(b, b, odd);
    }
    float mean = total_of(add_up(even, odd)) / (float)n;
    // Squares that are too large for single precision are not for the twin, which adds them up in double.
    if (!isfinite(mean)) return duet_generic_rms_norm(x, weight, n, epsilon, out);
    vector factor = spread(1 / sqrtf(mean + epsilon));
    for (size_t i = 0; i < n; i += LANES) {
        vector scaled = multiply(load_some(x + i, n - i), factor);
        store_some(out + i, n - i, multiply(scaled, load_some(weight + i, n - i)));
    }
}

// erf(x) to 2e-7: 1 - (a1 t + ... + a5 t^5) exp(-x^2) with t = 1 / (1 + p |x|) (Abramowitz and
// Stegun, 1964, 7.1.26).
static inline vector erf_of(vector x) {
    const vector one = spread(1);
    vector size = magnitude_of(x);
    vector t = divide(one, multiply_add(size, spread(0.3275911f), one));
    vector p = spread(1.061405429f);
    p = multiply_add(p, t, spread(-1.453152027f));
    p = multiply_add(p, t, spread(1.421413741f));
    p = multiply_add(p, t, spread(-0.284496736f));
    p = multiply_add(p, t, spread(0.254829592f));
    vector e = exp_of(subtract(zero(), multiply(size, size)));
    return with_sign_of(x, subtract(one, multiply(multiply(p, t), e)));
}

static inline void gelu_bias(const float *bias, size_t n, float *x) {
    for (size_t i = 0; i < n; i += LANES) {
        vector v = add_up(load_some(x + i, n - i), load_some(bias + i, n - i));
        vector erf = erf_of(multiply(v, spread(0.707106781f)));
        store_some(x + i, n - i, multiply(multiply(spread(0.5f), v), add_up(spread(1), erf)));
    }
}

static inline void rotate_split(float *x, size_t half, const float *cosines, const float *sines) {
    for (size_t i = 0; i < half; i += LANES) {
        size_t left = half - i;
        vector a = load_some(x + i, left), b = load_some(x + half + i, left);
        vector c = load_some(cosines + i, left), s = load_some(sines + i, left);
        store_some(x + i, left, multiply_subtract(a, c, multiply(b, s)));
        store_some(x + half + i, left, multiply_add(a, s, multiply(b, c)));
    }
}

static inline void add(const float *x, size_t n, float *out) {
    for (size_t i = 0; i < n; i += LANES)
        store_some(out + i, n - i, add_up(load_some(x + i, n - i), load_some(out + i, n - i)));
}

static inline void silu_multiply(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i += LANES) {
        vector g = load_some(gate + i, n - i);
        vector silu = divide(g, add_up(spread(1), exp_of(subtract(zero(), g))));
        store_some(out + i, n - i, multiply(silu, load_some(up + i, n - i)));
    }
}

static inline void gelu_multiply(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i += LANES) {
        vector g = load_some(gate + i, n - i), square = multiply(g, g);
        vector inner = multiply_add(multiply(square, g), spread(0.044715f), g);
        vector t = tanh_of(multiply(inner, spread(0.797884561f)));
        vector gelu = multiply(multiply(spread(0.5f), g), add_up(spread(1), t));
        store_some(out + i, n - i, multiply(gelu, load_some(up + i, n - i)));
    }
}

// The largest value a vector at a time, then the first place that holds it.
static inline size_t argmax(const float *x, size_t n) {
    vector lanes = spread(-INFINITY);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) lanes = largest_of(load_floats(x + i), lanes);
    float largest = maximum_of(lanes);
    for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    for (size_t j = 0; j < n; j++)
        if (x[j] == largest) return j;
    return 0;
}
