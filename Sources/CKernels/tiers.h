// What the tiers share: the lists of types, and how each fills the table of operations.

#ifndef DUET_TIERS_H
#define DUET_TIERS_H

#include "CKernels.h"

#define DUET_FOR_PLAIN_TYPES(X) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(IQ4_NL) X(MXFP4)
#define DUET_FOR_SUPERBLOCK_TYPES(X) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ4_XS)
#define DUET_FOR_QUANTIZED_TYPES(X) DUET_FOR_PLAIN_TYPES(X) DUET_FOR_SUPERBLOCK_TYPES(X)
#define DUET_FOR_FLOAT_TYPES(X) X(F32) X(F16) X(BF16)

// Each tier starts from the table of the tier below and replaces what it does better.
void duet_generic_fill(duet_operations *table);
void duet_avx2_fill(duet_operations *table);
void duet_avx2_fill_rows(duet_operations *table);
void duet_avx2_fill_floats(duet_operations *table);
void duet_avx2_fill_vectors(duet_operations *table);
void duet_avx2_fill_attention(duet_operations *table);
void duet_avx2_fill_low_rank(duet_operations *table);
void duet_avx2_fill_vision(duet_operations *table);
void duet_avx2_fill_encoders(duet_encoders *table);
void duet_avx512_fill(duet_operations *table);
void duet_avx512_fill_rows(duet_operations *table);
void duet_avx512_fill_superblocks(duet_operations *table);
void duet_avx512_fill_floats(duet_operations *table);
void duet_avx512_fill_vectors(duet_operations *table);
void duet_avx512_fill_attention(duet_operations *table);
void duet_avx512_fill_low_rank(duet_operations *table);
void duet_avx512_fill_vision(duet_operations *table);
void duet_neon_fill(duet_operations *table);
void duet_neon_fill_rows(duet_operations *table);
void duet_neon_fill_floats(duet_operations *table);
void duet_neon_fill_vectors(duet_operations *table);
void duet_neon_fill_attention(duet_operations *table);
void duet_neon_fill_low_rank(duet_operations *table);
void duet_i8mm_fill(duet_operations *table);

// Bytes behind a panel.
#define DUET_PANEL_GAP 64

// Products of any type through its unpacked runs: what a tier uses for formats of its own none.
void duet_generic_dot_int8(int type, const void *weights, size_t row_bytes, size_t rows, size_t n,
                           const duet_activations *a, float *out);
void duet_generic_dot_float(int type, const void *weights, size_t row_bytes, size_t rows, size_t n,
                            const duet_activations *a, float *out);
void duet_generic_store(const float *key, const float *value, size_t head_size, int type, size_t slot,
                        void *keys, void *values);
void duet_generic_finish(duet_finish finish, float *out, size_t rows, size_t stride, size_t tokens,
                         const float *bias, const float *residual, size_t residual_stride);
void duet_generic_depthwise(const duet_depthwise *d, const float *in, size_t row, size_t rows, float *out,
                            size_t out_width, size_t out_stride);
void duet_generic_rms_norm(const float *x, const float *weight, size_t n, float epsilon, float *out);
void duet_generic_layer_norm(const float *x, const float *weight, const float *bias, size_t n,
                             float epsilon, float *out);
void duet_generic_softmax(float *x, size_t n, float scale);
void duet_avx2_depthwise(const duet_depthwise *d, const float *in, size_t row, size_t rows, float *out,
                         size_t out_width, size_t out_stride);
void duet_generic_pointwise(const float *panels, size_t rows, size_t n, const float *bias, duet_finish finish,
                            const float *x, size_t x_stride, size_t tokens, const float *residual,
                            size_t residual_stride, float *out, size_t out_stride);
void duet_generic_attend(const duet_query *query, const duet_page *pages, float *state);
void duet_generic_combine(const float *state, size_t stride, size_t count, size_t head_size, float *out);

// The training kernels of that tier; NULL where this build has none.
const duet_training *duet_training_avx2(void);

#endif
