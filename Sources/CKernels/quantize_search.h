// Searches for the scales of blocks. Included once per tier, by files that set the target: vectors
// of eight are spelled out, nothing is contracted and sums have one order, so every tier finds the
// same.
//
// Eight candidates are tried at once, one in each lane; the values of a block come one after the
// other. A block that is `scale * q + minimum` is first fitted by weighted least squares for the q
// that each candidate rounds to; blocks that share a scale of their scales are then fitted together.

#include <math.h>

#include "formats.h"

#pragma STDC FP_CONTRACT OFF
// Vectors are handed to inlined functions only, so how calls pass them does not matter.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float f8 __attribute__((ext_vector_type(8)));
typedef float f8_unaligned __attribute__((ext_vector_type(8), aligned(4)));
typedef int i8 __attribute__((ext_vector_type(8)));

#define INLINE static inline __attribute__((always_inline))

INLINE f8 load8(const float *p) { return *(const f8_unaligned *)p; }
INLINE f8 max8(f8 a, f8 b) { return a > b ? a : b; }
INLINE f8 min8(f8 a, f8 b) { return a < b ? a : b; }
INLINE f8 abs8(f8 a) { return max8(a, -a); }
// To the nearest whole number, ties to even, for magnitudes below 2^22.
INLINE f8 round8(f8 a) {
    const f8 magic = (f8)(12582912.0f);
    return (a + magic) - magic;
}
INLINE float round1(float a) { return (a + 12582912.0f) - 12582912.0f; }
INLINE float sum8(f8 v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }
INLINE float clamp1(float a, float low, float high) { return a < low ? low : a > high ? high : a; }

#define ACROSS(v, ...) __builtin_shufflevector(v, v, __VA_ARGS__)

// The first lane of the least error; the first of all where one is not a number.
INLINE int best_lane(f8 error) {
    f8 least = min8(error, ACROSS(error, 4, 5, 6, 7, 0, 1, 2, 3));
    least = min8(least, ACROSS(least, 2, 3, 0, 1, 6, 7, 4, 5));
    least = min8(least, ACROSS(least, 1, 0, 3, 2, 5, 4, 7, 6));
    const i8 lanes = {0, 1, 2, 3, 4, 5, 6, 7};
    return __builtin_reduce_min(error == least ? lanes : (i8)(8)) & 7;
}

// The least and the greatest of n values, whole eights of them.
INLINE void range_of(const float *x, int n, float *low, float *high) {
    f8 lo = load8(x), hi = lo;
    for (int i = 8; i < n; i += 8) {
        lo = min8(lo, load8(x + i));
        hi = max8(hi, load8(x + i));
    }
    lo = min8(lo, ACROSS(lo, 4, 5, 6, 7, 0, 1, 2, 3)), hi = max8(hi, ACROSS(hi, 4, 5, 6, 7, 0, 1, 2, 3));
    lo = min8(lo, ACROSS(lo, 2, 3, 0, 1, 6, 7, 4, 5)), hi = max8(hi, ACROSS(hi, 2, 3, 0, 1, 6, 7, 4, 5));
    lo = min8(lo, ACROSS(lo, 1, 0, 3, 2, 5, 4, 7, 6)), hi = max8(hi, ACROSS(hi, 1, 0, 3, 2, 5, 4, 7, 6));
    *low = lo[0], *high = hi[0];
}

// The value of the largest magnitude, the first of equals.
INLINE float largest_of(const float *x, int n) {
    float low, high;
    range_of(x, n, &low, &high);
    if (high != -low) return high > -low ? high : low;
    for (int i = 0; i < n; i++)
        if (x[i] == high || x[i] == low) return x[i];
    return 0;
}

// The value itself if half precision holds it, else the nearest it does.
INLINE uint16_t half_bits(float value) { return duet_float_to_half(clamp1(value, -65504.0f, 65504.0f)); }
INLINE float half_rounded(float value) { return duet_half_to_float(half_bits(value)); }
INLINE float inverse(float value) {
    // Where 1 / value overflows, all values are as good as zero.
    float result = 1.0f / value;
    return value == 0 || !(result < 1e38f && result > -1e38f) ? 0 : result;
}
INLINE f8 inverse8(f8 value) {
    f8 result = (f8)(1.0f) / value;
    return ((result < (f8)(1e38f)) & (result > (f8)(-1e38f))) ? result : (f8)(0.0f);
}

// The levels a block may take: whole numbers from low to high, or the 16 of IQ4_NL.
typedef struct {
    float low, high;
    bool table;
} levels;

