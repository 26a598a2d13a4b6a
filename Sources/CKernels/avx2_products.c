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
#include "x86_panels.h"

#define INLINE static inline __attribute__((always_inline))

// Rows that share a vector, such groups in a panel, and tokens that are multiplied at a time: the eight
// sums in progress, two vectors of weights and one of activations fill the registers.
#define LANES 8
#define GROUPS 2
#define TOKENS 4
// Runs of a panel that stay in the nearest cache, beside the tokens' activations.
#define NEAR_RUNS 30

// A run of eight rows, transposed so that a 32-bit lane belongs to one row. A panel holds, for each
// run, one of these for every group of rows.
typedef struct {
    int8_t q[8][LANES][4];  // [four values][row][value]
    float scale[2][LANES];  // one per 16 values
    float minimum[2][LANES];
} panel_run;

// Packs `rows` rows (at most LANES) into every `groups`-th run from `panel` on.
INLINE void pack_group(format f, const void *weights, size_t row_bytes, size_t rows, size_t n,
                       panel_run *panel, size_t groups) {
    float all[LANES][8][4];
    for (size_t block = 0; block < n / (DUET_RUN * f.runs); block++) {
        const uint8_t *at = (const uint8_t *)weights + block * f.bytes;
        for (size_t r = 0; r < rows && f.runs > 1; r++) f.prepare(at + r * row_bytes, all[r]);
#pragma clang loop unroll(full)
        for (size_t run = 0; run < f.runs; run++, panel += groups) {
            __m256i q[LANES];
            __m128 fours[LANES];
            for (size_t r = 0; r < LANES; r++) {
                // Rows past the end repeat the last: their results are never stored.
                size_t row = r < rows ? r : rows - 1;
                q[r] = f.quants(at + row * row_bytes, run);
                fours[r] = f.runs > 1 ? _mm_loadu_ps(all[row][run]) : f.weight(at + row * row_bytes);
            }
            __m256 of_lanes[4];
            transpose_fours(fours, of_lanes);
            for (int part = 0; part < 2; part++) {
                _mm256_storeu_ps(panel->scale[part], of_lanes[part]);
                _mm256_storeu_ps(panel->minimum[part], of_lanes[2 + part]);
            }
            transpose(q);
            for (int i = 0; i < 8; i++) _mm256_storeu_si256((__m256i *)panel->q[i], q[i]);
        }
    }
}

INLINE void pack(format f, const void *weights, size_t row_bytes, size_t rows, size_t n, void *out) {
    fetch_next((const uint8_t *)weights, rows * row_bytes);
    size_t groups = (rows + LANES - 1) / LANES;
    for (size_t g = 0; g < groups; g++) {
        size_t first = g * LANES, count = rows - first < LANES ? rows - first : LANES;
        pack_group(f, (const uint8_t *)weights + first * row_bytes, row_bytes, count, n, (panel_run *)out + g, groups);
    }
}

INLINE __m256i broadcast_four(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
}

// Sums over steps first..<first + count of four values each, for every row and token.
INLINE void add_steps(format f, const panel_run *run, size_t groups, const duet_activations *a, size_t tokens,
                      size_t index, int first, int count, __m256i sums[GROUPS][TOKENS]) {
    for (int step = first; step < first + count; step += f.widen) {
        __m256i pairs[GROUPS][TOKENS];
#pragma clang loop unroll(full)
        for (int i = step; i < step + f.widen; i++) {
            __m256i w[GROUPS];
            for (size_t g = 0; g < groups; g++) w[g] = _mm256_loadu_si256((const __m256i *)run[g].q[i]);
#pragma clang loop unroll(full)
            for (size_t t = 0; t < tokens; t++) {
                __m256i q = broadcast_four(a[t].q + DUET_RUN * index + 4 * i);
#pragma clang loop unroll(full)
                for (size_t g = 0; g < groups; g++) {
                    __m256i product = f.is_signed
                        ? _mm256_maddubs_epi16(_mm256_abs_epi8(w[g]), _mm256_sign_epi8(q, w[g]))
                        : _mm256_maddubs_epi16(w[g], q);
                    pairs[g][t] = i == step ? product : _mm256_add_epi16(pairs[g][t], product);
                    // Added up in this order: regrouped, the sums would not fit the registers.
                    __asm__("" : "+x"(pairs[g][t]));
                }
            }
        }
        for (size_t g = 0; g < groups; g++) {
            for (size_t t = 0; t < tokens; t++) {
                __m256i wide = _mm256_madd_epi16(pairs[g][t], _mm256_set1_epi16(1));
                sums[g][t] = step == first ? wide : _mm256_add_epi32(sums[g][t], wide);
            }
        }
    }
}

