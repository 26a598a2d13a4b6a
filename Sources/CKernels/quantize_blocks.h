// The encoders of single numbers and of blocks of 32, on top of the searches.

#include "quantize_search.h"

static const float ones[256] = {
#define ONES16 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
    ONES16, ONES16, ONES16, ONES16, ONES16, ONES16, ONES16, ONES16,
    ONES16, ONES16, ONES16, ONES16, ONES16, ONES16, ONES16, ONES16,
};

// MARK: Numbers that are not quantized

static void encode_f32(const float *x, const float *weights, size_t n, void *blocks) {
    (void)weights;
    memcpy(blocks, x, n * sizeof *x);
}

static void encode_f16(const float *x, const float *weights, size_t n, void *blocks) {
    (void)weights;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = duet_float_to_half(x[i]);
        memcpy((uint8_t *)blocks + 2 * i, &bits, sizeof bits);
    }
}

static void encode_bf16(const float *x, const float *weights, size_t n, void *blocks) {
    (void)weights;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits = (bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 64 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        uint16_t half = (uint16_t)bits;
        memcpy((uint8_t *)blocks + 2 * i, &half, sizeof half);
    }
}

// MARK: Packing

INLINE void store_bytes(i8 v, uint8_t *out) {
    typedef uint8_t b8 __attribute__((ext_vector_type(8)));
    b8 bytes = __builtin_convertvector(v, b8);
    memcpy(out, &bytes, sizeof bytes);
}

// The levels of 32 values as whole numbers: nearest((x - minimum) / scale) + offset.
INLINE void levels_of(const float *x, int n, float scale, float minimum, levels l, int offset, uint8_t *q) {
    f8 unit = (f8)(inverse(scale));
    for (int i = 0; i < n; i += 8) {
        f8 v = nearest((load8(x + i) - (f8)(minimum)) * unit, l);
        store_bytes(__builtin_convertvector(v, i8) + (i8)(offset), q + i);
    }
}

INLINE void pack_nibbles(const uint8_t *q, uint8_t *qs) {
    for (int i = 0; i < 16; i++) qs[i] = (uint8_t)((q[i] & 15) | q[i + 16] << 4);
}

INLINE void pack_fifth_bits(const uint8_t *q, uint8_t *qh) {
    // Eight bytes at once: the product gathers bit 0 of each byte in the top byte, lowest first.
    for (int i = 0; i < 4; i++) {
        uint64_t bytes = 0;
        for (int k = 0; k < 8; k++) bytes |= (uint64_t)q[8 * i + k] << 8 * k;
        qh[i] = (uint8_t)((bytes >> 4 & 0x0101010101010101) * 0x0102040810204080 >> 56);
    }
}

// MARK: Blocks of 32, plainly: the largest value, or the range, sets the scale

// q = trunc((x - minimum) * unit + half), within 0 to high.
INLINE void truncated(const float *x, float minimum, float unit, float half, float high, uint8_t *q) {
    for (int i = 0; i < 32; i += 8) {
        f8 v = (load8(x + i) - (f8)(minimum)) * (f8)(unit) + (f8)(half);
        i8 whole = __builtin_convertvector(min8(max8(v, (f8)(0.0f)), (f8)(high)), i8);
        store_bytes(whole, q + i);
    }
}

INLINE void plain_centred(const float *x, float middle, uint16_t *d, uint8_t *q) {
    float scale = largest_of(x, 32) / -middle;
    *d = duet_float_to_half(scale);
    truncated(x, 0, scale != 0 ? 1.0f / scale : 0, middle + 0.5f, 2 * middle - 1, q);
}

INLINE void plain_shifted(const float *x, float high, uint16_t *d, uint16_t *m, uint8_t *q) {
    float lowest, highest;
    range_of(x, 32, &lowest, &highest);
    float scale = (highest - lowest) / high;
    *d = duet_float_to_half(scale);
    *m = duet_float_to_half(lowest);
    truncated(x, lowest, scale != 0 ? 1.0f / scale : 0, 0.5f, high, q);
}