// Halves of neighbouring levels of IQ4_NL lie between them; each is exact.
INLINE f8 nearest_in_table(f8 v) {
    f8 result = (f8)((float)duet_iq4_values[0]);
    for (int i = 1; i < 16; i++) {
        float middle = 0.5f * (float)(duet_iq4_values[i - 1] + duet_iq4_values[i]);
        f8 step = (f8)((float)(duet_iq4_values[i] - duet_iq4_values[i - 1]));
        result += v > (f8)(middle) ? step : (f8)(0.0f);
    }
    return result;
}

INLINE f8 nearest(f8 v, levels l) {
    if (l.table) return nearest_in_table(v);
    return round8(min8(max8(v, (f8)(l.low)), (f8)(l.high)));
}

INLINE float nearest1(float v, levels l) { return nearest((f8)(v), l)[0]; }

// MARK: Blocks of scale * q

typedef struct {
    f8 scale, gain;  // least squares for each candidate; the gain is what the error falls by
} fit;

// Where the weights `w` are NULL, here and below, all are one: a product less, and the same result.
INLINE void add_to_fit(float x, const float *w, int i, f8 inverse_scale, levels l, f8 *xq, f8 *qq) {
    f8 q = nearest((f8)(x) * inverse_scale, l);
    f8 wq = w ? (f8)(w[i]) * q : q;
    *xq += wq * (f8)(x);
    *qq += wq * q;
}

INLINE fit fit_of(f8 xq, f8 qq) {
    f8 scale = qq > (f8)(0.0f) ? xq / qq : (f8)(0.0f);
    return (fit){scale, scale * xq};
}

INLINE fit fit_scale(const float *x, const float *w, int n, f8 inverse_scale, levels l) {
    f8 xq = 0, qq = 0;
    for (int i = 0; i < n; i++) add_to_fit(x[i], w, i, inverse_scale, l, &xq, &qq);
    return fit_of(xq, qq);
}

// Sixteen candidates: their sums do not wait for each other.
INLINE void fit_two_scales(const float *x, const float *w, int n, const f8 inverse_scales[2], levels l, fit fits[2]) {
    f8 xq = 0, qq = 0, xq2 = 0, qq2 = 0;
    for (int i = 0; i < n; i++) {
        add_to_fit(x[i], w, i, inverse_scales[0], l, &xq, &qq);
        add_to_fit(x[i], w, i, inverse_scales[1], l, &xq2, &qq2);
    }
    fits[0] = fit_of(xq, qq), fits[1] = fit_of(xq2, qq2);
}

INLINE void keep_best(fit f, float *scale, float *gain) {
    int lane = best_lane(-f.gain);
    if (f.gain[lane] > *gain) {
        *gain = f.gain[lane];
        *scale = f.scale[lane];
    }
}

// The scale of one block. `spread` is how far around the outermost level, as a share of it, the
// largest value may come to lie; `rounds` is how often the neighbourhood of the best is looked at.
INLINE float search_scale(const float *x, const float *w, int n, levels l, float spread, int rounds) {
    float unit = inverse(largest_of(x, n));
    if (unit == 0) return 0;
    const f8 steps = {-1.0f, -0.7f, -0.45f, -0.2f, 0.0f, 0.25f, 0.5f, 0.8f};
    const f8 offsets = {-0.5f, -0.3f, -0.15f, -0.05f, 0.05f, 0.15f, 0.3f, 0.5f};
    float scale = 0, gain = 0;
    const f8 units[2] = {((f8)(l.low) + steps * (f8)(spread * l.low)) * (f8)(unit),
                         ((f8)(l.high) + steps * (f8)(spread * l.high)) * (f8)(unit)};
    fit fits[2];
    // Finding a level of a table takes all registers.
    if (l.table)
        for (int i = 0; i < 2; i++) fits[i] = fit_scale(x, w, n, units[i], l);
    else
        fit_two_scales(x, w, n, units, l, fits);
    keep_best(fits[0], &scale, &gain);
    keep_best(fits[1], &scale, &gain);
    for (int round = 0; round < rounds; round++) {
        f8 near = ((f8)(1.0f) + offsets * (f8)(round ? 0.1f * spread : 0.4f * spread)) * (f8)(inverse(scale));
        keep_best(fit_scale(x, w, n, near, l), &scale, &gain);
    }
    return scale;
}

