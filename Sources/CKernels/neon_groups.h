// How each quantized format unpacks on NEON, in groups of eight neighbouring runs of a row. Included once, inside of
// the target attribute.
//
// value = scale * factor * q + minimum, where scale is of a run, factor (where a format's scales are of 16 values) of
// half a run, minimum likewise. q fits a signed byte in every format.

#define GROUP 8

#define UNPACK static inline __attribute__((always_inline))
#define AS(NAME, BLOCK) ((const duet_block_##NAME *)(BLOCK))

// 32 values: the first 16, the last 16.
typedef struct {
    int8x16_t half[2];
} run_values;

// Of runs 0 to 3, and of runs 4 to 7.
typedef struct {
    float32x4_t four[2];
} eight_floats;

typedef struct {
    eight_floats scale;       // of each run; 0 beyond the last
    eight_floats minimum[2];  // of each run, or of the first and the second halves of all runs
    int32x4_t factors[2][2];  // of the first halves, and of the second
} group;

// MARK: Pieces

UNPACK eight_floats eight_times(eight_floats x, float factor) {
    return (eight_floats){{vmulq_n_f32(x.four[0], factor), vmulq_n_f32(x.four[1], factor)}};
}
UNPACK eight_floats eight_of(float x) { return (eight_floats){{vdupq_n_f32(x), vdupq_n_f32(x)}}; }
UNPACK eight_floats floats_of_halves(uint16x8_t halves) {
    float16x8_t h = vreinterpretq_f16_u16(halves);
    return (eight_floats){{vcvt_f32_f16(vget_low_f16(h)), vcvt_f32_f16(vget_high_f16(h))}};
}
UNPACK eight_floats floats_of_words(int16x8_t words) {
    return (eight_floats){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(words)))}};
}
UNPACK eight_floats floats_of_bytes(uint8x8_t bytes) {
    return floats_of_words(vreinterpretq_s16_u16(vmovl_u8(bytes)));
}

// 16 bytes as 32: the low nibbles, then the high ones.
UNPACK run_values nibbles(const uint8_t *at) {
    uint8x16_t both = vld1q_u8(at);
    return (run_values){{vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))), vreinterpretq_s8_u8(vshrq_n_u8(both, 4))}};
}

// 32 bits as 32 bytes that are `value` where the bit is set, added to values that are less.
UNPACK run_values with_bits(run_values low, const uint8_t *at, uint8_t value) {
    const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    for (int half = 0; half < 2; half++) {
        uint8x16_t bytes = vcombine_u8(vdup_n_u8(at[2 * half]), vdup_n_u8(at[2 * half + 1]));
        uint8x16_t high = vandq_u8(vtstq_u8(bytes, bit), vdupq_n_u8(value));
        low.half[half] = vorrq_s8(low.half[half], vreinterpretq_s8_u8(high));
    }
    return low;
}

// Bits `from` and up of 32 bytes, under a mask, moved up by `to`.
UNPACK run_values bits_of(const uint8_t *at, size_t from, uint8_t mask, int to) {
    run_values out;
    for (int half = 0; half < 2; half++) {
        uint8x16_t bytes = vshlq_u8(vld1q_u8(at + 16 * half), vdupq_n_s8((int8_t)-(int)from));
        bytes = vshlq_u8(vandq_u8(bytes, vdupq_n_u8(mask)), vdupq_n_s8((int8_t)to));
        out.half[half] = vreinterpretq_s8_u8(bytes);
    }
    return out;
}
UNPACK run_values joined(run_values a, run_values b) {
    return (run_values){{vorrq_s8(a.half[0], b.half[0]), vorrq_s8(a.half[1], b.half[1])}};
}

UNPACK run_values look_up(run_values index, const int8_t table[16]) {
    int8x16_t values = vld1q_s8(table);
    for (int half = 0; half < 2; half++) index.half[half] = vqtbl1q_s8(values, vreinterpretq_u8_s8(index.half[half]));
    return index;
}

// MARK: Values

