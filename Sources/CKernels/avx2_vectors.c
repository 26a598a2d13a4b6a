// Operations on single vectors for x86-64 with AVX2, FMA and F16C.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "avx2_math.h"
#include "x86_runs.h"

// Loads and stores the last n < 8 values of a vector.
static inline __m256i tail_mask(size_t n) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes);
}

static inline __m256 load_some(const float *x, size_t n) {
    return n >= 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, tail_mask(n));
}

static inline void store_some(float *out, size_t n, __m256 v) {
    if (n >= 8)
        _mm256_storeu_ps(out, v);
    else
        _mm256_maskstore_ps(out, tail_mask(n), v);
}

static void quantize_run(const float *x, int8_t *q, duet_run_scale *s) {
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 v[4], largest = _mm256_setzero_ps(), unordered = _mm256_setzero_ps();
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_loadu_ps(x + 8 * i);
        largest = _mm256_max_ps(largest, _mm256_and_ps(v[i], magnitude));
        unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(v[i], v[i], _CMP_UNORD_Q));
    }
    float scale = duet_max8(largest) / 127, inverse = 1 / scale;
    if (_mm256_movemask_ps(unordered) || !isfinite(scale) || !isfinite(inverse)) {
        memset(q, 0, DUET_RUN);
        memset(s, 0, sizeof *s);
        return;
    }
    __m256i rounded[4];
    for (int i = 0; i < 4; i++) rounded[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], _mm256_set1_ps(inverse)));
    for (int half = 0; half < 2; half++) {
        __m256i pair = _mm256_packs_epi32(rounded[2 * half], rounded[2 * half + 1]);
        __m256i ordered = _mm256_permute4x64_epi64(pair, 0xd8);
        __m128i packed = _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
        store_half(packed, half, scale, q, s);
    }
}

static void quantize(const float *x, size_t n, int8_t *q, duet_run_scale *scales) {
    for (size_t i = 0; i < n / DUET_RUN; i++)
        quantize_run(x + DUET_RUN * i, q + DUET_RUN * i, &scales[i]);
}

static void rms_norm(const float *x, const float *weight, size_t n, float epsilon, float *out) {
    __m256 even = _mm256_setzero_ps(), odd = even;
    for (size_t i = 0; i < n; i += 16) {
        __m256 a = load_some(x + i, n - i);
        even = _mm256_fmadd_ps(a, a, even);
        if (i + 8 >= n) break;
        __m256 b = load_some(x + i + 8, n - i - 8);
        odd = _mm256_fmadd_ps(b, b, odd);
    }
    float mean = duet_sum8(_mm256_add_ps(even, odd)) / (float)n;
    __m256 factor = _mm256_set1_ps(1 / sqrtf(mean + epsilon));
    for (size_t i = 0; i < n; i += 8) {
        __m256 scaled = _mm256_mul_ps(load_some(x + i, n - i), factor);
        store_some(out + i, n - i, _mm256_mul_ps(scaled, load_some(weight + i, n - i)));
    }
}

// erf(x) to 2e-7: 1 - (a1 t + ... + a5 t^5) exp(-x^2) with t = 1 / (1 + p |x|) (Abramowitz and
// Stegun, 1964, 7.1.26).
static inline __m256 erf8(__m256 x) {
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1);
    __m256 size = _mm256_andnot_ps(sign, x);
    __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(size, _mm256_set1_ps(0.3275911f), one));
    __m256 p = _mm256_set1_ps(1.061405429f);
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-1.453152027f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(1.421413741f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-0.284496736f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.254829592f));
    __m256 e = duet_exp8(_mm256_xor_ps(_mm256_mul_ps(size, size), sign));
    __m256 erf = _mm256_fnmadd_ps(_mm256_mul_ps(p, t), e, one);
    return _mm256_or_ps(erf, _mm256_and_ps(x, sign));
}

static void gelu_bias(const float *bias, size_t n, float *x) {
    const __m256 half = _mm256_set1_ps(0.5f), one = _mm256_set1_ps(1);
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_add_ps(load_some(x + i, n - i), load_some(bias + i, n - i));
        __m256 erf = erf8(_mm256_mul_ps(v, _mm256_set1_ps(0.707106781f)));
        store_some(x + i, n - i, _mm256_mul_ps(_mm256_mul_ps(half, v), _mm256_add_ps(one, erf)));
    }
}