// Adds the minima of a run, each times the sum of a token's activations there.
INLINE void add_minima(format f, const panel_run *run, size_t groups, const float half[2], __m256 *total) {
    for (size_t g = 0; g < groups; g++) {
        __m256 *sum = &total[g * TOKENS];
        if (f.halves) {
            for (int part = 0; part < 2; part++)
                *sum = _mm256_fmadd_ps(_mm256_loadu_ps(run[g].minimum[part]), _mm256_broadcast_ss(&half[part]), *sum);
        } else {
            *sum = _mm256_fmadd_ps(_mm256_loadu_ps(run[g].minimum[0]), _mm256_set1_ps(half[0] + half[1]), *sum);
        }
    }
}

// Adds the products of the runs first..<last.
INLINE void multiply_some(format f, const panel_run *panel, size_t groups, size_t first, size_t last,
                          const duet_activations *a, size_t tokens, __m256 total[GROUPS][TOKENS]) {
    const int parts = f.halves ? 2 : 1, steps = 8 / parts;
    for (size_t index = first; index < last; index++) {
        const panel_run *run = &panel[index * groups];
#pragma clang loop unroll(full)
        for (int part = 0; part < parts; part++) {
            __m256i sums[GROUPS][TOKENS];
            add_steps(f, run, groups, a, tokens, index, part * steps, steps, sums);
#pragma clang loop unroll(full)
            for (size_t t = 0; t < tokens; t++) {
                __m256 activation = _mm256_broadcast_ss(&a[t].scales[index].scale);
                for (size_t g = 0; g < groups; g++) {
                    __m256 s = _mm256_mul_ps(_mm256_loadu_ps(run[g].scale[part]), activation);
                    total[g][t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[g][t]), s, total[g][t]);
                }
            }
        }
        if (!f.has_minimum) continue;
#pragma clang loop unroll(full)
        for (size_t t = 0; t < tokens; t++) add_minima(f, run, groups, a[t].scales[index].half, &total[0][t]);
    }
}

INLINE void store_rows(__m256 total, size_t rows, float *out) {
    if (rows >= LANES) {
        _mm256_storeu_ps(out, total);
        return;
    }
    float all[LANES];
    _mm256_storeu_ps(all, total);
    memcpy(out, all, rows * sizeof(float));
}

INLINE __m256 load_rows(size_t rows, const float *out) {
    if (rows >= LANES) return _mm256_loadu_ps(out);
    float all[LANES] = {0};
    memcpy(all, out, rows * sizeof(float));
    return _mm256_loadu_ps(all);
}

// The products of `tokens` tokens with the runs first..<last, added to what `out` holds of the runs before.
INLINE void multiply_tokens(format f, const void *panel, size_t groups, size_t rows, size_t first, size_t last,
                            const duet_activations *a, size_t tokens, float *out, size_t out_stride) {
    __m256 total[GROUPS][TOKENS];
    for (size_t t = 0; t < tokens; t++)
        for (size_t g = 0; g < groups; g++)
            total[g][t] = first == 0 ? _mm256_setzero_ps() : load_rows(rows - g * LANES, out + t * out_stride + g * LANES);
    multiply_some(f, panel, groups, first, last, a, tokens, total);
    for (size_t t = 0; t < tokens; t++)
        for (size_t g = 0; g < groups; g++)
            store_rows(total[g][t], rows - g * LANES, out + t * out_stride + g * LANES);
}

