// Products of float weights and float activations for AArch64.

#include "tiers.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "formats.h"

#define INLINE static inline __attribute__((always_inline))

// Rows of a panel, as in neon_panels.h, and tokens that it is multiplied by at a time: 16 sums, two vectors of weights
// and eight of activations are in registers.
#define PANEL_ROWS 8
#define TOKENS 8
// Vectors that share the loads of a row.
#define SHARING 4
// Sums of one vector, so that none waits for the one before.
#define SUMS 4

typedef struct {
    size_t bytes;
    float32x4_t (*load4)(const uint8_t *at);
    float (*load1)(const uint8_t *at);
} format;

INLINE float32x4_t load4_F32(const uint8_t *at) { return vreinterpretq_f32_u8(vld1q_u8(at)); }
INLINE float32x4_t load4_F16(const uint8_t *at) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at))); }
INLINE float32x4_t load4_BF16(const uint8_t *at) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(at)), 16));
}
INLINE float load1_F32(const uint8_t *at) {
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}
INLINE float load1_F16(const uint8_t *at) { return duet_half_to_float(duet_word_at(at)); }
INLINE float load1_BF16(const uint8_t *at) { return duet_bfloat_to_float(duet_word_at(at)); }

#define format_F32 (format){4, load4_F32, load1_F32}
#define format_F16 (format){2, load4_F16, load1_F16}
#define format_BF16 (format){2, load4_BF16, load1_BF16}

// MARK: One token

// One row times `columns` vectors: each is summed up as if it were alone.
INLINE void dot_row(format f, const uint8_t *row, size_t n, const duet_activations *a, size_t columns,
                    float *out, size_t out_stride) {
    float32x4_t total[SHARING][SUMS];
    for (size_t c = 0; c < columns; c++)
        for (int j = 0; j < SUMS; j++) total[c][j] = vdupq_n_f32(0);
    size_t i = 0;
    for (; i + 4 * SUMS <= n; i += 4 * SUMS) {
        for (size_t j = 0; j < SUMS; j++) {
            float32x4_t w = f.load4(row + (i + 4 * j) * f.bytes);
            for (size_t c = 0; c < columns; c++) total[c][j] = vfmaq_f32(total[c][j], w, vld1q_f32(a[c].x + i + 4 * j));
        }
    }
    for (size_t c = 0; c < columns; c++) {
        float32x4_t *t = total[c];
        float sum = vaddvq_f32(vaddq_f32(vaddq_f32(t[0], t[1]), vaddq_f32(t[2], t[3])));
        for (size_t k = i; k < n; k++) sum += f.load1(row + k * f.bytes) * a[c].x[k];
        out[c * out_stride] = sum;
    }
}

INLINE void dot_columns(format f, const void *weights, size_t row_bytes, size_t rows, size_t n,
                        const duet_activations *a, size_t columns, float *out, size_t out_stride) {
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *row = (const uint8_t *)weights + r * row_bytes;
        size_t c = 0;
        for (; c + SHARING <= columns; c += SHARING)
            dot_row(f, row, n, a + c, SHARING, out + c * out_stride + r, out_stride);
        for (; c < columns; c++) dot_row(f, row, n, a + c, 1, out + c * out_stride + r, out_stride);
    }
}

// MARK: Many tokens. Panel: [n][PANEL_ROWS] floats

INLINE void pack(format f, const void *weights, size_t row_bytes, size_t rows, size_t n, void *out) {
    float *panel = out;
    const uint8_t *row[PANEL_ROWS];
    // Rows past the end repeat the last: their results are never stored.
    for (size_t r = 0; r < PANEL_ROWS; r++) row[r] = (const uint8_t *)weights + (r < rows ? r : rows - 1) * row_bytes;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t first = 0; first < PANEL_ROWS; first += 4) {
            float32x4_t v[4];
            for (size_t r = 0; r < 4; r++) v[r] = f.load4(row[first + r] + i * f.bytes);
            float32x4_t low01 = vzip1q_f32(v[0], v[2]), high01 = vzip2q_f32(v[0], v[2]);
            float32x4_t low23 = vzip1q_f32(v[1], v[3]), high23 = vzip2q_f32(v[1], v[3]);
            vst1q_f32(panel + (i + 0) * PANEL_ROWS + first, vzip1q_f32(low01, low23));
            vst1q_f32(panel + (i + 1) * PANEL_ROWS + first, vzip2q_f32(low01, low23));
            vst1q_f32(panel + (i + 2) * PANEL_ROWS + first, vzip1q_f32(high01, high23));
            vst1q_f32(panel + (i + 3) * PANEL_ROWS + first, vzip2q_f32(high01, high23));
        }
    }
    for (; i < n; i++)
        for (size_t r = 0; r < PANEL_ROWS; r++) panel[i * PANEL_ROWS + r] = f.load1(row[r] + i * f.bytes);
}

