// The encoders of every type, on top of the searches. Included once per tier.

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

// MARK: Blocks of 256

// All 256 levels of a super-block, offset by `offset`.
INLINE void all_levels(const float *x, family f, const shared *s, int offset, uint8_t *q) {
    for (int j = 0; j < f.count; j++) {
        levels_of(x + j * f.size, f.size, s->d * s->scales[j], -s->dmin * s->minima[j], f.values, offset,
                  q + j * f.size);
    }
}

// Makes the block as long along the original as the original is, levels staying as they are. Least squares
// shrink every block by its share of error; what all blocks have in common adds up in a model's outputs,
// where the rest of the error averages out. With weights, which say where that matters, it goes part of the
// way, `share`: all of it would cost up to 5 % of the weighted error in 2 bits.
INLINE void unshrink(const float *x, const float *weights, family f, shared *s, int offset, const uint8_t *q,
                     float share) {
    typedef uint8_t b8 __attribute__((ext_vector_type(8)));
    const float *w = weights_or_ones(weights);
    double xx = 0, xy = 0;
    for (int j = 0; j < f.count; j++) {
        f8 scale = (f8)(s->d * s->scales[j]), minimum = (f8)(-s->dmin * s->minima[j]), sxx = 0, sxy = 0;
        for (int i = j * f.size; i < (j + 1) * f.size; i += 8) {
            b8 bytes;
            memcpy(&bytes, q + i, sizeof bytes);
            f8 v = load8(x + i), wv = load8(w + i) * v;
            sxx += wv * v;
            sxy += wv * (scale * (__builtin_convertvector(bytes, f8) - (f8)((float)offset)) + minimum);
        }
        xx += (double)sum8(sxx);
        xy += (double)sum8(sxy);
    }
    if (!(2 * xy > xx)) return;
    float factor = 1.0f + (weights ? share : 1.0f) * ((float)(xx / xy) - 1.0f);
    s->d *= factor, s->dmin *= factor;
}

INLINE void find_affine(const float *x, const float *w, family f, float spread, int starts, shared *best) {
    affine wanted[16];
    for (int j = 0; j < f.count; j++)
        wanted[j] = search_affine(x + j * f.size, w + j * f.size, f.size, f.values, spread, false, true);
    search_shared_affine(x, w, f, wanted, starts, best);
}

INLINE void find_scales(const float *x, const float *w, family f, float spread, int starts, shared *best) {
    float wanted[16];
    for (int j = 0; j < f.count; j++)
        wanted[j] = search_scale(x + j * f.size, w + j * f.size, f.size, f.values, spread, f.rounds);
    search_shared(x, w, f, wanted, starts, best);
}

// Two bits of each value: value i of run r at bits 2(r % 4) of qs[32(r / 4) + i].
INLINE void pack_pairs(const uint8_t *q, uint8_t *qs) {
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *v = q + 128 * half + i;
            qs[32 * half + i] = (uint8_t)((v[0] & 3) | (v[32] & 3) << 2 | (v[64] & 3) << 4 | (v[96] & 3) << 6);
        }
}

// Four bits or fewer leave much of a weight to chance. Large weights count more there than their squared error
// says, for the outputs that they carry depend on them most: each is weighed by its size and `least` of the mean
// size, and by its column's importance where that is known.
INLINE void weigh_by_size(const float *x, const float *weights, float least, float *w) {
    const float *given = weights_or_ones(weights);
    f8 sum = 0;
    for (int i = 0; i < 256; i += 8) sum += abs8(load8(x + i));
    float mean = sum8(sum) / 256;
    bool is_usual = mean > 0 && mean < 1e30f;
    for (int i = 0; i < 256; i++) w[i] = is_usual ? given[i] * (fabsf(x[i]) + least * mean) : given[i];
}

static void search_q2_k(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q2_k, 256) {
        family f = {16, 16, {0, 3, false}, 0, 15, 2};
        shared best;
        uint8_t q[256];
        float sizes[256];
        weigh_by_size(x, weights, 0.5f, sizes);
        find_affine(x, sizes, f, 0.35f, 4, &best);
        all_levels(x, f, &best, 0, q);
        unshrink(x, weights, f, &best, 0, q, 0.8f);
        for (int j = 0; j < 16; j++)
            block->scales[j] = (uint8_t)((int)best.scales[j] | (int)best.minima[j] << 4);
        block->d = half_bits(best.d), block->dmin = half_bits(best.dmin);
        pack_pairs(q, block->qs);
    }
}

