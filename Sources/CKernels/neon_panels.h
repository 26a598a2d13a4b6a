// Products of weights and the activations of many tokens on AArch64. Included once per file, inside of its target
// attribute, after INLINE and neon_groups.h, with before or after it
//
//     store_values   writes 16 values each of the rows of a panel, in the order in which they are multiplied
//     add_values     multiplies them by those of up to TOKENS tokens, 4 rows in a vector of sums
//
// A panel holds the runs of eight rows: bytes in that order, then scales and minima side by side.

#define LANES 8
#define TOKENS 4

typedef struct {
    int8_t q[2][LANES * 16];  // of the first and of the last 16 values
    float scale[2][LANES];    // one per 16 values; the second where they differ
    float minimum[2][LANES];
} panel_run;

typedef int32x4_t panel_sums[TOKENS][LANES / 4];
typedef float32x4_t panel_totals[TOKENS][LANES / 4];

INLINE void store_values(const int8x16_t rows[LANES], int8_t *out);
INLINE void add_values(const int8_t *values, const duet_activations *a, size_t tokens, size_t first, panel_sums sums);

// MARK: Packing

// The scales of up to eight runs of one row, to lane `lane` of as many runs of the panel.
INLINE void pack_scales(group_format f, const uint8_t *at, size_t runs, size_t lane, panel_run *panel) {
    group g = f.scales(at, runs);
    for (int half = 0; half < (f.halves ? 2 : 1); half++) {
        float scale[GROUP], minimum[GROUP];
        for (int four = 0; four < 2; four++) {
            float32x4_t s = g.scale.four[four];
            if (f.halves) s = vmulq_f32(s, vcvtq_f32_s32(g.factors[half][four]));
            vst1q_f32(scale + 4 * four, s);
            if (f.has_minimum) vst1q_f32(minimum + 4 * four, g.minimum[half].four[four]);
        }
        for (size_t run = 0; run < runs; run++) {
            panel[run].scale[half][lane] = scale[run];
            if (f.has_minimum) panel[run].minimum[half][lane] = minimum[run];
        }
    }
}

INLINE void pack(group_format f, const void *weights, size_t row_bytes, size_t rows, size_t n, void *out) {
    panel_run *panel = out;
    const size_t all = n / DUET_RUN;
    for (size_t first = 0; first < all; first += GROUP, panel += GROUP) {
        size_t runs = all - first < GROUP ? all - first : GROUP;
        const uint8_t *at = (const uint8_t *)weights + first / f.runs * f.bytes;
        // Rows past the end repeat the last: their results are never stored.
        const uint8_t *row[LANES];
        for (size_t r = 0; r < LANES; r++) row[r] = at + (r < rows ? r : rows - 1) * row_bytes;
        for (size_t r = 0; r < LANES; r++) pack_scales(f, row[r], runs, r, panel);
        for (size_t run = 0; run < runs; run++) {
            int8x16_t values[2][LANES];
            for (size_t r = 0; r < LANES; r++) {
                run_values w = f.quants(f.runs > 1 ? row[r] : row[r] + run * f.bytes, run);
                for (int half = 0; half < 2; half++) values[half][r] = w.half[half];
            }
            for (int half = 0; half < 2; half++) store_values(values[half], panel[run].q[half]);
        }
    }
}

// MARK: Multiplying

INLINE void add_scaled(const panel_sums sums, const float *scale, const duet_activations *a, size_t tokens,
                       size_t index, panel_totals total) {
    for (size_t t = 0; t < tokens; t++) {
        for (int four = 0; four < LANES / 4; four++) {
            float32x4_t s = vmulq_n_f32(vld1q_f32(scale + 4 * four), a[t].scales[index].scale);
            total[t][four] = vfmaq_f32(total[t][four], vcvtq_f32_s32(sums[t][four]), s);
        }
    }
}

// Adds minima, each times the sum of a token's activations there.
INLINE void add_minima(const float *minimum, float sum, float32x4_t total[LANES / 4]) {
    for (int four = 0; four < LANES / 4; four++)
        total[four] = vfmaq_n_f32(total[four], vld1q_f32(minimum + 4 * four), sum);
}

INLINE void multiply_tokens(group_format f, const panel_run *panel, size_t rows, size_t runs,
                            const duet_activations *a, size_t tokens, float *out, size_t out_stride) {
    panel_totals total;
    for (size_t t = 0; t < tokens; t++)
        for (int four = 0; four < LANES / 4; four++) total[t][four] = vdupq_n_f32(0);
    for (size_t index = 0; index < runs; index++) {
        const panel_run *run = &panel[index];
        panel_sums sums;
        for (int half = 0; half < 2; half++) {
            if (half == 0 || f.halves)
                for (size_t t = 0; t < tokens; t++)
                    for (int four = 0; four < LANES / 4; four++) sums[t][four] = vdupq_n_s32(0);
            add_values(run->q[half], a, tokens, DUET_RUN * index + 16 * (size_t)half, sums);
            if (half == 1 || f.halves) add_scaled(sums, run->scale[f.halves ? half : 0], a, tokens, index, total);
        }
        for (size_t t = 0; t < tokens && f.has_minimum; t++) {
            const float *half = a[t].scales[index].half;
            add_minima(run->minimum[0], f.halves ? half[0] : half[0] + half[1], total[t]);
            if (f.halves) add_minima(run->minimum[1], half[1], total[t]);
        }
    }
    for (size_t t = 0; t < tokens; t++) {
        float all[LANES];
        for (int four = 0; four < LANES / 4; four++) vst1q_f32(all + 4 * four, total[t][four]);
        memcpy(out + t * out_stride, all, rows * sizeof(float));
    }
}

INLINE void multiply(group_format f, const void *panel, size_t rows, size_t n, const duet_activations *a,
                     size_t tokens, float *out, size_t out_stride) {
    size_t t = 0;
    for (; t + TOKENS <= tokens; t += TOKENS)
        multiply_tokens(f, panel, rows, n / DUET_RUN, a + t, TOKENS, out + t * out_stride, out_stride);
    for (; t < tokens; t++)
        multiply_tokens(f, panel, rows, n / DUET_RUN, a + t, 1, out + t * out_stride, out_stride);
}

#define PANELS(TYPE)                                                                             \
    static void pack_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n, void *out) { \
        pack(group_##TYPE, w, row_bytes, rows, n, out);                                          \
    }                                                                                            \
    static void multiply_##TYPE(const void *panel, size_t rows, size_t n,                        \
                                const duet_activations *a, size_t tokens, float *out,            \
                                size_t out_stride) {                                             \
        multiply(group_##TYPE, panel, rows, n, a, tokens, out, out_stride);                      \
    }
#define PANELS_ENTRY(TYPE)                  \
    table->pack[DUET_##TYPE] = pack_##TYPE; \
    table->multiply[DUET_##TYPE] = multiply_##TYPE;
DUET_FOR_QUANTIZED_TYPES(PANELS)
