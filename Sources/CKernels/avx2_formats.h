// How each quantized format unpacks on AVX2. Included once, inside of the target attribute.
//
// prepare: {scale, scale, minimum, minimum} of every run of a block of 256
// weight:  the same, for a block of one run
// quants:  the 32 bytes of a run; together value = scale * q + minimum

typedef struct {
    size_t runs;   // runs of 32 per block: 1 or 8
    size_t bytes;  // of a block
    bool is_signed;
    bool has_minimum;
    int middle;    // the q that stands for 0, where that makes the minimum; else 0
    bool halves;  // scales differ between the first and the last 16 values
    int widen;    // products of four that int16 can add up before they are widened
    void (*prepare)(const uint8_t *block, float weights[8][4]);
    __m128 (*weight)(const uint8_t *block);
    __m256i (*quants)(const uint8_t *block, size_t run);
} format;

#define UNPACK static inline __attribute__((always_inline))
#define AS(NAME, BLOCK) ((const duet_block_##NAME *)(BLOCK))

// MARK: Pieces

// A half-precision number in all four lanes. Going through memory and a vector conversion avoids
// the false dependency of the scalar one.
UNPACK __m128 half_in_all(const uint8_t *at) {
    uint16_t bits;
    memcpy(&bits, at, 2);
    return _mm_cvtph_ps(_mm_set1_epi16((short)bits));
}

// Two neighbouring half-precision numbers {a, b} as {a, a, b, b}.
UNPACK __m128 halves_in_pairs(const uint8_t *at) {
    int32_t bits;
    memcpy(&bits, at, 4);
    __m128 both = _mm_cvtph_ps(_mm_cvtsi32_si128(bits));
    return _mm_unpacklo_ps(both, both);
}

// 16 bytes as 32: the low nibbles, then the high ones.
UNPACK __m256i nibbles(const uint8_t *at) {
    __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)at));
    __m256i both = _mm256_srlv_epi32(twice, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

// 32 bits as 32 bytes that are `value` where the bit is set.
UNPACK __m256i spread_bits(const uint8_t *at, char value) {
    int32_t bits;
    memcpy(&bits, at, 4);
    const __m256i which = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), which);
    __m256i masked = _mm256_and_si256(bytes, _mm256_set1_epi64x((long long)0x8040201008040201));
    __m256i set = _mm256_cmpeq_epi8(masked, _mm256_set1_epi64x((long long)0x8040201008040201));
    return _mm256_and_si256(set, _mm256_set1_epi8(value));
}

// Bits `shift` and up of 32 bytes, under a mask.
UNPACK __m256i bits_of(const uint8_t *at, size_t shift, char mask) {
    __m256i bytes = _mm256_loadu_si256((const __m256i *)at);
    return _mm256_and_si256(_mm256_srli_epi16(bytes, (int)shift), _mm256_set1_epi8(mask));
}