static void search_q3_k(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q3_k, 256) {
        family f = {16, 16, {-4, 3, false}, -32, 31, 1};
        shared best;
        uint8_t q[256], bits[12] = {0};
        float sizes[256];
        weigh_by_size(x, weights, 0.5f, sizes);
        find_scales(x, sizes, f, 0.25f, 1, &best);
        all_levels(x, f, &best, 4, q);
        unshrink(x, weights, f, &best, 4, q, 0.6f);
        for (int j = 0; j < 16; j++) {
            int scale = (int)best.scales[j] + 32;
            bits[j % 8] |= (uint8_t)((scale & 15) << 4 * (j / 8));
            bits[8 + j % 4] |= (uint8_t)((scale >> 4) << 2 * (j / 4));
        }
        memcpy(block->scales, bits, 12);
        for (int i = 0; i < 32; i++) {
            int mask = 0;
            for (int r = 0; r < 8; r++) mask |= (q[32 * r + i] >> 2 & 1) << r;
            block->hmask[i] = (uint8_t)mask;
        }
        block->d = half_bits(best.d);
        pack_pairs(q, block->qs);
    }
}

INLINE void pack_scales_k(const shared *s, uint8_t *bits) {
    for (int r = 0; r < 4; r++) {
        int scale = (int)s->scales[r + 4], minimum = (int)s->minima[r + 4];
        bits[r] = (uint8_t)((int)s->scales[r] | (scale >> 4) << 6);
        bits[r + 4] = (uint8_t)((int)s->minima[r] | (minimum >> 4) << 6);
        bits[r + 8] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
    }
}

INLINE void pack_halves_k(const uint8_t *q, uint8_t *qs) {
    for (int pair = 0; pair < 4; pair++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *v = q + 64 * pair + i;
            qs[32 * pair + i] = (uint8_t)((v[0] & 15) | v[32] << 4);
        }
}

static void search_q4_k(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q4_k, 256) {
        family f = {8, 32, {0, 15, false}, 0, 63, 1};
        shared best;
        uint8_t q[256];
        float sizes[256];
        // Without importances the plain error does better in four bits.
        if (weights) weigh_by_size(x, weights, 1.25f, sizes);
        find_affine(x, weights ? sizes : ones, f, 0.12f, 1, &best);
        all_levels(x, f, &best, 0, q);
        unshrink(x, weights, f, &best, 0, q, 0.6f);
        pack_scales_k(&best, block->scales);
        block->d = half_bits(best.d), block->dmin = half_bits(best.dmin);
        pack_halves_k(q, block->qs);
    }
}

static void search_q5_k(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q5_k, 256) {
        family f = {8, 32, {0, 31, false}, 0, 63, 1};
        shared best;
        uint8_t q[256];
        find_affine(x, weights_or_ones(weights), f, 0.06f, 1, &best);
        all_levels(x, f, &best, 0, q);
        unshrink(x, weights, f, &best, 0, q, 0.6f);
        pack_scales_k(&best, block->scales);
        block->d = half_bits(best.d), block->dmin = half_bits(best.dmin);
        pack_halves_k(q, block->qs);
        for (int i = 0; i < 32; i++) {
            int mask = 0;
            for (int r = 0; r < 8; r++) mask |= (q[32 * r + i] >> 4 & 1) << r;
            block->qh[i] = (uint8_t)mask;
        }
    }
}

static void search_q6_k(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_q6_k, 256) {
        family f = {16, 16, {-32, 31, false}, -128, 127, 0};
        shared best;
        uint8_t q[256];
        find_scales(x, weights_or_ones(weights), f, 0.04f, 1, &best);
        all_levels(x, f, &best, 32, q);
        unshrink(x, weights, f, &best, 32, q, 0.6f);
        for (int j = 0; j < 16; j++) block->scales[j] = (int8_t)best.scales[j];
        for (int half = 0; half < 2; half++)
            for (int i = 0; i < 32; i++) {
                const uint8_t *v = q + 128 * half + i;
                block->ql[64 * half + i] = (uint8_t)((v[0] & 15) | v[64] << 4);
                block->ql[64 * half + 32 + i] = (uint8_t)((v[32] & 15) | v[96] << 4);
                block->qh[32 * half + i] =
                    (uint8_t)(v[0] >> 4 | (v[32] >> 4) << 2 | (v[64] >> 4) << 4 | (v[96] >> 4) << 6);
            }
        block->d = half_bits(best.d);
    }
}

