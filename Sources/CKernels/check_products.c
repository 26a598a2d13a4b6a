// Checks of products of weights and activations, against sums in double precision of the same numbers.

#include "check.h"

// A sum of n terms in single precision, four lanes or more at a time, in parts of the sum of their magnitudes.
#define BOUND 4e-6
// Some tiers add 128 to weights that have a sign, and take it from sums again: what rounding leaves of that.
#define MIDDLE_BOUND (128 * 1e-7)
// The smallest number in single precision.
#define SMALLEST 0x1p-149
// Tokens of a product: two tiles and one more.
#define TOKENS 17
#define COLUMNS 16

typedef struct {
    double value, allowed;
    double rounding;  // what is allowed beside where weights are rounded when they are packed
} exact;

typedef struct {
    int type;
    bool is_quantized;
    size_t n, rows, row_bytes, tokens;
    uint8_t *weights;
    float *x;
    int8_t *q;
    duet_run_scale *scales;
    duet_activations a[TOKENS];
    exact *expected;  // [rows][tokens]
    float *alone;     // [tokens][rows]: what dot gives
} product;

// MARK: Weights

static bool is_float(int type) { return type == DUET_F32 || type == DUET_F16 || type == DUET_BF16; }
static size_t block_length(int type) { return is_float(type) ? 1 : duet_row_bytes(type, DUET_RUN) > 0 ? DUET_RUN : 256; }

// Where a block's half-precision scales lie; returns how many it has.
static size_t scale_offsets(int type, size_t offsets[2]) {
    offsets[0] = 0, offsets[1] = 2;
    switch (type) {
    case DUET_F32: case DUET_F16: case DUET_BF16: case DUET_MXFP4: return 0;
    case DUET_Q4_0: case DUET_Q5_0: case DUET_Q8_0: case DUET_IQ4_NL: case DUET_IQ4_XS: return 1;
    case DUET_Q4_1: case DUET_Q5_1: case DUET_Q4_K: case DUET_Q5_K: return 2;
    case DUET_Q2_K: offsets[0] = 80, offsets[1] = 82; return 2;
    case DUET_Q3_K: offsets[0] = 108; return 1;
    case DUET_Q6_K: offsets[0] = 208; return 1;
    default: __builtin_trap();  // a new type, which needs a line here
    }
}

// A float, or a block of random values and small finite scales. `fill`: what all bytes are but the scales, or -1.
static void draw_block(duet_checker *c, int type, int fill, uint8_t *block) {
    if (is_float(type)) {
        const float value = duet_within(c, -1, 1);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (type == DUET_BF16) bits >>= 16;
        if (type == DUET_F16) bits = duet_float_to_half(value);
        memcpy(block, &bits, duet_row_bytes(type, 1));
        return;
    }
    size_t offsets[2], scales = scale_offsets(type, offsets), bytes = duet_row_bytes(type, block_length(type));
    for (size_t i = 0; i < bytes; i++) block[i] = (uint8_t)(fill >= 0 ? (size_t)fill : duet_below(c, 256));
    if (type == DUET_MXFP4) block[0] = (uint8_t)(118 + duet_below(c, 11));
    for (size_t i = 0; i < scales; i++) {
        const float scale = duet_within(c, 0.001f, 0.1f);
        const uint16_t half = duet_float_to_half(duet_flip(c) ? scale : -scale);
        memcpy(block + offsets[i], &half, 2);
    }
}

static void draw_row(duet_checker *c, const product *p, size_t row, int fill) {
    const size_t blocks = p->n / block_length(p->type);
    for (size_t i = 0; i < blocks; i++)
        draw_block(c, p->type, fill, p->weights + row * p->row_bytes + i * (p->row_bytes / blocks));
}

// MARK: What is expected

// The largest whole number of the formats whose weights a tier may round to 8 bits in panels; 0 for the rest.
static float largest_rounded(const duet_checker *c, int type) {
    if (strcmp(c->tier->name, "avx512") != 0) return 0;
    switch (type) {
    case DUET_Q2_K: return 3;
    case DUET_Q3_K: return 7;
    case DUET_Q4_K: return 15;
    case DUET_Q5_K: return 31;
    case DUET_Q6_K: return 63;
    case DUET_IQ4_XS: return 127;
    default: return 0;
    }
}