UNPACK __m256i look_up(__m256i index, const int8_t table[16]) {
    __m128i values = _mm_loadu_si128((const __m128i *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(values), index);
}

UNPACK void set_weights(float weights[4], float scale0, float scale1, float minimum0, float minimum1) {
    weights[0] = scale0, weights[1] = scale1, weights[2] = minimum0, weights[3] = minimum1;
}

// Scales of unsigned q whose zero is at `middle`.
UNPACK void set_with_middle(float weights[4], float scale0, float scale1, float middle) {
    set_weights(weights, scale0, scale1, -middle * scale0, -middle * scale1);
}

// MARK: Blocks of 32

UNPACK __m128 weight_Q4_0(const uint8_t *b) {
    return _mm_mul_ps(half_in_all(b), _mm_setr_ps(1, 1, -8, -8));
}
UNPACK __m256i quants_Q4_0(const uint8_t *b, size_t run) { return (void)run, nibbles(AS(q4_0, b)->qs); }

UNPACK __m128 weight_Q4_1(const uint8_t *b) { return halves_in_pairs(b); }
UNPACK __m256i quants_Q4_1(const uint8_t *b, size_t run) { return (void)run, nibbles(AS(q4_1, b)->qs); }

UNPACK __m128 weight_Q5_0(const uint8_t *b) {
    return _mm_mul_ps(half_in_all(b), _mm_setr_ps(1, 1, -16, -16));
}
UNPACK __m256i quants_Q5_0(const uint8_t *b, size_t run) {
    return (void)run, _mm256_or_si256(nibbles(AS(q5_0, b)->qs), spread_bits(AS(q5_0, b)->qh, 16));
}

UNPACK __m128 weight_Q5_1(const uint8_t *b) { return halves_in_pairs(b); }
UNPACK __m256i quants_Q5_1(const uint8_t *b, size_t run) {
    return (void)run, _mm256_or_si256(nibbles(AS(q5_1, b)->qs), spread_bits(AS(q5_1, b)->qh, 16));
}

UNPACK __m128 weight_Q8_0(const uint8_t *b) {
    return _mm_mul_ps(half_in_all(b), _mm_setr_ps(1, 1, 0, 0));
}
UNPACK __m256i quants_Q8_0(const uint8_t *b, size_t run) {
    return (void)run, _mm256_loadu_si256((const __m256i *)AS(q8_0, b)->qs);
}

UNPACK __m128 weight_IQ4_NL(const uint8_t *b) { return weight_Q8_0(b); }
UNPACK __m256i quants_IQ4_NL(const uint8_t *b, size_t run) {
    return (void)run, look_up(nibbles(AS(iq4_nl, b)->qs), duet_iq4_values);
}

UNPACK __m128 weight_MXFP4(const uint8_t *b) {
    float scale = duet_mxfp4_scale(AS(mxfp4, b)->e);
    return _mm_setr_ps(scale, scale, 0, 0);
}
UNPACK __m256i quants_MXFP4(const uint8_t *b, size_t run) {
    return (void)run, look_up(nibbles(AS(mxfp4, b)->qs), duet_mxfp4_values);
}

// MARK: Blocks of 256

// The eight 6-bit scales and minima of Q4_K and Q5_K, which lie at the same place in both.
UNPACK void prepare_with_minima(const uint8_t *b, float weights[8][4]) {
    const duet_block_q4_k *block = AS(q4_k, b);
    float d = duet_half_to_float(block->d), minimum = -duet_half_to_float(block->dmin);
    for (size_t r = 0; r < 8; r++) {
        float scale = d * (float)duet_scale_k(block->scales, r);
        float low = minimum * (float)duet_minimum_k(block->scales, r);
        set_weights(weights[r], scale, scale, low, low);
    }
}

UNPACK __m256i quants_Q4_K(const uint8_t *b, size_t run) {
    return bits_of(AS(q4_k, b)->qs + run / 2 * 32, run % 2 * 4, 15);
}

UNPACK __m256i quants_Q5_K(const uint8_t *b, size_t run) {
    __m256i fifth = _mm256_slli_epi16(bits_of(AS(q5_k, b)->qh, run, 1), 4);
    return _mm256_or_si256(bits_of(AS(q5_k, b)->qs + run / 2 * 32, run % 2 * 4, 15), fifth);
}

UNPACK void prepare_Q6_K(const uint8_t *b, float weights[8][4]) {
    const duet_block_q6_k *block = AS(q6_k, b);
    float d = duet_half_to_float(block->d);
    for (int r = 0; r < 8; r++)
        set_with_middle(weights[r], d * (float)block->scales[2 * r], d * (float)block->scales[2 * r + 1], 32);
}
UNPACK __m256i quants_Q6_K(const uint8_t *b, size_t run) {
    const uint8_t *low = AS(q6_k, b)->ql + run / 4 * 64 + run % 2 * 32;
    const uint8_t *high = AS(q6_k, b)->qh + run / 4 * 32;
    __m256i top = _mm256_slli_epi16(bits_of(high, run % 4 * 2, 3), 4);
    return _mm256_or_si256(bits_of(low, run % 4 / 2 * 4, 15), top);
}

UNPACK void prepare_Q3_K(const uint8_t *b, float weights[8][4]) {
    const duet_block_q3_k *block = AS(q3_k, b);
    float d = duet_half_to_float(block->d);
    for (size_t r = 0; r < 8; r++)
        set_with_middle(weights[r], d * (float)duet_scale_q3_k(block->scales, 2 * r),
                        d * (float)duet_scale_q3_k(block->scales, 2 * r + 1), 4);
}
UNPACK __m256i quants_Q3_K(const uint8_t *b, size_t run) {
    __m256i low = bits_of(AS(q3_k, b)->qs + run / 4 * 32, run % 4 * 2, 3);
    __m256i high = _mm256_slli_epi16(bits_of(AS(q3_k, b)->hmask, run, 1), 2);
    return _mm256_or_si256(low, high);
}

UNPACK void prepare_Q2_K(const uint8_t *b, float weights[8][4]) {
    const duet_block_q2_k *block = AS(q2_k, b);
    float d = duet_half_to_float(block->d), minimum = -duet_half_to_float(block->dmin);
    for (int r = 0; r < 8; r++) {
        const uint8_t *s = block->scales + 2 * r;
        set_weights(weights[r], d * (float)(s[0] & 15), d * (float)(s[1] & 15),
                    minimum * (float)(s[0] >> 4), minimum * (float)(s[1] >> 4));
    }
}
UNPACK __m256i quants_Q2_K(const uint8_t *b, size_t run) {
    return bits_of(AS(q2_k, b)->qs + run / 4 * 32, run % 4 * 2, 3);
}

UNPACK void prepare_IQ4_XS(const uint8_t *b, float weights[8][4]) {
    const duet_block_iq4_xs *block = AS(iq4_xs, b);
    float d = duet_half_to_float(block->d);
    for (size_t r = 0; r < 8; r++) {
        float scale = d * (float)duet_scale_iq4_xs(block, r);
        set_weights(weights[r], scale, scale, 0, 0);
    }
}
UNPACK __m256i quants_IQ4_XS(const uint8_t *b, size_t run) {
    return look_up(nibbles(AS(iq4_xs, b)->qs + 16 * run), duet_iq4_values);
}

// MARK: The formats

#define SINGLE(TYPE, NAME, SIGNED, MINIMUM, MIDDLE, WIDEN)                          \
    (format) {                                                                       \
        .runs = 1, .bytes = sizeof(duet_block_##NAME), .is_signed = SIGNED, .has_minimum = MINIMUM,      \
        .middle = MIDDLE, .widen = WIDEN, .weight = weight_##TYPE, .quants = quants_##TYPE,            \
    }
#define SUPER(TYPE, NAME, SIGNED, MINIMUM, MIDDLE, HALVES, WIDEN, PREPARE)          \
    (format) {                                                                       \
        .runs = 8, .bytes = sizeof(duet_block_##NAME), .is_signed = SIGNED, .has_minimum = MINIMUM,      \
        .middle = MIDDLE, .halves = HALVES, .widen = WIDEN, .prepare = PREPARE, .quants = quants_##TYPE, \
    }

// int16 holds 32,767, and one product of four adds two pairs of at most q * 127 in each lane's
// half: 15 -> 8 products, 31 -> 4, 63 -> 2, 128 -> 1.
#define format_Q4_0 SINGLE(Q4_0, q4_0, false, true, 8, 8)
#define format_Q4_1 SINGLE(Q4_1, q4_1, false, true, 0, 8)
#define format_Q5_0 SINGLE(Q5_0, q5_0, false, true, 16, 4)
#define format_Q5_1 SINGLE(Q5_1, q5_1, false, true, 0, 4)
#define format_Q8_0 SINGLE(Q8_0, q8_0, true, false, 0, 1)
#define format_IQ4_NL SINGLE(IQ4_NL, iq4_nl, true, false, 0, 1)
#define format_MXFP4 SINGLE(MXFP4, mxfp4, true, false, 0, 8)
#define format_Q2_K SUPER(Q2_K, q2_k, false, true, 0, true, 4, prepare_Q2_K)
#define format_Q3_K SUPER(Q3_K, q3_k, false, true, 4, true, 4, prepare_Q3_K)
#define format_Q4_K SUPER(Q4_K, q4_k, false, true, 0, false, 8, prepare_with_minima)
#define format_Q5_K SUPER(Q5_K, q5_k, false, true, 0, false, 4, prepare_with_minima)
#define format_Q6_K SUPER(Q6_K, q6_k, false, true, 32, true, 2, prepare_Q6_K)
#define format_IQ4_XS SUPER(IQ4_XS, iq4_xs, true, false, 0, false, 1, prepare_IQ4_XS)
