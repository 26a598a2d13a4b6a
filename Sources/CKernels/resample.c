// Resizing of 8-bit RGB by tables of weights in units of 2^-22. Loops that compilers vectorize well
// enough: a photo takes milliseconds.

#include "CKernels.h"

#define FRACTION_BITS 22

static uint8_t rounded(int32_t sum) {
    int32_t value = (sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

void duet_resample_across(const uint8_t *in, size_t width, size_t height, const int32_t *starts,
                          const int32_t *counts, const int32_t *weights, size_t taps, uint8_t *out,
                          size_t out_width) {
    for (size_t y = 0; y < height; y++) {
        const uint8_t *row = in + 3 * width * y;
        for (size_t x = 0; x < out_width; x++, out += 3) {
            const uint8_t *pixel = row + 3 * (size_t)starts[x];
            const int32_t *weight = weights + x * taps;
            int32_t red = 0, green = 0, blue = 0;
            for (int32_t i = 0; i < counts[x]; i++, pixel += 3) {
                red += weight[i] * pixel[0];
                green += weight[i] * pixel[1];
                blue += weight[i] * pixel[2];
            }
            out[0] = rounded(red), out[1] = rounded(green), out[2] = rounded(blue);
        }
    }
}

void duet_resample_down(const uint8_t *in, size_t row_bytes, const int32_t *starts, const int32_t *counts,
                        const int32_t *weights, size_t taps, uint8_t *out, size_t out_height) {
    enum { PIECE = 256 };
    for (size_t y = 0; y < out_height; y++) {
        const uint8_t *first = in + row_bytes * (size_t)starts[y];
        const int32_t *weight = weights + y * taps;
        for (size_t start = 0; start < row_bytes; start += PIECE) {
            size_t count = row_bytes - start < PIECE ? row_bytes - start : PIECE;
            int32_t sums[PIECE] = {0};
            for (int32_t i = 0; i < counts[y]; i++) {
                const uint8_t *row = first + row_bytes * (size_t)i + start;
                for (size_t x = 0; x < count; x++) sums[x] += weight[i] * row[x];
            }
            for (size_t x = 0; x < count; x++) out[row_bytes * y + start + x] = rounded(sums[x]);
        }
    }
}
