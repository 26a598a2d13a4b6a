// Products of rows, straight from the blocks of the file, with one or a few vectors of activations,
// for x86-64 with AVX2, FMA and F16C.
//
// A row is read in groups of eight runs of 32 values. The scales of a group are unpacked together
// and multiplied by those of the activations as one vector; then each run takes a product of bytes,
// one of pairs, a conversion and a multiplication by its scale. Columns share all that concerns the
// weights, and each is computed as if it were alone: the results are the same bit for bit.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "avx2_formats.h"
#include "avx2_groups.h"

#define INLINE static inline __attribute__((always_inline))

// Bytes of the file that are fetched ahead of use. One row after the other, so that the addresses
// run on without a gap: taking four rows at a time saves loads of the activations but loses the
// hardware's own prefetching (Q8_0 from memory: 5.3 GB/s a core, against 21).
#define AHEAD 4096
#define SHARING 4
typedef __m256 totals;

#include "row_products.h"

INLINE totals no_totals(void) { return _mm256_setzero_ps(); }

INLINE void add_group(group_format f, const uint8_t *at, size_t runs, const column *a, size_t columns,
                      size_t index, totals total[SHARING][2]) {
    float scales[SHARING][GROUP];
    group g = f.scales(at, runs);
#pragma clang loop unroll(full)
    for (size_t c = 0; c < columns; c++) {
        _mm256_storeu_ps(scales[c], _mm256_mul_ps(g.scale, _mm256_loadu_ps(a[c].scale + index)));
        if (f.halves) {
            total[c][0] = _mm256_fmadd_ps(g.minimum[0], _mm256_loadu_ps(a[c].half[0] + index), total[c][0]);
            total[c][1] = _mm256_fmadd_ps(g.minimum[1], _mm256_loadu_ps(a[c].half[1] + index), total[c][1]);
        } else if (f.has_minimum) {
            total[c][0] = _mm256_fmadd_ps(g.minimum[0], _mm256_loadu_ps(a[c].sum + index), total[c][0]);
        }
    }
    // Through memory: spreading a lane over a vector is free in a load, and two steps otherwise.
    __asm__ volatile("" : "+m"(scales));
#pragma clang loop unroll(full)
    for (size_t run = 0; run < runs; run++) {
        __m256i w = f.quants(f.runs > 1 ? at : at + run * f.bytes, run);
        // maddubs wants its first operand unsigned: the weight's sign moves to the activation, whose
        // range of +-127 makes that safe.
        __m256i magnitude = f.is_signed ? _mm256_abs_epi8(w) : w;
        __m256i factor = f.halves ? factor_of(g.factors, run) : _mm256_set1_epi16(1);
#pragma clang loop unroll(full)
        for (size_t c = 0; c < columns; c++) {
            __m256i q = _mm256_loadu_si256((const __m256i *)(a[c].q + DUET_RUN * (index + run)));
            if (f.is_signed) q = _mm256_sign_epi8(q, w);
            __m256i sums = _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, q), factor);
            total[c][run % 2] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_broadcast_ss(&scales[c][run]),
                                                total[c][run % 2]);
        }
    }
}

INLINE float sum_of(__m256 even, __m256 odd) {
    __m256 both = _mm256_add_ps(even, odd);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#pragma clang attribute pop

void duet_avx2_fill_rows(duet_operations *table) { DUET_FOR_QUANTIZED_TYPES(ENTRY) }
#endif
