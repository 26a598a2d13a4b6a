// Products of weights and the activations of many tokens for x86-64 with AVX2, FMA and F16C.
//
// Every quantized format is read as runs of 32 values: 32 bytes q and four numbers
// {scale, scale, minimum, minimum}, one of each per 16 values. A format says how it unpacks
// (avx2_formats.h); what follows is common to all.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "avx2_formats.h"

#define INLINE static inline __attribute__((always_inline))

// Rows and tokens that a panel is multiplied by at a time.
#define PANEL_ROWS 8
#define TOKENS 4

// MARK: Many tokens

// A run of eight rows, transposed so that a 32-bit lane belongs to one row.
typedef struct {
    int8_t q[8][PANEL_ROWS][4];  // [four values][row][value]
    float scale[2][PANEL_ROWS];  // one per 16 values
    float minimum[2][PANEL_ROWS];
} panel_run;

INLINE void transpose(__m256i rows[8]) {
    __m256i a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        rows[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

INLINE void pack(format f, const void *weights, size_t row_bytes, size_t rows, size_t n, void *out) {
    panel_run *panel = out;
    float all[PANEL_ROWS][8][4];
    for (size_t block = 0; block < n / (DUET_RUN * f.runs); block++) {
        const uint8_t *at = (const uint8_t *)weights + block * f.bytes;
        for (size_t r = 0; r < rows && f.runs > 1; r++) f.prepare(at + r * row_bytes, all[r]);
#pragma clang loop unroll(full)
        for (size_t run = 0; run < f.runs; run++, panel++) {
            __m256i q[PANEL_ROWS];
            for (size_t r = 0; r < PANEL_ROWS; r++) {
                // Rows past the end repeat the last: their results are never stored.
                size_t row = r < rows ? r : rows - 1;
                q[r] = f.quants(at + row * row_bytes, run);
                __m128 w = f.runs > 1 ? _mm_loadu_ps(all[row][run]) : f.weight(at + row * row_bytes);
                float four[4];
                _mm_storeu_ps(four, w);
                panel->scale[0][r] = four[0], panel->scale[1][r] = four[1];
                panel->minimum[0][r] = four[2], panel->minimum[1][r] = four[3];
            }
            transpose(q);
            for (int i = 0; i < 8; i++) _mm256_storeu_si256((__m256i *)panel->q[i], q[i]);
        }
    }
}

INLINE __m256i broadcast_four(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
}

// Sums over steps first..<first + count of four values each, for every row and token.
INLINE void add_steps(format f, const panel_run *run, const duet_activations *a, size_t tokens,
                      size_t index, int first, int count, __m256i sums[TOKENS]) {
    for (int step = first; step < first + count; step += f.widen) {
        __m256i pairs[TOKENS];
#pragma clang loop unroll(full)
        for (int i = step; i < step + f.widen; i++) {
            __m256i w = _mm256_loadu_si256((const __m256i *)run->q[i]);
            __m256i magnitude = f.is_signed ? _mm256_abs_epi8(w) : w;
#pragma clang loop unroll(full)
            for (size_t t = 0; t < tokens; t++) {
                __m256i q = broadcast_four(a[t].q + DUET_RUN * index + 4 * i);
                if (f.is_signed) q = _mm256_sign_epi8(q, w);
                __m256i product = _mm256_maddubs_epi16(magnitude, q);
                pairs[t] = i == step ? product : _mm256_add_epi16(pairs[t], product);
            }
        }
        for (size_t t = 0; t < tokens; t++) {
            __m256i wide = _mm256_madd_epi16(pairs[t], _mm256_set1_epi16(1));
            sums[t] = step == first ? wide : _mm256_add_epi32(sums[t], wide);
        }
    }
}

INLINE void multiply_some(format f, const panel_run *panel, size_t n, const duet_activations *a,
                          size_t tokens, __m256 total[TOKENS]) {
    const int parts = f.halves ? 2 : 1, steps = 8 / parts;
    for (size_t t = 0; t < tokens; t++) total[t] = _mm256_setzero_ps();
    for (size_t index = 0; index < n / DUET_RUN; index++) {
        const panel_run *run = &panel[index];
#pragma clang loop unroll(full)
        for (int part = 0; part < parts; part++) {
            __m256i sums[TOKENS];
            add_steps(f, run, a, tokens, index, part * steps, steps, sums);
            __m256 scale = _mm256_loadu_ps(run->scale[part]);
#pragma clang loop unroll(full)
            for (size_t t = 0; t < tokens; t++) {
                __m256 s = _mm256_mul_ps(scale, _mm256_broadcast_ss(a[t].scales[index].scale));
                total[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[t]), s, total[t]);
            }
        }
        if (!f.has_minimum) continue;
#pragma clang loop unroll(full)
        for (size_t t = 0; t < tokens; t++) {
            const float *half = a[t].scales[index].half;
            if (f.halves) {
                for (int part = 0; part < 2; part++)
                    total[t] = _mm256_fmadd_ps(_mm256_loadu_ps(run->minimum[part]),
                                               _mm256_broadcast_ss(&half[part]), total[t]);
            } else {
                total[t] = _mm256_fmadd_ps(_mm256_loadu_ps(run->minimum[0]),
                                           _mm256_set1_ps(half[0] + half[1]), total[t]);
            }
        }
    }
}

INLINE void store_rows(__m256 total, size_t rows, float *out) {
    if (rows == PANEL_ROWS) {
        _mm256_storeu_ps(out, total);
        return;
    }
    float all[PANEL_ROWS];
    _mm256_storeu_ps(all, total);
    memcpy(out, all, rows * sizeof(float));
}

INLINE void multiply(format f, const void *panel, size_t rows, size_t n, const duet_activations *a,
                     size_t tokens, float *out, size_t out_stride) {
    __m256 total[TOKENS];
    size_t t = 0;
    for (; t + TOKENS <= tokens; t += TOKENS) {
        multiply_some(f, panel, n, a + t, TOKENS, total);
        for (size_t i = 0; i < TOKENS; i++) store_rows(total[i], rows, out + (t + i) * out_stride);
    }
    for (; t < tokens; t++) {
        multiply_some(f, panel, n, a + t, 1, total);
        store_rows(total[0], rows, out + t * out_stride);
    }
}

#define PRODUCTS(TYPE, FORMAT)                                                                   \
    static void pack_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n, void *out) { \
        pack(FORMAT, w, row_bytes, rows, n, out);                                                \
    }                                                                                            \
    static void multiply_##TYPE(const void *panel, size_t rows, size_t n,                        \
                                const duet_activations *a, size_t tokens, float *out,            \
                                size_t out_stride) {                                             \
        multiply(FORMAT, panel, rows, n, a, tokens, out, out_stride);                            \
    }
#define QUANTIZED(TYPE) PRODUCTS(TYPE, format_##TYPE)
DUET_FOR_QUANTIZED_TYPES(QUANTIZED)

#pragma clang attribute pop

#define ENTRY(TYPE)                             \
    table->pack[DUET_##TYPE] = pack_##TYPE;     \
    table->multiply[DUET_##TYPE] = multiply_##TYPE;

static void fill_products(duet_operations *table) { DUET_FOR_QUANTIZED_TYPES(ENTRY) }

void duet_avx2_fill(duet_operations *table) {
    table->name = "avx2";
    table->panel_rows = PANEL_ROWS;
    fill_products(table);
    duet_avx2_fill_rows(table);
    duet_avx2_fill_floats(table);
    duet_avx2_fill_vectors(table);
    duet_avx2_fill_attention(table);
    duet_avx2_fill_low_rank(table);
}
#else
void duet_avx2_fill(duet_operations *table) { (void)table; }
#endif
