// Block formats of weights, as they lie in a GGUF file (github.com/ggml-org/ggml, docs/gguf.md and
// src/ggml-common.h; MXFP4: OCP Microscaling Formats v1.0). All numbers are little-endian. Blocks
// are packed: the bytes of a mapped file have no alignment to rely on.

#ifndef DUET_FORMATS_H
#define DUET_FORMATS_H

#include <string.h>

#include "CKernels.h"

#define DUET_PACKED __attribute__((packed))

// Blocks of 32 values. `d` (and `m`) are half-precision bits. Nibbles: value i < 16 is the low half
// of qs[i], value i >= 16 the high half of qs[i - 16].

// value = d * (q - 8)
typedef struct DUET_PACKED {
    uint16_t d;
    uint8_t qs[16];
} duet_block_q4_0;

// value = d * q + m
typedef struct DUET_PACKED {
    uint16_t d, m;
    uint8_t qs[16];
} duet_block_q4_1;

// value = d * (q - 16); bit i of the 32 in qh is the fifth bit of value i.
typedef struct DUET_PACKED {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[16];
} duet_block_q5_0;

// value = d * q + m
typedef struct DUET_PACKED {
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[16];
} duet_block_q5_1;

// value = d * q
typedef struct DUET_PACKED {
    uint16_t d;
    int8_t qs[32];
} duet_block_q8_0;

// value = d * duet_iq4_values[q]
typedef struct DUET_PACKED {
    uint16_t d;
    uint8_t qs[16];
} duet_block_iq4_nl;

// value = 2^(e - 128) * duet_mxfp4_values[q]
typedef struct DUET_PACKED {
    uint8_t e;
    uint8_t qs[16];
} duet_block_mxfp4;

// Blocks of 256 values in 8 runs of 32, run r holding values 32r to 32r + 31. Where scales are per
// 16 values, scale j belongs to values 16j to 16j + 15.

// value = d * (scales[j] & 15) * q - dmin * (scales[j] >> 4)
typedef struct DUET_PACKED {
    uint8_t scales[16];
    uint8_t qs[64];  // value i of run r: bits 2(r % 4), +1 of qs[32(r / 4) + i]
    uint16_t d, dmin;
} duet_block_q2_k;

// value = d * (scale - 32) * (q - 4)
typedef struct DUET_PACKED {
    uint8_t hmask[32];   // third bit of value i of run r: bit r of hmask[i]
    uint8_t qs[64];      // lower two bits, as in Q2_K
    uint8_t scales[12];  // 16 of 6 bits: see duet_scale_q3_k
    uint16_t d;
} duet_block_q3_k;

// value = d * scale * q - dmin * minimum
typedef struct DUET_PACKED {
    uint16_t d, dmin;
    uint8_t scales[12];  // 8 scales and 8 minima of 6 bits: see duet_scale_k, duet_minimum_k
    uint8_t qs[128];     // value i of run r: the low (r even) or high half of qs[32(r / 2) + i]
} duet_block_q4_k;

// value = d * scale * q - dmin * minimum
typedef struct DUET_PACKED {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32];   // fifth bit of value i of run r: bit r of qh[i]
    uint8_t qs[128];  // lower four bits, as in Q4_K
} duet_block_q5_k;

// value = d * scales[j] * (q - 32)
typedef struct DUET_PACKED {
    uint8_t ql[128];  // lower bits of value i of run r: the low (r % 4 < 2) or high half of
                      // ql[64(r / 4) + 32(r % 2) + i]
    uint8_t qh[64];   // upper bits: bits 2(r % 4), +1 of qh[32(r / 4) + i]
    int8_t scales[16];
    uint16_t d;
} duet_block_q6_k;

// value = d * (scale - 32) * duet_iq4_values[q]
typedef struct DUET_PACKED {
    uint16_t d;
    uint16_t scales_h;    // upper bits of run r's scale: bits 2r, 2r + 1
    uint8_t scales_l[4];  // lower bits: the low (r even) or high half of scales_l[r / 2]
    uint8_t qs[128];      // run r: 16 bytes from qs[16r], nibbles as in blocks of 32
} duet_block_iq4_xs;

