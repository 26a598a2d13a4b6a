// The SIMD kernels of Duet: pure functions over caller-owned memory. No policy, no allocation, no
// threads. Every kernel has a readable twin in generic.c; faster twins live in one file per
// instruction set and are chosen once, by duet_operations().

#ifndef DUET_CKERNELS_H
#define DUET_CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Tensor types, numbered as in the GGUF specification.
enum {
    DUET_F32 = 0,
    DUET_F16 = 1,
    DUET_Q4_0 = 2,
    DUET_Q4_1 = 3,
    DUET_Q5_0 = 6,
    DUET_Q5_1 = 7,
    DUET_Q8_0 = 8,
    DUET_Q2_K = 10,
    DUET_Q3_K = 11,
    DUET_Q4_K = 12,
    DUET_Q5_K = 13,
    DUET_Q6_K = 14,
    DUET_IQ4_NL = 20,
    DUET_IQ4_XS = 23,
    DUET_BF16 = 30,
    DUET_MXFP4 = 39,
    DUET_TYPE_COUNT = 40,
};

// Activations of one token, as quantized weights want them: int8 in blocks of 32 that share a
// scale. x[i] is close to scale[i / 32] * q[i], with |q| <= 127.
typedef struct {
    const float *x;       // [n] the values themselves, for float weights and fp32 activations
    const int8_t *q;      // [n]
    const float *scale;   // [n / 32]
    const float *sum;     // [n / 32] scale times the sum of the block's q
    const int16_t *half;  // [n / 16] the sum of 16 q, for formats with minima per 16
} duet_activations;

// Writes the n values of a row of blocks. n is a multiple of the type's block length.
typedef void (*duet_dequantize)(const void *blocks, float *out, size_t n);

// 32 consecutive values of a row of any quantized type: value[i] = scale[i / 16] * q[i] +
// minimum[i / 16]. q keeps the format's own range: unsigned where the format has a minimum or a
// middle (4 bits: 0 to 15), signed where it looks values up or stores them as they are.
typedef struct {
    int8_t q[32];
    float scale[2];
    float minimum[2];
} duet_run;

// Writes the values 32 * run to 32 * run + 31 of a row.
typedef void (*duet_unpack)(const void *row, size_t run, duet_run *out);

// out[r] = row r of weights . a, for r < rows. Rows lie row_bytes apart and hold n values each.
typedef void (*duet_dot_rows)(const void *weights, size_t row_bytes, size_t rows, size_t n,
                              const duet_activations *a, float *out);

// Rows of weights unpacked for many tokens: panels of `duet_operations.panel_rows` rows, all of
// one type, kept in a cache-sized scratch buffer and forgotten after use. `pack` writes the panel
// of panel_rows rows (rows beyond `rows` are zero); `multiply` computes
// out[t * out_stride + r] = row r . a[t] for t < tokens, r < rows.
typedef void (*duet_pack)(const void *weights, size_t row_bytes, size_t rows, size_t n, void *panel);
typedef void (*duet_multiply)(const void *panel, size_t rows, size_t n, const duet_activations *a,
                              size_t tokens, float *out, size_t out_stride);

// What attention needs to know of one page of the cache, for one key-value head.
typedef struct {
    const void *keys;      // [tokens, head_size] in the cache's type
    const void *values;    // [tokens, head_size]
    uint32_t first, last;  // the positions of the page to attend to: first <= p < last
} duet_page;

typedef struct {
    const char *name;
    size_t panel_rows;
    duet_dequantize dequantize[DUET_TYPE_COUNT];
    duet_dot_rows dot_rows[DUET_TYPE_COUNT];      // int8 activations (float for float weights)
    duet_dot_rows dot_rows_f32[DUET_TYPE_COUNT];  // fp32 activations, for reference
    size_t (*panel_bytes)(int type, size_t n);
    duet_pack pack[DUET_TYPE_COUNT];
    duet_multiply multiply[DUET_TYPE_COUNT];

    // Quantizes n values, a multiple of 32, into blocks of 32; NaN becomes 0.
    void (*quantize)(const float *x, size_t n, int8_t *q, float *scale, float *sum, int16_t *half);
    // out = x / sqrt(mean(x * x) + epsilon) * weight
    void (*rms_norm)(const float *x, const float *weight, size_t n, float epsilon, float *out);
    // Rotates pairs of a head: (x[i], x[i + n/2]) where split, else (x[2i], x[2i + 1]).
    // cosines and sines hold n/2 values each.
    void (*rotate)(float *x, size_t n, const float *cosines, const float *sines, bool split);
    void (*add)(const float *x, size_t n, float *out);  // out += x
    // out = activation(gate) * up
    void (*silu_multiply)(const float *gate, const float *up, size_t n, float *out);
    void (*gelu_multiply)(const float *gate, const float *up, size_t n, float *out);
    void (*to_half)(const float *x, size_t n, uint16_t *out);
    // Attention of `heads` query heads that share the keys and values of `pages`, softmax
    // included: query and out are [heads, head_size]. `type` is F32, F16 or Q8_0. The order of
    // operations for one query does not depend on the others. scratch: see attention_scratch.
    void (*attend)(const float *query, size_t heads, size_t head_size, float scale, float softcap,
                   int type, const duet_page *pages, size_t page_count, float *scratch, float *out);
} duet_operations;

// The fastest tier that this CPU runs and that tests have covered, or the one called `name`
// ("generic", "avx2", "avx512", "neon"); NULL where the CPU lacks it or it is not built in.
const duet_operations *duet_select(const char *name);

// The readable dequantizer of a type, bit-exact with the format's definition; NULL for none.
duet_dequantize duet_generic_dequantizer(int type);

// The unpacker of a quantized type; NULL for float types and for numbers that are no type.
duet_unpack duet_run_unpacker(int type);

// Features of the CPU as words separated by spaces, for `doctor`.
const char *duet_cpu_features(void);

// Tokens per page of the key-value cache.
#define DUET_PAGE_TOKENS 64

// Floats of scratch that attend() needs.
static inline size_t duet_attention_scratch(size_t heads, size_t head_size) {
    return heads * (DUET_PAGE_TOKENS + 2) + 2 * DUET_PAGE_TOKENS * head_size;
}

#endif
