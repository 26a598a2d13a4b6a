// How each quantized format unpacks on AVX-512 with VBMI and GFNI, eight runs of 32 values at a time.
// Included once, inside of the target attribute.
//
// value = scale * q + minimum, or scale * (q + low), with q as unsigned bytes: 128 is added to signed ones. What low
// adds to a sum of products is a whole number, low times the sum of the activations: the sum begins with it.
//
// A vector holds the first 16 values of four runs, the next one their last 16. So the sums of both, of
// four products each, can be added up as integers, and a conversion and a scale serve four runs.
//
// A multiplication by a matrix of bits (GFNI) takes any bits of each byte to any others: one
// instruction shifts and masks, differently for each part of a vector.

#define GROUP 8
#define QUAD 4

typedef struct {
    __m512i q[4];    // of four runs the first 16 values, and the last; of the other four the same
    __m512 scale;    // 8 of runs, and 8 minima where there are some; or 16 of half runs
    __m512 minimum;  // of half runs
} group;

// A group whose q are multiplied by the scales of half runs already.
typedef struct {
    __m512i q[4];
    __m256i minima;  // 16 bits for each half run
    __m512 scale;    // of all
    __m256 minimum;  // one step of minima
} folded_group;

typedef struct {
    size_t runs;   // runs of 32 per block: 1 or 8
    size_t bytes;  // of a block
    bool minima;   // values have one, which is added or, with a low of -1, taken off
    bool halves;   // scales differ between the first and the last 16 values
    bool by_twos;  // four runs are 0, 2, 4, 6, then 1, 3, 5, 7; or 0 to 3, then 4 to 7
    int low;
    group (*read)(const uint8_t *at, size_t runs);
    folded_group (*read_folded)(const uint8_t *at);  // where products of rows take this one
} group_format;

#define UNPACK static inline __attribute__((always_inline))
#define AS(NAME, BLOCK) ((const duet_block_##NAME *)(BLOCK))

// MARK: Bits

// Matrices: bit `to` of a byte from bit `from`; several are added up.
#define BIT(FROM, TO) ((long long)(1ull << (FROM) << 8 * (7 - (TO))))
#define TWO_BITS(FROM, TO) (BIT(FROM, TO) | BIT((FROM) + 1, (TO) + 1))
#define LOW_HALF (TWO_BITS(0, 0) | TWO_BITS(2, 2))
#define HIGH_HALF (TWO_BITS(4, 0) | TWO_BITS(6, 2))

// Bits of four parts of 16 bytes, each by its own matrix.
UNPACK __m512i bits_of(__m512i bytes, long long a, long long b, long long c, long long d) {
    return _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_setr_epi64(a, a, b, b, c, c, d, d), 0);
}
UNPACK __m512i low_halves(__m512i bytes) { return _mm512_and_si512(bytes, _mm512_set1_epi8(15)); }
UNPACK __m512i high_halves(__m512i bytes) { return bits_of(bytes, HIGH_HALF, HIGH_HALF, HIGH_HALF, HIGH_HALF); }

// 16 bytes, four times.
UNPACK __m512i four_times(const uint8_t *at) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)at));
}

// Values of a signed table, and 128.
UNPACK __m512i look_up(__m512i index, const int8_t table[16]) {
    __m128i values = _mm_xor_si128(_mm_loadu_si128((const __m128i *)table), _mm_set1_epi8((char)128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(values), index);
}

// MARK: Blocks of 32

// Four blocks are up to 136 bytes long; of those that are there, no byte beyond is read.
typedef struct {
    const uint8_t *at;
    size_t bytes, count;
} blocks;

UNPACK blocks blocks_of_quad(const uint8_t *at, size_t bytes, size_t quad, size_t runs) {
    size_t left = runs > QUAD * quad ? runs - QUAD * quad : 0;
    return (blocks){at + QUAD * quad * bytes, bytes, bytes * (left < QUAD ? left : QUAD)};
}

// 64 bytes from byte `from` on.
UNPACK __m512i bytes_from(blocks b, size_t from) {
    size_t left = b.count > from ? b.count - from : 0;
    return _mm512_maskz_loadu_epi8(left < 64 ? (1ull << left) - 1 : ~0ull, b.at + from);
}

// The first and the last 64 bytes of four blocks; where one block alone is not in the first, its last 16.
typedef struct {
    __m512i first, last;
    size_t start;  // of the last
} ends;

UNPACK ends ends_of(blocks b) {
    size_t length = 3 * b.bytes <= 64 ? 16 : 64, start = QUAD * b.bytes - length;
    __m512i last = length == 64             ? bytes_from(b, start)
                   : b.count == 4 * b.bytes ? _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(b.at + start)))
                                            : _mm512_setzero_si512();
    return (ends){bytes_from(b, 0), last, start};
}