UNPACK run_values quants_Q4_0(const uint8_t *b, size_t run) { return (void)run, nibbles(AS(q4_0, b)->qs); }
UNPACK run_values quants_Q4_1(const uint8_t *b, size_t run) { return (void)run, nibbles(AS(q4_1, b)->qs); }
UNPACK run_values quants_Q5_0(const uint8_t *b, size_t run) {
    return (void)run, with_bits(nibbles(AS(q5_0, b)->qs), AS(q5_0, b)->qh, 16);
}
UNPACK run_values quants_Q5_1(const uint8_t *b, size_t run) {
    return (void)run, with_bits(nibbles(AS(q5_1, b)->qs), AS(q5_1, b)->qh, 16);
}
UNPACK run_values quants_Q8_0(const uint8_t *b, size_t run) {
    const int8_t *q = AS(q8_0, b)->qs;
    return (void)run, (run_values){{vld1q_s8(q), vld1q_s8(q + 16)}};
}
UNPACK run_values quants_IQ4_NL(const uint8_t *b, size_t run) {
    return (void)run, look_up(nibbles(AS(iq4_nl, b)->qs), duet_iq4_values);
}
UNPACK run_values quants_MXFP4(const uint8_t *b, size_t run) {
    return (void)run, look_up(nibbles(AS(mxfp4, b)->qs), duet_mxfp4_values);
}
UNPACK run_values quants_Q2_K(const uint8_t *b, size_t run) {
    return bits_of(AS(q2_k, b)->qs + run / 4 * 32, run % 4 * 2, 3, 0);
}
UNPACK run_values quants_Q3_K(const uint8_t *b, size_t run) {
    return joined(bits_of(AS(q3_k, b)->qs + run / 4 * 32, run % 4 * 2, 3, 0), bits_of(AS(q3_k, b)->hmask, run, 1, 2));
}
UNPACK run_values quants_Q4_K(const uint8_t *b, size_t run) {
    return bits_of(AS(q4_k, b)->qs + run / 2 * 32, run % 2 * 4, 15, 0);
}
UNPACK run_values quants_Q5_K(const uint8_t *b, size_t run) {
    return joined(bits_of(AS(q5_k, b)->qs + run / 2 * 32, run % 2 * 4, 15, 0), bits_of(AS(q5_k, b)->qh, run, 1, 4));
}
UNPACK run_values quants_Q6_K(const uint8_t *b, size_t run) {
    return joined(bits_of(AS(q6_k, b)->ql + run / 4 * 64 + run % 2 * 32, run % 4 / 2 * 4, 15, 0),
                  bits_of(AS(q6_k, b)->qh + run / 4 * 32, run % 4 * 2, 3, 4));
}
UNPACK run_values quants_IQ4_XS(const uint8_t *b, size_t run) {
    return look_up(nibbles(AS(iq4_xs, b)->qs + 16 * run), duet_iq4_values);
}

// MARK: Scales of blocks of 32

// The half-precision numbers that lie `offset` bytes into blocks of `bytes` bytes.
UNPACK eight_floats leading_halves(const uint8_t *at, size_t bytes, size_t runs, size_t offset) {
    uint16_t words[GROUP];
    for (size_t i = 0; i < GROUP; i++) words[i] = i < runs ? duet_word_at(at + i * bytes + offset) : 0;
    return floats_of_halves(vld1q_u16(words));
}

// Scales alone, with a minimum that is a multiple of them.
UNPACK group scale_and_middle(const uint8_t *at, size_t bytes, size_t runs, float middle) {
    eight_floats scale = leading_halves(at, bytes, runs, 0);
    return (group){.scale = scale, .minimum = {eight_times(scale, -middle)}};
}

// Scales and minima, which lie side by side.
UNPACK group scale_and_minimum(const uint8_t *at, size_t bytes, size_t runs) {
    return (group){.scale = leading_halves(at, bytes, runs, 0), .minimum = {leading_halves(at, bytes, runs, 2)}};
}

UNPACK group scales_Q4_0(const uint8_t *at, size_t runs) { return scale_and_middle(at, sizeof(duet_block_q4_0), runs, 8); }
UNPACK group scales_Q4_1(const uint8_t *at, size_t runs) { return scale_and_minimum(at, sizeof(duet_block_q4_1), runs); }
UNPACK group scales_Q5_0(const uint8_t *at, size_t runs) { return scale_and_middle(at, sizeof(duet_block_q5_0), runs, 16); }
UNPACK group scales_Q5_1(const uint8_t *at, size_t runs) { return scale_and_minimum(at, sizeof(duet_block_q5_1), runs); }
UNPACK group scales_Q8_0(const uint8_t *at, size_t runs) {
    return (group){.scale = leading_halves(at, sizeof(duet_block_q8_0), runs, 0)};
}
UNPACK group scales_IQ4_NL(const uint8_t *at, size_t runs) {
    return (group){.scale = leading_halves(at, sizeof(duet_block_iq4_nl), runs, 0)};
}
UNPACK group scales_MXFP4(const uint8_t *at, size_t runs) {
    float scales[GROUP];
    for (size_t i = 0; i < GROUP; i++)
        scales[i] = i < runs ? duet_mxfp4_scale(at[i * sizeof(duet_block_mxfp4)]) : 0;
    return (group){.scale = {{vld1q_f32(scales), vld1q_f32(scales + 4)}}};
}

