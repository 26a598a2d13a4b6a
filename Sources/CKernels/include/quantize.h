// Encoders: floats to the blocks of every weight type. Part of CKernels.h.

#ifndef DUET_QUANTIZE_H
#define DUET_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>

// Writes the blocks of n finite values; n is a multiple of the type's block length. weights, [n] and
// above 0, say how much the square of each value's error counts; NULL for all alike.
typedef void (*duet_encode)(const float *x, const float *weights, size_t n, void *blocks);

// What two vectors differ by.
typedef struct {
    double error, energy;                    // the sums of (x - y)^2 and of x^2
    double weighted_error, weighted_energy;  // the same times the weights; as above without any
} duet_difference;

// Encoders of one tier. Every tier writes the same bytes.
typedef struct {
    const char *name;
    // As the format's other tools do it: bit for bit the gguf package's where that has an encoder,
    // and weights are not read. NULL where it has none.
    duet_encode plain[64];
    // The scales that make the sum of squared errors small, as far as a search finds them.
    duet_encode search[64];
    // Adds to `sums`.
    void (*difference)(const float *x, const float *y, const float *weights, size_t n,
                       duet_difference *sums);
    // Whether no value is infinite or NaN.
    bool (*is_finite)(const float *x, size_t n);
    // sums[i] += x[i] * x[i]
    void (*add_squares)(const float *x, size_t n, float *sums);
} duet_encoders;

// The fastest tier that this CPU runs, or the one called `name`; NULL where there is none.
const duet_encoders *duet_select_encoders(const char *name);

// Swift sees C arrays as tuples, which cannot be indexed.
static inline bool duet_run_encode(const duet_encoders *e, int type, bool search, const float *x,
                                   const float *weights, size_t n, void *blocks) {
    if (type < 0 || type >= 64) return false;
    duet_encode encode = search || !e->plain[type] ? e->search[type] : e->plain[type];
    if (!encode) return false;
    encode(x, weights, n, blocks);
    return true;
}

#endif