// The weighted squared error of each scale in `scale`.
INLINE f8 error_of(const float *x, const float *w, int n, f8 scale, f8 minimum, levels l) {
    f8 unit = inverse8(scale), error = 0;
    for (int i = 0; i < n; i++) {
        f8 shifted = (f8)(x[i]) - minimum;
        f8 rest = shifted - scale * nearest(shifted * unit, l);
        error += (f8)(w[i]) * (rest * rest);
    }
    return error;
}

// Blocks of 32 that have a half-precision scale each: the best of the halves around what was found.
INLINE float half_scale(const float *x, const float *w, int n, float scale, levels l) {
    uint16_t middle = half_bits(scale);
    f8 candidates;
    for (int i = 0; i < 8; i++) {
        int bits = (middle & 0x7fff) + i - 3;
        candidates[i] = duet_half_to_float(
            (uint16_t)((middle & 0x8000) | (bits < 0 ? 0 : bits > 0x7bff ? 0x7bff : bits)));
    }
    return candidates[best_lane(error_of(x, w, n, candidates, (f8)(0.0f), l))];
}

// MARK: Blocks of scale * q + minimum

typedef struct {
    float scale, minimum, error;
} affine;

typedef struct {
    float w, x, xx;  // the sums of the weights, and of the weights times x and x^2
} moments;

INLINE moments moments_of(const float *x, const float *w, int n) {
    f8 sw = 0, sx = 0, sxx = 0;
    for (int i = 0; i < n; i += 8) {
        f8 v = load8(x + i), u = w ? load8(w + i) : (f8)(1.0f), p = u * v;
        sw += u;
        sx += p;
        sxx += p * v;
    }
    return (moments){sum8(sw), sum8(sx), sum8(sxx)};
}

// Least squares for scale and minimum with the q that each candidate rounds to; x lies from 0 up,
// `ceiling` is what the minimum may be at most.
INLINE void fit_affine(const float *x, const float *w, int n, f8 unit, f8 origin, levels l, moments m,
                       float ceiling, affine *best) {
    f8 sq = 0, sqq = 0, sxq = 0;
    for (int i = 0; i < n; i++) {
        f8 q = nearest(((f8)(x[i]) - origin) * unit, l);
        f8 wq = w ? (f8)(w[i]) * q : q;
        sq += wq;
        sqq += wq * q;
        sxq += wq * (f8)(x[i]);
    }
    f8 sw = (f8)(m.w), sx = (f8)(m.x);
    f8 determinant = sw * sqq - sq * sq;
    f8 scale = (sw * sxq - sx * sq) / determinant, minimum = (sqq * sx - sq * sxq) / determinant;
    i8 bad = ~(determinant > (f8)(0.0f)) | (minimum > (f8)(ceiling)) | ~(scale > (f8)(0.0f));
    f8 pinned = sqq > (f8)(0.0f) ? (sxq - (f8)(ceiling) * sq) / sqq : (f8)(0.0f);
    scale = bad ? pinned : scale;
    minimum = bad ? (f8)(ceiling) : minimum;
    f8 error = ((f8)(m.xx) - (f8)(2.0f) * (scale * sxq + minimum * sx)) +
               (scale * scale * sqq + (f8)(2.0f) * scale * minimum * sq + minimum * minimum * sw);
    int lane = best_lane(error);
    if (error[lane] < best->error) *best = (affine){scale[lane], minimum[lane], error[lane]};
}

