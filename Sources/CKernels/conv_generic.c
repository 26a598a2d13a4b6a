// What picture encoders need beyond products: the readable twins of conv_avx2.c, and attention
// without a mask, which is made of products.

#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "tiers.h"

static float finished(duet_finish finish, float x) {
    switch (finish) {
    case DUET_FINISH_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
    case DUET_FINISH_GELU_TANH: return 0.5f * x * (1 + tanhf(0.797884561f * (x + 0.044715f * x * x * x)));
    case DUET_FINISH_GELU_ERF: return 0.5f * x * (1 + erff(x * 0.707106781f));
    case DUET_FINISH_GELU_QUICK: return x / (1 + expf(-1.702f * x));
    case DUET_FINISH_SILU: return x / (1 + expf(-x));
    default: return x;
    }
}

void duet_generic_finish(duet_finish finish, float *out, size_t rows, size_t stride, size_t tokens,
                         const float *bias, const float *residual, size_t residual_stride) {
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            float value = finished(finish, out[t * stride + r] + (bias ? bias[r] : 0));
            out[t * stride + r] = value + (residual ? residual[t * residual_stride + r] : 0);
        }
    }
}

static void depthwise_row(const duet_depthwise *d, const float *in, size_t row, float *out, size_t out_width,
                          size_t out_stride) {
    for (size_t column = 0; column < out_width; column++) {
        for (size_t c = 0; c < d->channels; c++) {
            float sum = d->bias[c];
            for (size_t i = 0; i < d->kernel * d->kernel; i++) {
                // Left of and above the picture the unsigned numbers wrap round to large ones.
                size_t y = row * d->step + i / d->kernel - d->top, x = column * d->step + i % d->kernel - d->left;
                if (y >= d->height || x >= d->width) continue;
                sum += d->weights[i * d->tap_stride + c] * in[(y * d->width + x) * d->stride + c];
            }
            out[column * out_stride + c] = finished(DUET_FINISH_RELU6, sum);
        }
    }
}

void duet_generic_depthwise(const duet_depthwise *d, const float *in, size_t row, size_t rows, float *out,
                            size_t out_width, size_t out_stride) {
    for (size_t r = 0; r < rows; r++)
        depthwise_row(d, in, row + r, out + r * out_width * out_stride, out_width, out_stride);
}

void duet_gather_patches(const float *values, size_t side, size_t row, size_t step, size_t before, size_t patches,
                         float *out, size_t out_stride) {
    enum { KERNEL = DUET_PATCH_SIDE, LINE = 3 * KERNEL };
    for (size_t p = 0; p < patches; p++, out += out_stride) {
        // Left of and above the picture the unsigned numbers wrap round to large ones.
        size_t column = p * step - before;
        for (size_t i = 0; i < KERNEL; i++) {
            size_t y = row * step + i - before;
            if (y < side && column < side && column + KERNEL <= side) {
                memcpy(out + i * LINE, values + (y * side + column) * 3, LINE * sizeof(float));
                continue;
            }
            for (size_t j = 0; j < KERNEL; j++) {
                size_t x = column + j;
                for (size_t c = 0; c < 3; c++)
                    out[i * LINE + 3 * j + c] = y < side && x < side ? values[(y * side + x) * 3 + c] : 0;
            }
        }
    }
}

void duet_generic_layer_norm(const float *x, const float *weight, const float *bias, size_t n,
                             float epsilon, float *out) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    double factor = 1 / sqrt(squares / (double)n + epsilon);
    for (size_t i = 0; i < n; i++) out[i] = (float)((x[i] - mean) * factor) * weight[i] + bias[i];
}

void duet_generic_softmax(float *x, size_t n, float scale) {
    float largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) largest = fmaxf(largest, scale * x[i]);
    for (size_t i = 0; i < n; i++) sum += x[i] = expf(scale * x[i] - largest);
    for (size_t i = 0; i < n; i++) x[i] /= sum;
}

// MARK: 1 x 1 convolutions

void duet_pack_pointwise(const float *weights, size_t rows, size_t n, size_t stride, float *panels) {
    for (size_t first = 0; first < rows; first += DUET_POINTWISE_ROWS) {
        for (size_t i = 0; i < n; i++) {
            for (size_t r = first; r < first + DUET_POINTWISE_ROWS; r++)
                *panels++ = r < rows ? weights[r * stride + i] : 0;
        }
    }
}

void duet_generic_pointwise(const float *panels, size_t rows, size_t n, const float *bias, duet_finish finish,
                            const float *x, size_t x_stride, size_t tokens, const float *residual,
                            size_t residual_stride, float *out, size_t out_stride) {
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            const float *row = panels + r / DUET_POINTWISE_ROWS * n * DUET_POINTWISE_ROWS + r % DUET_POINTWISE_ROWS;
            float sum = bias[r];
            for (size_t i = 0; i < n; i++) sum += row[i * DUET_POINTWISE_ROWS] * x[t * x_stride + i];
            float added = residual ? residual[t * residual_stride + r] : 0;
            out[t * out_stride + r] = finished(finish, sum) + added;
        }
    }
}

// MARK: Attention without a mask

size_t duet_full_attention_scratch(const duet_operations *operations, size_t queries, size_t tokens,
                                   size_t head_size) {
    size_t n = tokens > head_size ? tokens : head_size;
    return queries * tokens + (duet_panel_bytes(operations, DUET_F32, n) + 3) / 4;
}

// Both products have the tokens' side packed into panels: keys, then dimensions of the values.
void duet_attend_fully(const duet_operations *operations, const duet_full_attention *a, float *scratch,
                       float *out, size_t out_stride) {
    duet_activations queries[DUET_FULL_ATTENTION_QUERIES], shares[DUET_FULL_ATTENTION_QUERIES];
    size_t rows = operations->panel_rows;
    float *scores = scratch, *panel = scratch + a->queries * a->tokens;
    for (size_t i = 0; i < a->queries; i++) {
        queries[i] = (duet_activations){.x = a->query + i * a->stride};
        shares[i] = (duet_activations){.x = scores + i * a->tokens};
    }
    for (size_t t = 0; t < a->tokens; t += rows) {
        size_t count = a->tokens - t < rows ? a->tokens - t : rows;
        operations->pack[DUET_F32](a->key + t * a->stride, 4 * a->stride, count, a->head_size, panel);
        operations->multiply[DUET_F32](panel, count, a->head_size, queries, a->queries, scores + t, a->tokens);
    }
    for (size_t i = 0; i < a->queries; i++) operations->softmax(scores + i * a->tokens, a->tokens, a->scale);
    for (size_t d = 0; d < a->head_size; d += rows) {
        size_t count = a->head_size - d < rows ? a->head_size - d : rows;
        operations->pack[DUET_F32](a->value + d * a->tokens, 4 * a->tokens, count, a->tokens, panel);
        operations->multiply[DUET_F32](panel, count, a->tokens, shares, a->queries, out + d, out_stride);
    }
}
