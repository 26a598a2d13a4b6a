// Every quantized format in one form: 32 int8 values with a scale and a minimum per 16. The one
// place that knows how each format lays out its bits; the dequantizers build on it.

#include "formats.h"

#pragma STDC FP_CONTRACT OFF

const int8_t duet_iq4_values[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

const int8_t duet_mxfp4_values[16] = {
    0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
};

// Sets one scale and minimum for all 32 values.
static void set_scale(duet_run *out, float scale, float minimum) {
    for (int half = 0; half < 2; half++) {
        out->scale[half] = scale;
        out->minimum[half] = minimum;
    }
}

// Sets the scale and minimum of run r of Q4_K and Q5_K.
static void set_scale_k(duet_run *out, uint16_t d, uint16_t dmin, const uint8_t scales[12], size_t r) {
    float scale = duet_half_to_float(d) * (float)duet_scale_k(scales, r);
    float minimum = duet_half_to_float(dmin) * (float)duet_minimum_k(scales, r);
    set_scale(out, scale, -minimum);
}

// 16 bytes to 32 values of 4 bits, the low halves first.
static void unpack_nibbles(const uint8_t qs[16], int8_t q[32]) {
    for (int i = 0; i < 16; i++) {
        q[i] = (int8_t)(qs[i] & 15);
        q[i + 16] = (int8_t)(qs[i] >> 4);
    }
}

// As unpack_nibbles, but nibbles are indices into a table of values.
static void look_up_nibbles(const uint8_t qs[16], const int8_t values[16], int8_t q[32]) {
    for (int i = 0; i < 16; i++) {
        q[i] = values[qs[i] & 15];
        q[i + 16] = values[qs[i] >> 4];
    }
}

// Sets the fifth bit of value i to bit i of qh, eight at a time: byte k of a word keeps bit k, which a sum carries
// to its byte's top. Machines are little-endian, as the files are.
static void add_fifth_bits(const uint8_t qh[4], int8_t q[32]) {
    for (int part = 0; part < 4; part++) {
        uint64_t spread = (uint64_t)qh[part] * 0x0101010101010101u & 0x8040201008040201u, values;
        memcpy(&values, q + 8 * part, sizeof values);
        values |= ((spread + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> 3;
        memcpy(q + 8 * part, &values, sizeof values);
    }
}

void duet_unpack_q4_0(const void *row, size_t run, duet_run *out) {
    const duet_block_q4_0 *block = (const duet_block_q4_0 *)row + run;
    unpack_nibbles(block->qs, out->q);
    float d = duet_half_to_float(block->d);
    set_scale(out, d, -8 * d);
}

void duet_unpack_q4_1(const void *row, size_t run, duet_run *out) {
    const duet_block_q4_1 *block = (const duet_block_q4_1 *)row + run;
    unpack_nibbles(block->qs, out->q);
    set_scale(out, duet_half_to_float(block->d), duet_half_to_float(block->m));
}

void duet_unpack_q5_0(const void *row, size_t run, duet_run *out) {
    const duet_block_q5_0 *block = (const duet_block_q5_0 *)row + run;
    unpack_nibbles(block->qs, out->q);
    add_fifth_bits(block->qh, out->q);
    float d = duet_half_to_float(block->d);
    set_scale(out, d, -16 * d);
}

void duet_unpack_q5_1(const void *row, size_t run, duet_run *out) {
    const duet_block_q5_1 *block = (const duet_block_q5_1 *)row + run;
    unpack_nibbles(block->qs, out->q);
    add_fifth_bits(block->qh, out->q);
    set_scale(out, duet_half_to_float(block->d), duet_half_to_float(block->m));
}

void duet_unpack_q8_0(const void *row, size_t run, duet_run *out) {
    const duet_block_q8_0 *block = (const duet_block_q8_0 *)row + run;
    memcpy(out->q, block->qs, 32);
    set_scale(out, duet_half_to_float(block->d), 0);
}

void duet_unpack_iq4_nl(const void *row, size_t run, duet_run *out) {
    const duet_block_iq4_nl *block = (const duet_block_iq4_nl *)row + run;
    look_up_nibbles(block->qs, duet_iq4_values, out->q);
    set_scale(out, duet_half_to_float(block->d), 0);
}

void duet_unpack_mxfp4(const void *row, size_t run, duet_run *out) {
    const duet_block_mxfp4 *block = (const duet_block_mxfp4 *)row + run;
    look_up_nibbles(block->qs, duet_mxfp4_values, out->q);
    set_scale(out, duet_mxfp4_scale(block->e), 0);
}

void duet_unpack_q2_k(const void *row, size_t run, duet_run *out) {
    const duet_block_q2_k *block = (const duet_block_q2_k *)row + run / 8;
    size_t r = run % 8;
    const uint8_t *qs = block->qs + 32 * (r / 4);
    for (int i = 0; i < 32; i++) out->q[i] = (int8_t)(qs[i] >> 2 * (r % 4) & 3);
    float d = duet_half_to_float(block->d), dmin = duet_half_to_float(block->dmin);
    for (int half = 0; half < 2; half++) {
        uint8_t scales = block->scales[2 * r + (size_t)half];
        out->scale[half] = d * (float)(scales & 15);
        out->minimum[half] = -(dmin * (float)(scales >> 4));
    }
}

void duet_unpack_q3_k(const void *row, size_t run, duet_run *out) {
    const duet_block_q3_k *block = (const duet_block_q3_k *)row + run / 8;
    size_t r = run % 8;
    const uint8_t *qs = block->qs + 32 * (r / 4);
    for (int i = 0; i < 32; i++) {
        int low = qs[i] >> 2 * (r % 4) & 3;
        int high = block->hmask[i] >> r & 1;
        out->q[i] = (int8_t)(low | high << 2);
    }
    float d = duet_half_to_float(block->d);
    for (int half = 0; half < 2; half++) {
        float scale = d * (float)duet_scale_q3_k(block->scales, 2 * r + (size_t)half);
        out->scale[half] = scale;
        out->minimum[half] = -4 * scale;
    }
}

void duet_unpack_q4_k(const void *row, size_t run, duet_run *out) {
    const duet_block_q4_k *block = (const duet_block_q4_k *)row + run / 8;
    size_t r = run % 8;
    const uint8_t *qs = block->qs + 32 * (r / 2);
    for (int i = 0; i < 32; i++) out->q[i] = (int8_t)(qs[i] >> 4 * (r % 2) & 15);
    set_scale_k(out, block->d, block->dmin, block->scales, r);
}

void duet_unpack_q5_k(const void *row, size_t run, duet_run *out) {
    const duet_block_q5_k *block = (const duet_block_q5_k *)row + run / 8;
    size_t r = run % 8;
    const uint8_t *qs = block->qs + 32 * (r / 2);
    for (int i = 0; i < 32; i++) {
        int low = qs[i] >> 4 * (r % 2) & 15;
        int high = block->qh[i] >> r & 1;
        out->q[i] = (int8_t)(low | high << 4);
    }
    set_scale_k(out, block->d, block->dmin, block->scales, r);
}

void duet_unpack_q6_k(const void *row, size_t run, duet_run *out) {
    const duet_block_q6_k *block = (const duet_block_q6_k *)row + run / 8;
    size_t r = run % 8;
    const uint8_t *ql = block->ql + 64 * (r / 4) + 32 * (r % 2);
    const uint8_t *qh = block->qh + 32 * (r / 4);
    for (int i = 0; i < 32; i++) {
        int low = ql[i] >> 4 * (r % 4 / 2) & 15;
        int high = qh[i] >> 2 * (r % 4) & 3;
        out->q[i] = (int8_t)(low | high << 4);
    }
    float d = duet_half_to_float(block->d);
    for (int half = 0; half < 2; half++) {
        float scale = d * (float)block->scales[2 * r + (size_t)half];
        out->scale[half] = scale;
        out->minimum[half] = -32 * scale;
    }
}

void duet_unpack_iq4_xs(const void *row, size_t run, duet_run *out) {
    const duet_block_iq4_xs *block = (const duet_block_iq4_xs *)row + run / 8;
    size_t r = run % 8;
    look_up_nibbles(block->qs + 16 * r, duet_iq4_values, out->q);
    set_scale(out, duet_half_to_float(block->d) * (float)duet_scale_iq4_xs(block, r), 0);
}

const duet_unpack duet_unpack_run[DUET_TYPE_COUNT] = {
    [DUET_Q4_0] = duet_unpack_q4_0,     [DUET_Q4_1] = duet_unpack_q4_1,
    [DUET_Q5_0] = duet_unpack_q5_0,     [DUET_Q5_1] = duet_unpack_q5_1,
    [DUET_Q8_0] = duet_unpack_q8_0,     [DUET_Q2_K] = duet_unpack_q2_k,
    [DUET_Q3_K] = duet_unpack_q3_k,     [DUET_Q4_K] = duet_unpack_q4_k,
    [DUET_Q5_K] = duet_unpack_q5_k,     [DUET_Q6_K] = duet_unpack_q6_k,
    [DUET_IQ4_NL] = duet_unpack_iq4_nl, [DUET_IQ4_XS] = duet_unpack_iq4_xs,
    [DUET_MXFP4] = duet_unpack_mxfp4,
};

duet_unpack duet_run_unpacker(int type) {
    return type >= 0 && type < DUET_TYPE_COUNT ? duet_unpack_run[type] : NULL;
}
