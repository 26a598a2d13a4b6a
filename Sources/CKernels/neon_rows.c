// Products of rows, straight from the blocks of the file, with one or a few vectors of activations, for AArch64 with
// products of bytes (FEAT_DotProd).
//
// The scales of eight runs are unpacked together and multiplied by those of the activations; then each run takes two
// instructions that multiply 16 bytes and add them up by fours, a conversion and a multiplication by its scale.

#include "tiers.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#include "neon_groups.h"

#define INLINE static inline __attribute__((always_inline))

#define AHEAD 1024
#define SHARING 4
typedef float32x4_t totals;

#include "row_products.h"

INLINE totals no_totals(void) { return vdupq_n_f32(0); }
INLINE float sum_of(totals even, totals odd) { return vaddvq_f32(vaddq_f32(even, odd)); }

INLINE totals add_minima(eight_floats minimum, const float *sums, totals total) {
    total = vfmaq_f32(total, minimum.four[0], vld1q_f32(sums));
    return vfmaq_f32(total, minimum.four[1], vld1q_f32(sums + 4));
}

INLINE void add_group(group_format f, const uint8_t *at, size_t runs, const column *a, size_t columns,
                      size_t index, totals total[SHARING][2]) {
    group g = f.scales(at, runs);
    float32x4_t scales[SHARING][2];
#pragma clang loop unroll(full)
    for (size_t c = 0; c < columns; c++) {
        for (int four = 0; four < 2; four++)
            scales[c][four] = vmulq_f32(g.scale.four[four], vld1q_f32(a[c].scale + index + 4 * four));
        if (f.halves)
            for (int half = 0; half < 2; half++)
                total[c][half] = add_minima(g.minimum[half], a[c].half[half] + index, total[c][half]);
        else if (f.has_minimum)
            total[c][0] = add_minima(g.minimum[0], a[c].sum + index, total[c][0]);
    }
#pragma clang loop unroll(full)
    for (size_t run = 0; run < runs; run++) {
        run_values w = f.quants(f.runs > 1 ? at : at + run * f.bytes, run);
#pragma clang loop unroll(full)
        for (size_t c = 0; c < columns; c++) {
            const int8_t *q = a[c].q + DUET_RUN * (index + run);
            int32x4_t sums = vdotq_s32(vdupq_n_s32(0), w.half[0], vld1q_s8(q));
            if (f.halves) {
                int32x4_t last = vdotq_s32(vdupq_n_s32(0), w.half[1], vld1q_s8(q + 16));
                sums = vmulq_n_s32(sums, g.factors[0][run / 4][run % 4]);
                sums = vmlaq_n_s32(sums, last, g.factors[1][run / 4][run % 4]);
            } else {
                sums = vdotq_s32(sums, w.half[1], vld1q_s8(q + 16));
            }
            total[c][run % 2] = vfmaq_n_f32(total[c][run % 2], vcvtq_f32_s32(sums), scales[c][run / 4][run % 4]);
        }
    }
}

#pragma clang attribute pop

void duet_neon_fill_rows(duet_operations *table) { DUET_FOR_QUANTIZED_TYPES(ENTRY) }
#endif
