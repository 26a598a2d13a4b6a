// The SIMD kernels of Duet: pure functions over caller-owned memory. No policy, no threads and, but for
// the check of a tier, no allocation. Every kernel has a readable twin in generic.c; faster twins live in one file per
// instruction set and are chosen once, by duet_select().

#ifndef DUET_CKERNELS_H
#define DUET_CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "files.h"
#include "quantize.h"

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

// Tokens whose quantized activations lie side by side in a tile.
#define DUET_TILE_TOKENS 8

// Values that share a scale in quantized activations, and that a run of weights holds.
#define DUET_RUN 32
// Tokens per page of the key-value cache.
#define DUET_PAGE_TOKENS 64
// Pages that one call of attend() may cover. A query's context is cut into segments of this many
// pages whatever the number of threads, so that results do not depend on it.
#define DUET_SEGMENT_PAGES 4

// Rows of the second factor of a product of low rank that lie together.
#define DUET_LOW_RANK_ROWS 8

// The scale of a run of quantized activations, and sums of its first and its last 16 values: what formats with minima
// need, and kernels that multiply weights without a sign.
typedef struct {
    float scale;        // x[i] is close to scale * q[i]
    float half[2];      // the scale times the sums of q
    int32_t middle[2];  // -128 times the sums of q
} duet_run_scale;

