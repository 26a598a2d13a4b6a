// The encoders of blocks of 256, on top of the searches and the packing of smaller ones.

#include "quantize_blocks.h"

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