// Adds what a run gives. Its products are sums of whole numbers, and so free of rounding.
static void add_run(const duet_run *run, const int8_t *q, double scale, exact *sum) {
    for (int half = 0; half < 2; half++) {
        int32_t products = 0, magnitudes = 0, total = 0, sizes = 0;
        for (int i = 16 * half; i < 16 * half + 16; i++) {
            const int32_t w = run->q[i], a = q[i];
            products += w * a, total += a;
            magnitudes += (w < 0 ? -w : w) * (a < 0 ? -a : a), sizes += a < 0 ? -a : a;
        }
        const double s = run->scale[half], m = run->minimum[half];
        sum->value += scale * (s * products + m * total);
        sum->allowed += BOUND * scale * (fabs(s) * magnitudes + fabs(m) * sizes);
        // A product of scales may be subnormal, and have few digits.
        sum->allowed += SMALLEST * (magnitudes + sizes);
        if (m == 0) sum->allowed += MIDDLE_BOUND * scale * fabs(s) * sizes + SMALLEST * 128 * sizes;
    }
}

// What rounding the weights of four runs to multiples of one scale may change of a product.
static double rounding_of(const duet_run *runs, float most, const int8_t *q, const duet_run_scale *scales) {
    double step = 0, total = 0;
    for (size_t r = 0; r < 4; r++) {
        int32_t sizes = 0;
        for (size_t i = 0; i < DUET_RUN; i++) sizes += q[DUET_RUN * r + i] < 0 ? -q[DUET_RUN * r + i] : q[DUET_RUN * r + i];
        total += (double)scales[r].scale * sizes;
        for (int half = 0; half < 2; half++) {
            const double s = runs[r].scale[half], m = runs[r].minimum[half];
            step = fmax(step, fmax(fabs(m), fabs(s * most + m)) / 127);
        }
    }
    return 0.56 * step * total;
}

static exact multiply_values(const float *row, const float *x, size_t n) {
    exact sum = {0};
    for (size_t i = 0; i < n; i++) {
        sum.value += (double)row[i] * x[i];
        sum.allowed += BOUND * fabs((double)row[i] * x[i]);
    }
    return sum;
}

static void multiply_exactly(duet_checker *c, const product *p, size_t row) {
    const uint8_t *weights = p->weights + row * p->row_bytes;
    exact *out = p->expected + row * p->tokens;
    if (!p->is_quantized) {
        float *values = (float *)(p->expected + p->rows * p->tokens);
        duet_generic_dequantize[p->type](weights, values, p->n);
        for (size_t t = 0; t < p->tokens; t++) out[t] = multiply_values(values, p->a[t].x, p->n);
        return;
    }
    const size_t count = p->n / DUET_RUN;
    const float most = largest_rounded(c, p->type);
    memset(out, 0, p->tokens * sizeof *out);
    for (size_t first = 0; first < count; first += 4) {
        duet_run runs[4];
        const size_t some = count - first < 4 ? count - first : 4;
        for (size_t i = 0; i < some; i++) duet_unpack_run[p->type](weights, first + i, &runs[i]);
        for (size_t t = 0; t < p->tokens; t++) {
            const int8_t *q = p->a[t].q + DUET_RUN * first;
            const duet_run_scale *scales = p->a[t].scales + first;
            for (size_t i = 0; i < some; i++) add_run(&runs[i], q + DUET_RUN * i, scales[i].scale, &out[t]);
            if (most > 0) out[t].rounding += rounding_of(runs, most, q, scales);
        }
    }
}

static bool expect_product(duet_checker *c, size_t index, float value, exact e, bool is_packed) {
    // Weights that are no numbers give no number, though not always the same; large ones may in single precision.
    const bool is_number = isfinite(e.value), may_overflow = e.allowed > BOUND * 3e38;
    if ((!is_number || may_overflow) && !isfinite(value)) return true;
    return duet_expect(c, index, value, e.value, is_number ? e.allowed + (is_packed ? e.rounding : 0) : 0);
}

