// Operations on single vectors for x86-64 with AVX-512: those that a prompt spends time on.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

#include "avx512_vector.h"
#include "vector_loops.h"
#include "x86_runs.h"

static void quantize_run(const float *x, int8_t *q, duet_run_scale *s) {
    __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
    float scale = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high))) / 127;
    float inverse = 1 / scale;
    bool is_ordered = _mm512_cmp_ps_mask(low, high, _CMP_ORD_Q) == 0xffff;
    if (!is_ordered || !isfinite(scale) || !isfinite(inverse)) {
        memset(q, 0, DUET_RUN);
        memset(s, 0, sizeof *s);
        return;
    }
    const __m512 factor = _mm512_set1_ps(inverse);
    __m512i halves[2] = {_mm512_cvtps_epi32(_mm512_mul_ps(low, factor)), _mm512_cvtps_epi32(_mm512_mul_ps(high, factor))};
    for (int half = 0; half < 2; half++) store_half(_mm512_cvtsepi32_epi8(halves[half]), half, scale, q, s);
}

static inline __m128 largest_of_four(__m512 v) {
    __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
}

// The same for up to four runs, whose divisions and sums share vectors; the last stands in for those that are missing.
// False where one of them needs quantize_run.
INLINE bool quantize_four(const float *x, size_t runs, int8_t *q, duet_run_scale *s) {
    size_t at[4];
    for (size_t r = 0; r < 4; r++) at[r] = DUET_RUN * (r < runs ? r : runs - 1);
    __m128 most[4];
    __mmask16 ordered = 0xffff;
    for (int r = 0; r < 4; r++) {
        __m512 low = _mm512_loadu_ps(x + at[r]), high = _mm512_loadu_ps(x + at[r] + 16);
        most[r] = largest_of_four(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
        ordered &= _mm512_cmp_ps_mask(low, high, _CMP_ORD_Q);
    }
    _MM_TRANSPOSE4_PS(most[0], most[1], most[2], most[3]);
    const __m128 largest = _mm_max_ps(_mm_max_ps(most[0], most[1]), _mm_max_ps(most[2], most[3]));
    const __m128 scale = _mm_div_ps(largest, _mm_set1_ps(127)), inverse = _mm_div_ps(_mm_set1_ps(1), scale);
    const __m128 infinity = _mm_set1_ps(INFINITY);
    const __mmask8 finite = _mm_cmp_ps_mask(scale, infinity, _CMP_LT_OQ) & _mm_cmp_ps_mask(inverse, infinity, _CMP_LT_OQ);
    if (ordered != 0xffff || finite != 15) return false;

    __m256i sums[4];
    for (int r = 0; r < 4; r++) {
        const __m512 factor = _mm512_permutexvar_ps(_mm512_set1_epi32(r), _mm512_castps128_ps512(inverse));
        __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + at[r]), factor));
        __m512i high = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + at[r] + 16), factor));
        __m256i packed = _mm256_set_m128i(_mm512_cvtsepi32_epi8(high), _mm512_cvtsepi32_epi8(low));
        packed = _mm256_max_epi8(packed, _mm256_set1_epi8(-127));
        _mm256_storeu_si256((__m256i *)(q + at[r]), packed);
        sums[r] = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), packed);
    }
    // Of each half of a run four sums: lane r of the lower half of `both` is the first half of run r.
    const __m256i both = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    const __m256 half = _mm256_mul_ps(_mm256_cvtepi32_ps(both), _mm256_set_m128(scale, scale));
    const __m256i middle = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), both), 7);
    __m128 rows[4] = {scale, _mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1),
                      _mm_castsi128_ps(_mm256_castsi256_si128(middle))};
    _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]);
    int32_t last[4];
    _mm_storeu_si128((__m128i *)last, _mm256_extracti128_si256(middle, 1));
    for (size_t r = 0; r < runs; r++) {
        _mm_storeu_ps(&s[r].scale, rows[r]);
        s[r].middle[1] = last[r];
    }
    return true;
}

static void quantize(const float *x, size_t n, int8_t *q, duet_run_scale *scales) {
    size_t i = 0, runs = n / DUET_RUN;
    while (i < runs) {
        if (i + 4 <= runs && quantize_four(x + DUET_RUN * i, 4, q + DUET_RUN * i, &scales[i])) {
            i += 4;
            continue;
        }
        // A prompt's chunks of gates have three.
        if (i + 3 == runs && quantize_four(x + DUET_RUN * i, 3, q + DUET_RUN * i, &scales[i])) return;
        quantize_run(x + DUET_RUN * i, q + DUET_RUN * i, &scales[i]);
        i++;
    }
}

#pragma clang attribute pop

void duet_avx512_fill_vectors(duet_operations *table) {
    table->quantize = quantize;
    table->silu_multiply = silu_multiply;
    table->gelu_multiply = gelu_multiply;
}
#endif