INLINE void multiply_groups(format f, const void *panel, size_t groups, size_t rows, size_t n,
                            const duet_activations *a, size_t tokens, float *out, size_t out_stride) {
    const size_t runs = n / DUET_RUN, parts = (runs + NEAR_RUNS - 1) / NEAR_RUNS;
    for (size_t part = 0; part < parts; part++) {
        size_t first = runs * part / parts, last = runs * (part + 1) / parts, t = 0;
        for (; t + TOKENS <= tokens; t += TOKENS)
            multiply_tokens(f, panel, groups, rows, first, last, a + t, TOKENS, out + t * out_stride, out_stride);
        for (; t < tokens; t++)
            multiply_tokens(f, panel, groups, rows, first, last, a + t, 1, out + t * out_stride, out_stride);
    }
}

INLINE void multiply(format f, const void *panel, size_t rows, size_t n, const duet_activations *a,
                     size_t tokens, float *out, size_t out_stride) {
    if (rows > LANES)
        multiply_groups(f, panel, 2, rows, n, a, tokens, out, out_stride);
    else
        multiply_groups(f, panel, 1, rows, n, a, tokens, out, out_stride);
}

#define PANELS(TYPE)                                                                             \
    static void pack_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n, void *out) { \
        pack(format_##TYPE, w, row_bytes, rows, n, out);                                         \
    }                                                                                            \
    static void multiply_##TYPE(const void *panel, size_t rows, size_t n,                        \
                                const duet_activations *a, size_t tokens, float *out,            \
                                size_t out_stride) {                                             \
        multiply(format_##TYPE, panel, rows, n, a, tokens, out, out_stride);                     \
    }
#define PANELS_ENTRY(TYPE)                  \
    table->pack[DUET_##TYPE] = pack_##TYPE; \
    table->multiply[DUET_##TYPE] = multiply_##TYPE;
DUET_FOR_QUANTIZED_TYPES(PANELS)

// Sums that no instruction waits for.
#define PEAK_SUMS 10

static uint64_t peak(bool in_float, size_t rounds) {
    __m256i sums[PEAK_SUMS];
    __m256 totals[PEAK_SUMS];
    for (int i = 0; i < PEAK_SUMS; i++) {
        sums[i] = _mm256_setzero_si256();
        totals[i] = _mm256_setzero_ps();
    }
    __m256i w = _mm256_set1_epi8(3), a = _mm256_set1_epi8(-5);
    const __m256 x = _mm256_set1_ps(0.5f);
    for (size_t round = 0; round < rounds && in_float; round++)
        for (int i = 0; i < PEAK_SUMS; i++) totals[i] = _mm256_fmadd_ps(x, x, totals[i]);
    for (size_t round = 0; round < rounds && !in_float; round++) {
        for (int i = 0; i < PEAK_SUMS; i++) {
            // As if it were another weight, or the product would be made once for all.
            __asm__ volatile("" : "+x"(w));
            sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(w, a));
        }
    }
    // What nobody reads would not be computed.
    for (int i = 0; i < PEAK_SUMS; i++) __asm__ volatile("" ::"x"(sums[i]), "x"(totals[i]));
    return rounds * PEAK_SUMS * (in_float ? 8 : 32);
}

#pragma clang attribute pop

static void fill_products(duet_operations *table) { DUET_FOR_QUANTIZED_TYPES(PANELS_ENTRY) }

void duet_avx2_fill(duet_operations *table) {
    table->name = "avx2";
    table->panel_rows = GROUPS * LANES;
    table->peak = peak;
    fill_products(table);
    duet_avx2_fill_rows(table);
    duet_avx2_fill_floats(table);
    duet_avx2_fill_vectors(table);
    duet_avx2_fill_attention(table);
    duet_avx2_fill_low_rank(table);
    duet_avx2_fill_vision(table);
}
#else
void duet_avx2_fill(duet_operations *table) { (void)table; }
#endif