// Scale and minimum of one block; the minimum is at most `ceiling`, which is 0 or infinite. Looking closely
// takes five times as long.
INLINE affine search_affine(const float *x, const float *w, int n, levels l, float spread, bool signed_minimum,
                            bool closely) {
    float low, high, shifted[32];
    range_of(x, n, &low, &high);
    if (!signed_minimum && low > 0) low = 0;
    if (high - low <= 0) return (affine){0, low, 0};
    float ceiling = signed_minimum ? 3e38f : -low;
    for (int i = 0; i < n; i++) shifted[i] = x[i] - low;
    moments m = moments_of(shifted, w, n);
    affine best = {(high - low) / l.high, 0, 3e38f};
    const f8 first = {-1.0f, -0.75f, -0.5f, -0.3f, -0.15f, 0.0f, 0.1f, 0.2f};
    const f8 second = {0.3f, 0.45f, 0.6f, 0.8f, 1.0f, 1.2f, 1.5f, 1.9f};
    const f8 near = {-0.5f, -0.3f, -0.15f, -0.05f, 0.05f, 0.15f, 0.3f, 0.5f};
    float unit = inverse(high - low) * l.high;
    f8 origin = 0, units = (f8)(unit);
    if (!closely) {
        const f8 few = {-0.4f, -0.15f, 0.0f, 0.15f, 0.35f, 0.6f, 0.9f, 1.3f};
        fit_affine(shifted, w, n, units * ((f8)(1.0f) + few * (f8)(spread)), origin, l, m, ceiling, &best);
        best.minimum += low;
        return best;
    }
    fit_affine(shifted, w, n, units * ((f8)(1.0f) + first * (f8)(spread)), origin, l, m, ceiling, &best);
    fit_affine(shifted, w, n, units * ((f8)(1.0f) + second * (f8)(spread)), origin, l, m, ceiling, &best);
    // Clipping at both ends: the grid is centred on the range.
    f8 share = (f8)(1.0f) + second * (f8)(spread);
    f8 centred = (f8)(0.5f * (high - low)) * ((f8)(1.0f) - (f8)(1.0f) / share);
    fit_affine(shifted, w, n, units * share, centred, l, m, ceiling, &best);
    for (int round = 0; round < 2; round++) {
        f8 around = ((f8)(1.0f) + near * (f8)(round ? 0.15f * spread : 0.5f * spread)) * (f8)(inverse(best.scale));
        fit_affine(shifted, w, n, around, (f8)(best.minimum), l, m, ceiling, &best);
    }
    best.minimum += low;
    return best;
}

// MARK: Blocks that share a scale of their scales

typedef struct {
    int count, size;        // blocks of `size` values
    levels values;          // of one block
    float scale_low, scale_high;  // whole numbers that the blocks' scales may be
    int rounds;             // of looking closer; few where levels are many and little is to be gained
} family;

typedef struct {
    float d, dmin;  // as half precision holds them
    float scales[16], minima[16];
    float error;
} shared;

INLINE float nearest_affine(float x, float scale, float minimum, levels l) {
    return nearest1((x - minimum) * inverse(scale), l);
}

// Chooses each block's whole-number scale, given d.
INLINE void assign_scales(const float *x, const float *w, family f, const float *wanted, shared *s) {
    const f8 steps = {-3, -2, -1, 0, 1, 2, 3, 4};
    float unit = inverse(s->d);
    s->error = 0;
    for (int j = 0; j < f.count; j++) {
        f8 scale = round8((f8)(clamp1(wanted[j] * unit, f.scale_low, f.scale_high))) + steps;
        scale = min8(max8(scale, (f8)(f.scale_low)), (f8)(f.scale_high));
        f8 error = error_of(x + j * f.size, w + j * f.size, f.size, scale * (f8)(s->d), (f8)(0.0f), f.values);
        int lane = best_lane(error);
        s->scales[j] = scale[lane];
        s->error += error[lane];
    }
}

// The d that is best for the scales and levels chosen.
INLINE float refit_scale(const float *x, const float *w, family f, const shared *s) {
    double xq = 0, qq = 0;
    for (int j = 0; j < f.count; j++) {
        f8 sxq = 0, sqq = 0;
        f8 unit = (f8)(inverse(s->d * s->scales[j]));
        for (int i = j * f.size; i < (j + 1) * f.size; i += 8) {
            f8 v = load8(x + i), q = nearest(v * unit, f.values), wq = load8(w + i) * q;
            sxq += wq * v;
            sqq += wq * q;
        }
        xq += (double)s->scales[j] * sum8(sxq);
        qq += (double)s->scales[j] * s->scales[j] * sum8(sqq);
    }
    return qq > 0 ? (float)(xq / qq) : 0;
}

// wanted: [count], each block's scale by itself.
INLINE void search_shared(const float *x, const float *w, family f, const float *wanted, int starts,
                          shared *best) {
    float largest = 0;
    for (int j = 0; j < f.count; j++)
        if (fabsf(wanted[j]) > fabsf(largest)) largest = wanted[j];
    // Where every error overflows, all values become 0.
    *best = (shared){.error = INFINITY};
    for (int start = 0; start < starts; start++) {
        float limit = start % 2 ? f.scale_high : f.scale_low;
        shared now = {.d = half_rounded(largest / (limit * (1.0f - 0.06f * (float)(start / 2))))};
        for (int round = 0; round <= f.rounds; round++) {
            assign_scales(x, w, f, wanted, &now);
            if (!(now.error < best->error)) break;
            *best = now;
            now.d = half_rounded(refit_scale(x, w, f, &now));
            if (now.d == best->d) break;
        }
    }
}

