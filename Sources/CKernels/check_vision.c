// Checks of what picture encoders need beyond products.

#include "check.h"

#define FINISHES 6

// What finishing gives may be off by: exponentials are approximated.
static double allowed_of(double value) { return isfinite(value) ? 4e-6 + 1e-6 * fabs(value) : 0; }

static bool check_finish(duet_checker *c, duet_finish finish) {
    const size_t rows = duet_one_to(c, 70), tokens = duet_one_to(c, 5), stride = rows + duet_below(c, 9);
    const float *bias = duet_flip(c) ? duet_take_random(c, rows, 3) : NULL;
    const float *residual = duet_flip(c) ? duet_take_random(c, tokens * stride, 3) : NULL;
    float *out = duet_take_random(c, tokens * stride, 8), *expected = duet_take_floats(c, tokens * stride);
    for (size_t i = 0; i < tokens * stride; i++)
        if (duet_below(c, 16) == 0) out[i] *= duet_flip(c) ? 30 : 1e4f;
    if (duet_flip(c)) out[duet_below(c, tokens * stride)] = duet_flip(c) ? NAN : INFINITY;
    memcpy(expected, out, tokens * stride * sizeof *out);
    duet_subject(c, "finish %d of %zu rows, %zu tokens", (int)finish, rows, tokens);
    c->tier->finish(finish, out, rows, stride, tokens, bias, residual, stride);
    c->generic->finish(finish, expected, rows, stride, tokens, bias, residual, stride);
    for (size_t i = 0; i < tokens * stride; i++) {
        const double allowed = i % stride < rows ? allowed_of(expected[i]) : 0;
        if (!duet_expect(c, i, out[i], expected[i], allowed)) return false;
    }
    return true;
}

bool duet_check_finish(duet_checker *c) {
    for (int i = 0; i < FINISHES; i++)
        if (!check_finish(c, (duet_finish)i)) return false;
    return true;
}

bool duet_check_depthwise(duet_checker *c) {
    duet_depthwise d = {.width = duet_one_to(c, 16), .height = duet_one_to(c, 9), .kernel = duet_flip(c) ? 3 : 5};
    d.channels = duet_flip(c) ? 8 * duet_one_to(c, 6) : duet_one_to(c, 40);
    d.step = duet_one_to(c, 2), d.left = d.top = d.kernel / 2;
    d.stride = d.channels + duet_below(c, 4), d.tap_stride = d.channels + duet_below(c, 6);
    const size_t width = (d.width + d.step - 1) / d.step, height = (d.height + d.step - 1) / d.step;
    const size_t stride = d.channels + duet_below(c, 4), count = width * height * stride, together = duet_one_to(c, 4);
    d.weights = duet_take_random(c, d.kernel * d.kernel * d.tap_stride, 0.5f);
    d.bias = duet_take_random(c, d.channels, 3);
    const float *in = duet_take_random(c, d.width * d.height * d.stride, 3);
    float *expected = duet_take_floats(c, count), *all = duet_take_floats(c, count), *parts = duet_take_floats(c, count);
    duet_subject(c, "depthwise of %zu x %zu x %zu, %zu by %zu", d.width, d.height, d.channels, d.kernel, d.step);
    c->generic->depthwise(&d, in, 0, height, expected, width, stride);
    c->tier->depthwise(&d, in, 0, height, all, width, stride);
    for (size_t i = 0; i < count; i++)
        if (!duet_expect(c, i, all[i], expected[i], 2e-5)) return false;
    for (size_t row = 0; row < height; row += together) {
        const size_t rows = height - row < together ? height - row : together;
        c->tier->depthwise(&d, in, row, rows, parts + row * width * stride, width, stride);
    }
    duet_subject(c, "depthwise of %zu x %zu x %zu, %zu by %zu, %zu rows together", d.width, d.height, d.channels, d.kernel,
                 d.step, together);
    return duet_expect_same(c, parts, all, count);
}

bool duet_check_pointwise(duet_checker *c) {
    const size_t rows = duet_one_to(c, 40), n = duet_one_to(c, 150), tokens = duet_one_to(c, 30);
    const size_t panels = (rows + DUET_POINTWISE_ROWS - 1) / DUET_POINTWISE_ROWS, padded = panels * DUET_POINTWISE_ROWS;
    const size_t x_stride = n + duet_below(c, 4), stride = rows + duet_below(c, 4);
    const duet_finish finish = (duet_finish)duet_below(c, FINISHES);
    const float *weights = duet_take_random(c, rows * n, 1), *bias = duet_take_random(c, padded, 3);
    const float *x = duet_take_random(c, tokens * x_stride, 1);
    const float *residual = duet_flip(c) ? duet_take_random(c, tokens * stride, 3) : NULL;
    float *packed = duet_take_floats(c, n * padded), *out = duet_take_floats(c, tokens * stride);
    duet_pack_pointwise(weights, rows, n, n, packed);
    duet_subject(c, "pointwise of %zu rows of %zu values, %zu tokens, finish %d", rows, n, tokens, (int)finish);
    c->tier->pointwise(packed, rows, n, bias, finish, x, x_stride, tokens, residual, stride, out, stride);
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            double sum = bias[r], magnitude = fabs(sum);
            for (size_t i = 0; i < n; i++) {
                sum += (double)weights[r * n + i] * x[t * x_stride + i];
                magnitude += fabs((double)weights[r * n + i] * x[t * x_stride + i]);
            }
            float expected = (float)sum;
            c->generic->finish(finish, &expected, 1, 1, 1, NULL, residual ? residual + t * stride + r : NULL, 1);
            const double allowed = 5e-6 * magnitude + allowed_of(expected);
            if (!duet_expect(c, t * stride + r, out[t * stride + r], expected, allowed)) return false;
        }
        if (!duet_expect_untouched(c, out + t * stride + rows, stride - rows)) return false;
    }
    return true;
}
