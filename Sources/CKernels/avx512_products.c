// The same products of panels as avx2_products.c for x86-64 with AVX-512 and VNNI: sixteen rows share a vector, and
// one instruction multiplies four values of each and adds them up in 32 bits, whatever their size. It wants weights
// without a sign: 128 is added to those that have one, and a minimum of -128 scales takes it off again.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)

#include "avx2_formats.h"
#include "x86_panels.h"

#define INLINE static inline __attribute__((always_inline))

// Rows that share a vector, which are those of a panel, and tokens that are multiplied at a time.
#define LANES 16
#define TOKENS 8
// Runs of a panel that stay in the nearest cache, beside the tokens' activations.
#define NEAR_RUNS 40

// A run of sixteen rows, transposed so that a 32-bit lane belongs to one row.
typedef struct {
    uint8_t q[8][LANES][4];  // [four values][row][value]
    float scale[2][LANES];   // one per 16 values
    float minimum[2][LANES];
} panel_run;

// Packs eight lanes of all runs from `panel` on; `rows` of them are rows, of which the others repeat the last: their
// results are never stored.
INLINE void pack_lanes(format f, const uint8_t *weights, size_t row_bytes, size_t rows, size_t n,
                       panel_run *panel, size_t lane) {
    float all[8][8][4];
    for (size_t block = 0; block < n / (DUET_RUN * f.runs); block++) {
        const uint8_t *at = weights + block * f.bytes;
        for (size_t r = 0; r < rows && f.runs > 1; r++) f.prepare(at + r * row_bytes, all[r]);
#pragma clang loop unroll(full)
        for (size_t run = 0; run < f.runs; run++, panel++) {
            __m256i q[8];
            __m128 fours[8];
            for (size_t r = 0; r < 8; r++) {
                size_t row = r < rows ? r : rows - 1;
                q[r] = f.quants(at + row * row_bytes, run);
                if (f.is_signed) q[r] = _mm256_xor_si256(q[r], _mm256_set1_epi8((char)128));
                fours[r] = f.runs > 1 ? _mm_loadu_ps(all[row][run]) : f.weight(at + row * row_bytes);
            }
            __m256 of_lanes[4];
            transpose_fours(fours, of_lanes);
            for (int part = 0; part < 2; part++) {
                __m256 minimum = f.is_signed ? _mm256_mul_ps(of_lanes[part], _mm256_set1_ps(-128)) : of_lanes[2 + part];
                _mm256_storeu_ps(panel->scale[part] + lane, of_lanes[part]);
                _mm256_storeu_ps(panel->minimum[part] + lane, minimum);
            }
            transpose(q);
            for (int i = 0; i < 8; i++) _mm256_storeu_si256((__m256i *)panel->q[i][lane], q[i]);
        }
    }
}

INLINE void pack(format f, const void *weights, size_t row_bytes, size_t rows, size_t n, void *out) {
    fetch_next((const uint8_t *)weights, rows * row_bytes);
    for (size_t lane = 0; lane < LANES; lane += 8) {
        size_t first = lane < rows ? lane : rows - 1, count = rows - first < 8 ? rows - first : 8;
        pack_lanes(f, (const uint8_t *)weights + first * row_bytes, row_bytes, count, n, out, lane);
    }
}

INLINE __m512i broadcast_four(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, 4);
    return _mm512_set1_epi32(four);
}

// Adds the products of the runs first..<last.
INLINE void multiply_some(format f, const panel_run *panel, size_t first, size_t last,
                          const duet_activations *a, size_t tokens, __m512 total[TOKENS]) {
    const int parts = f.halves ? 2 : 1, steps = 8 / parts;
    for (size_t index = first; index < last; index++) {
        const panel_run *run = &panel[index];
#pragma clang loop unroll(full)
        for (int part = 0; part < parts; part++) {
            __m512i sums[TOKENS];
#pragma clang loop unroll(full)
            for (int step = part * steps; step < (part + 1) * steps; step++) {
                __m512i w = _mm512_loadu_si512(run->q[step]);
#pragma clang loop unroll(full)
                for (size_t t = 0; t < tokens; t++) {
                    __m512i before = step == part * steps ? _mm512_setzero_si512() : sums[t];
                    sums[t] = _mm512_dpbusd_epi32(before, w, broadcast_four(a[t].q + DUET_RUN * index + 4 * step));
                }
            }
#pragma clang loop unroll(full)
            for (size_t t = 0; t < tokens; t++) {
                __m512 activation = _mm512_set1_ps(a[t].scales[index].scale[0]);
                __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(run->scale[part]), activation);
                total[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[t]), scale, total[t]);
            }
        }
