// Blocks to floats, bit for bit as the gguf package computes them: each product and sum is rounded
// to single precision in the format's own order.

#include "formats.h"

#pragma STDC FP_CONTRACT OFF

void duet_dequantize_f32(const void *blocks, float *out, size_t n) {
    memcpy(out, blocks, n * sizeof *out);
}

// The 16-bit number at `index` of a row that may be unaligned.
static uint16_t load16(const void *row, size_t index) {
    uint16_t bits;
    memcpy(&bits, (const uint8_t *)row + 2 * index, sizeof bits);
    return bits;
}

// As duet_half_to_float, without branches: a half's bits read as a float's are the value times 2^-112, of subnormal
// ones too.
void duet_dequantize_f16(const void *blocks, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t half = load16(blocks, i), magnitude = half & 0x7fff, bits = magnitude << 13;
        float value;
        memcpy(&value, &bits, sizeof value);
        value *= 0x1p112f;
        memcpy(&bits, &value, sizeof bits);
        bits = magnitude >= 0x7c00 ? 0x7f800000 | (magnitude & 0x03ff) << 13 : bits;
        bits |= (half & 0x8000) << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
}

void duet_dequantize_bf16(const void *blocks, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = duet_bfloat_to_float(load16(blocks, i));
}

// out = scale * (q - zero). Not scale * q + minimum: rounding would differ, and so would the sign
// of zeros.
static void dequantize_centred(duet_unpack unpack, int zero, const void *row, float *out, size_t n) {
    for (size_t run = 0; run < n / 32; run++) {
        duet_run values;
        unpack(row, run, &values);
        for (size_t i = 0; i < 32; i++) {
            out[32 * run + i] = values.scale[i / 16] * (float)(values.q[i] - zero);
        }
    }
}

// out = scale * q + minimum
static void dequantize_shifted(duet_unpack unpack, const void *row, float *out, size_t n) {
    for (size_t run = 0; run < n / 32; run++) {
        duet_run values;
        unpack(row, run, &values);
        for (size_t i = 0; i < 32; i++) {
            out[32 * run + i] = values.scale[i / 16] * (float)values.q[i] + values.minimum[i / 16];
        }
    }
}

void duet_dequantize_q4_0(const void *blocks, float *out, size_t n) {
    dequantize_centred(duet_unpack_q4_0, 8, blocks, out, n);
}

void duet_dequantize_q4_1(const void *blocks, float *out, size_t n) {
    dequantize_shifted(duet_unpack_q4_1, blocks, out, n);
}

void duet_dequantize_q5_0(const void *blocks, float *out, size_t n) {
    dequantize_centred(duet_unpack_q5_0, 16, blocks, out, n);
}

void duet_dequantize_q5_1(const void *blocks, float *out, size_t n) {
    dequantize_shifted(duet_unpack_q5_1, blocks, out, n);
}

void duet_dequantize_q8_0(const void *blocks, float *out, size_t n) {
    dequantize_centred(duet_unpack_q8_0, 0, blocks, out, n);
}

void duet_dequantize_q2_k(const void *blocks, float *out, size_t n) {
    dequantize_shifted(duet_unpack_q2_k, blocks, out, n);
}

void duet_dequantize_q3_k(const void *blocks, float *out, size_t n) {
    dequantize_centred(duet_unpack_q3_k, 4, blocks, out, n);
}

void duet_dequantize_q4_k(const void *blocks, float *out, size_t n) {
    dequantize_shifted(duet_unpack_q4_k, blocks, out, n);
}

void duet_dequantize_q5_k(const void *blocks, float *out, size_t n) {
    dequantize_shifted(duet_unpack_q5_k, blocks, out, n);
}

void duet_dequantize_q6_k(const void *blocks, float *out, size_t n) {
    dequantize_centred(duet_unpack_q6_k, 32, blocks, out, n);
}

void duet_dequantize_iq4_nl(const void *blocks, float *out, size_t n) {
    dequantize_centred(duet_unpack_iq4_nl, 0, blocks, out, n);
}

void duet_dequantize_iq4_xs(const void *blocks, float *out, size_t n) {
    dequantize_centred(duet_unpack_iq4_xs, 0, blocks, out, n);
}

void duet_dequantize_mxfp4(const void *blocks, float *out, size_t n) {
    dequantize_centred(duet_unpack_mxfp4, 0, blocks, out, n);
}

const duet_dequantize duet_generic_dequantize[DUET_TYPE_COUNT] = {
    [DUET_F32] = duet_dequantize_f32,       [DUET_F16] = duet_dequantize_f16,
    [DUET_BF16] = duet_dequantize_bf16,     [DUET_Q4_0] = duet_dequantize_q4_0,
    [DUET_Q4_1] = duet_dequantize_q4_1,     [DUET_Q5_0] = duet_dequantize_q5_0,
    [DUET_Q5_1] = duet_dequantize_q5_1,     [DUET_Q8_0] = duet_dequantize_q8_0,
    [DUET_Q2_K] = duet_dequantize_q2_k,     [DUET_Q3_K] = duet_dequantize_q3_k,
    [DUET_Q4_K] = duet_dequantize_q4_k,     [DUET_Q5_K] = duet_dequantize_q5_k,
    [DUET_Q6_K] = duet_dequantize_q6_k,     [DUET_IQ4_NL] = duet_dequantize_iq4_nl,
    [DUET_IQ4_XS] = duet_dequantize_iq4_xs, [DUET_MXFP4] = duet_dequantize_mxfp4,
};

duet_dequantize duet_generic_dequantizer(int type) {
    return type >= 0 && type < DUET_TYPE_COUNT ? duet_generic_dequantize[type] : NULL;
}