#define FOR_BLOCKS(TYPE, LENGTH)                                          \
    (void)weights;                                                        \
    TYPE *block = blocks;                                                 \
    const float *end = x + n;                                             \
    for (; x < end; x += LENGTH, block++, weights = weights ? weights + LENGTH : NULL)

static void plain_q4_0(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q4_0, 32) {
        uint8_t q[32];
        uint16_t d;
        plain_centred(x, 8, &d, q);
        block->d = d;
        pack_nibbles(q, block->qs);
    }
}

static void plain_q4_1(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q4_1, 32) {
        uint8_t q[32];
        uint16_t d, m;
        plain_shifted(x, 15, &d, &m, q);
        block->d = d, block->m = m;
        pack_nibbles(q, block->qs);
    }
}

static void plain_q5_0(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q5_0, 32) {
        uint8_t q[32];
        uint16_t d;
        plain_centred(x, 16, &d, q);
        block->d = d;
        pack_nibbles(q, block->qs);
        pack_fifth_bits(q, block->qh);
    }
}

static void plain_q5_1(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q5_1, 32) {
        uint8_t q[32];
        uint16_t d, m;
        plain_shifted(x, 31, &d, &m, q);
        block->d = d, block->m = m;
        pack_nibbles(q, block->qs);
        pack_fifth_bits(q, block->qh);
    }
}

static void plain_q8_0(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q8_0, 32) {
        float scale = fabsf(largest_of(x, 32)) / 127.0f, unit = scale != 0 ? 1.0f / scale : 0;
        block->d = duet_float_to_half(scale);
        for (int i = 0; i < 32; i += 8) {
            // Halves go away from zero.
            f8 v = load8(x + i) * (f8)(unit), size = min8(abs8(v), (f8)(127.0f));
            f8 whole = __builtin_convertvector(__builtin_convertvector(size, i8), f8);
            whole += size - whole >= (f8)(0.5f) ? (f8)(1.0f) : (f8)(0.0f);
            store_bytes(__builtin_convertvector(v < (f8)(0.0f) ? -whole : whole, i8), (uint8_t *)block->qs + i);
        }
    }
}

// The exponent of MXFP4's scale: floor(log2(largest)) + 125, the logarithm rounded to single
// precision as the gguf package has it: values just below a power of two count as that power.
INLINE int mxfp4_exponent(float largest) {
    if (!(largest > 0)) return 0;
    uint32_t bits;
    memcpy(&bits, &largest, sizeof bits);
    int exponent = (int)(bits >> 23) - 127;
    if (exponent == -127 || (bits & 0x7fff00) == 0x7fff00) {
        exponent = (int)floorf((float)log2((double)largest));
    }
    int result = exponent + 125;
    return result < 0 ? result & 255 : result;
}

INLINE void pack_mxfp4(const float *x, int exponent, duet_block_mxfp4 *block) {
    float d = duet_mxfp4_scale((uint8_t)exponent);
    const float middles[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5.0f, 7.0f, 10.0f};
    uint8_t q[32];
    for (int i = 0; i < 32; i++) {
        int level = 0;
        for (int k = 0; k < 7; k++) level += fabsf(x[i]) > middles[k] * d;
        q[i] = (uint8_t)(level == 0 || x[i] > 0 ? level : level + 8);
    }
    block->e = (uint8_t)exponent;
    pack_nibbles(q, block->qs);
}

static void plain_mxfp4(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_mxfp4, 32) { pack_mxfp4(x, mxfp4_exponent(fabsf(largest_of(x, 32))), block); }
}

// MARK: Blocks of 32, searched

INLINE const float *weights_or_ones(const float *weights) { return weights ? weights : ones; }

// The scale as half precision holds it. Written out for both, so that without weights there are no products with them.
INLINE float search_half(const float *x, const float *weights, levels l, float spread, int rounds) {
    return half_rounded(weights ? search_scale(x, weights, 32, l, spread, rounds)
                                : search_scale(x, NULL, 32, l, spread, rounds));
}

INLINE affine search_half_affine(const float *x, const float *w, levels l, float spread) {
    affine found = search_affine(x, w, 32, l, spread, true, true);
    float minimum = half_rounded(found.minimum), shifted[32];
    for (int i = 0; i < 32; i++) shifted[i] = x[i] - minimum;
    return (affine){half_scale(shifted, w, 32, found.scale, l), minimum, 0};
}

