// Panels of formats with superblocks for x86-64 with AVX-512, VBMI and GFNI. A block of 256 values has eight or sixteen
// scales, and perhaps as many minima; it is packed as 8 bits, 128 added, with one scale for each COARSE_RUNS runs.
//
// A row's block is unpacked as for the products of rows (avx512_groups.h): four vectors, each with 16 values of four runs.
// Multiplied by scales and added to minima in 16 bits, eight of them after the point, a value's upper byte is what is
// stored. Sixteen rows are then transposed, four runs at a time.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,gfni"))), apply_to = function)

#include "avx512_groups.h"
#include "avx512_panels.h"

#define INLINE static inline __attribute__((always_inline))

// Vectors of a row's block.
#define VECTORS 4

// The run of a block whose half is in lane `lane` of vector `vector`.
INLINE size_t run_of(group_format f, size_t vector, size_t lane) {
    return f.by_twos ? 2 * lane + vector / 2 : QUAD * (vector / 2) + lane;
}

INLINE __m512i magnitude(__m512 x) { return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)); }

// The largest of each eight lanes, in all of them. As whole numbers, what is no number is larger than any other.
INLINE __m512 largest_of_eight(__m512i magnitudes) {
    magnitudes = _mm512_max_epi32(magnitudes, _mm512_shuffle_epi32(magnitudes, 0x4e));
    magnitudes = _mm512_max_epi32(magnitudes, _mm512_shuffle_epi32(magnitudes, 0xb1));
    return _mm512_castsi512_ps(_mm512_max_epi32(magnitudes, _mm512_shuffle_i64x2(magnitudes, magnitudes, 0xb1)));
}

INLINE __m256i steps_of(__m512 x, __m512 factor) {
    return _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(_mm512_mul_ps(x, factor)));
}

// q, each in the upper byte of 16 bits, times its scale, as 256ths of a coarse step. Formats with a middle have whole
// numbers of up to 63 or 255, beside which a scale would have too few digits: q less the middle is moved up to fill the 16
// bits, `by` is the scale times the middle, and of their product of 32 bits the upper half is kept.
INLINE __m512i multiply_values(group_format f, __m512i q, __m512i by) {
    if (f.minima) return _mm512_mullo_epi16(_mm512_srli_epi16(q, 8), by);
    const __m512i left = _mm512_slli_epi16(q, (unsigned)__builtin_clz((unsigned)-f.low) - 24);
    return _mm512_mulhrs_epi16(_mm512_xor_si512(left, _mm512_set1_epi16((short)0x8000)), by);
}

// A block of a row, whose largest q is `most`, in steps of its two coarse scales, with 128 added.
INLINE void round_block(group_format f, float most, const uint8_t *at, __m512i out[VECTORS], float scale[2]) {
    const group g = f.read(at, GROUP);
    // Of half runs, in order.
    __m512 scales = g.scale, minima = g.minimum;
    if (!f.halves) {
        const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        minima = _mm512_permutexvar_ps(_mm512_add_epi32(twice, _mm512_set1_epi32(8)), g.scale);
        scales = _mm512_permutexvar_ps(twice, g.scale);
    }
    minima = _mm512_mul_ps(f.minima ? minima : scales, _mm512_set1_ps((float)f.low));
    const __m512 end = _mm512_fmadd_ps(scales, _mm512_set1_ps(most), minima);
    const __m512 largest = largest_of_eight(_mm512_max_epi32(magnitude(minima), magnitude(end)));
    // Where all is next to nothing the scale is 0; what is no number stays so.
    const __mmask16 is_some = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(1e-37f), _CMP_NLT_UQ);
    const __m512 step = _mm512_maskz_mul_ps(is_some, largest, _mm512_set1_ps(1.0f / 127));
    scale[0] = _mm512_cvtss_f32(step);
    scale[1] = _mm_cvtss_f32(_mm512_extractf32x4_ps(step, 2));

    __m512 inverse = _mm512_rcp14_ps(largest);
    inverse = _mm512_mul_ps(inverse, _mm512_fnmadd_ps(largest, inverse, _mm512_set1_ps(2)));
    const __m512 factor = _mm512_maskz_mul_ps(is_some, inverse, _mm512_set1_ps(127 * 256));
    // Without minima zero is in the middle of q.
    const float unit = f.minima ? 1 : (float)-f.low;
    const __m256i by = steps_of(_mm512_mul_ps(scales, _mm512_set1_ps(unit)), factor);
    // 128, and half a step, so that the upper byte is rounded.
    const __m256i zero = _mm256_set1_epi16((short)(128 * 256 + 128));
    const __m256i low = f.minima ? _mm256_add_epi16(steps_of(minima, factor), zero) : zero;
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(by), low, 1);
    const __m512i upper = _mm512_set1_epi16((short)0xff00);
