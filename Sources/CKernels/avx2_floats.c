// Products of float weights and float activations for x86-64 with AVX2, FMA and F16C.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "x86_panels.h"

#define INLINE static inline __attribute__((always_inline))
// Rows of a panel, as in avx2_products.c, and tokens that it is multiplied by at a time: twelve sums,
// two vectors of weights and one of activations fill the registers.
#define PANEL_ROWS 16
#define TOKENS 6
// Vectors that share the loads of a row.
#define SHARING 2
// Bytes of the file that are fetched ahead of use.
#define AHEAD 4096

// Zen 4 reads such long lines of memory faster by itself (one core 26 GB/s, against 22 fetched ahead); Zen 5 does not (29
// against 35; two cores 40 against 48).
static bool fetches_ahead = true;

typedef struct {
    size_t bytes;
    __m256 (*load8)(const uint8_t *at);
    float (*load1)(const uint8_t *at);
} format;

INLINE __m256 load8_F32(const uint8_t *at) { return _mm256_loadu_ps((const float *)at); }
INLINE __m256 load8_F16(const uint8_t *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)); }
INLINE __m256 load8_BF16(const uint8_t *at) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)at));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
INLINE float load1_F32(const uint8_t *at) {
    float value;
    memcpy(&value, at, 4);
    return value;
}
INLINE float load1_F16(const uint8_t *at) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_set1_epi16((short)duet_word_at(at)))); }
INLINE float load1_BF16(const uint8_t *at) { return duet_bfloat_to_float(duet_word_at(at)); }

#define format_F32 (format){4, load8_F32, load1_F32}
#define format_F16 (format){2, load8_F16, load1_F16}
#define format_BF16 (format){2, load8_BF16, load1_BF16}

INLINE float sum_of(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// MARK: One token

// One row times `columns` vectors: each is summed up as if it were alone.
INLINE void dot_row(format f, const uint8_t *row, size_t n, const duet_activations *a, size_t columns,
                    float *out, size_t out_stride) {
    __m256 total[SHARING][4];
    for (size_t c = 0; c < columns; c++)
        for (int j = 0; j < 4; j++) total[c][j] = _mm256_setzero_ps();
    size_t i = 0;
    const bool fetches = fetches_ahead;
    for (; i + 32 <= n; i += 32) {
        for (size_t line = 0; line < 32 * f.bytes && fetches; line += 64)
            _mm_prefetch(row + i * f.bytes + AHEAD + line, _MM_HINT_T0);
#pragma clang loop unroll(full)
        for (size_t j = 0; j < 4; j++) {
            __m256 w = f.load8(row + (i + 8 * j) * f.bytes);
#pragma clang loop unroll(full)
            for (size_t c = 0; c < columns; c++)
                total[c][j] = _mm256_fmadd_ps(w, _mm256_loadu_ps(a[c].x + i + 8 * j), total[c][j]);
        }
    }
    for (size_t c = 0; c < columns; c++) {
        __m256 *t = total[c];
        float sum = sum_of(_mm256_add_ps(_mm256_add_ps(t[0], t[1]), _mm256_add_ps(t[2], t[3])));
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

// Rows past the end repeat the last: their results are never stored.
INLINE const uint8_t *row_at(const void *weights, size_t row_bytes, size_t rows, size_t r) {
    return (const uint8_t *)weights + (r < rows ? r : rows - 1) * row_bytes;
}

INLINE void pack(format f, const void *weights, size_t row_bytes, size_t rows, size_t n, void *out) {
    float *panel = out;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t first = 0; first < PANEL_ROWS; first += 8) {
            __m256i v[8];
            for (size_t r = 0; r < 8; r++)
                v[r] = _mm256_castps_si256(f.load8(row_at(weights, row_bytes, rows, first + r) + i * f.bytes));
            transpose(v);
            for (size_t j = 0; j < 8; j++)
                _mm256_storeu_si256((__m256i *)(panel + (i + j) * PANEL_ROWS + first), v[j]);
        }
    }
    for (; i < n; i++)
        for (size_t r = 0; r < PANEL_ROWS; r++)
            panel[i * PANEL_ROWS + r] = f.load1(row_at(weights, row_bytes, rows, r) + i * f.bytes);
}

INLINE void multiply_some(const float *panel, size_t n, const duet_activations *a, size_t tokens,
                          __m256 total[TOKENS][2]) {
    for (size_t t = 0; t < tokens; t++) total[t][0] = total[t][1] = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i++) {
        __m256 low = _mm256_loadu_ps(panel + i * PANEL_ROWS), high = _mm256_loadu_ps(panel + i * PANEL_ROWS + 8);
#pragma clang loop unroll(full)
        for (size_t t = 0; t < tokens; t++) {
            __m256 x = _mm256_broadcast_ss(a[t].x + i);
            total[t][0] = _mm256_fmadd_ps(low, x, total[t][0]);
            total[t][1] = _mm256_fmadd_ps(high, x, total[t][1]);
        }
    }
}

static void multiply(const void *panel, size_t rows, size_t n, const duet_activations *a,
                     size_t tokens, float *out, size_t out_stride) {
    __m256 total[TOKENS][2];
    size_t t = 0, step;
    for (; t < tokens; t += step) {
        step = tokens - t >= TOKENS ? TOKENS : 1;
        if (step == TOKENS)
            multiply_some(panel, n, a + t, TOKENS, total);
        else
            multiply_some(panel, n, a + t, 1, total);
        for (size_t i = 0; i < step; i++) {
            float all[PANEL_ROWS];
            _mm256_storeu_ps(all, total[i][0]);
            _mm256_storeu_ps(all + 8, total[i][1]);
            memcpy(out + (t + i) * out_stride, all, rows * sizeof(float));
        }
    }
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

#pragma clang attribute pop

#define ENTRY(TYPE)                           \
    table->dot[DUET_##TYPE] = dot_##TYPE;     \
    table->dot_columns[DUET_##TYPE] = columns_##TYPE; \
    table->pack[DUET_##TYPE] = pack_##TYPE;   \
    table->multiply[DUET_##TYPE] = multiply;

void duet_avx2_fill_floats(duet_operations *table) {
    fetches_ahead = !__builtin_cpu_is("znver4");
    DUET_FOR_FLOAT_TYPES(ENTRY)
}
#endif