// Of Q4_0 and Q5_0: looking closer would find 0.1 % less error in more than twice the time.
static void search_q4_0(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q4_0, 32) {
        levels l = {-8, 7, false};
        float scale = search_half(x, weights, l, 0.15f, 0);
        uint8_t q[32];
        levels_of(x, 32, scale, 0, l, 8, q);
        block->d = half_bits(scale);
        pack_nibbles(q, block->qs);
    }
}

static void search_q5_0(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q5_0, 32) {
        levels l = {-16, 15, false};
        float scale = search_half(x, weights, l, 0.08f, 0);
        uint8_t q[32];
        levels_of(x, 32, scale, 0, l, 16, q);
        block->d = half_bits(scale);
        pack_nibbles(q, block->qs);
        pack_fifth_bits(q, block->qh);
    }
}

static void search_q8_0(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q8_0, 32) {
        levels l = {-127, 127, false};
        const float *w = weights_or_ones(weights);
        float scale = half_scale(x, w, 32, fabsf(largest_of(x, 32)) / 127.0f, l);
        uint8_t q[32];
        levels_of(x, 32, scale, 0, l, 0, q);
        block->d = half_bits(scale);
        memcpy(block->qs, q, 32);
    }
}

static void search_q4_1(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q4_1, 32) {
        levels l = {0, 15, false};
        affine found = search_half_affine(x, weights_or_ones(weights), l, 0.12f);
        uint8_t q[32];
        levels_of(x, 32, found.scale, found.minimum, l, 0, q);
        block->d = half_bits(found.scale), block->m = half_bits(found.minimum);
        pack_nibbles(q, block->qs);
    }
}

static void search_q5_1(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q5_1, 32) {
        levels l = {0, 31, false};
        affine found = weights ? search_affine(x, weights, 32, l, 0.06f, true, false)
                               : search_affine(x, NULL, 32, l, 0.06f, true, false);
        float scale = half_rounded(found.scale), minimum = half_rounded(found.minimum);
        uint8_t q[32];
        levels_of(x, 32, scale, minimum, l, 0, q);
        block->d = half_bits(scale), block->m = half_bits(minimum);
        pack_nibbles(q, block->qs);
        pack_fifth_bits(q, block->qh);
    }
}

// The places in duet_iq4_values of the levels of n values.
INLINE void table_places(const float *x, int n, float scale, uint8_t *q) {
    f8 unit = (f8)(inverse(scale));
    for (int i = 0; i < n; i += 8) {
        f8 v = load8(x + i) * unit, place = 0;
        for (int k = 1; k < 16; k++) {
            float middle = 0.5f * (float)(duet_iq4_values[k - 1] + duet_iq4_values[k]);
            place += v > (f8)(middle) ? (f8)(1.0f) : (f8)(0.0f);
        }
        store_bytes(__builtin_convertvector(place, i8), q + i);
    }
}

static void search_iq4_nl(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_iq4_nl, 32) {
        levels l = {-127, 113, true};
        float scale = search_half(x, weights, l, 0.12f, 2);
        uint8_t q[32];
        table_places(x, 32, scale, q);
        block->d = half_bits(scale);
        pack_nibbles(q, block->qs);
    }
}

static void search_mxfp4(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_mxfp4, 32) {
        const float *w = weights_or_ones(weights);
        int middle = mxfp4_exponent(fabsf(largest_of(x, 32)));
        float least = INFINITY;
        pack_mxfp4(x, middle, block);
        for (int exponent = middle - 1; exponent <= middle + 1; exponent++) {
            duet_block_mxfp4 candidate;
            float values[32], error = 0;
            if (exponent < 0 || exponent > 254) continue;
            pack_mxfp4(x, exponent, &candidate);
            duet_dequantize_mxfp4(&candidate, values, 32);
            for (int i = 0; i < 32; i++) error += w[i] * ((x[i] - values[i]) * (x[i] - values[i]));
            if (error < least) {
                least = error;
                *block = candidate;
            }
        }
    }
}
