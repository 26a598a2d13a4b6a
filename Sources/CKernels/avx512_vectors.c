// Operations on single vectors for x86-64 with AVX-512: those that a prompt spends time on.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)

#include "avx512_math.h"
#include "x86_runs.h"

// The lanes of the first n values.
static inline __mmask16 first_lanes(size_t n) { return n >= 16 ? 0xffff : (__mmask16)((1 << n) - 1); }

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

static void quantize(const float *x, size_t n, int8_t *q, duet_run_scale *scales) {
    for (size_t i = 0; i < n / DUET_RUN; i++)
        quantize_run(x + DUET_RUN * i, q + DUET_RUN * i, &scales[i]);
}

static void silu_multiply(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = first_lanes(n - i);
        __m512 g = _mm512_maskz_loadu_ps(lanes, gate + i);
        __m512 e = duet_exp16(_mm512_sub_ps(_mm512_setzero_ps(), g));
        __m512 silu = _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1), e));
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(lanes, up + i)));
    }
}

static void gelu_multiply(const float *gate, const float *up, size_t n, float *out) {
    const __m512 one = _mm512_set1_ps(1);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = first_lanes(n - i);
        __m512 g = _mm512_maskz_loadu_ps(lanes, gate + i), square = _mm512_mul_ps(g, g);
        __m512 inner = _mm512_fmadd_ps(_mm512_mul_ps(square, g), _mm512_set1_ps(0.044715f), g);
        __m512 t = duet_tanh16(_mm512_mul_ps(inner, _mm512_set1_ps(0.797884561f)));
        __m512 gelu = _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(0.5f), g), _mm512_add_ps(one, t));
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(gelu, _mm512_maskz_loadu_ps(lanes, up + i)));
    }
}

#pragma clang attribute pop

void duet_avx512_fill_vectors(duet_operations *table) {
    table->quantize = quantize;
    table->silu_multiply = silu_multiply;
    table->gelu_multiply = gelu_multiply;
}
#endif