#pragma clang loop unroll(full)
    for (size_t v = 0; v < VECTORS; v++) {
        __m512i which;
        for (size_t i = 0; i < 32; i++) ((int16_t *)&which)[i] = (int16_t)(2 * run_of(f, v, i / 8) + v % 2);
        const __m512i plus = _mm512_permutexvar_epi16(_mm512_add_epi16(which, _mm512_set1_epi16(16)), both);
        which = _mm512_permutexvar_epi16(which, both);
        // Sums may pass the ends of 16 bits in between, but come back.
        __m512i even = multiply_values(f, _mm512_slli_epi16(g.q[v], 8), which);
        __m512i odd = multiply_values(f, _mm512_and_si512(g.q[v], upper), which);
        even = _mm512_srli_epi16(_mm512_add_epi16(even, plus), 8);
        odd = _mm512_and_si512(_mm512_add_epi16(odd, plus), upper);
        out[v] = _mm512_or_si512(even, odd);
    }
}

// Stores a vector of sixteen rows, half of four runs each.
INLINE void store_quarter(group_format f, const __m512i rows[LANES][VECTORS], size_t v, panel_run *panel) {
    __m512i four[4][QUAD];  // [four values][rows in fours], a run to a lane
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 4; i++) {
        const __m512i a = rows[4 * i][v], b = rows[4 * i + 1][v], c = rows[4 * i + 2][v], d = rows[4 * i + 3][v];
        const __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
        const __m512i ab_last = _mm512_unpackhi_epi32(a, b), cd_last = _mm512_unpackhi_epi32(c, d);
        four[0][i] = _mm512_unpacklo_epi64(ab, cd);
        four[1][i] = _mm512_unpackhi_epi64(ab, cd);
        four[2][i] = _mm512_unpacklo_epi64(ab_last, cd_last);
        four[3][i] = _mm512_unpackhi_epi64(ab_last, cd_last);
    }
#pragma clang loop unroll(full)
    for (size_t j = 0; j < 4; j++) {
        const __m512i *r = four[j];
        const __m512i even = _mm512_shuffle_i32x4(r[0], r[1], 0x88), odd = _mm512_shuffle_i32x4(r[0], r[1], 0xdd);
        const __m512i even_last = _mm512_shuffle_i32x4(r[2], r[3], 0x88), odd_last = _mm512_shuffle_i32x4(r[2], r[3], 0xdd);
        const size_t step = 4 * (v % 2) + j;
        _mm512_storeu_si512(panel[run_of(f, v, 0)].q[step], _mm512_shuffle_i32x4(even, even_last, 0x88));
        _mm512_storeu_si512(panel[run_of(f, v, 1)].q[step], _mm512_shuffle_i32x4(odd, odd_last, 0x88));
        _mm512_storeu_si512(panel[run_of(f, v, 2)].q[step], _mm512_shuffle_i32x4(even, even_last, 0xdd));
        _mm512_storeu_si512(panel[run_of(f, v, 3)].q[step], _mm512_shuffle_i32x4(odd, odd_last, 0xdd));
    }
}

// Rows that are missing repeat the last: their results are never stored.
INLINE void pack(group_format f, float most, const uint8_t *weights, size_t row_bytes, size_t rows, size_t n,
                 panel_run *panel) {
    for (size_t block = 0; block < n / (DUET_RUN * GROUP); block++, panel += GROUP) {
        __m512i values[LANES][VECTORS];
        for (size_t r = 0; r < LANES; r++) {
            float scale[2];
            const uint8_t *at = weights + (r < rows ? r : rows - 1) * row_bytes + block * f.bytes;
            // The same of the panel that is next in the file, a few lines at a time: all at once would be waited for.
            for (size_t line = 0; line < f.bytes; line += 64) _mm_prefetch(at + rows * row_bytes + line, _MM_HINT_T1);
            round_block(f, most, at, values[r], scale);
            panel[0].scale[r] = scale[0];
            panel[COARSE_RUNS].scale[r] = scale[1];
        }
#pragma clang loop unroll(full)
        for (size_t v = 0; v < VECTORS; v++) store_quarter(f, values, v, panel);
    }
}
_Static_assert(2 * COARSE_RUNS == GROUP, "a block has two coarse scales");

// The largest q of a format, as it is unpacked.
enum { MOST_Q2_K = 3, MOST_Q3_K = 7, MOST_Q4_K = 15, MOST_Q5_K = 31, MOST_Q6_K = 63, MOST_IQ4_XS = 128 + 113 };

#define PACK(TYPE)                                                                               \
    static void pack_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n, void *out) { \
        pack(group_##TYPE, MOST_##TYPE, w, row_bytes, rows, n, out);                             \
    }
DUET_FOR_SUPERBLOCK_TYPES(PACK)

#pragma clang attribute pop

void duet_avx512_fill_superblocks(duet_operations *table) {
#define PACK_ENTRY(TYPE) table->pack[DUET_##TYPE] = pack_##TYPE;
    DUET_FOR_SUPERBLOCK_TYPES(PACK_ENTRY)
}
#endif