#pragma clang loop unroll(full)
        for (size_t t = 0; t < tokens; t++) {
            const float *half = a[t].scales[index].half;
            for (int part = 0; part < parts; part++) {
                __m512 sum = _mm512_set1_ps(f.halves ? half[part] : half[0] + half[1]);
                total[t] = _mm512_fmadd_ps(_mm512_loadu_ps(run->minimum[part]), sum, total[t]);
            }
        }
    }
}

// The products of `tokens` tokens with the runs first..<last, added to what `out` holds of the runs before.
INLINE void multiply_tokens(format f, const void *panel, __mmask16 rows, size_t first, size_t last,
                            const duet_activations *a, size_t tokens, float *out, size_t out_stride) {
    __m512 total[TOKENS];
    for (size_t t = 0; t < tokens; t++)
        total[t] = first == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, out + t * out_stride);
    multiply_some(f, panel, first, last, a, tokens, total);
    for (size_t t = 0; t < tokens; t++) _mm512_mask_storeu_ps(out + t * out_stride, rows, total[t]);
}

INLINE void multiply(format f, const void *panel, size_t rows, size_t n, const duet_activations *a,
                     size_t tokens, float *out, size_t out_stride) {
    const size_t runs = n / DUET_RUN, parts = (runs + NEAR_RUNS - 1) / NEAR_RUNS;
    const __mmask16 mask = (__mmask16)((1 << rows) - 1);
    for (size_t part = 0; part < parts; part++) {
        size_t first = runs * part / parts, last = runs * (part + 1) / parts, t = 0;
        for (; t + TOKENS <= tokens; t += TOKENS)
            multiply_tokens(f, panel, mask, first, last, a + t, TOKENS, out + t * out_stride, out_stride);
        if (t + TOKENS / 2 <= tokens) {
            multiply_tokens(f, panel, mask, first, last, a + t, TOKENS / 2, out + t * out_stride, out_stride);
            t += TOKENS / 2;
        }
        for (; t < tokens; t++)
            multiply_tokens(f, panel, mask, first, last, a + t, 1, out + t * out_stride, out_stride);
    }
}

DUET_FOR_QUANTIZED_TYPES(PANELS)

// Sums that no instruction waits for.
#define PEAK_SUMS 16

static uint64_t peak(bool in_float, size_t rounds) {
    __m512i sums[PEAK_SUMS];
    __m512 totals[PEAK_SUMS];
    for (int i = 0; i < PEAK_SUMS; i++) {
        sums[i] = _mm512_setzero_si512();
        totals[i] = _mm512_setzero_ps();
    }
    const __m512i w = _mm512_set1_epi8(3), a = _mm512_set1_epi8(-5);
    const __m512 x = _mm512_set1_ps(0.5f);
    for (size_t round = 0; round < rounds && in_float; round++)
        for (int i = 0; i < PEAK_SUMS; i++) totals[i] = _mm512_fmadd_ps(x, x, totals[i]);
    for (size_t round = 0; round < rounds && !in_float; round++)
        for (int i = 0; i < PEAK_SUMS; i++) sums[i] = _mm512_dpbusd_epi32(sums[i], w, a);
    // What nobody reads would not be computed.
    for (int i = 0; i < PEAK_SUMS; i++) __asm__ volatile("" ::"v"(sums[i]), "v"(totals[i]));
    return rounds * PEAK_SUMS * (in_float ? 16 : 64);
}

#pragma clang attribute pop

void duet_avx512_fill(duet_operations *table) {
    table->name = "avx512";
    table->panel_rows = LANES;
    table->peak = peak;
    DUET_FOR_QUANTIZED_TYPES(PANELS_ENTRY)
    duet_avx512_fill_rows(table);
    duet_avx512_fill_vectors(table);
    duet_avx512_fill_attention(table);
}
#else
void duet_avx512_fill(duet_operations *table) { (void)table; }
#endif
