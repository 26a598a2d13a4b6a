// Exponentials on AVX-512. Included inside of the target attribute.

#ifndef DUET_AVX512_MATH_H
#define DUET_AVX512_MATH_H

// As duet_exp8, but for 2^k, which one instruction applies whatever its size. -infinity gives 0; NaN stays.
static inline __attribute__((always_inline)) __m512 duet_exp16(__m512 x) {
    const __m512 one = _mm512_set1_ps(1);
    // The second operand stays where one is NaN.
    __m512 bounded = _mm512_min_ps(_mm512_set1_ps(89), _mm512_max_ps(_mm512_set1_ps(-104), x));
    __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(bounded, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0.693359375f), bounded);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, one);
    p = _mm512_fmadd_ps(p, r, one);
    return _mm512_scalef_ps(p, k);
}

// tanh(x) = 1 - 2 / (exp(2x) + 1)
static inline __attribute__((always_inline)) __m512 duet_tanh16(__m512 x) {
    const __m512 one = _mm512_set1_ps(1);
    __m512 e = duet_exp16(_mm512_add_ps(x, x));
    return _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2), _mm512_add_ps(e, one)));
}

#endif