static void rotate_split(float *x, size_t half, const float *cosines, const float *sines) {
    for (size_t i = 0; i < half; i += 8) {
        size_t left = half - i;
        __m256 a = load_some(x + i, left), b = load_some(x + half + i, left);
        __m256 c = load_some(cosines + i, left), s = load_some(sines + i, left);
        store_some(x + i, left, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        store_some(x + half + i, left, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)));
    }
}

static void rotate(float *x, size_t n, const float *cosines, const float *sines, bool split) {
    if (split) return rotate_split(x, n / 2, cosines, sines);
    size_t i = 0;
    for (; i + 4 <= n / 2; i += 4) {
        __m256 pairs = _mm256_loadu_ps(x + 2 * i);
        __m128 c4 = _mm_loadu_ps(cosines + i), s4 = _mm_loadu_ps(sines + i);
        __m256 c = _mm256_set_m128(_mm_unpackhi_ps(c4, c4), _mm_unpacklo_ps(c4, c4));
        __m256 s = _mm256_set_m128(_mm_unpackhi_ps(s4, s4), _mm_unpacklo_ps(s4, s4));
        __m256 swapped = _mm256_permute_ps(pairs, 0xb1);
        _mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(pairs, c, _mm256_mul_ps(swapped, s)));
    }
    for (; i < n / 2; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = a * sines[i] + b * cosines[i];
    }
}

static void add(const float *x, size_t n, float *out) {
    for (size_t i = 0; i < n; i += 8)
        store_some(out + i, n - i, _mm256_add_ps(load_some(x + i, n - i), load_some(out + i, n - i)));
}

static void silu_multiply(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i += 8) {
        __m256 g = load_some(gate + i, n - i);
        __m256 e = duet_exp8(_mm256_sub_ps(_mm256_setzero_ps(), g));
        __m256 silu = _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1), e));
        store_some(out + i, n - i, _mm256_mul_ps(silu, load_some(up + i, n - i)));
    }
}

static void gelu_multiply(const float *gate, const float *up, size_t n, float *out) {
    const __m256 one = _mm256_set1_ps(1);
    for (size_t i = 0; i < n; i += 8) {
        __m256 g = load_some(gate + i, n - i), square = _mm256_mul_ps(g, g);
        __m256 inner = _mm256_fmadd_ps(_mm256_mul_ps(square, g), _mm256_set1_ps(0.044715f), g);
        __m256 t = duet_tanh8(_mm256_mul_ps(inner, _mm256_set1_ps(0.797884561f)));
        __m256 gelu = _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(0.5f), g), _mm256_add_ps(one, t));
        store_some(out + i, n - i, _mm256_mul_ps(gelu, load_some(up + i, n - i)));
    }
}

// Finds the largest value eight lanes at a time, then the first place that holds it.
static size_t argmax(const float *x, size_t n) {
    __m256 lanes = _mm256_set1_ps(-INFINITY);
    size_t i = 0;
    // max_ps returns its second operand when the first is NaN.
    for (; i + 8 <= n; i += 8) lanes = _mm256_max_ps(_mm256_loadu_ps(x + i), lanes);
    float largest = duet_max8(lanes);
    for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    for (size_t j = 0; j < n; j++)
        if (x[j] == largest) return j;
    return 0;
}

static void store(const float *key, const float *value, size_t head_size, int type, size_t slot, void *keys,
                  void *values) {
    if (type != DUET_F16 || head_size % 8 != 0) {
        duet_generic_store(key, value, head_size, type, slot, keys, values);
        return;
    }
    uint16_t *to = (uint16_t *)keys + slot;
    for (size_t i = 0; i < head_size; i += 8) {
        __m128i k = _mm256_cvtps_ph(_mm256_loadu_ps(key + i), _MM_FROUND_TO_NEAREST_INT);
        __m128i v = _mm256_cvtps_ph(_mm256_loadu_ps(value + i), _MM_FROUND_TO_NEAREST_INT);
        uint16_t lanes[8];
        _mm_storeu_si128((__m128i *)lanes, k);
        for (size_t j = 0; j < 8; j++) to[(i + j) * DUET_PAGE_TOKENS] = lanes[j];
        _mm_storeu_si128((__m128i *)((uint16_t *)values + slot * head_size + i), v);
    }
}

#pragma clang attribute pop

void duet_avx2_fill_vectors(duet_operations *table) {
    table->store = store;
    table->quantize = quantize;
    table->rms_norm = rms_norm;
    table->gelu_bias = gelu_bias;
    table->rotate = rotate;
    table->add = add;
    table->silu_multiply = silu_multiply;
    table->gelu_multiply = gelu_multiply;
    table->argmax = argmax;
}
#endif
