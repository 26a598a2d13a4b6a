// Products of weights and the activations of many tokens for AArch64 with products of bytes (FEAT_DotProd): a lane
// belongs to a row, and one instruction multiplies four values of four rows by four of a token.

#include "tiers.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

#include "neon_groups.h"
#include "neon_panels.h"

// [four rows][four values][row][value]: four steps of four rows, one after the other.
INLINE void store_values(const int8x16_t rows[LANES], int8_t *out) {
    for (int four = 0; four < LANES / 4; four++) {
        int32x4x4_t all;
        for (int r = 0; r < 4; r++) all.val[r] = vreinterpretq_s32_s8(rows[4 * four + r]);
        vst4q_s32((int32_t *)(out + 64 * four), all);
    }
}

#define STEP(I)                                                                                      \
    for (int four = 0; four < LANES / 4; four++) {                                                   \
        int8x16_t w = vld1q_s8(values + 64 * four + 16 * I);                                         \
        for (size_t t = 0; t < tokens; t++) sums[t][four] = vdotq_laneq_s32(sums[t][four], w, q[t], I); \
    }

INLINE void add_values(const int8_t *values, const duet_activations *a, size_t tokens, size_t first, panel_sums sums) {
    int8x16_t q[TOKENS];
    for (size_t t = 0; t < tokens; t++) q[t] = vld1q_s8(a[t].q + first);
    STEP(0)
    STEP(1)
    STEP(2)
    STEP(3)
}

INLINE uint64_t multiply_bytes(int32x4_t *sum, int8x16_t a, int8x16_t b) {
    *sum = vdotq_s32(*sum, a, b);
    return 16;
}

#include "neon_peak.h"

#pragma clang attribute pop

static void fill_products(duet_operations *table) { DUET_FOR_QUANTIZED_TYPES(PANELS_ENTRY) }

void duet_neon_fill(duet_operations *table) {
    table->name = "neon";
    table->panel_rows = LANES;
    table->panel_run_bytes = sizeof(panel_run) / LANES;
    table->peak = peak;
    table->checks_itself = true;
    fill_products(table);
    duet_neon_fill_rows(table);
    duet_neon_fill_floats(table);
    duet_neon_fill_vectors(table);
    duet_neon_fill_attention(table);
    duet_neon_fill_low_rank(table);
}
#else
void duet_neon_fill(duet_operations *table) { (void)table; }
#endif
