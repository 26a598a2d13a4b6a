// Convolutions for x86-64 with AVX-512, in vectors of sixteen rows or channels. Channels that are no whole vectors
// are left to AVX2.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))
#define LANES 16

INLINE __m512 relu6(__m512 x) {
    return _mm512_min_ps(_mm512_set1_ps(6), _mm512_max_ps(_mm512_setzero_ps(), x));  // what is no number stays so
}

// MARK: 1 x 1 convolutions

// Two vectors of rows by fourteen pixels: 28 sums, two weights and a value fit the 32 registers, and 16 loads feed 28
// multiplications. Pictures have 7 x 7, 14 x 14, 28 x 28 ... pixels.
#define PIXELS 14
#define PANELS 2

typedef struct {
    const float *panels, *bias;
    size_t n, x_stride, residual_stride, out_stride;
    __mmask16 rows[PANELS];
    bool clips;
} pointwise_layer;

INLINE void some_pixels(const pointwise_layer *l, size_t panels, const float *x, size_t pixels, const float *residual,
                        float *out) {
    __m512 sums[PANELS][PIXELS];
    for (size_t p = 0; p < panels; p++)
        for (size_t t = 0; t < pixels; t++) sums[p][t] = _mm512_loadu_ps(l->bias + p * LANES);
    const float *first = l->panels, *second = first + (panels - 1) * l->n * LANES;
    for (size_t i = 0; i < l->n; i++, first += LANES, second += LANES) {
        __m512 w[PANELS] = {_mm512_loadu_ps(first), _mm512_loadu_ps(second)};
#pragma clang loop unroll(full)
        for (size_t t = 0; t < pixels; t++) {
            __m512 value = _mm512_set1_ps(x[t * l->x_stride + i]);
            for (size_t p = 0; p < panels; p++) sums[p][t] = _mm512_fmadd_ps(w[p], value, sums[p][t]);
        }
    }
    for (size_t p = 0; p < panels; p++, out += LANES) {
        for (size_t t = 0; t < pixels; t++) {
            __m512 sum = l->clips ? relu6(sums[p][t]) : sums[p][t];
            if (residual)
                sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(l->rows[p], residual + t * l->residual_stride + p * LANES));
            _mm512_mask_storeu_ps(out + t * l->out_stride, l->rows[p], sum);
        }
    }
}

INLINE void all_pixels(const pointwise_layer *l, size_t panels, const float *x, size_t tokens, const float *residual,
                       float *out) {
    for (size_t t = 0; t < tokens;) {
        const float *here = x + t * l->x_stride, *added = residual ? residual + t * l->residual_stride : NULL;
        float *to = out + t * l->out_stride;
        size_t left = tokens - t, step = left >= PIXELS ? PIXELS : left >= 7 ? 7 : left >= 4 ? 4 : 1;
        if (step == PIXELS) some_pixels(l, panels, here, PIXELS, added, to);
        else if (step == 7) some_pixels(l, panels, here, 7, added, to);
        else if (step == 4) some_pixels(l, panels, here, 4, added, to);
        else some_pixels(l, panels, here, 1, added, to);
        t += step;
    }
}

static void pointwise(const float *panels, size_t rows, size_t n, const float *bias, duet_finish finish,
                      const float *x, size_t x_stride, size_t tokens, const float *residual,
                      size_t residual_stride, float *out, size_t out_stride) {
    if (finish != DUET_FINISH_NONE && finish != DUET_FINISH_RELU6)
        return duet_generic_pointwise(panels, rows, n, bias, finish, x, x_stride, tokens, residual, residual_stride, out, out_stride);
    for (size_t row = 0; row < rows; row += PANELS * LANES) {
        size_t left = rows - row, second = left > LANES ? left - LANES : 0;
        pointwise_layer l = {panels + row * n, bias + row, n, x_stride, residual_stride, out_stride,
                             {left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1),
                              second >= LANES ? 0xffff : (__mmask16)((1u << second) - 1)},
                             finish == DUET_FINISH_RELU6};
        const float *added = residual ? residual + row : NULL;
        if (second) all_pixels(&l, 2, x, tokens, added, out + row);
        else all_pixels(&l, 1, x, tokens, added, out + row);
    }
}

// MARK: Depthwise convolutions

// Results side by side: the sizes of pictures are multiples of seven.
#define COLUMNS 7
// Rows of results that share the lines they have in common, where these fit the registers beside their sums.
#define ROWS 2