// MARK: Scales of blocks of 256

// Q4_K and Q5_K, whose scales lie at the same place: see duet_scale_k, duet_minimum_k.
UNPACK group scales_with_minima(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q4_k *block = AS(q4_k, at);
    uint32_t a = duet_double_word_at(block->scales), b = duet_double_word_at(block->scales + 4);
    uint32_t c = duet_double_word_at(block->scales + 8);
    uint32x2_t scales = {a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030)};
    uint32x2_t minima = {b & 0x3f3f3f3f, (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030)};
    return (group){.scale = eight_times(floats_of_bytes(vreinterpret_u8_u32(scales)), duet_half_to_float(block->d)),
                   .minimum = {eight_times(floats_of_bytes(vreinterpret_u8_u32(minima)), -duet_half_to_float(block->dmin))}};
}

// Signed scales of 16 values, for unsigned q whose zero is at `middle`.
UNPACK group signed_halves(int8x16_t scales, float d, float middle) {
    group g = {.scale = eight_of(d)};
    for (int half = 0; half < 2; half++) {
        int8x16_t own = half ? vuzp2q_s8(scales, scales) : vuzp1q_s8(scales, scales);
        int16x8_t wide = vmovl_s8(vget_low_s8(own));
        g.minimum[half] = eight_times(floats_of_words(wide), -middle * d);
        g.factors[half][0] = vmovl_s16(vget_low_s16(wide));
        g.factors[half][1] = vmovl_s16(vget_high_s16(wide));
    }
    return g;
}

UNPACK group scales_Q6_K(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q6_k *block = AS(q6_k, at);
    return signed_halves(vld1q_s8(block->scales), duet_half_to_float(block->d), 32);
}

// See duet_scale_q3_k.
UNPACK group scales_Q3_K(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q3_k *block = AS(q3_k, at);
    uint32_t a = duet_double_word_at(block->scales), b = duet_double_word_at(block->scales + 4);
    uint32_t c = duet_double_word_at(block->scales + 8);
    uint32x4_t scales = {(a & 0x0f0f0f0f) | (c << 4 & 0x30303030), (b & 0x0f0f0f0f) | (c << 2 & 0x30303030),
                         (a >> 4 & 0x0f0f0f0f) | (c & 0x30303030), (b >> 4 & 0x0f0f0f0f) | (c >> 2 & 0x30303030)};
    return signed_halves(vsubq_s8(vreinterpretq_s8_u32(scales), vdupq_n_s8(32)), duet_half_to_float(block->d), 4);
}

UNPACK group scales_Q2_K(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_q2_k *block = AS(q2_k, at);
    uint8x16_t both = vld1q_u8(block->scales);
    group g = signed_halves(vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))), duet_half_to_float(block->d), 0);
    uint8x16_t minima = vshrq_n_u8(both, 4);
    for (int half = 0; half < 2; half++) {
        uint8x16_t own = half ? vuzp2q_u8(minima, minima) : vuzp1q_u8(minima, minima);
        g.minimum[half] = eight_times(floats_of_bytes(vget_low_u8(own)), -duet_half_to_float(block->dmin));
    }
    return g;
}

// See duet_scale_iq4_xs.
UNPACK group scales_IQ4_XS(const uint8_t *at, size_t runs) {
    (void)runs;
    const duet_block_iq4_xs *block = AS(iq4_xs, at);
    const int16x8_t shifts = {0, -2, -4, -6, -8, -10, -12, -14};
    uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(duet_double_word_at(block->scales_l)));
    uint8x8_t low = vzip1_u8(vand_u8(bytes, vdup_n_u8(15)), vshr_n_u8(bytes, 4));
    uint16x8_t high = vandq_u16(vshlq_u16(vdupq_n_u16(block->scales_h), shifts), vdupq_n_u16(3));
    uint16x8_t all = vorrq_u16(vmovl_u8(low), vshlq_n_u16(high, 4));
    int16x8_t scale = vsubq_s16(vreinterpretq_s16_u16(all), vdupq_n_s16(32));
    return (group){.scale = eight_times(floats_of_words(scale), duet_half_to_float(block->d))};
}

#include "group_formats.h"
