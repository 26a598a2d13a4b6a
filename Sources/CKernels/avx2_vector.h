// Floats side by side on AVX2. Included once per file, inside of its target attribute and after INLINE. What
// paged_attention.h and vector_loops.h are written in.

#include "avx2_math.h"

typedef __m256 vector;
#define LANES 8

INLINE vector zero(void) { return _mm256_setzero_ps(); }
INLINE vector spread(float x) { return _mm256_set1_ps(x); }
INLINE vector spread_half(uint16_t x) { return _mm256_cvtph_ps(_mm_set1_epi16((short)x)); }
INLINE vector load_floats(const float *x) { return _mm256_loadu_ps(x); }
INLINE void store_floats(float *out, vector x) { _mm256_storeu_ps(out, x); }
INLINE vector add_up(vector a, vector b) { return _mm256_add_ps(a, b); }
INLINE vector subtract(vector a, vector b) { return _mm256_sub_ps(a, b); }
INLINE vector multiply(vector a, vector b) { return _mm256_mul_ps(a, b); }
INLINE vector multiply_add(vector a, vector b, vector c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vector multiply_subtract(vector a, vector b, vector c) { return _mm256_fmsub_ps(a, b, c); }
INLINE vector divide(vector a, vector b) { return _mm256_div_ps(a, b); }
INLINE vector magnitude_of(vector x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
INLINE vector with_sign_of(vector from, vector x) { return _mm256_or_ps(x, _mm256_and_ps(from, _mm256_set1_ps(-0.0f))); }
// b where a is no number.
INLINE vector largest_of(vector a, vector b) { return _mm256_max_ps(a, b); }
INLINE vector exp_of(vector x) { return duet_exp8(x); }
INLINE vector tanh_of(vector x) { return duet_tanh8(x); }
INLINE float total_of(vector x) { return duet_sum8(x); }
INLINE float maximum_of(vector x) { return duet_max8(x); }

// The first n lanes.
INLINE __m256i first_lanes(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vector load_some(const float *x, size_t n) {
    return n >= LANES ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first_lanes(n));
}
INLINE void store_some(float *out, size_t n, vector x) {
    if (n >= LANES)
        _mm256_storeu_ps(out, x);
    else
        _mm256_maskstore_ps(out, first_lanes(n), x);
}

INLINE vector load_values_of(int type, const void *base, size_t at) {
    if (type == DUET_F32) return _mm256_loadu_ps((const float *)base + at);
    if (type == DUET_F16) return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const uint16_t *)base + at)));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)((const int8_t *)base + at))));
}

INLINE vector hide(vector s, uint32_t first, duet_span span) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i token = _mm256_add_epi32(_mm256_set1_epi32((int)first), lanes);
    __m256i outside = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)span.first), token),
                                      _mm256_cmpgt_epi32(token, _mm256_set1_epi32((int)span.last - 1)));
    return _mm256_blendv_ps(s, _mm256_set1_ps(-INFINITY), _mm256_castsi256_ps(outside));
}

INLINE vector exponential(vector s, vector shift) {
    // -inf - -inf is NaN: what is masked is 0 whatever the largest score.
    __m256 masked = _mm256_cmp_ps(s, _mm256_set1_ps(-INFINITY), _CMP_EQ_OQ);
    return _mm256_andnot_ps(masked, duet_exp8(_mm256_sub_ps(s, shift)));
}
