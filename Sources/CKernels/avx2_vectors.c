// Operations on single vectors for x86-64 with AVX2, FMA and F16C.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

#include "avx2_vector.h"
#include "vector_loops.h"
#include "x86_runs.h"

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
