// The scales of eight neighbouring runs of a row on AVX2. Included once, inside of the target
// attribute, after avx2_formats.h.
//
// value = scale * factor * q + minimum, where scale is of a run, factor (where a format's scales are
// of 16 values) of half a run, minimum likewise.

#define GROUP 8

typedef struct {
    __m256 scale;       // of each run; 0 beyond the last
    __m256 minimum[2];  // of each run, or of the first and the second halves of all runs
    __m256i factors;    // int16, of the first halves in the low lane, of the second in the high
} group;

typedef __m256i run_values;

// The factors of a run: 8 of its first half, then 8 of its second.
UNPACK __m256i factor_of(__m256i factors, size_t run) {
    return _mm256_shuffle_epi8(factors, _mm256_set1_epi16((short)(0x0100 + 0x0202 * run)));
}

// MARK: Blocks of 32

// The half-precision numbers that blocks of `bytes` bytes begin with.
UNPACK __m256 leading_halves(const uint8_t *at, size_t bytes, size_t runs) {
#define WORD(I) (short)(runs > I ? duet_word_at(at + I * bytes) : 0)
    return _mm256_cvtph_ps(
        _mm_setr_epi16(WORD(0), WORD(1), WORD(2), WORD(3), WORD(4), WORD(5), WORD(6), WORD(7)));
#undef WORD
}

// Scales alone, with a minimum that is a multiple of them.
UNPACK group scale_and_middle(const uint8_t *at, size_t bytes, size_t runs, float middle) {
    __m256 scale = leading_halves(at, bytes, runs);
    return (group){.scale = scale, .minimum = {_mm256_mul_ps(scale, _mm256_set1_ps(-middle))}};
}

// Scales and minima, which lie side by side.
UNPACK group scale_and_minimum(const uint8_t *at, size_t bytes, size_t runs) {
#define PAIR(I) (int)(runs > I ? duet_double_word_at(at + I * bytes) : 0)
    const __m128i apart = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m128i low = _mm_shuffle_epi8(_mm_setr_epi32(PAIR(0), PAIR(1), PAIR(2), PAIR(3)), apart);
    __m128i high = _mm_setzero_si128();
    if (runs > 4) high = _mm_shuffle_epi8(_mm_setr_epi32(PAIR(4), PAIR(5), PAIR(6), PAIR(7)), apart);
#undef PAIR
    return (group){.scale = _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high)),
                   .minimum = {_mm256_cvtph_ps(_mm_unpackhi_epi64(low, high))}};
}

UNPACK group scales_Q4_0(const uint8_t *at, size_t runs) { return scale_and_middle(at, sizeof(duet_block_q4_0), runs, 8); }
UNPACK group scales_Q4_1(const uint8_t *at, size_t runs) { return scale_and_minimum(at, sizeof(duet_block_q4_1), runs); }
UNPACK group scales_Q5_0(const uint8_t *at, size_t runs) { return scale_and_middle(at, sizeof(duet_block_q5_0), runs, 16); }
UNPACK group scales_Q5_1(const uint8_t *at, size_t runs) { return scale_and_minimum(at, sizeof(duet_block_q5_1), runs); }
UNPACK group scales_Q8_0(const uint8_t *at, size_t runs) {
    return (group){.scale = leading_halves(at, sizeof(duet_block_q8_0), runs)};
}
UNPACK group scales_IQ4_NL(const uint8_t *at, size_t runs) {
    return (group){.scale = leading_halves(at, sizeof(duet_block_iq4_nl), runs)};
}
UNPACK group scales_MXFP4(const uint8_t *at, size_t runs) {
    float scales[GROUP];
    for (size_t i = 0; i < GROUP; i++)
        scales[i] = i < runs ? duet_mxfp4_scale(at[i * sizeof(duet_block_mxfp4)]) : 0;
    return (group){.scale = _mm256_loadu_ps(scales)};
}

// MARK: Blocks of 256

UNPACK __m256 half_in_eight(uint16_t half) { return _mm256_cvtph_ps(_mm_set1_epi16((short)half)); }

// Eight bytes as floats.
UNPACK __m256 unsigned_floats(__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)); }
UNPACK __m256 signed_floats(__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)); }

