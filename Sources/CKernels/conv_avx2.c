// What picture encoders need beyond products, for x86-64 with AVX2 and FMA.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "avx2_math.h"

#define INLINE static inline __attribute__((always_inline))

// MARK: After a product

INLINE __m256 sigmoid(__m256 x) {
    const __m256 one = _mm256_set1_ps(1);
    return _mm256_div_ps(one, _mm256_add_ps(one, duet_exp8(_mm256_sub_ps(_mm256_setzero_ps(), x))));
}

INLINE __m256 finished(duet_finish finish, __m256 x) {
    switch (finish) {
    // Both return their second operand if one is no number.
    case DUET_FINISH_RELU6: return _mm256_min_ps(_mm256_set1_ps(6), _mm256_max_ps(_mm256_setzero_ps(), x));
    case DUET_FINISH_GELU_TANH: {
        __m256 cube = _mm256_mul_ps(_mm256_mul_ps(x, x), x);
        __m256 inner = _mm256_fmadd_ps(cube, _mm256_set1_ps(0.044715f), x);
        // (1 + tanh(z)) / 2 = sigmoid(2 z)
        return _mm256_mul_ps(x, sigmoid(_mm256_mul_ps(inner, _mm256_set1_ps(2 * 0.797884561f))));
    }
    case DUET_FINISH_GELU_QUICK: return _mm256_mul_ps(x, sigmoid(_mm256_mul_ps(x, _mm256_set1_ps(1.702f))));
    case DUET_FINISH_SILU: return _mm256_mul_ps(x, sigmoid(x));
    default: return x;
    }
}

INLINE void finish_all(duet_finish finish, float *out, size_t rows, size_t stride, size_t tokens,
                       const float *bias, const float *residual, size_t residual_stride) {
    for (size_t t = 0; t < tokens; t++) {
        float *x = out + t * stride;
        for (size_t r = 0; r < rows; r += 8) {
            __m256 value = _mm256_loadu_ps(x + r);
            if (bias) value = _mm256_add_ps(value, _mm256_loadu_ps(bias + r));
            value = finished(finish, value);
            if (residual) value = _mm256_add_ps(value, _mm256_loadu_ps(residual + t * residual_stride + r));
            _mm256_storeu_ps(x + r, value);
        }
    }
}

// The last rows that are no eight, and the error function, are left to the readable twin.
static void finish(duet_finish kind, float *out, size_t rows, size_t stride, size_t tokens, const float *bias,
                   const float *residual, size_t residual_stride) {
    size_t whole = kind == DUET_FINISH_GELU_ERF ? 0 : rows / 8 * 8;
    switch (kind) {
    case DUET_FINISH_NONE: finish_all(DUET_FINISH_NONE, out, whole, stride, tokens, bias, residual, residual_stride); break;
    case DUET_FINISH_RELU6: finish_all(DUET_FINISH_RELU6, out, whole, stride, tokens, bias, residual, residual_stride); break;
    default: finish_all(kind, out, whole, stride, tokens, bias, residual, residual_stride);
    }
    if (whole < rows)
        duet_generic_finish(kind, out + whole, rows - whole, stride, tokens, bias ? bias + whole : NULL,
                            residual ? residual + whole : NULL, residual_stride);
}

// MARK: 1 x 1 convolutions

// Two vectors of rows by six tokens: twelve sums, two weights and one value fit the sixteen registers,
// and eight loads keep twelve multiplications fed.
#define PIXELS 6

typedef struct {
    const float *panel, *bias;
    size_t rows, n, x_stride, residual_stride, out_stride;
    duet_finish finish;
} pointwise_layer;

INLINE void store_pixel(const pointwise_layer *l, __m256 low, __m256 high, const float *residual, float *out) {
    __m256 sums[2] = {finished(l->finish, low), finished(l->finish, high)};
    if (l->rows % 8) {
        float all[DUET_POINTWISE_ROWS];
        _mm256_storeu_ps(all, sums[0]);
        _mm256_storeu_ps(all + 8, sums[1]);
        for (size_t r = 0; r < l->rows; r++) out[r] = all[r] + (residual ? residual[r] : 0);
        return;
    }
    for (size_t half = 0; half < l->rows / 8; half++) {
        __m256 sum = sums[half];
        if (residual) sum = _mm256_add_ps(sum, _mm256_loadu_ps(residual + 8 * half));
        _mm256_storeu_ps(out + 8 * half, sum);
    }
}

