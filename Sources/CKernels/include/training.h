// Kernels that only training needs: gradients of the vector operations, softmax with its gradient,
// and the optimiser. Each is one readable loop (training_loops.h), compiled once per tier.

#ifndef DUET_TRAINING_H
#define DUET_TRAINING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// AdamW (arXiv 1711.05101): p -= rate * decay * p; then p -= step * m / (sqrt(v) * root + epsilon).
typedef struct {
    float rate, decay, beta1, beta2, epsilon;
    float step;   // the rate divided by the bias correction of the mean
    float root;   // 1 / sqrt(the bias correction of the square)
    float scale;  // gradients are multiplied by this first: clipping
} duet_adamw;

typedef struct {
    const char *name;
    // dx += the gradient of x / sqrt(mean(x * x) + epsilon) * weight for dy, and dweight likewise
    // unless it is NULL. dy must not be dx.
    void (*rms_norm_backward)(const float *x, const float *weight, const float *dy, size_t n,
                              float epsilon, float *dx, float *dweight);
    // Of y = activation(gate) * up: writes y to `inner`, and the gradients for d to gate and up.
    void (*silu_backward)(float *gate, float *up, const float *d, size_t n, float *inner);
    void (*gelu_backward)(float *gate, float *up, const float *d, size_t n, float *inner);
    // scores -> probabilities, after c * tanh(s / c) where softcap c is not 0. Returns the logarithm
    // of the sum of exponentials.
    float (*softmax)(float *scores, size_t n, float softcap);
    // scores -> probabilities p, given the logarithm of their sum; d -> the gradient of the scores
    // before capping: p * (d - dot).
    void (*softmax_backward)(float *scores, float *d, size_t n, float softcap, float log_sum, float dot);
    // logits -> their gradient times weight. Returns -log p(target), in double precision.
    double (*cross_entropy)(float *logits, size_t n, size_t target, float weight, float softcap);
    float (*dot)(const float *a, const float *b, size_t n);
    double (*sum_of_squares)(const float *x, size_t n);
    // out += factor * x
    void (*add_scaled)(const float *x, size_t n, float factor, float *out);
    void (*adamw)(float *p, const float *g, float *m, float *v, size_t n, const duet_adamw *options);
    // out = x / (1 - share) where a hash of (seed, first + i) keeps it, else 0; out may be x.
    void (*dropout)(const float *x, size_t n, uint64_t seed, uint64_t first, float share, float *out);
} duet_training;

// The table of the tier called `name`, or the fastest; the readable one where there is none.
const duet_training *duet_training_select(const char *name);

#endif
