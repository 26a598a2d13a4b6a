// The second half of products of low rank for x86-64 with AVX2, FMA and F16C: a group of eight rows
// is a vector, and each of its `rank` columns is multiplied by one number of the token.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

#define ROWS DUET_LOW_RANK_ROWS
// Tokens that a column is multiplied by once it is unpacked.
#define TOKENS 4
// Groups that a token is multiplied by at a time.
#define GROUPS 4
// Bytes that are fetched before they are used.
#define NEAR_BYTES 1536

INLINE __m256 column(const uint8_t *values, bool in_float, size_t j) {
    if (in_float) return _mm256_loadu_ps((const float *)values + ROWS * j);
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(values + ROWS * j))));
}

INLINE void add_rows(__m256 sum, size_t rows, float *out) {
    if (rows >= ROWS) {
        _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(out), sum));
        return;
    }
    float all[ROWS];
    _mm256_storeu_ps(all, sum);
    for (size_t r = 0; r < rows; r++) out[r] += all[r];
}

// One group of rows for a few tokens.
INLINE void expand_some(const uint8_t *group, bool in_float, size_t rank, size_t rows, const float *low,
                        size_t low_stride, size_t tokens, float *out, size_t out_stride) {
    const uint8_t *values = in_float ? group : group + ROWS * sizeof(float);
    __m256 scales = in_float ? _mm256_set1_ps(1) : _mm256_loadu_ps((const float *)group);
    __m256 sums[TOKENS];
    for (size_t t = 0; t < tokens; t++) sums[t] = _mm256_setzero_ps();
    for (size_t j = 0; j < rank; j++) {
        __m256 b = column(values, in_float, j);
#pragma clang loop unroll(full)
        for (size_t t = 0; t < tokens; t++)
            sums[t] = _mm256_fmadd_ps(b, _mm256_broadcast_ss(low + t * low_stride + j), sums[t]);
    }
    for (size_t t = 0; t < tokens; t++)
        add_rows(_mm256_mul_ps(sums[t], scales), rows, out + t * out_stride);
}

// Some groups of rows for one token: the sums of one alone would wait for one another.
INLINE void expand_groups(const uint8_t *group, size_t groups, size_t group_bytes, bool in_float, size_t rank,
                          const float *low, float *out) {
    __m256 sums[GROUPS];
    for (size_t g = 0; g < groups; g++) sums[g] = _mm256_setzero_ps();
    for (size_t j = 0; j < rank; j++) {
        __m256 x = _mm256_broadcast_ss(low + j);
        for (size_t g = 0; g < groups; g++) {
            const uint8_t *values = group + g * group_bytes + (in_float ? 0 : ROWS * sizeof(float));
            sums[g] = _mm256_fmadd_ps(column(values, in_float, j), x, sums[g]);
        }
    }
    for (size_t g = 0; g < groups; g++) {
        __m256 scales = in_float ? _mm256_set1_ps(1) : _mm256_loadu_ps((const float *)(group + g * group_bytes));
        add_rows(_mm256_mul_ps(sums[g], scales), ROWS, out + g * ROWS);
    }
}

INLINE void expand_all(const void *b, bool in_float, size_t rank, size_t rows, const float *low,
                       size_t low_stride, size_t tokens, float *out, size_t out_stride) {
    size_t group_bytes = ROWS * (in_float ? rank * sizeof(float) : rank + sizeof(float));
    const uint8_t *group = b;
    size_t row = 0;
    // From the second cache, where the caller had it brought, a line at a time would be waited for.
    const size_t all = (rows + ROWS - 1) / ROWS * group_bytes, ahead = all < NEAR_BYTES ? all : NEAR_BYTES;
    for (size_t line = 0; line < ahead; line += 64) _mm_prefetch(group + line, _MM_HINT_T0);
    while (tokens == 1 && row + ROWS <= rows) {
        size_t whole = (rows - row) / ROWS, some = whole < GROUPS ? whole : GROUPS;
        for (size_t line = 0; line < some * group_bytes; line += 64) _mm_prefetch(group + NEAR_BYTES + line, _MM_HINT_T0);
        if (some == GROUPS) expand_groups(group, GROUPS, group_bytes, in_float, rank, low, out + row);
        else if (some == 3) expand_groups(group, 3, group_bytes, in_float, rank, low, out + row);
        else if (some == 2) expand_groups(group, 2, group_bytes, in_float, rank, low, out + row);
        else expand_groups(group, 1, group_bytes, in_float, rank, low, out + row);
        row += some * ROWS;
        group += some * group_bytes;
    }
    for (; row < rows; row += ROWS, group += group_bytes) {
        size_t count = rows - row, t = 0;
        for (; t + TOKENS <= tokens; t += TOKENS)
            expand_some(group, in_float, rank, count, low + t * low_stride, low_stride, TOKENS,
                        out + t * out_stride + row, out_stride);
        for (; t < tokens; t++)
            expand_some(group, in_float, rank, count, low + t * low_stride, low_stride, 1,
                        out + t * out_stride + row, out_stride);
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

void duet_avx2_fill_low_rank(duet_operations *table) { table->expand = expand; }
#else
void duet_avx2_fill_low_rank(duet_operations *table) { (void)table; }
#endif