INLINE void some_pixels(const pointwise_layer *l, const float *x, size_t pixels, const float *residual, float *out) {
    __m256 low[PIXELS], high[PIXELS];
    for (size_t t = 0; t < pixels; t++) {
        low[t] = _mm256_loadu_ps(l->bias);
        high[t] = _mm256_loadu_ps(l->bias + 8);
    }
    const float *panel = l->panel;
    for (size_t i = 0; i < l->n; i++, panel += DUET_POINTWISE_ROWS) {
        __m256 a = _mm256_loadu_ps(panel), b = _mm256_loadu_ps(panel + 8);
#pragma clang loop unroll(full)
        for (size_t t = 0; t < pixels; t++) {
            __m256 v = _mm256_broadcast_ss(x + t * l->x_stride + i);
            low[t] = _mm256_fmadd_ps(a, v, low[t]);
            high[t] = _mm256_fmadd_ps(b, v, high[t]);
        }
    }
    for (size_t t = 0; t < pixels; t++)
        store_pixel(l, low[t], high[t], residual ? residual + t * l->residual_stride : NULL, out + t * l->out_stride);
}

INLINE void all_pixels(const pointwise_layer *l, const float *x, size_t tokens, const float *residual, float *out) {
    for (size_t t = 0; t < tokens;) {
        const float *here = x + t * l->x_stride, *added = residual ? residual + t * l->residual_stride : NULL;
        float *to = out + t * l->out_stride;
        size_t left = tokens - t, step = left >= PIXELS ? PIXELS : left >= 4 ? 4 : 1;
        if (step == PIXELS) some_pixels(l, here, PIXELS, added, to);
        else if (step == 4) some_pixels(l, here, 4, added, to);
        else some_pixels(l, here, 1, added, to);
        t += step;
    }
}

static void pointwise(const float *panels, size_t rows, size_t n, const float *bias, duet_finish finish,
                      const float *x, size_t x_stride, size_t tokens, const float *residual,
                      size_t residual_stride, float *out, size_t out_stride) {
    if (finish != DUET_FINISH_NONE && finish != DUET_FINISH_RELU6)
        return duet_generic_pointwise(panels, rows, n, bias, finish, x, x_stride, tokens, residual, residual_stride, out, out_stride);
    for (size_t row = 0; row < rows; row += DUET_POINTWISE_ROWS) {
        size_t left = rows - row, some = left < DUET_POINTWISE_ROWS ? left : DUET_POINTWISE_ROWS;
        pointwise_layer l = {panels + row * n, bias + row, some, n, x_stride, residual_stride, out_stride, finish};
        all_pixels(&l, x, tokens, residual ? residual + row : NULL, out + row);
    }
}

// MARK: Depthwise convolutions

#define COLUMNS 4

typedef struct {
    size_t first, last;
} range;

// The kernel's rows or columns that lie within the picture, which begins `before` after the kernel.
INLINE range inside(size_t kernel, size_t start, size_t before, size_t size) {
    range r = {start < before ? before - start : 0, kernel};
    if (start + kernel > size + before) r.last = size + before > start ? size + before - start : 0;
    return r;
}

// `columns` results whose kernels all use the rows `y` and the columns `x`.
INLINE void some_columns(const duet_depthwise *d, size_t kernel, const float *in, range y, range x, size_t row,
                         size_t column, size_t columns, float *out, size_t out_stride) {
    for (size_t c = 0; c < d->channels; c += 8) {
        __m256 sums[COLUMNS];
        for (size_t j = 0; j < columns; j++) sums[j] = _mm256_loadu_ps(d->bias + c);
        for (size_t ky = y.first; ky < y.last; ky++) {
            const float *line = in + (row * d->step + ky - d->top) * d->width * d->stride + c;
            for (size_t kx = x.first; kx < x.last; kx++) {
                __m256 w = _mm256_loadu_ps(d->weights + (ky * kernel + kx) * d->tap_stride + c);
                const float *pixel = line + (column * d->step + kx - d->left) * d->stride;
                for (size_t j = 0; j < columns; j++)
                    sums[j] = _mm256_fmadd_ps(w, _mm256_loadu_ps(pixel + j * d->step * d->stride), sums[j]);
            }
        }
        for (size_t j = 0; j < columns; j++)
            _mm256_storeu_ps(out + (column + j) * out_stride + c, finished(DUET_FINISH_RELU6, sums[j]));
    }
}