INLINE void add_step(const float *weights, const float x[TOKENS], size_t tokens, float32x4_t total[TOKENS][2]) {
    float32x4_t low = vld1q_f32(weights), high = vld1q_f32(weights + 4);
    for (size_t t = 0; t < tokens; t++) {
        total[t][0] = vfmaq_n_f32(total[t][0], low, x[t]);
        total[t][1] = vfmaq_n_f32(total[t][1], high, x[t]);
    }
}

INLINE void multiply_some(const float *panel, size_t rows, size_t n, const duet_activations *a, size_t tokens,
                          float *out, size_t out_stride) {
    float32x4_t total[TOKENS][2];
    for (size_t t = 0; t < tokens; t++) total[t][0] = total[t][1] = vdupq_n_f32(0);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t four[TOKENS];
        for (size_t t = 0; t < tokens; t++) four[t] = vld1q_f32(a[t].x + i);
#pragma clang loop unroll(full)
        for (size_t j = 0; j < 4; j++) {
            float x[TOKENS];
            for (size_t t = 0; t < tokens; t++) x[t] = four[t][j];
            add_step(panel + (i + j) * PANEL_ROWS, x, tokens, total);
        }
    }
    for (; i < n; i++) {
        float x[TOKENS];
        for (size_t t = 0; t < tokens; t++) x[t] = a[t].x[i];
        add_step(panel + i * PANEL_ROWS, x, tokens, total);
    }
    for (size_t t = 0; t < tokens; t++) {
        float all[PANEL_ROWS];
        for (int half = 0; half < 2; half++) vst1q_f32(all + 4 * half, total[t][half]);
        memcpy(out + t * out_stride, all, rows * sizeof(float));
    }
}

static void multiply(const void *panel, size_t rows, size_t n, const duet_activations *a, size_t tokens,
                     float *out, size_t out_stride) {
    size_t t = 0;
    for (; t + TOKENS <= tokens; t += TOKENS)
        multiply_some(panel, rows, n, a + t, TOKENS, out + t * out_stride, out_stride);
    for (; t < tokens; t++) multiply_some(panel, rows, n, a + t, 1, out + t * out_stride, out_stride);
}

#define PRODUCTS(TYPE)                                                                           \
    static void columns_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n,           \
                               const duet_activations *a, size_t columns, duet_laid *laid,       \
                               float *out, size_t out_stride) {                                  \
        (void)laid;                                                                              \
        dot_columns(format_##TYPE, w, row_bytes, rows, n, a, columns, out, out_stride);          \
    }                                                                                            \
    static void dot_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n,               \
                           const duet_activations *a, float *out) {                              \
        dot_columns(format_##TYPE, w, row_bytes, rows, n, a, 1, out, 0);                         \
    }                                                                                            \
    static void pack_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n, void *out) { \
        pack(format_##TYPE, w, row_bytes, rows, n, out);                                         \
    }
DUET_FOR_FLOAT_TYPES(PRODUCTS)

#define ENTRY(TYPE)                                   \
    table->dot[DUET_##TYPE] = dot_##TYPE;             \
    table->dot_columns[DUET_##TYPE] = columns_##TYPE; \
    table->pack[DUET_##TYPE] = pack_##TYPE;           \
    table->multiply[DUET_##TYPE] = multiply;

void duet_neon_fill_floats(duet_operations *table) { DUET_FOR_FLOAT_TYPES(ENTRY) }
#endif
