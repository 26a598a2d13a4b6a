// The second half of products of low rank for AArch64: a group of eight rows is two vectors, and each of its `rank`
// columns is multiplied by one number of the token.

#include "tiers.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#define ROWS DUET_LOW_RANK_ROWS
// Tokens that a column is multiplied by once it is unpacked, or groups that one token is multiplied by at a time: the
// sums of one alone would wait for one another.
#define SHARING 4

typedef struct {
    float32x4_t four[2];
} eight_rows;

INLINE eight_rows column(const uint8_t *values, bool in_float, size_t j) {
    if (in_float) {
        const float *at = (const float *)values + ROWS * j;
        return (eight_rows){{vld1q_f32(at), vld1q_f32(at + 4)}};
    }
    int16x8_t wide = vmovl_s8(vld1_s8((const int8_t *)values + ROWS * j));
    return (eight_rows){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(wide)))}};
}

// `groups` groups of rows for `tokens` tokens, of which one is 1.
INLINE void expand_some(const uint8_t *group, size_t group_bytes, size_t groups, bool in_float, size_t rank,
                        size_t rows, const float *low, size_t low_stride, size_t tokens, float *out,
                        size_t out_stride) {
    eight_rows sums[SHARING];
    for (size_t s = 0; s < groups * tokens; s++) sums[s] = (eight_rows){{vdupq_n_f32(0), vdupq_n_f32(0)}};
    for (size_t j = 0; j < rank; j++) {
        for (size_t g = 0; g < groups; g++) {
            eight_rows b = column(group + g * group_bytes + (in_float ? 0 : ROWS * sizeof(float)), in_float, j);
            for (size_t t = 0; t < tokens; t++) {
                float x = low[t * low_stride + j];
                for (int i = 0; i < 2; i++) sums[g + t].four[i] = vfmaq_n_f32(sums[g + t].four[i], b.four[i], x);
            }
        }
    }
    for (size_t s = 0; s < groups * tokens; s++) {
        const uint8_t *own = groups > 1 ? group + s * group_bytes : group;
        float *to = groups > 1 ? out + s * ROWS : out + s * out_stride, all[ROWS];
        for (int i = 0; i < 2; i++) {
            float32x4_t sum = sums[s].four[i];
            if (!in_float) sum = vmulq_f32(sum, vld1q_f32((const float *)own + 4 * i));
            vst1q_f32(all + 4 * i, sum);
        }
        for (size_t r = 0; r < ROWS && r < rows; r++) to[r] += all[r];
    }
}

INLINE void expand_all(const void *b, bool in_float, size_t rank, size_t rows, const float *low,
                       size_t low_stride, size_t tokens, float *out, size_t out_stride) {
    const size_t group_bytes = ROWS * (in_float ? rank * sizeof(float) : rank + sizeof(float));
    const uint8_t *group = b;
    size_t row = 0;
    for (; tokens == 1 && row + SHARING * ROWS <= rows; row += SHARING * ROWS, group += SHARING * group_bytes)
        expand_some(group, group_bytes, SHARING, in_float, rank, ROWS, low, 0, 1, out + row, 0);
    for (; row < rows; row += ROWS, group += group_bytes) {
        size_t t = 0;
        for (; t + SHARING <= tokens; t += SHARING)
            expand_some(group, group_bytes, 1, in_float, rank, rows - row, low + t * low_stride, low_stride, SHARING,
                        out + t * out_stride + row, out_stride);
        for (; t < tokens; t++)
            expand_some(group, group_bytes, 1, in_float, rank, rows - row, low + t * low_stride, low_stride, 1,
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

void duet_neon_fill_low_rank(duet_operations *table) { table->expand = expand; }
#endif
