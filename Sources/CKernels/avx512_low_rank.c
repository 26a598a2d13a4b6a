// The second half of products of low rank for x86-64 with AVX-512: a group of eight rows is half a vector, so that two of
// its `rank` columns are multiplied at once, each by its number of the token, and their sums added up at the end.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

#define ROWS DUET_LOW_RANK_ROWS
// Tokens and groups of rows that are multiplied at a time: their sums fill half of the registers.
#define TOKENS 4
#define GROUPS 4
// Bytes that are fetched before they are used.
#define NEAR_BYTES 1536

// Columns j and j + 1 of a group; zeros for the second where it is none.
INLINE __m512 columns(const uint8_t *values, bool in_float, size_t j, bool both) {
    if (in_float) {
        const float *at = (const float *)values + ROWS * j;
        return both ? _mm512_loadu_ps(at) : _mm512_zextps256_ps512(_mm256_loadu_ps(at));
    }
    const __m128i *at = (const __m128i *)(values + ROWS * j);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(both ? _mm_loadu_si128(at) : _mm_loadl_epi64(at)));
}

// What they are multiplied by.
INLINE __m512 numbers(const float *low, size_t j, bool both) {
    __m512 first = _mm512_set1_ps(low[j]);
    return both ? _mm512_mask_mov_ps(first, 0xff00, _mm512_set1_ps(low[j + 1])) : _mm512_maskz_mov_ps(0x00ff, first);
}

INLINE void add_columns(const uint8_t *group, size_t groups, size_t group_bytes, bool in_float, size_t j, bool both,
                        const float *low, size_t low_stride, size_t tokens, __m512 sums[TOKENS][GROUPS]) {
    __m512 b[GROUPS];
    for (size_t g = 0; g < groups; g++)
        b[g] = columns(group + g * group_bytes + (in_float ? 0 : ROWS * sizeof(float)), in_float, j, both);
    for (size_t t = 0; t < tokens; t++) {
        __m512 x = numbers(low + t * low_stride, j, both);
        for (size_t g = 0; g < groups; g++) sums[t][g] = _mm512_fmadd_ps(b[g], x, sums[t][g]);
    }
}

// Some groups for a few tokens; the last has `rows` rows.
INLINE void expand_some(const uint8_t *group, size_t groups, size_t group_bytes, bool in_float, size_t rank,
                        size_t rows, const float *low, size_t low_stride, size_t tokens, float *out,
                        size_t out_stride) {
    __m512 sums[TOKENS][GROUPS];
    for (size_t t = 0; t < tokens; t++)
        for (size_t g = 0; g < groups; g++) sums[t][g] = _mm512_setzero_ps();
    size_t j = 0;
    for (; j + 2 <= rank; j += 2)
        add_columns(group, groups, group_bytes, in_float, j, true, low, low_stride, tokens, sums);
    if (j < rank) add_columns(group, groups, group_bytes, in_float, j, false, low, low_stride, tokens, sums);
    for (size_t g = 0; g < groups; g++) {
        __m256 scales = in_float ? _mm256_set1_ps(1) : _mm256_loadu_ps((const float *)(group + g * group_bytes));
        __mmask8 seen = g + 1 < groups || rows >= ROWS ? 0xff : (__mmask8)((1 << rows) - 1);
        for (size_t t = 0; t < tokens; t++) {
            float *to = out + t * out_stride + g * ROWS;
            __m256 sum = _mm256_add_ps(_mm512_castps512_ps256(sums[t][g]), _mm512_extractf32x8_ps(sums[t][g], 1));
            sum = _mm256_add_ps(_mm256_maskz_loadu_ps(seen, to), _mm256_mul_ps(sum, scales));
            _mm256_mask_storeu_ps(to, seen, sum);
        }
    }
}

INLINE void expand_groups(const uint8_t *group, size_t groups, size_t group_bytes, bool in_float, size_t rank,
                          size_t rows, const float *low, size_t low_stride, size_t tokens, float *out,
                          size_t out_stride) {
    size_t t = 0;
    for (; t + TOKENS <= tokens; t += TOKENS)
        expand_some(group, groups, group_bytes, in_float, rank, rows, low + t * low_stride, low_stride, TOKENS,
                    out + t * out_stride, out_stride);
    for (; t < tokens; t++)
        expand_some(group, groups, group_bytes, in_float, rank, rows, low + t * low_stride, low_stride, 1,
                    out + t * out_stride, out_stride);
}

INLINE void expand_all(const void *b, bool in_float, size_t rank, size_t rows, const float *low,
                       size_t low_stride, size_t tokens, float *out, size_t out_stride) {
    const size_t group_bytes = ROWS * (in_float ? rank * sizeof(float) : rank + sizeof(float));
    const uint8_t *group = b;
    // From the second cache, where the caller had it brought, a line at a time would be waited for.
    const size_t all = (rows + ROWS - 1) / ROWS * group_bytes, ahead = all < NEAR_BYTES ? all : NEAR_BYTES;
    for (size_t line = 0; line < ahead; line += 64) _mm_prefetch(group + line, _MM_HINT_T0);
    for (size_t row = 0; row < rows; row += GROUPS * ROWS, group += GROUPS * group_bytes) {
        const uint8_t *next = group + NEAR_BYTES, *end = (const uint8_t *)b + all;
        for (size_t line = 0; line < GROUPS * group_bytes && next + line < end; line += 64)
            _mm_prefetch(next + line, _MM_HINT_T0);
        size_t rest = rows - row, last = rest % ROWS == 0 ? ROWS : rest % ROWS;
        if (rest > (GROUPS - 1) * ROWS)
            expand_groups(group, GROUPS, group_bytes, in_float, rank, rest < GROUPS * ROWS ? last : ROWS, low, low_stride,
                          tokens, out + row, out_stride);
        else
            for (size_t r = 0; r < rest; r += ROWS)
                expand_groups(group + r / ROWS * group_bytes, 1, group_bytes, in_float, rank,
                              rest - r < ROWS ? last : ROWS, low, low_stride, tokens, out + row + r, out_stride);
    }
}

static void expand(const void *b, bool in_float, size_t rank, size_t rows, const float *low,
                   size_t low_stride, size_t tokens, float *out, size_t out_stride) {
    if (in_float)
        expand_all(b, true, rank, rows, low, low_stride, tokens, out, out_stride);
    else
        expand_all(b, false, rank, rows, low, low_stride, tokens, out, out_stride);
}

#pragma clang attribute pop

void duet_avx512_fill_low_rank(duet_operations *table) { table->expand = expand; }
#else
void duet_avx512_fill_low_rank(duet_operations *table) { (void)table; }
#endif
