// Floats side by side on AVX-512. Included once per file, inside of its target attribute and after INLINE. What
// paged_attention.h and vector_loops.h are written in.

#include "avx512_math.h"

typedef __m512 vector;
#define LANES 16

INLINE vector zero(void) { return _mm512_setzero_ps(); }
INLINE vector spread(float x) { return _mm512_set1_ps(x); }
INLINE vector spread_half(uint16_t x) { return _mm512_cvtph_ps(_mm256_set1_epi16((short)x)); }
INLINE vector load_floats(const float *x) { return _mm512_loadu_ps(x); }
INLINE void store_floats(float *out, vector x) { _mm512_storeu_ps(out, x); }
INLINE vector add_up(vector a, vector b) { return _mm512_add_ps(a, b); }
INLINE vector subtract(vector a, vector b) { return _mm512_sub_ps(a, b); }
INLINE vector multiply(vector a, vector b) { return _mm512_mul_ps(a, b); }
INLINE vector multiply_add(vector a, vector b, vector c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vector multiply_subtract(vector a, vector b, vector c) { return _mm512_fmsub_ps(a, b, c); }
INLINE vector divide(vector a, vector b) { return _mm512_div_ps(a, b); }
INLINE vector magnitude_of(vector x) { return _mm512_abs_ps(x); }
INLINE vector with_sign_of(vector from, vector x) { return _mm512_or_ps(x, _mm512_and_ps(from, _mm512_set1_ps(-0.0f))); }
// b where a is no number.
INLINE vector largest_of(vector a, vector b) { return _mm512_max_ps(a, b); }
INLINE vector exp_of(vector x) { return duet_exp16(x); }
INLINE vector tanh_of(vector x) { return duet_tanh16(x); }
INLINE float total_of(vector x) { return _mm512_reduce_add_ps(x); }
INLINE float maximum_of(vector x) { return _mm512_reduce_max_ps(x); }

// The first n lanes.
INLINE __mmask16 first_lanes(size_t n) { return n >= LANES ? 0xffff : (__mmask16)((1 << n) - 1); }
INLINE vector load_some(const float *x, size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), x); }
INLINE void store_some(float *out, size_t n, vector x) { _mm512_mask_storeu_ps(out, first_lanes(n), x); }

INLINE vector load_values_of(int type, const void *base, size_t at) {
    if (type == DUET_F32) return _mm512_loadu_ps((const float *)base + at);
    if (type == DUET_F16) return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)((const uint16_t *)base + at)));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)((const int8_t *)base + at))));
}

INLINE vector hide(vector s, uint32_t first, duet_span span) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i token = _mm512_add_epi32(_mm512_set1_epi32((int)first), lanes);
    __mmask16 seen = _mm512_cmpge_epu32_mask(token, _mm512_set1_epi32((int)span.first))
        & _mm512_cmplt_epu32_mask(token, _mm512_set1_epi32((int)span.last));
    return _mm512_mask_blend_ps(seen, _mm512_set1_ps(-INFINITY), s);
}

INLINE vector exponential(vector s, vector shift) {
    // -inf - -inf is NaN: what is masked is 0 whatever the largest score.
    __mmask16 seen = _mm512_cmp_ps_mask(s, _mm512_set1_ps(-INFINITY), _CMP_NEQ_UQ);
    return _mm512_maskz_mov_ps(seen, duet_exp16(_mm512_sub_ps(s, shift)));
}