// MARK: Rows

static bool check_dot(duet_checker *c, const product *p) {
    const char *name = duet_type_name(p->type);
    for (size_t t = 0; t < p->tokens; t++) {
        duet_subject(c, "dot of %s, %zu rows of %zu values", name, p->rows, p->n);
        float *out = p->alone + t * p->rows;
        c->tier->dot[p->type](p->weights, p->row_bytes, p->rows, p->n, &p->a[t], out);
        for (size_t r = 0; r < p->rows; r++)
            if (!expect_product(c, r, out[r], p->expected[r * p->tokens + t], false)) return false;
    }
    const size_t row = duet_below(c, p->rows), t = duet_below(c, p->tokens);
    const uint8_t *weights = p->weights + row * p->row_bytes;
    float *one = duet_take_floats(c, 1), *out = duet_take_floats(c, p->rows), *values = duet_take_floats(c, p->n);
    duet_subject(c, "dot of %s, row %zu of %zu alone, of %zu values", name, row, p->rows, p->n);
    c->tier->dot[p->type](weights, p->row_bytes, 1, p->n, &p->a[t], one);
    if (!duet_expect_same(c, one, p->alone + t * p->rows + row, 1)) return false;

    duet_subject(c, "dot_f32 of %s, %zu rows of %zu values", name, p->rows, p->n);
    c->tier->dot_f32[p->type](p->weights, p->row_bytes, p->rows, p->n, &p->a[t], out);
    for (size_t r = 0; r < p->rows; r++) {
        duet_generic_dequantize[p->type](p->weights + r * p->row_bytes, values, p->n);
        if (!expect_product(c, r, out[r], multiply_values(values, p->a[t].x, p->n), false)) return false;
    }
    duet_subject(c, "dequantize of %s, %zu values", name, p->n);
    duet_generic_dequantize[p->type](weights, values, p->n);
    float *same = duet_take_floats(c, p->n);
    c->tier->dequantize[p->type](weights, same, p->n);
    return duet_expect_same(c, same, values, p->n);
}

// Leaves no numbers wherever products of several columns keep theirs: the next ones must not read them.
static void poison(duet_checker *c, const product *p) {
    const size_t n = p->n + 8 * 256;
    const float *x = duet_take_floats(c, n);
    const void *q = duet_take(c, n, 64), *scales = duet_take(c, n / DUET_RUN * sizeof(duet_run_scale) + 64, 64);
    const duet_activations one = {x, q, scales}, all[4] = {one, one, one, one};
    const size_t bytes = duet_row_bytes(p->type, n);
    c->tier->dot_columns[p->type](duet_take(c, bytes, 4), bytes, 1, n, all, 4, NULL, duet_take_floats(c, 4), 1);
}

// Multiplies the same vectors in another way, by weights that are no numbers: what is kept of that is of no use for the
// next product.
static void disturb(duet_checker *c, const product *p, const duet_activations *a, size_t columns, duet_laid *laid) {
    int type = p->type;
    size_t n = p->n;
    switch (duet_below(c, 5)) {
    case 0: type = n % 256 == 0 && type != DUET_Q6_K ? DUET_Q6_K : DUET_Q8_0; break;
    case 1: columns = duet_one_to(c, columns); break;
    case 2: a = p->a; break;
    case 3: n = n / 2 / 256 * 256; break;
    default: n = 0;
    }
    if (n == 0 || !p->is_quantized) return;
    const size_t bytes = duet_row_bytes(type, n);
    const void *weights = duet_take(c, bytes, 4);
    c->tier->dot_columns[type](weights, bytes, 1, n, a, columns, laid, duet_take_floats(c, columns), 1);
}