// Chooses each block's whole-number scale and minimum, given d and dmin.
INLINE void assign_affine(const float *x, const float *w, family f, const affine *wanted, shared *s) {
    const f8 scale_steps = {-1, -1, 0, 0, 1, 1, 2, 2}, minimum_steps = {0, 1, 0, 1, 0, 1, 0, 1};
    float unit = inverse(s->d), minimum_unit = inverse(s->dmin);
    s->error = 0;
    for (int j = 0; j < f.count; j++) {
        float floor_scale = floorf(clamp1(wanted[j].scale * unit, 0, f.scale_high));
        f8 scale = min8(max8((f8)(floor_scale) + scale_steps, (f8)(0.0f)), (f8)(f.scale_high));
        // A larger scale goes with a lower minimum: the middle of the levels stays where it is.
        f8 minimum = ((f8)(-wanted[j].minimum) +
                      (scale * (f8)(s->d) - (f8)(wanted[j].scale)) * (f8)(0.5f * f.values.high)) *
                     (f8)(minimum_unit);
        minimum = min8(max8(minimum, (f8)(0.0f)), (f8)(f.scale_high));
        f8 rounded = round8(minimum);
        minimum = (rounded > minimum ? rounded - (f8)(1.0f) : rounded) + minimum_steps;
        minimum = min8(max8(minimum, (f8)(0.0f)), (f8)(f.scale_high));
        f8 error = error_of(x + j * f.size, w + j * f.size, f.size, scale * (f8)(s->d),
                            minimum * (f8)(-s->dmin), f.values);
        int lane = best_lane(error);
        s->scales[j] = scale[lane];
        s->minima[j] = minimum[lane];
        s->error += error[lane];
    }
}

// The d and dmin that are best for the scales, minima and levels chosen.
INLINE void refit_affine(const float *x, const float *w, family f, shared *s) {
    double a = 0, b = 0, c = 0, p = 0, r = 0;
    for (int j = 0; j < f.count; j++) {
        f8 sw = 0, sx = 0, sq = 0, sqq = 0, sxq = 0;
        float scale = s->d * s->scales[j], minimum = -s->dmin * s->minima[j];
        f8 unit = (f8)(inverse(scale));
        for (int i = j * f.size; i < (j + 1) * f.size; i += 8) {
            f8 v = load8(x + i), u = load8(w + i), q = nearest((v - (f8)(minimum)) * unit, f.values);
            f8 wq = u * q;
            sw += u;
            sx += u * v;
            sq += wq;
            sqq += wq * q;
            sxq += wq * v;
        }
        double k = s->scales[j], m = s->minima[j];
        a += k * k * sum8(sqq);
        b += k * m * sum8(sq);
        c += m * m * sum8(sw);
        p += k * sum8(sxq);
        r += m * sum8(sx);
    }
    double determinant = b * b - a * c;
    if (determinant < 0 && a > 0) {
        double d = (b * r - c * p) / determinant, dmin = (a * r - b * p) / determinant;
        if (d > 0 && dmin >= 0) {
            s->d = half_rounded((float)d);
            s->dmin = half_rounded((float)dmin);
            return;
        }
    }
    if (a > 0 && p + b * s->dmin > 0) s->d = half_rounded((float)((p + b * s->dmin) / a));
}

INLINE void search_shared_affine(const float *x, const float *w, family f, const affine *wanted, int starts,
                                 shared *best) {
    float scale = 0, minimum = 0;
    for (int j = 0; j < f.count; j++) {
        scale = wanted[j].scale > scale ? wanted[j].scale : scale;
        minimum = -wanted[j].minimum > minimum ? -wanted[j].minimum : minimum;
    }
    // Where every error overflows, all values become 0.
    *best = (shared){.error = INFINITY};
    for (int start = 0; start < starts; start++) {
        float narrow = 1.0f - 0.15f * (float)(start % 2), low = 1.0f - 0.15f * (float)(start / 2);
        shared now = {.d = half_rounded(scale / (f.scale_high * narrow)),
                      .dmin = half_rounded(minimum / (f.scale_high * low))};
        for (int round = 0; round <= f.rounds; round++) {
            assign_affine(x, w, f, wanted, &now);
            if (!(now.error < best->error)) break;
            *best = now;
            refit_affine(x, w, f, &now);
            if (now.d == best->d && now.dmin == best->dmin) break;
        }
    }
}
