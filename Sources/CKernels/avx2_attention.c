// Attention over pages of the cache for x86-64 with AVX2, FMA and F16C.
//
// Scores of 64 tokens are computed side by side (keys are stored transposed), then the weighted
// sum of values runs along the head. Heads that share a page read it together, in groups of up to
// four, so that each key and value is loaded and widened once.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "avx2_math.h"

#define INLINE static inline __attribute__((always_inline))
#define PAGE DUET_PAGE_TOKENS
#define GROUP 4
#define SEGMENT (DUET_SEGMENT_PAGES * PAGE)

// Eight neighbouring values of a plane of the page. `scale` is that plane's vector of scales
// (Q8_0 only).
INLINE __m256 load8(int type, const void *base, size_t at) {
    if (type == DUET_F32) return _mm256_loadu_ps((const float *)base + at);
    if (type == DUET_F16) return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const uint16_t *)base + at)));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)((const int8_t *)base + at))));
}

INLINE const uint16_t *scales_of(const void *base, size_t head_size) {
    return (const uint16_t *)((const int8_t *)base + PAGE * head_size);
}

// MARK: Scores

// Fetches `bytes` bytes that are needed soon: pages lie far apart, so the hardware cannot foresee
// the next one.
INLINE void fetch(const void *at, size_t offset, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) _mm_prefetch((const char *)at + offset + line, _MM_HINT_T0);
}

INLINE size_t bytes_of(int type) { return type == DUET_F32 ? 4 : type == DUET_F16 ? 2 : 1; }

// q . k for 32 tokens from `first`, of `heads` heads: out[head][token].
INLINE void score_tokens(int type, const float *query, size_t heads, size_t head_size, const void *keys,
                         size_t first, const void *next, float *out, size_t out_stride) {
    __m256 total[GROUP][4];
    for (size_t h = 0; h < heads; h++)
        for (int v = 0; v < 4; v++) total[h][v] = _mm256_setzero_ps();
    const size_t part = bytes_of(type) * 32;
    for (size_t i = 0; i < head_size; i++) {
        fetch(next, (first / 32 * head_size + i) * part, part);
        __m256 key[4];
        for (size_t v = 0; v < 4; v++) key[v] = load8(type, keys, i * PAGE + first + 8 * v);
        if (type == DUET_Q8_0) {
            const uint16_t *scales = scales_of(keys, head_size) + i / DUET_RUN * PAGE + first;
            for (size_t v = 0; v < 4; v++) key[v] = _mm256_mul_ps(key[v], load8(DUET_F16, scales, 8 * v));
        }
#pragma clang loop unroll(full)
        for (size_t h = 0; h < heads; h++) {
            __m256 q = _mm256_broadcast_ss(query + h * head_size + i);
            for (int v = 0; v < 4; v++) total[h][v] = _mm256_fmadd_ps(q, key[v], total[h][v]);
        }
    }
    for (size_t h = 0; h < heads; h++)
        for (size_t v = 0; v < 4; v++) _mm256_storeu_ps(out + h * out_stride + 8 * v, total[h][v]);
}

// Scales, caps and masks the scores of a page; tokens outside of first..<last weigh nothing.
INLINE void finish_scores(const duet_query *query, const duet_page *page, float *scores) {
    for (uint32_t i = 0; i < PAGE; i += 8) {
        __m256 s = _mm256_mul_ps(_mm256_loadu_ps(scores + i), _mm256_set1_ps(query->scale));
        if (query->softcap > 0) {
            __m256 cap = _mm256_set1_ps(query->softcap);
            s = _mm256_mul_ps(cap, duet_tanh8(_mm256_div_ps(s, cap)));
        }
        __m256i token = _mm256_add_epi32(_mm256_set1_epi32((int)i), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        __m256i outside = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)page->first), token),
                                          _mm256_cmpgt_epi32(token, _mm256_set1_epi32((int)page->last - 1)));
        s = _mm256_blendv_ps(s, _mm256_set1_ps(-INFINITY), _mm256_castsi256_ps(outside));
        _mm256_storeu_ps(scores + i, s);
    }
}

// Turns scores into exponentials; returns their sum, and the largest score through `largest`.
INLINE float exponentials(float *scores, size_t count, float *largest) {
    __m256 maximum = _mm256_set1_ps(-INFINITY);
    for (size_t i = 0; i < count; i += 8) maximum = _mm256_max_ps(_mm256_loadu_ps(scores + i), maximum);
    *largest = duet_max8(maximum);
    __m256 total = _mm256_setzero_ps(), shift = _mm256_set1_ps(*largest);
    const __m256 nothing = _mm256_set1_ps(-INFINITY);
    for (size_t i = 0; i < count; i += 8) {
        __m256 s = _mm256_loadu_ps(scores + i);
        // -inf - -inf is NaN: what is masked is 0 whatever the largest score.
        __m256 masked = _mm256_cmp_ps(s, nothing, _CMP_EQ_OQ);
        __m256 e = _mm256_andnot_ps(masked, duet_exp8(_mm256_sub_ps(s, shift)));
        _mm256_storeu_ps(scores + i, e);
        total = _mm256_add_ps(total, e);
    }
    return duet_sum8(total);
}