static void search_iq4_xs(const float *x, const float *weights, size_t n, void *blocks) {
    FOR_BLOCKS(duet_block_iq4_xs, 256) {
        family f = {8, 32, {-127, 113, true}, -32, 31, 2};
        shared best;
        find_scales(x, weights_or_ones(weights), f, 0.12f, 1, &best);
        uint16_t high = 0;
        memset(block->scales_l, 0, sizeof block->scales_l);
        for (int r = 0; r < 8; r++) {
            int scale = (int)best.scales[r] + 32;
            uint8_t q[32];
            table_places(x + 32 * r, 32, best.d * best.scales[r], q);
            pack_nibbles(q, block->qs + 16 * r);
            block->scales_l[r / 2] |= (uint8_t)((scale & 15) << 4 * (r % 2));
            high |= (uint16_t)((scale >> 4) << 2 * r);
        }
        block->scales_h = high;
        block->d = half_bits(best.d);
    }
}

// MARK: Measures

static void difference(const float *x, const float *y, const float *weights, size_t n, duet_difference *sums) {
    for (size_t start = 0; start < n; start += 256) {
        size_t count = n - start < 256 ? n - start : 256, i = 0;
        const float *w = weights ? weights + start : ones;
        f8 e = 0, xx = 0, we = 0, wxx = 0;
        for (; i + 8 <= count; i += 8) {
            f8 v = load8(x + start + i), rest = v - load8(y + start + i), u = load8(w + i);
            rest *= rest;
            v *= v;
            e += rest;
            xx += v;
            we += u * rest;
            wxx += u * v;
        }
        for (; i < count; i++) {
            float v = x[start + i], rest = v - y[start + i];
            e[0] += rest * rest;
            xx[0] += v * v;
            we[0] += w[i] * (rest * rest);
            wxx[0] += w[i] * (v * v);
        }
        sums->error += sum8(e);
        sums->energy += sum8(xx);
        sums->weighted_error += sum8(we);
        sums->weighted_energy += sum8(wxx);
    }
}

static bool is_finite(const float *x, size_t n) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most < 0x7f800000;
}

static void add_squares(const float *x, size_t n, float *sums) {
    for (size_t i = 0; i < n; i++) sums[i] += x[i] * x[i];
}

static void fill(duet_encoders *e, const char *name) {
    e->name = name;
    e->plain[DUET_F32] = encode_f32, e->search[DUET_F32] = encode_f32;
    e->plain[DUET_F16] = encode_f16, e->search[DUET_F16] = encode_f16;
    e->plain[DUET_BF16] = encode_bf16, e->search[DUET_BF16] = encode_bf16;
    e->plain[DUET_Q4_0] = plain_q4_0, e->search[DUET_Q4_0] = search_q4_0;
    e->plain[DUET_Q4_1] = plain_q4_1, e->search[DUET_Q4_1] = search_q4_1;
    e->plain[DUET_Q5_0] = plain_q5_0, e->search[DUET_Q5_0] = search_q5_0;
    e->plain[DUET_Q5_1] = plain_q5_1, e->search[DUET_Q5_1] = search_q5_1;
    e->plain[DUET_Q8_0] = plain_q8_0, e->search[DUET_Q8_0] = search_q8_0;
    e->plain[DUET_MXFP4] = plain_mxfp4, e->search[DUET_MXFP4] = search_mxfp4;
    e->search[DUET_Q2_K] = search_q2_k;
    e->search[DUET_Q3_K] = search_q3_k;
    e->search[DUET_Q4_K] = search_q4_k;
    e->search[DUET_Q5_K] = search_q5_k;
    e->search[DUET_Q6_K] = search_q6_k;
    e->search[DUET_IQ4_NL] = search_iq4_nl;
    e->search[DUET_IQ4_XS] = search_iq4_xs;
    e->difference = difference;
    e->is_finite = is_finite;
    e->add_squares = add_squares;
}