// Activations of one token. Float weights read x; quantized ones read q and scales, or x where
// fp32 activations are asked for.
typedef struct {
    const float *x;                // [n]
    const int8_t *q;               // [n], within +-127
    const duet_run_scale *scales;  // [n / 32]
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

// out[r] = row r . a for r < rows. Rows lie row_bytes apart and hold n values each. The result for
// a row does not depend on the other rows.
typedef void (*duet_dot_rows)(const void *weights, size_t row_bytes, size_t rows, size_t n,
                              const duet_activations *a, float *out);

// Vectors in the order in which a kernel wants them, kept by a thread from one product to the next. It begins as
// zeros, and lies at a multiple of 64 bytes.
typedef struct {
    uint64_t pass;  // the caller's: another number, never 0, whenever vectors have changed
    // The kernel's: what lies behind it.
    uint64_t made_in;
    const duet_activations *of;
    size_t columns, n;
    int type;
} duet_laid;

// The same for several vectors at once: out[c * out_stride + r] = row r . a[c] for c < columns. Bit for
// bit what duet_dot_rows gives for each vector alone, and weights are unpacked fewer times. `laid`: laid_bytes of the
// calling thread's, or NULL.
typedef void (*duet_dot_columns)(const void *weights, size_t row_bytes, size_t rows, size_t n,
                                 const duet_activations *a, size_t columns, duet_laid *laid, float *out,
                                 size_t out_stride);

// Unpacks `rows` rows (at most panel_rows; the rest is zero) into a panel, for many tokens.
typedef void (*duet_pack)(const void *weights, size_t row_bytes, size_t rows, size_t n, void *panel);
// out[t * out_stride + r] = row r of the panel . a[t], for t < tokens and r < rows.
typedef void (*duet_multiply)(const void *panel, size_t rows, size_t n, const duet_activations *a,
                              size_t tokens, float *out, size_t out_stride);
typedef void (*duet_multiply_tiles)(const void *panel, size_t rows, size_t n, const void *tiles, size_t tokens,
                                    float *out, size_t out_stride);

// One page of the cache as one key-value head sees it. Keys are stored transposed,
// [head_size, 64], so that scores of neighbouring tokens are computed side by side; values are
// [64, head_size]. Q8_0 has int8 first, then half-precision scales: keys [head_size / 32, 64],
// values [64, head_size / 32].
typedef struct {
    const void *keys;
    const void *values;
} duet_page;

// Positions first <= p < last, counted from the first of some pages; none where last <= first.
typedef struct {
    uint32_t first, last;
} duet_span;

// Queries of heads that share keys and values, of one or several tokens, and how their scores are made.
typedef struct {
    const float *query;      // [tokens][heads, head_size]; those of a token `stride` floats after the one before
    size_t tokens, stride;
    const duet_span *spans;  // [tokens] what each attends to
    size_t heads, head_size;
    float scale;    // multiplies q . k
    float softcap;  // c: scores become c * tanh(score / c); 0 for none
    int type;       // of the pages: F32, F16 or Q8_0
    const void *following;  // keys that this thread may read next, which it fetches; NULL for none
} duet_query;

// Rows that a packed panel of a 1 x 1 convolution holds.
#define DUET_POINTWISE_ROWS 16

// What is done to each result of a layer, after its bias has been added.
typedef enum {
    DUET_FINISH_NONE = 0,
    DUET_FINISH_RELU6,
    DUET_FINISH_GELU_TANH,  // arXiv 1606.08415, in the tanh form
    DUET_FINISH_GELU_ERF,   // the same, exact
    DUET_FINISH_GELU_QUICK,  // x * sigmoid(1.702 x)
    DUET_FINISH_SILU,
} duet_finish;

// A depthwise convolution of [height, width] pixels, each of `channels` floats that lie `stride`
// floats after those of the pixel before. Pixels outside of the picture are zero.
typedef struct {
    size_t width, height, channels, stride;
    size_t kernel, step, left, top;  // pixels added on the left and on top
    const float *weights;  // [kernel, kernel][channels], tap_stride floats apart
    size_t tap_stride;
    const float *bias;     // [channels]
} duet_depthwise;

typedef struct {
    const char *name;
    bool checks_itself;  // its tests have run under emulation alone: duet_check() it before use
    size_t panel_rows;
    size_t panel_run_bytes;  // of a row's run of quantized weights in a panel
    duet_dequantize dequantize[DUET_TYPE_COUNT];
    duet_dot_rows dot[DUET_TYPE_COUNT];      // int8 activations; float ones for float weights
    duet_dot_columns dot_columns[DUET_TYPE_COUNT];
    size_t laid_bytes;  // of what dot_columns keeps; 0 for nothing
    duet_dot_rows dot_f32[DUET_TYPE_COUNT];  // float activations for every type: the reference
    duet_pack pack[DUET_TYPE_COUNT];
    duet_multiply multiply[DUET_TYPE_COUNT];
    // The same of tokens in tiles, for quantized types, and of any number of panels, duet_panel_bytes apart. A tile holds the runs of DUET_TILE_TOKENS tokens, tile_bytes each. lay_in_tile writes some of its tokens,
    // from `token` on, whose runs lie `stride` runs apart. tile_bytes is 0 where a tier has none of this.
    size_t tile_bytes;
    void (*lay_in_tile)(const int8_t *q, const duet_run_scale *scales, size_t stride, size_t runs, size_t token,
                        size_t tokens, void *tile);
    duet_multiply_tiles multiply_tiles[DUET_TYPE_COUNT];

    // Quantizes n values, a multiple of 32; a run with a value that is not finite becomes 0.
    void (*quantize)(const float *x, size_t n, int8_t *q, duet_run_scale *scales);
    // out = x / sqrt(mean(x * x) + epsilon) * weight; x may be out.
    void (*rms_norm)(const float *x, const float *weight, size_t n, float epsilon, float *out);
    // Rotates the pairs of a head by angles: (x[i], x[i + n/2]) where split, else
    // (x[2i], x[2i + 1]). cosines and sines: [n / 2].
    void (*rotate)(float *x, size_t n, const float *cosines, const float *sines, bool split);
    // out += x
    void (*add)(const float *x, size_t n, float *out);
    // out = silu(gate) * up; out may be gate or up.
    void (*silu_multiply)(const float *gate, const float *up, size_t n, float *out);
    // out = gelu(gate) * up, in the tanh form of arXiv 1606.08415; out may be gate or up.
    void (*gelu_multiply)(const float *gate, const float *up, size_t n, float *out);
    // x = gelu(x + bias), in the exact form with erf (arXiv 1606.08415).
    void (*gelu_bias)(const float *bias, size_t n, float *x);
    // Writes the key and the value of token `slot` of a page for one head, in the cache's type.
    void (*store)(const float *key, const float *value, size_t head_size, int type, size_t slot,
                  void *keys, void *values);
    // Attention over one segment of at most DUET_SEGMENT_PAGES pages, softmax not yet divided
    // (arXiv 2205.14135). state: [tokens, heads][head_size + 2], the weighted values, then the largest
    // score and the sum of exponentials, which is 0 for what attends to nothing. The result for a token's
    // head does not depend on the others.
    void (*attend)(const duet_query *query, const duet_page *pages, float *state);
    // out = the attention of one head whose context is `count` segments with states that lie
    // `stride` floats apart.
    void (*combine)(const float *state, size_t stride, size_t count, size_t head_size, float *out);
    // The index of the largest value, the first of equals; NaN never wins.
    size_t (*argmax)(const float *x, size_t n);
    // out[t * out_stride + r] += the sum over j < rank of b[r][j] * low[t * low_stride + j], for
    // t < tokens and r < rows: the second half of a product of low rank. b lies in groups of
    // DUET_LOW_RANK_ROWS rows: in_float: float[rank][rows of the group]; else the rows' scales, then
    // int8[rank][rows of the group]. The result for a token does not depend on the others.
    void (*expand)(const void *b, bool in_float, size_t rank, size_t rows, const float *low,
                   size_t low_stride, size_t tokens, float *out, size_t out_stride);
    // out[t * stride + r] = finish(out[t * stride + r] + bias[r]) + residual[t * residual_stride + r]
    // for r < rows and t < tokens; bias and residual may be NULL.
    void (*finish)(duet_finish finish, float *out, size_t rows, size_t stride, size_t tokens,
                   const float *bias, const float *residual, size_t residual_stride);
    // Some rows of results of a depthwise convolution, one after the other, each pixel out_stride floats
    // after the one before, kept within 0 to 6.
    void (*depthwise)(const duet_depthwise *d, const float *in, size_t row, size_t rows, float *out,
                      size_t out_width, size_t out_stride);
    // out = (x - mean) / sqrt(variance + epsilon) * weight + bias; x may be out.
    void (*layer_norm)(const float *x, const float *weight, const float *bias, size_t n, float epsilon,
                       float *out);
    // x = exp(scale * x - the largest) / their sum
    void (*softmax)(float *x, size_t n, float scale);
    // out[t * out_stride + r] = finish(row r of the panels . x[t * x_stride] + bias[r]) +
    // residual[t * residual_stride + r], for r < rows and t < tokens; residual may be NULL.
    // panels: float[panels][n][DUET_POINTWISE_ROWS], bias: float[panels][DUET_POINTWISE_ROWS].
    void (*pointwise)(const float *panels, size_t rows, size_t n, const float *bias, duet_finish finish,
                      const float *x, size_t x_stride, size_t tokens, const float *residual,
                      size_t residual_stride, float *out, size_t out_stride);
    // Multiplies and adds up `rounds` times what registers hold, bytes or floats, by the instructions that
    // panels are multiplied by; returns how many products that were. No product of matrices can be faster.
    // NULL where a tier does not say.
    uint64_t (*peak)(bool in_float, size_t rounds);
} duet_operations;

// The fastest tier that this CPU runs (and, where it checks itself, that agrees with the generic one), or the one called
// `name` ("generic", "avx2", "avx512", "neon", "i8mm"), unchecked; NULL where the CPU lacks it or this build has no such
// tier.
const duet_operations *duet_select(const char *name);

// What differs between a tier that checks itself and the generic one, in one line, by one round of duet_check; NULL where
// nothing does, and of other tiers.
const char *duet_finding(const duet_operations *tier);

// Whether every operation of a tier gives what its readable twin gives, within bounds of rounding: `rounds` times with
// other sizes and values, which follow from `seed`. One round, of a few milliseconds, runs every operation of every type
// once. If not, `finding` says in one line what differed first: operation, type, sizes and both values.
bool duet_check(const duet_operations *tier, uint64_t seed, size_t rounds, char *finding, size_t room);

// The entries of a table for one weight type, which must be one that it has (not I32): Swift sees
// C arrays as tuples, which cannot be indexed.
static inline void duet_run_dequantize(const duet_operations *o, int type, const void *blocks,
                                       float *out, size_t n) {
    o->dequantize[type](blocks, out, n);
}
static inline void duet_run_dot(const duet_operations *o, bool in_float, int type, const void *weights,
                                size_t row_bytes, size_t rows, size_t n, const duet_activations *a,
                                float *out) {
    (in_float ? o->dot_f32 : o->dot)[type](weights, row_bytes, rows, n, a, out);
}
static inline void duet_run_dot_columns(const duet_operations *o, int type, const void *weights,
                                        size_t row_bytes, size_t rows, size_t n, const duet_activations *a,
                                        size_t columns, duet_laid *laid, float *out, size_t out_stride) {
    o->dot_columns[type](weights, row_bytes, rows, n, a, columns, laid, out, out_stride);
}
static inline void duet_run_pack(const duet_operations *o, int type, const void *weights,
                                 size_t row_bytes, size_t rows, size_t n, void *panel) {
    o->pack[type](weights, row_bytes, rows, n, panel);
}
static inline void duet_run_multiply_tiles(const duet_operations *o, int type, const void *panel, size_t rows,
                                           size_t n, const void *tiles, size_t tokens, float *out,
                                           size_t out_stride) {
    o->multiply_tiles[type](panel, rows, n, tiles, tokens, out, out_stride);
}
static inline void duet_run_multiply(const duet_operations *o, int type, const void *panel, size_t rows,
                                     size_t n, const duet_activations *a, size_t tokens, float *out,
                                     size_t out_stride) {
    o->multiply[type](panel, rows, n, a, tokens, out, out_stride);
}

// What a row of a convolution of [side, side] pixels of three values reads: for each of `patches` results, out_stride
// floats apart, 3 x 3 pixels in the order of rows, columns, values. `before` zeros lie left of and above the picture.
#define DUET_PATCH_SIDE 3
void duet_gather_patches(const float *values, size_t side, size_t row, size_t step, size_t before, size_t patches,
                         float *out, size_t out_stride);

// Packs [rows, n] floats, rows `stride` apart, into panels for pointwise(); missing rows are zero.
void duet_pack_pointwise(const float *weights, size_t rows, size_t n, size_t stride, float *panels);

// Attention of `queries` tokens of one head to all tokens, without a mask (arXiv 1706.03762).
typedef struct {
    const float *query;  // of the head's first query; the next lies `stride` floats on
    const float *key;    // of the head's first token
    const float *value;  // [head_size, tokens]: transposed
    size_t queries, tokens, head_size, stride;
    float scale;
} duet_full_attention;
// scratch: duet_full_attention_scratch() floats. Writes [queries, head_size], out_stride apart.
void duet_attend_fully(const duet_operations *operations, const duet_full_attention *a, float *scratch,
                       float *out, size_t out_stride);
size_t duet_full_attention_scratch(const duet_operations *operations, size_t queries, size_t tokens,
                                   size_t head_size);
// Queries that one call takes at most.
#define DUET_FULL_ATTENTION_QUERIES 64

// Features of the CPU that tiers ask for, as words separated by spaces.
const char *duet_cpu_features(void);

// Bytes of a core's second cache, as the system says; 0 where it does not.
size_t duet_second_cache_bytes(void);

// Bytes of a panel of rows of n values: the largest that any type needs.
size_t duet_panel_bytes(const duet_operations *operations, int type, size_t n);

// Bytes of the keys (or of the values) of one head in a page; 0 for types no cache has.
size_t duet_page_bytes(int type, size_t head_size);

// The readable dequantizer of a type, bit-exact with the format's definition; NULL for none.
duet_dequantize duet_generic_dequantizer(int type);

// The unpacker of a quantized type; NULL for float types and for numbers that are no type.
duet_unpack duet_run_unpacker(int type);

// The sum of all 64-bit words, which takes as long as reading them: how fast memory is.
uint64_t duet_read(const void *bytes, size_t count);

// Resizes each row of 8-bit RGB, [height, width, 3]: out[x] = sum of weights[x * taps + i] times
// in[starts[x] + i] for i < counts[x], in units of 2^-22, rounded and kept within 0 to 255.
void duet_resample_across(const uint8_t *in, size_t width, size_t height, const int32_t *starts,
                          const int32_t *counts, const int32_t *weights, size_t taps, uint8_t *out,
                          size_t out_width);
// The same for each column of rows of row_bytes bytes.
void duet_resample_down(const uint8_t *in, size_t row_bytes, const int32_t *starts, const int32_t *counts,
                        const int32_t *weights, size_t taps, uint8_t *out, size_t out_height);

// Asks for bytes that are needed soon, into the second cache; what is no memory does nothing.
static inline void duet_fetch(const void *at, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch((const char *)at + line, 0, 2);
}

// Tells the CPU that this thread waits for another.
static inline void duet_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#include "training.h"

#endif