// Where byte `i` of four blocks is, in the two vectors of their ends.
UNPACK char place(ends e, size_t i) { return (char)(i < 64 ? i : 64 + i - e.start); }

// 16 bytes of each block from byte `skip` of it on.
UNPACK __m512i sixteen_of_each(ends e, size_t bytes, size_t skip) {
    __m512i which;
    for (size_t i = 0; i < 64; i++) ((char *)&which)[i] = place(e, i / 16 * bytes + skip + i % 16);
    return _mm512_permutex2var_epi8(e.first, which, e.last);
}

// Word `word` of four blocks, then that of four more: in each lane of 16 bytes the first, or first those words and
// then the ones that follow.
UNPACK __m256i words_of_each(ends a, ends b, size_t bytes, size_t word, bool next) {
    __m512i which = _mm512_setzero_si512();
    bool near = 3 * bytes + 2 * (word + next) < 64;
    for (size_t i = 0; i < 16; i++) {
        size_t at = i % 4 * bytes + 2 * word + (i < 8 ? 0 : 2 * next);
        ((int16_t *)&which)[i] = near ? (int16_t)(at / 2 + (i % 8 < 4 ? 0 : 32)) : (int16_t)(place(a, at) / 2);
    }
    if (near) return _mm512_castsi512_si256(_mm512_permutex2var_epi16(a.first, which, b.first));
    __m512i first = _mm512_permutex2var_epi16(a.first, which, a.last);
    __m512i second = _mm512_permutex2var_epi16(b.first, which, b.last);
    return _mm256_unpacklo_epi64(_mm512_castsi512_si256(first), _mm512_castsi512_si256(second));
}

// 16 numbers of half precision, or the first 8.
UNPACK __m512 floats_of(__m256i halves, bool all) {
    return all ? _mm512_cvtph_ps(halves) : _mm512_castps256_ps512(_mm256_cvtph_ps(_mm256_castsi256_si128(halves)));
}

// Blocks that begin with a scale, perhaps with a minimum after it, and end with nibbles; from word `fifth` on, if it
// is not 0, they have 32 fifth bits.
UNPACK group group_of_nibbles(const uint8_t *at, size_t runs, size_t bytes, bool minima, size_t fifth) {
    ends a = ends_of(blocks_of_quad(at, bytes, 0, runs)), b = ends_of(blocks_of_quad(at, bytes, 1, runs));
    __m512i first = sixteen_of_each(a, bytes, bytes - 16), second = sixteen_of_each(b, bytes, bytes - 16);
    group g = {.q = {low_halves(first), high_halves(first), low_halves(second), high_halves(second)},
               .scale = floats_of(words_of_each(a, b, bytes, 0, minima), minima)};
    if (fifth == 0) return g;
    __m256i bits = words_of_each(a, b, bytes, fifth, true);
    uint64_t masks[4] = {(uint64_t)_mm256_extract_epi64(bits, 0), (uint64_t)_mm256_extract_epi64(bits, 2),
                         (uint64_t)_mm256_extract_epi64(bits, 1), (uint64_t)_mm256_extract_epi64(bits, 3)};
    for (size_t i = 0; i < 4; i++) g.q[i] = _mm512_mask_add_epi8(g.q[i], masks[i], g.q[i], _mm512_set1_epi8(16));
    return g;
}

UNPACK group read_Q4_0(const uint8_t *at, size_t runs) { return group_of_nibbles(at, runs, 18, false, 0); }
UNPACK group read_Q4_1(const uint8_t *at, size_t runs) { return group_of_nibbles(at, runs, 20, true, 0); }
UNPACK group read_Q5_0(const uint8_t *at, size_t runs) { return group_of_nibbles(at, runs, 22, false, 1); }
UNPACK group read_Q5_1(const uint8_t *at, size_t runs) { return group_of_nibbles(at, runs, 24, true, 2); }

UNPACK group read_IQ4_NL(const uint8_t *at, size_t runs) {
    group g = group_of_nibbles(at, runs, 18, false, 0);
    for (size_t i = 0; i < 4; i++) g.q[i] = look_up(g.q[i], duet_iq4_values);
    return g;
}