_Static_assert(sizeof(duet_block_q4_0) == 18, "Q4_0");
_Static_assert(sizeof(duet_block_q4_1) == 20, "Q4_1");
_Static_assert(sizeof(duet_block_q5_0) == 22, "Q5_0");
_Static_assert(sizeof(duet_block_q5_1) == 24, "Q5_1");
_Static_assert(sizeof(duet_block_q8_0) == 34, "Q8_0");
_Static_assert(sizeof(duet_block_iq4_nl) == 18, "IQ4_NL");
_Static_assert(sizeof(duet_block_mxfp4) == 17, "MXFP4");
_Static_assert(sizeof(duet_block_q2_k) == 84, "Q2_K");
_Static_assert(sizeof(duet_block_q3_k) == 110, "Q3_K");
_Static_assert(sizeof(duet_block_q4_k) == 144, "Q4_K");
_Static_assert(sizeof(duet_block_q5_k) == 176, "Q5_K");
_Static_assert(sizeof(duet_block_q6_k) == 210, "Q6_K");
_Static_assert(sizeof(duet_block_iq4_xs) == 136, "IQ4_XS");

// The levels of IQ4_NL and IQ4_XS: a fixed non-uniform grid, finer around zero.
extern const int8_t duet_iq4_values[16];

// Twice the values of E2M1, sign in the top bit: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.
extern const int8_t duet_mxfp4_values[16];

// Numbers of a block, which have no alignment.
static inline uint16_t duet_word_at(const uint8_t *at) {
    uint16_t word;
    memcpy(&word, at, 2);
    return word;
}
static inline uint32_t duet_double_word_at(const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}

// Half precision to single, exact for every input. In integers, so that no tier needs F16C and no
// compiler calls a library for it.
static inline float duet_half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t magnitude = half & 0x7fff;
    uint32_t bits;
    if (magnitude >= 0x7c00) {  // infinity or NaN: the exponent is all ones in either width
        bits = 0x7f800000 | (magnitude & 0x03ff) << 13;
    } else if (magnitude >= 0x0400) {  // normal: rebias the exponent from 15 to 127
        bits = (magnitude << 13) + ((uint32_t)(127 - 15) << 23);
    } else {  // subnormal: a multiple of 2^-24, which is normal in single precision
        float value = (float)magnitude * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
    }
    bits |= sign;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

// Single precision to half, rounded to nearest, ties to even; too large becomes infinity.
static inline uint16_t duet_float_to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);   // NaN
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);  // rounds past 65504
    if (magnitude < 0x38800000) {  // subnormal in half: adding 0.5 leaves multiples of 2^-24
        float tiny;
        memcpy(&tiny, &magnitude, sizeof tiny);
        tiny += 0.5f;
        memcpy(&magnitude, &tiny, sizeof magnitude);
        return (uint16_t)(sign | (magnitude - 0x3f000000));
    }
    uint32_t rounding = 0x0fff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (magnitude + rounding - ((uint32_t)(127 - 15) << 23)) >> 13);
}