static bool check_columns(duet_checker *c, const product *p) {
    const size_t columns = duet_one_to(c, p->tokens < COLUMNS ? p->tokens : COLUMNS);
    const size_t first = duet_below(c, p->tokens - columns + 1);
    const size_t stride = p->rows + duet_below(c, 4), cut = duet_one_to(c, p->rows);
    const duet_activations *a = &p->a[first];
    poison(c, p);
    for (int keeps = 0; keeps <= (c->laid != NULL); keeps++) {
        duet_laid *laid = keeps ? c->laid : NULL;
        float *out = duet_take_floats(c, columns * stride);
        duet_subject(c, "dot_columns of %s, %zu rows of %zu values, %zu columns%s", duet_type_name(p->type), p->rows, p->n,
                     columns, keeps ? ", kept" : "");
        if (laid) laid->pass++;
        if (laid) disturb(c, p, a, columns, laid);
        // Two parts of the rows, of which the second finds the vectors as the first has left them.
        c->tier->dot_columns[p->type](p->weights, p->row_bytes, cut, p->n, a, columns, laid, out, stride);
        if (cut < p->rows)
            c->tier->dot_columns[p->type](p->weights + cut * p->row_bytes, p->row_bytes, p->rows - cut, p->n, a, columns,
                                          laid, out + cut, stride);
        for (size_t i = 0; i < columns; i++) {
            const float *column = out + i * stride;
            if (!duet_expect_same(c, column, p->alone + (first + i) * p->rows, p->rows)) return false;
            if (!duet_expect_untouched(c, column + p->rows, stride - p->rows)) return false;
        }
    }
    return true;
}

// MARK: Panels

static bool check_panels(duet_checker *c, const product *p) {
    const int type = p->type;
    size_t rows = duet_one_to(c, c->tier->panel_rows);
    if (rows > p->rows) rows = p->rows;
    const size_t stride = rows + duet_below(c, 4);
    const size_t first = duet_below(c, p->tokens), some = duet_one_to(c, p->tokens - first);
    void *panel = duet_take(c, duet_panel_bytes(c->tier, type, p->n), 64);
    float *all = duet_take_floats(c, p->tokens * stride), *part = duet_take_floats(c, some * stride);
    duet_subject(c, "multiply of %s, %zu rows of %zu values", duet_type_name(type), rows, p->n);
    c->tier->pack[type](p->weights, p->row_bytes, rows, p->n, panel);
    c->tier->multiply[type](panel, rows, p->n, p->a, p->tokens, all, stride);
    c->tier->multiply[type](panel, rows, p->n, p->a + first, some, part, stride);
    for (size_t t = 0; t < p->tokens; t++) {
        for (size_t r = 0; r < rows; r++)
            if (!expect_product(c, r, all[t * stride + r], p->expected[r * p->tokens + t], true)) return false;
        if (!duet_expect_untouched(c, all + t * stride + rows, stride - rows)) return false;
    }
    duet_subject(c, "multiply of %s, %zu rows of %zu values, tokens %zu to %zu of %zu", duet_type_name(type), rows, p->n,
                 first, first + some - 1, p->tokens);
    if (!duet_expect_same(c, part, all + first * stride, some * stride)) return false;
    float *one = duet_take_floats(c, rows);
    for (size_t t = 0; t < p->tokens; t++) {
        duet_subject(c, "multiply of %s, %zu rows of %zu values, token %zu alone", duet_type_name(type), rows, p->n, t);
        c->tier->multiply[type](panel, rows, p->n, p->a + t, 1, one, rows);
        if (!duet_expect_same(c, one, all + t * stride, rows)) return false;
    }
    return true;
}

// Lays some runs of some tokens, which may begin and end within tiles, as callers do.
static void lay_in_tiles(duet_checker *c, const product *p, size_t run, size_t runs, size_t token, size_t end,
                         uint8_t *tiles) {
    const size_t all = p->n / DUET_RUN, size = DUET_TILE_TOKENS;
    for (size_t next; token < end && runs > 0; token = next) {
        next = (token / size + 1) * size < end ? (token / size + 1) * size : end;
        c->tier->lay_in_tile(p->a[token].q + DUET_RUN * run, p->a[token].scales + run, all, runs, token % size,
                             next - token, tiles + (token / size * all + run) * c->tier->tile_bytes);
    }
}