UNPACK group read_MXFP4(const uint8_t *at, size_t runs) {
    float scales[GROUP];
    for (size_t i = 0; i < GROUP; i++) scales[i] = i < runs ? duet_mxfp4_scale(at[17 * i]) : 0;
    group g = {.scale = _mm512_castps256_ps512(_mm256_loadu_ps(scales))};
    for (size_t quad = 0; quad < 2; quad++) {
        __m512i bytes = sixteen_of_each(ends_of(blocks_of_quad(at, 17, quad, runs)), 17, 1);
        g.q[2 * quad] = look_up(low_halves(bytes), duet_mxfp4_values);
        g.q[2 * quad + 1] = look_up(high_halves(bytes), duet_mxfp4_values);
    }
    return g;
}

// Four blocks are 136 bytes: the second vector holds bytes 64 to 127, and eight come after it.
UNPACK group read_Q8_0(const uint8_t *at, size_t runs) {
    ends e[2];
    group g;
    for (size_t quad = 0; quad < 2; quad++) {
        blocks b = blocks_of_quad(at, 34, quad, runs);
        e[quad] = (ends){bytes_from(b, 0), bytes_from(b, 64), 64};
        g.q[2 * quad] = sixteen_of_each(e[quad], 34, 2);
        g.q[2 * quad + 1] = sixteen_of_each(e[quad], 34, 18);
        long long rest = 0;
        if (b.count == 136) memcpy(&rest, b.at + 128, 8);
        g.q[2 * quad + 1] = _mm512_mask_set1_epi64(g.q[2 * quad + 1], 0x80, rest);
    }
    g.scale = floats_of(words_of_each(e[0], e[1], 34, 0, false), false);
    for (size_t i = 0; i < 4; i++) g.q[i] = _mm512_xor_si512(g.q[i], _mm512_set1_epi8((char)128));
    return g;
}

// MARK: Blocks of 256

UNPACK __m512 half_in_all(uint16_t half) { return _mm512_cvtph_ps(_mm256_set1_epi16((short)half)); }

UNPACK __m512 unsigned_floats(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)); }
UNPACK __m512 signed_floats(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)); }

// Q4_K and Q5_K, which begin with two steps and the scales and minima: see duet_scale_k, duet_minimum_k.
UNPACK __m512 scales_and_minima(const uint8_t *at) {
    const __m128i start = _mm_loadu_si128((const __m128i *)at);
    const __m128i low = _mm_srlv_epi32(_mm_shuffle_epi32(start, 0xa5), _mm_setr_epi32(0, 2, 0, 2));
    const __m128i high = _mm_srlv_epi32(_mm_shuffle_epi32(start, 0xff), _mm_setr_epi32(0, 0, 0, 4));
    const __m128i all = _mm_or_si128(_mm_and_si128(low, _mm_setr_epi32(0x3f3f3f3f, 0x30303030, 0x3f3f3f3f, 0x30303030)),
                                     _mm_and_si128(high, _mm_setr_epi32(0, 0x0f0f0f0f, 0, 0x0f0f0f0f)));
    const __m512i eight_each = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m512 steps = _mm512_permutexvar_ps(eight_each, _mm512_castps128_ps512(_mm_cvtph_ps(start)));
    return _mm512_mul_ps(steps, unsigned_floats(all));
}

// 128 bytes with the nibbles of runs 0, 2, 4 and 6 in their low halves and those of the others in their high ones.
UNPACK group interleaved_nibbles(const uint8_t *at) {
    __m512i near = _mm512_loadu_si512(at), far = _mm512_loadu_si512(at + 64);
    __m512i first = _mm512_shuffle_i64x2(near, far, 0x88), last = _mm512_shuffle_i64x2(near, far, 0xdd);
    return (group){.q = {low_halves(first), low_halves(last), high_halves(first), high_halves(last)}};
}

UNPACK group read_Q4_K(const uint8_t *at, size_t runs) {
    (void)runs;
    group g = interleaved_nibbles(AS(q4_k, at)->qs);
    g.scale = scales_and_minima(at);
    return g;
}

UNPACK group read_Q5_K(const uint8_t *at, size_t runs) {
    (void)runs;
    group g = interleaved_nibbles(AS(q5_k, at)->qs);
    g.scale = scales_and_minima(at);
    for (size_t i = 0; i < 4; i++) {
        size_t run = i / 2;
        __m512i fifth = bits_of(four_times(AS(q5_k, at)->qh + 16 * (i % 2)), BIT(run, 4), BIT(run + 2, 4),
                                BIT(run + 4, 4), BIT(run + 6, 4));
        g.q[i] = _mm512_or_si512(g.q[i], fifth);
    }
    return g;
}