// MARK: Values

// Adds weights[token] * values[token] for 16 neighbouring elements of the head.
INLINE void add_values(int type, const float *weights, size_t stride, size_t heads, size_t head_size,
                       const duet_page *page, const void *next, size_t at, __m256 total[GROUP][2]) {
    const size_t row = bytes_of(type) * head_size;
    for (size_t token = page->first; token < page->last; token++) {
        if (at == 0) fetch(next, token * row, row);
        __m256 value[2];
        for (size_t v = 0; v < 2; v++) value[v] = load8(type, page->values, token * head_size + at + 8 * v);
        if (type == DUET_Q8_0) {
            uint16_t half = scales_of(page->values, head_size)[token * (head_size / DUET_RUN) + at / DUET_RUN];
            __m256 scale = _mm256_cvtph_ps(_mm_set1_epi16((short)half));
            for (size_t v = 0; v < 2; v++) value[v] = _mm256_mul_ps(value[v], scale);
        }
#pragma clang loop unroll(full)
        for (size_t h = 0; h < heads; h++) {
            __m256 w = _mm256_broadcast_ss(weights + h * stride + token);
            for (int v = 0; v < 2; v++) total[h][v] = _mm256_fmadd_ps(w, value[v], total[h][v]);
        }
    }
}

INLINE void attend_group(int type, const duet_query *query, size_t first_head, size_t heads,
                         const duet_page *pages, size_t count, float *state) {
    size_t head_size = query->head_size, width = head_size + 2;
    const float *q = query->query + first_head * head_size;
    float scores[GROUP][SEGMENT];
    for (size_t p = 0; p < count; p++) {
        const duet_page *page = &pages[p];
        for (size_t first = 0; first < PAGE; first += 32) {
            // Half pages without a token in use are masked below; their memory may be unwritten.
            if (first >= page->last) {
                for (size_t h = 0; h < heads; h++) memset(&scores[h][p * PAGE + first], 0, 32 * sizeof(float));
                continue;
            }
            const void *next = p + 1 < count ? page[1].keys : pages->values;
            score_tokens(type, q, heads, head_size, page->keys, first, next, &scores[0][p * PAGE + first], SEGMENT);
        }
        for (size_t h = 0; h < heads; h++) finish_scores(query, page, &scores[h][p * PAGE]);
    }
    for (size_t h = 0; h < heads; h++) {
        float *end = state + (first_head + h) * width + head_size;
        end[1] = exponentials(scores[h], count * PAGE, &end[0]);
    }
    for (size_t at = 0; at < head_size; at += 16) {
        __m256 total[GROUP][2];
        for (size_t h = 0; h < heads; h++) total[h][0] = total[h][1] = _mm256_setzero_ps();
        for (size_t p = 0; p < count; p++)
            add_values(type, &scores[0][p * PAGE], SEGMENT, heads, head_size, &pages[p],
                       pages[p + 1 < count ? p + 1 : p].values, at, total);
        for (size_t h = 0; h < heads; h++)
            for (size_t v = 0; v < 2; v++)
                _mm256_storeu_ps(state + (first_head + h) * width + at + 8 * v, total[h][v]);
    }
}

INLINE void attend_type(int type, const duet_query *query, const duet_page *pages, size_t count, float *state) {
    for (size_t h = 0; h < query->heads; h += GROUP) {
        switch (query->heads - h) {
        case 1: attend_group(type, query, h, 1, pages, count, state); break;
        case 2: attend_group(type, query, h, 2, pages, count, state); break;
        case 3: attend_group(type, query, h, 3, pages, count, state); break;
        default: attend_group(type, query, h, 4, pages, count, state); break;
        }
    }
}

static void attend_f32(const duet_query *q, const duet_page *p, size_t n, float *s) { attend_type(DUET_F32, q, p, n, s); }
static void attend_f16(const duet_query *q, const duet_page *p, size_t n, float *s) { attend_type(DUET_F16, q, p, n, s); }
static void attend_q8_0(const duet_query *q, const duet_page *p, size_t n, float *s) { attend_type(DUET_Q8_0, q, p, n, s); }

#pragma clang attribute pop

static void (*fallback)(const duet_query *, const duet_page *, size_t, float *);

static void attend(const duet_query *query, const duet_page *pages, size_t count, float *state) {
    if (query->head_size % 16 != 0) return fallback(query, pages, count, state);
    if (query->type == DUET_F32) return attend_f32(query, pages, count, state);
    if (query->type == DUET_F16) return attend_f16(query, pages, count, state);
    attend_q8_0(query, pages, count, state);
}

void duet_avx2_fill_attention(duet_operations *table) {
    fallback = table->attend;
    table->attend = attend;
}
#endif