static bool check_tiles(duet_checker *c, const product *p) {
    const duet_operations *o = c->tier;
    const size_t runs = p->n / DUET_RUN, tokens = duet_one_to(c, p->tokens), stride = p->rows + duet_below(c, 4);
    const size_t panels = (p->rows + o->panel_rows - 1) / o->panel_rows;
    const size_t panel_bytes = (duet_panel_bytes(o, p->type, p->n) + 63) / 64 * 64;
    uint8_t *packed = duet_take(c, panels * panel_bytes, 64);
    uint8_t *tiles = duet_take(c, (tokens + DUET_TILE_TOKENS - 1) / DUET_TILE_TOKENS * runs * o->tile_bytes, 64);
    float *out = duet_take_floats(c, tokens * stride), *expected = duet_take_floats(c, tokens * stride);
    const size_t cut = duet_below(c, runs + 1), split = duet_below(c, tokens + 1);
    duet_subject(c, "multiply_tiles of %s, %zu rows of %zu values, %zu tokens", duet_type_name(p->type), p->rows, p->n,
                 tokens);
    lay_in_tiles(c, p, 0, cut, 0, split, tiles);
    lay_in_tiles(c, p, cut, runs - cut, 0, split, tiles);
    lay_in_tiles(c, p, 0, runs, split, tokens, tiles);
    for (size_t i = 0; i < panels; i++) {
        const size_t first = i * o->panel_rows, rows = p->rows - first < o->panel_rows ? p->rows - first : o->panel_rows;
        void *panel = packed + i * panel_bytes;
        o->pack[p->type](p->weights + first * p->row_bytes, p->row_bytes, rows, p->n, panel);
        o->multiply[p->type](panel, rows, p->n, p->a, tokens, expected + first, stride);
    }
    o->multiply_tiles[p->type](packed, p->rows, p->n, tiles, tokens, out, stride);
    for (size_t t = 0; t < tokens; t++)
        if (!duet_expect_untouched(c, out + t * stride + p->rows, stride - p->rows)) return false;
    return duet_expect_same(c, out, expected, tokens * stride);
}

// MARK: A type

// Takes the memory of a product and draws its activations; of no sign but one for all where they are `extreme`.
static void begin(duet_checker *c, product *p, int type, size_t n, size_t rows, size_t tokens, bool extreme) {
    *p = (product){.type = type, .is_quantized = !is_float(type), .n = n, .rows = rows, .tokens = tokens};
    p->row_bytes = duet_row_bytes(type, n);
    p->weights = duet_take(c, rows * p->row_bytes, is_float(type) ? 4 : 1);
    p->x = duet_take_random(c, p->tokens * n, 1);
    p->q = duet_take(c, p->tokens * n, 64);
    const size_t runs = n / DUET_RUN;
    p->scales = duet_take(c, (p->tokens * runs + 1) * sizeof(duet_run_scale), 64);
    for (size_t t = 0; t < p->tokens; t++) {
        float *x = p->x + t * n;
        for (size_t i = 0; i < n && extreme; i++) x[i] = t % 2 ? -1 : 1;
        for (size_t i = 0; i < runs && !extreme; i++)
            if (duet_below(c, 16) == 0) memset(x + DUET_RUN * i, 0, DUET_RUN * sizeof *x);
        p->a[t] = (duet_activations){x, p->q + t * n, p->scales + t * runs};
        if (p->is_quantized) c->generic->quantize(x, n, p->q + t * n, p->scales + t * runs);
    }
    // The values of a row follow.
    p->expected = duet_take(c, rows * p->tokens * sizeof(exact) + n * sizeof(float), 64);
    p->alone = duet_take_floats(c, p->tokens * rows);
}

static bool check_product(duet_checker *c, const product *p) {
    for (size_t r = 0; r < p->rows; r++) multiply_exactly(c, p, r);
    if (!check_dot(c, p) || !check_columns(c, p) || !check_panels(c, p)) return false;
    return !p->is_quantized || c->tier->tile_bytes == 0 || check_tiles(c, p);
}