// Two bits of each of 32 bytes for each of four runs: half h of each, at bit `to`.
UNPACK __m512i two_bits(const uint8_t *at, size_t half, size_t to) {
    return bits_of(four_times(at + 16 * half), TWO_BITS(0, to), TWO_BITS(2, to), TWO_BITS(4, to), TWO_BITS(6, to));
}

UNPACK group read_Q6_K(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q6_k *block = AS(q6_k, at);
    group g;
    g.scale = _mm512_mul_ps(half_in_all(block->d), signed_floats(_mm_loadu_si128((const __m128i *)block->scales)));
    for (size_t i = 0; i < 4; i++) {
        __m512i low = _mm512_loadu_si512(block->ql + 64 * (i / 2));
        low = i % 2 ? _mm512_shuffle_i64x2(low, low, 0xdd) : _mm512_shuffle_i64x2(low, low, 0x88);
        g.q[i] = _mm512_or_si512(bits_of(low, LOW_HALF, LOW_HALF, HIGH_HALF, HIGH_HALF),
                                 two_bits(block->qh + 32 * (i / 2), i % 2, 4));
    }
    return g;
}

// See duet_scale_q3_k.
UNPACK group read_Q3_K(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q3_k *block = AS(q3_k, at);
    // Twelve bytes of scales lie behind two of the quants and before the step.
    const __m128i end = _mm_loadu_si128((const __m128i *)(at + offsetof(duet_block_q3_k, scales) - 2));
    const __m128i low = _mm_shuffle_epi8(end, _mm_setr_epi8(2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 9));
    const __m128i high = _mm_shuffle_epi8(end, _mm_setr_epi8(10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13));
    const __m128i scales = _mm_or_si128(
        _mm_and_si128(_mm_srlv_epi32(low, _mm_setr_epi32(0, 0, 4, 4)), _mm_set1_epi8(0x0f)),
        _mm_and_si128(_mm_rolv_epi32(high, _mm_setr_epi32(4, 2, 0, 30)), _mm_set1_epi8(0x30)));
    group g;
    g.scale = _mm512_mul_ps(half_in_all(block->d), signed_floats(_mm_sub_epi8(scales, _mm_set1_epi8(32))));
    for (size_t i = 0; i < 4; i++) {
        size_t run = QUAD * (i / 2);
        __m512i third = bits_of(four_times(block->hmask + 16 * (i % 2)), BIT(run, 2), BIT(run + 1, 2),
                                BIT(run + 2, 2), BIT(run + 3, 2));
        g.q[i] = _mm512_or_si512(two_bits(block->qs + 32 * (i / 2), i % 2, 0), third);
    }
    return g;
}

UNPACK group read_Q2_K(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q2_k *block = AS(q2_k, at);
    __m128i both = _mm_loadu_si128((const __m128i *)block->scales), mask = _mm_set1_epi8(15);
    group g;
    g.scale = _mm512_mul_ps(half_in_all(block->d), unsigned_floats(_mm_and_si128(both, mask)));
    g.minimum = _mm512_mul_ps(half_in_all(block->dmin), unsigned_floats(_mm_and_si128(_mm_srli_epi16(both, 4), mask)));
    for (size_t i = 0; i < 4; i++) g.q[i] = two_bits(block->qs + 32 * (i / 2), i % 2, 0);
    return g;
}

// Two bits of each of 16 bytes for each of four runs, and bits that are added to each.
#define TWO_BITS_AND(AT, ADDED)                                                                                  \
    _mm512_gf2p8affine_epi64_epi8(four_times(AT),                                                                \
                                  _mm512_setr_epi64(TWO_BITS(0, 0), TWO_BITS(0, 0), TWO_BITS(2, 0), TWO_BITS(2, 0), \
                                                    TWO_BITS(4, 0), TWO_BITS(4, 0), TWO_BITS(6, 0), TWO_BITS(6, 0)), \
                                  ADDED)