INLINE void depthwise_any(const duet_depthwise *d, size_t kernel, const float *in, size_t row, float *out,
                          size_t out_width, size_t out_stride) {
    range y = inside(kernel, row * d->step, d->top, d->height);
    for (size_t column = 0; column < out_width;) {
        size_t start = column * d->step, end = (column + COLUMNS - 1) * d->step + kernel;
        if (column + COLUMNS <= out_width && start >= d->left && end <= d->width + d->left) {
            some_columns(d, kernel, in, y, (range){0, kernel}, row, column, COLUMNS, out, out_stride);
            column += COLUMNS;
        } else {
            some_columns(d, kernel, in, y, inside(kernel, start, d->left, d->width), row, column, 1, out, out_stride);
            column++;
        }
    }
}

static void depthwise_row(const duet_depthwise *d, const float *in, size_t row, float *out, size_t out_width,
                          size_t out_stride) {
    switch (d->kernel) {
    case 3: return depthwise_any(d, 3, in, row, out, out_width, out_stride);
    case 5: return depthwise_any(d, 5, in, row, out, out_width, out_stride);
    default: return depthwise_any(d, d->kernel, in, row, out, out_width, out_stride);
    }
}

void duet_avx2_depthwise(const duet_depthwise *d, const float *in, size_t row, size_t rows, float *out,
                         size_t out_width, size_t out_stride) {
    if (d->channels % 8) return duet_generic_depthwise(d, in, row, rows, out, out_width, out_stride);
    for (size_t r = 0; r < rows; r++)
        depthwise_row(d, in, row + r, out + r * out_width * out_stride, out_width, out_stride);
}

// MARK: Transformers

static void layer_norm(const float *x, const float *weight, const float *bias, size_t n, float epsilon, float *out) {
    if (n % 8) return duet_generic_layer_norm(x, weight, bias, n, epsilon, out);
    __m256 sums = _mm256_setzero_ps(), squares = sums;
    for (size_t i = 0; i < n; i += 8) sums = _mm256_add_ps(sums, _mm256_loadu_ps(x + i));
    __m256 mean = _mm256_set1_ps(duet_sum8(sums) / (float)n);
    for (size_t i = 0; i < n; i += 8) {
        __m256 centred = _mm256_sub_ps(_mm256_loadu_ps(x + i), mean);
        squares = _mm256_fmadd_ps(centred, centred, squares);
    }
    __m256 factor = _mm256_set1_ps(1 / sqrtf(duet_sum8(squares) / (float)n + epsilon));
    for (size_t i = 0; i < n; i += 8) {
        __m256 scaled = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), mean), factor);
        _mm256_storeu_ps(out + i, _mm256_fmadd_ps(scaled, _mm256_loadu_ps(weight + i), _mm256_loadu_ps(bias + i)));
    }
}

static void softmax(float *x, size_t n, float scale) {
    size_t whole = n / 8 * 8;
    __m256 factor = _mm256_set1_ps(scale), largest = _mm256_set1_ps(-INFINITY), sums = _mm256_setzero_ps();
    for (size_t i = 0; i < whole; i += 8) largest = _mm256_max_ps(largest, _mm256_mul_ps(_mm256_loadu_ps(x + i), factor));
    float top = duet_max8(largest), sum = 0;
    for (size_t i = whole; i < n; i++) top = fmaxf(top, scale * x[i]);
    __m256 shift = _mm256_set1_ps(top);
    for (size_t i = 0; i < whole; i += 8) {
        __m256 e = duet_exp8(_mm256_fmsub_ps(_mm256_loadu_ps(x + i), factor, shift));
        _mm256_storeu_ps(x + i, e);
        sums = _mm256_add_ps(sums, e);
    }
    for (size_t i = whole; i < n; i++) sum += x[i] = expf(scale * x[i] - top);
    __m256 inverse = _mm256_set1_ps(1 / (sum + duet_sum8(sums)));
    for (size_t i = 0; i < whole; i += 8) _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), inverse));
    for (size_t i = whole; i < n; i++) x[i] *= _mm256_cvtss_f32(inverse);
}

#pragma clang attribute pop

void duet_avx2_fill_vision(duet_operations *table) {
    table->finish = finish;
    table->depthwise = duet_avx2_depthwise;
    table->layer_norm = layer_norm;
    table->softmax = softmax;
    table->pointwise = pointwise;
}
#else
void duet_avx2_fill_vision(duet_operations *table) { (void)table; }
#endif