// The upper half of a single-precision number to the number.
static inline float duet_bfloat_to_float(uint16_t bfloat) {
    uint32_t bits = (uint32_t)bfloat << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

// MXFP4's scale, halved because duet_mxfp4_values are doubled: 2^(e - 128). The two smallest are
// subnormal. gguf tools read e = 255, NaN by the OCP specification, as one more power; so do we.
static inline float duet_mxfp4_scale(uint8_t e) {
    uint32_t bits = e < 2 ? (uint32_t)0x00200000 << e : ((uint32_t)e - 1) << 23;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

// Scale of run r, 0 to 63, of Q4_K and Q5_K. Bytes 0 to 3 hold runs 0 to 3; the lower bits of runs
// 4 to 7 are the low halves of bytes 8 to 11, their upper two the top of bytes 0 to 3.
static inline int duet_scale_k(const uint8_t scales[12], size_t r) {
    return r < 4 ? scales[r] & 63 : (scales[r + 4] & 15) | (scales[r - 4] >> 6) << 4;
}

// Minimum of run r, 0 to 63: as the scales, with bytes 4 to 7 and the high halves of 8 to 11.
static inline int duet_minimum_k(const uint8_t scales[12], size_t r) {
    return r < 4 ? scales[r + 4] & 63 : scales[r + 4] >> 4 | (scales[r] >> 6) << 4;
}

// Scale j of Q3_K, -32 to 31: lower bits in the halves of bytes 0 to 7, upper two in bytes 8 to 11.
static inline int duet_scale_q3_k(const uint8_t scales[12], size_t j) {
    int low = scales[j % 8] >> 4 * (j / 8) & 15;
    int high = scales[8 + j % 4] >> 2 * (j / 4) & 3;
    return (low | high << 4) - 32;
}

// Scale of run r of IQ4_XS, -32 to 31.
static inline int duet_scale_iq4_xs(const duet_block_iq4_xs *block, size_t r) {
    int low = block->scales_l[r / 2] >> 4 * (r % 2) & 15;
    int high = block->scales_h >> 2 * r & 3;
    return (low | high << 4) - 32;
}

// Bytes of a row of n values, n being whole blocks.
static inline size_t duet_row_bytes(int type, size_t n) {
    switch (type) {
    case DUET_F32: return 4 * n;
    case DUET_F16:
    case DUET_BF16: return 2 * n;
    case DUET_Q4_0: return n / 32 * sizeof(duet_block_q4_0);
    case DUET_Q4_1: return n / 32 * sizeof(duet_block_q4_1);
    case DUET_Q5_0: return n / 32 * sizeof(duet_block_q5_0);
    case DUET_Q5_1: return n / 32 * sizeof(duet_block_q5_1);
    case DUET_Q8_0: return n / 32 * sizeof(duet_block_q8_0);
    case DUET_IQ4_NL: return n / 32 * sizeof(duet_block_iq4_nl);
    case DUET_MXFP4: return n / 32 * sizeof(duet_block_mxfp4);
    case DUET_Q2_K: return n / 256 * sizeof(duet_block_q2_k);
    case DUET_Q3_K: return n / 256 * sizeof(duet_block_q3_k);
    case DUET_Q4_K: return n / 256 * sizeof(duet_block_q4_k);
    case DUET_Q5_K: return n / 256 * sizeof(duet_block_q5_k);
    case DUET_Q6_K: return n / 256 * sizeof(duet_block_q6_k);
    case DUET_IQ4_XS: return n / 256 * sizeof(duet_block_iq4_xs);
    default: return 0;
    }
}

// One table entry per type: the readable dequantizers, and the unpackers of quantized types (NULL
// for float types and for numbers that are no type).
extern const duet_dequantize duet_generic_dequantize[DUET_TYPE_COUNT];
extern const duet_unpack duet_unpack_run[DUET_TYPE_COUNT];

void duet_dequantize_f32(const void *blocks, float *out, size_t n);
void duet_dequantize_f16(const void *blocks, float *out, size_t n);
void duet_dequantize_bf16(const void *blocks, float *out, size_t n);
void duet_dequantize_q4_0(const void *blocks, float *out, size_t n);
void duet_dequantize_q4_1(const void *blocks, float *out, size_t n);
void duet_dequantize_q5_0(const void *blocks, float *out, size_t n);
void duet_dequantize_q5_1(const void *blocks, float *out, size_t n);
void duet_dequantize_q8_0(const void *blocks, float *out, size_t n);
void duet_dequantize_q2_k(const void *blocks, float *out, size_t n);
void duet_dequantize_q3_k(const void *blocks, float *out, size_t n);
void duet_dequantize_q4_k(const void *blocks, float *out, size_t n);
void duet_dequantize_q5_k(const void *blocks, float *out, size_t n);
void duet_dequantize_q6_k(const void *blocks, float *out, size_t n);
void duet_dequantize_iq4_nl(const void *blocks, float *out, size_t n);
void duet_dequantize_iq4_xs(const void *blocks, float *out, size_t n);
void duet_dequantize_mxfp4(const void *blocks, float *out, size_t n);

void duet_unpack_q4_0(const void *row, size_t run, duet_run *out);
void duet_unpack_q4_1(const void *row, size_t run, duet_run *out);
void duet_unpack_q5_0(const void *row, size_t run, duet_run *out);
void duet_unpack_q5_1(const void *row, size_t run, duet_run *out);
void duet_unpack_q8_0(const void *row, size_t run, duet_run *out);
void duet_unpack_q2_k(const void *row, size_t run, duet_run *out);
void duet_unpack_q3_k(const void *row, size_t run, duet_run *out);
void duet_unpack_q4_k(const void *row, size_t run, duet_run *out);
void duet_unpack_q5_k(const void *row, size_t run, duet_run *out);
void duet_unpack_q6_k(const void *row, size_t run, duet_run *out);
void duet_unpack_iq4_nl(const void *row, size_t run, duet_run *out);
void duet_unpack_iq4_xs(const void *row, size_t run, duet_run *out);
void duet_unpack_mxfp4(const void *row, size_t run, duet_run *out);

#endif