// A scale of Q2_K is 0 to 15 and a value 0 to 3: their product is a byte, which is looked up. Each lane of 16 bytes has
// a table of four for each of the four vectors.
UNPACK folded_group fold_Q2_K(const uint8_t *at) {
    const duet_block_q2_k *block = AS(q2_k, at);
    const __m128i both = _mm_loadu_si128((const __m128i *)block->scales), nibble = _mm_set1_epi8(15);
    // Of lane i scales 2 i and 2 i + 1, and those of the runs four further on, each for the low bytes of two numbers.
    const __m512i which = _mm512_add_epi8(_mm512_set4_epi32(0x09090909, 0x08080808, 0x01010101, 0),
                                          _mm512_setr_epi64(0, 0, 0x0202020202020202, 0x0202020202020202,
                                                            0x0404040404040404, 0x0404040404040404,
                                                            0x0606060606060606, 0x0606060606060606));
    const __m512i scales = _mm512_castsi128_si512(_mm_and_si128(both, nibble));
    const __m512i table = _mm512_mullo_epi16(_mm512_maskz_permutexvar_epi8(0x5555555555555555, which, scales),
                                             _mm512_set1_epi32(0x03020100));
    int steps;  // d and dmin
    memcpy(&steps, &block->d, 4);
    const __m128 two = _mm_cvtph_ps(_mm_cvtsi32_si128(steps));
    return (folded_group){
        .q = {_mm512_shuffle_epi8(table, TWO_BITS_AND(block->qs, 0)),
              _mm512_shuffle_epi8(table, TWO_BITS_AND(block->qs + 16, 4)),
              _mm512_shuffle_epi8(table, TWO_BITS_AND(block->qs + 32, 8)),
              _mm512_shuffle_epi8(table, TWO_BITS_AND(block->qs + 48, 12))},
        .minima = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(both, 4), nibble)),
        .scale = _mm512_broadcastss_ps(two),
        .minimum = _mm256_broadcastss_ps(_mm_movehdup_ps(two)),
    };
}

// See duet_scale_iq4_xs.
UNPACK group read_IQ4_XS(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_iq4_xs *block = AS(iq4_xs, at);
    __m128i bytes = _mm_cvtsi32_si128((int)duet_double_word_at(block->scales_l));
    __m128i pairs = _mm_unpacklo_epi8(bytes, _mm_srli_epi16(bytes, 4));
    __m256i low = _mm256_cvtepu8_epi32(_mm_and_si128(pairs, _mm_set1_epi8(15)));
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(block->scales_h), _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    __m256 scale = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32)));
    group g = {.scale = _mm512_mul_ps(half_in_all(block->d), _mm512_castps256_ps512(scale))};
    for (size_t i = 0; i < 4; i++) {
        __m512i nibbles = _mm512_loadu_si512(block->qs + 64 * (i / 2));
        g.q[i] = look_up(i % 2 ? high_halves(nibbles) : low_halves(nibbles), duet_iq4_values);
    }
    return g;
}

// MARK: The formats

#define GROUP_OF(TYPE, NAME, RUNS, LOW, ...)                                                \
    (group_format) {                                                                         \
        .runs = RUNS, .bytes = sizeof(duet_block_##NAME), .low = LOW, .read = read_##TYPE, __VA_ARGS__ \
    }

#define group_Q4_0 GROUP_OF(Q4_0, q4_0, 1, -8, )
#define group_Q4_1 GROUP_OF(Q4_1, q4_1, 1, 1, .minima = true)
#define group_Q5_0 GROUP_OF(Q5_0, q5_0, 1, -16, )
#define group_Q5_1 GROUP_OF(Q5_1, q5_1, 1, 1, .minima = true)
#define group_Q8_0 GROUP_OF(Q8_0, q8_0, 1, -128, )
#define group_IQ4_NL GROUP_OF(IQ4_NL, iq4_nl, 1, -128, )
#define group_MXFP4 GROUP_OF(MXFP4, mxfp4, 1, -128, )
#define group_Q2_K GROUP_OF(Q2_K, q2_k, 8, -1, .minima = true, .halves = true, .read_folded = fold_Q2_K)
#define group_Q3_K GROUP_OF(Q3_K, q3_k, 8, -4, .halves = true)
#define group_Q4_K GROUP_OF(Q4_K, q4_k, 8, -1, .minima = true, .by_twos = true)
#define group_Q5_K GROUP_OF(Q5_K, q5_k, 8, -1, .minima = true, .by_twos = true)
#define group_Q6_K GROUP_OF(Q6_K, q6_k, 8, -32, .halves = true)
#define group_IQ4_XS GROUP_OF(IQ4_XS, iq4_xs, 8, -128, )
