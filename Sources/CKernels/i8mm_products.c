// Products of weights and the activations of many tokens for AArch64 with products of matrices of bytes (FEAT_I8MM):
// one instruction multiplies eight values of two rows by eight of two tokens.

#include "tiers.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("dotprod,i8mm"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

#include "neon_groups.h"
#include "neon_panels.h"

// [two rows][eight values][row][value]: two steps of two rows, one after the other.
INLINE void store_values(const int8x16_t rows[LANES], int8_t *out) {
    for (int pair = 0; pair < LANES / 2; pair++) {
        int64x2x2_t both = {{vreinterpretq_s64_s8(rows[2 * pair]), vreinterpretq_s64_s8(rows[2 * pair + 1])}};
        vst2q_s64((int64_t *)(out + 32 * pair), both);
    }
}

// The sums of a pair of tokens and a pair of rows are one vector; two such, of four rows, make one for each token.
INLINE void add_values(const int8_t *values, const duet_activations *a, size_t tokens, size_t first, panel_sums sums) {
    for (size_t t = 0; t < tokens; t += 2) {
        size_t other = t + 1 < tokens ? t + 1 : t;
        int8x16_t q0 = vld1q_s8(a[t].q + first), q1 = vld1q_s8(a[other].q + first);
        int8x16_t step[2] = {vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s8(q0), vreinterpretq_s64_s8(q1))),
                             vreinterpretq_s8_s64(vzip2q_s64(vreinterpretq_s64_s8(q0), vreinterpretq_s64_s8(q1)))};
        for (int four = 0; four < LANES / 4; four++) {
            int64x2_t pairs[2];
            for (int pair = 0; pair < 2; pair++) {
                const int8_t *w = values + 32 * (2 * four + pair);
                int32x4_t sum = vmmlaq_s32(vdupq_n_s32(0), step[0], vld1q_s8(w));
                pairs[pair] = vreinterpretq_s64_s32(vmmlaq_s32(sum, step[1], vld1q_s8(w + 16)));
            }
            sums[t][four] = vaddq_s32(sums[t][four], vreinterpretq_s32_s64(vzip1q_s64(pairs[0], pairs[1])));
            if (other == t) continue;
            sums[other][four] = vaddq_s32(sums[other][four], vreinterpretq_s32_s64(vzip2q_s64(pairs[0], pairs[1])));
        }
    }
}

INLINE uint64_t multiply_bytes(int32x4_t *sum, int8x16_t a, int8x16_t b) {
    *sum = vmmlaq_s32(*sum, a, b);
    return 32;
}

#include "neon_peak.h"

#pragma clang attribute pop

static void fill_products(duet_operations *table) { DUET_FOR_QUANTIZED_TYPES(PANELS_ENTRY) }

void duet_i8mm_fill(duet_operations *table) {
    table->name = "i8mm";
    table->peak = peak;
    fill_products(table);
}
#else
void duet_i8mm_fill(duet_operations *table) { (void)table; }
#endif