static size_t draw_columns(duet_checker *c, int type) {
    // A few are longer than what kernels keep near, or multiply at a time.
    const size_t length = duet_below(c, 16);
    if (is_float(type)) return length < 2 ? 200 + duet_below(c, 1000) : duet_one_to(c, 200);
    const size_t whole = block_length(type) / DUET_RUN;
    const size_t runs = length == 0 ? 257 + duet_below(c, 24) : length == 1 ? 24 + duet_below(c, 60) : duet_one_to(c, 24);
    return (runs + whole - 1) / whole * block_length(type);
}

// Weights that are as large as can be, by activations that are: nothing may overflow.
static bool check_extremes(duet_checker *c, int type) {
    static const int patterns[] = {0x00, 0xff, 0x7f, 0x80};
    product p;
    begin(c, &p, type, 256, 4, 5, true);
    for (size_t r = 0; r < p.rows; r++) draw_row(c, &p, r, patterns[r]);
    return check_product(c, &p);
}

// What a damaged file may hold in place of scales, or of floats: nothing, next to nothing, as much as can be, and no
// numbers.
static bool check_damaged(duet_checker *c, int type) {
    static const uint16_t halves[] = {0, 0x7e00, 0x7c00, 1, 0x2000, 0x7bff, 0xfc00};
    static const uint16_t brains[] = {0x8000, 0x7fc0, 0x7f80, 1, 0x0080, 0x7e80, 0xff80};
    static const uint32_t floats[] = {0x80000000, 0x7fc00000, 0x7f800000, 1, 0x00800000, 0x7e800000, 0xff800000};
    static const uint8_t exponents[] = {0, 255, 1, 2, 60, 200, 240};
    product p;
    size_t offsets[2], count = scale_offsets(type, offsets);
    begin(c, &p, type, 256, sizeof halves / sizeof *halves, 3, false);
    for (size_t r = 0; r < p.rows; r++) {
        draw_row(c, &p, r, -1);
        uint8_t *row = p.weights + r * p.row_bytes, *one = row + duet_below(c, p.n) * duet_row_bytes(type, 1);
        for (size_t i = 0; i < count; i++) memcpy(row + offsets[i], &halves[r], 2);
        if (type == DUET_MXFP4) row[0] = exponents[r];
        if (type == DUET_F32) memcpy(one, &floats[r], 4);
        if (type == DUET_BF16) memcpy(one, &brains[r], 2);
        if (type == DUET_F16) memcpy(one, &halves[r], 2);
    }
    return check_product(c, &p);
}

// Numbers of all bits, which floats may be.
static bool check_bits(duet_checker *c, int type) {
    const size_t n = duet_one_to(c, 200), bytes = duet_row_bytes(type, n);
    uint8_t *weights = duet_take(c, bytes, 4);
    float *expected = duet_take_floats(c, n), *out = duet_take_floats(c, n);
    for (size_t i = 0; i < bytes; i++) weights[i] = (uint8_t)duet_below(c, 256);
    duet_subject(c, "dequantize of %s, %zu values", duet_type_name(type), n);
    duet_generic_dequantize[type](weights, expected, n);
    c->tier->dequantize[type](weights, out, n);
    return duet_expect_same(c, out, expected, n);
}

bool duet_check_products(duet_checker *c, int type) {
    product p;
    const size_t n = draw_columns(c, type);
    // A few have more rows than the panels that are multiplied at a time.
    const size_t most = n > 1200 ? 3 : n > 512 || duet_below(c, 8) ? 24 : 80;
    begin(c, &p, type, n, duet_one_to(c, most), n > 2560 ? 9 : TOKENS, false);
    for (size_t r = 0; r < p.rows; r++) draw_row(c, &p, r, -1);
    if (!check_product(c, &p) || !check_damaged(c, type)) return false;
    return p.is_quantized ? check_extremes(c, type) : check_bits(c, type);
}