// Q4_K and Q5_K, whose scales lie at the same place: see duet_scale_k, duet_minimum_k.
UNPACK group scales_with_minima(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q4_k *block = AS(q4_k, at);
    uint32_t a = duet_double_word_at(block->scales), b = duet_double_word_at(block->scales + 4);
    uint32_t c = duet_double_word_at(block->scales + 8);
    __m128i scales = _mm_setr_epi32((int)(a & 0x3f3f3f3f), (int)((c & 0x0f0f0f0f) | (a >> 2 & 0x30303030)), 0, 0);
    __m128i minima = _mm_setr_epi32((int)(b & 0x3f3f3f3f), (int)((c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030)), 0, 0);
    __m256 minimum = _mm256_sub_ps(_mm256_setzero_ps(), half_in_eight(block->dmin));
    return (group){.scale = _mm256_mul_ps(half_in_eight(block->d), unsigned_floats(scales)),
                   .minimum = {_mm256_mul_ps(minimum, unsigned_floats(minima))}};
}

// 16 bytes, those of first halves before those of second halves.
UNPACK __m128i by_halves(__m128i bytes) {
    return _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
}

// Signed scales of 16 values, for unsigned q whose zero is at `middle`.
UNPACK group signed_halves(__m128i scales, __m256 d, float middle) {
    __m128i apart = by_halves(scales);
    __m256 low = _mm256_mul_ps(d, _mm256_set1_ps(-middle));
    return (group){.scale = d,
                   .minimum = {_mm256_mul_ps(low, signed_floats(apart)),
                               _mm256_mul_ps(low, signed_floats(_mm_srli_si128(apart, 8)))},
                   .factors = _mm256_cvtepi8_epi16(apart)};
}

UNPACK group scales_Q6_K(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q6_k *block = AS(q6_k, at);
    return signed_halves(_mm_loadu_si128((const __m128i *)block->scales), half_in_eight(block->d), 32);
}

// See duet_scale_q3_k.
UNPACK group scales_Q3_K(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q3_k *block = AS(q3_k, at);
    uint32_t a = duet_double_word_at(block->scales), b = duet_double_word_at(block->scales + 4);
    uint32_t c = duet_double_word_at(block->scales + 8);
    __m128i scales = _mm_setr_epi32((int)((a & 0x0f0f0f0f) | (c << 4 & 0x30303030)),
                                    (int)((b & 0x0f0f0f0f) | (c << 2 & 0x30303030)),
                                    (int)((a >> 4 & 0x0f0f0f0f) | (c & 0x30303030)),
                                    (int)((b >> 4 & 0x0f0f0f0f) | (c >> 2 & 0x30303030)));
    return signed_halves(_mm_sub_epi8(scales, _mm_set1_epi8(32)), half_in_eight(block->d), 4);
}

UNPACK group scales_Q2_K(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q2_k *block = AS(q2_k, at);
    __m128i both = by_halves(_mm_loadu_si128((const __m128i *)block->scales));
    __m128i minima = _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15));
    __m256 low = _mm256_sub_ps(_mm256_setzero_ps(), half_in_eight(block->dmin));
    return (group){.scale = half_in_eight(block->d),
                   .minimum = {_mm256_mul_ps(low, unsigned_floats(minima)),
                               _mm256_mul_ps(low, unsigned_floats(_mm_srli_si128(minima, 8)))},
                   .factors = _mm256_cvtepi8_epi16(_mm_and_si128(both, _mm_set1_epi8(15)))};
}

// See duet_scale_iq4_xs.
UNPACK group scales_IQ4_XS(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_iq4_xs *block = AS(iq4_xs, at);
    __m128i bytes = _mm_cvtsi32_si128((int)duet_double_word_at(block->scales_l));
    __m128i pairs = _mm_unpacklo_epi8(bytes, _mm_srli_epi16(bytes, 4));
    __m256i low = _mm256_cvtepu8_epi32(_mm_and_si128(pairs, _mm_set1_epi8(15)));
    __m256i shifts = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(block->scales_h), shifts);
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    __m256i scale = _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
    return (group){.scale = _mm256_mul_ps(half_in_eight(block->d), _mm256_cvtepi32_ps(scale))};
}

#include "group_formats.h"