// `columns` results of some rows, whose kernels reach from pixel `start`, counted from `left` before the picture, on.
// A pixel is loaded once for all of them.
INLINE void some_columns(const duet_depthwise *d, size_t kernel, size_t step, const float *in, size_t row, size_t rows,
                         size_t column, size_t columns, float *out, size_t out_width, size_t out_stride) {
    const size_t pixels = (columns - 1) * step + kernel, start = column * step, lines = (rows - 1) * step + kernel;
    const size_t first = start < d->left ? d->left - start : 0;
    const size_t after = d->width + d->left, last = start + pixels <= after ? pixels : after > start ? after - start : 0;
    const bool whole = first == 0 && last == pixels;
    const size_t top = row * step, first_line = top < d->top ? d->top - top : 0, end = d->height + d->top;
    const size_t last_line = top + lines <= end ? lines : end > top ? end - top : 0;
    for (size_t c = 0; c < d->channels; c += LANES) {
        __m512 sums[ROWS][COLUMNS];
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < columns; j++) sums[r][j] = _mm512_loadu_ps(d->bias + c);
        for (size_t l = first_line; l < last_line; l++) {
            const float *line = in + (top + l - d->top) * d->width * d->stride + c;
            __m512 near[(COLUMNS - 1) * 2 + 5];
            if (whole) {
#pragma clang loop unroll(full)
                for (size_t p = 0; p < pixels; p++) near[p] = _mm512_loadu_ps(line + (start + p - d->left) * d->stride);
            } else {
#pragma clang loop unroll(full)
                for (size_t p = 0; p < pixels; p++)
                    near[p] = p >= first && p < last ? _mm512_loadu_ps(line + (start + p - d->left) * d->stride)
                                                     : _mm512_setzero_ps();
            }
            for (size_t r = 0; r < rows; r++) {
                size_t ky = l - r * step;  // wraps round where the line lies before the row's first one
                if (ky >= kernel) continue;
                const float *taps = d->weights + ky * kernel * d->tap_stride + c;
#pragma clang loop unroll(full)
                for (size_t kx = 0; kx < kernel; kx++) {
                    __m512 w = _mm512_loadu_ps(taps + kx * d->tap_stride);
#pragma clang loop unroll(full)
                    for (size_t j = 0; j < columns; j++) sums[r][j] = _mm512_fmadd_ps(w, near[j * step + kx], sums[r][j]);
                }
            }
        }
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < columns; j++)
                _mm512_storeu_ps(out + (r * out_width + column + j) * out_stride + c, relu6(sums[r][j]));
    }
}

INLINE void some_rows(const duet_depthwise *d, size_t kernel, size_t step, const float *in, size_t row, size_t rows,
                      float *out, size_t out_width, size_t out_stride) {
    size_t column = 0;
    for (; column + COLUMNS <= out_width; column += COLUMNS)
        some_columns(d, kernel, step, in, row, rows, column, COLUMNS, out, out_width, out_stride);
    for (; column < out_width; column++)
        some_columns(d, kernel, step, in, row, rows, column, 1, out, out_width, out_stride);
}

INLINE void depthwise_any(const duet_depthwise *d, size_t kernel, size_t step, const float *in, size_t row, size_t rows,
                          float *out, size_t out_width, size_t out_stride) {
    size_t r = 0, next = out_width * out_stride;
    for (; step == 1 && r + ROWS <= rows; r += ROWS)
        some_rows(d, kernel, step, in, row + r, ROWS, out + r * next, out_width, out_stride);
    for (; r < rows; r++) some_rows(d, kernel, step, in, row + r, 1, out + r * next, out_width, out_stride);
}

static void depthwise(const duet_depthwise *d, const float *in, size_t row, size_t rows, float *out, size_t out_width,
                      size_t out_stride) {
    bool known = d->channels % LANES == 0 && (d->kernel == 3 || d->kernel == 5) && (d->step == 1 || d->step == 2);
    if (!known) return duet_avx2_depthwise(d, in, row, rows, out, out_width, out_stride);
    if (d->kernel == 3 && d->step == 1) return depthwise_any(d, 3, 1, in, row, rows, out, out_width, out_stride);
    if (d->kernel == 3) return depthwise_any(d, 3, 2, in, row, rows, out, out_width, out_stride);
    if (d->step == 1) return depthwise_any(d, 5, 1, in, row, rows, out, out_width, out_stride);
    return depthwise_any(d, 5, 2, in, row, rows, out, out_width, out_stride);
}

#pragma clang attribute pop

void duet_avx512_fill_vision(duet_operations *table) {
    table->pointwise = pointwise;
    table->depthwise = depthwise;
}
#else
void duet_avx512_fill_vision(duet_operations *table) { (void)table; }
#endif
