// The loops of the training kernels, written so that the compiler can vectorise them: no branches
// inside, sums that it may reorder. Included once per tier, inside of that tier's target attribute;
// TIER(name) makes the names differ.

#include <math.h>
#include <string.h>

#include "training.h"

#define INLINE static inline __attribute__((always_inline))

// exp(x) to about 2 ulp, in the steps of duet_exp8 in avx2_math.h. 0 below -87.3, where single
// precision becomes subnormal; at most exp(88).
INLINE float TIER(exponential)(float x) {
    float bounded = x > 88.0f ? 88.0f : x;
    bounded = bounded < -87.33f ? -87.33f : bounded;
    float k = __builtin_rintf(bounded * 1.44269504f);
    float r = bounded - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1;
    p = p * r + 1;
    int32_t bits = ((int32_t)k + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return x < -87.33f ? 0 : p * power;
}

INLINE float TIER(tangent)(float x) { return 1 - 2 / (TIER(exponential)(2 * x) + 1); }

INLINE float TIER(capped)(float s, float cap) { return cap * TIER(tangent)(s / cap); }

// The largest of n values, 16 lanes at a time, since the compiler may not reorder comparisons.
static float TIER(largest)(const float *x, size_t n) {
    float lanes[16], largest = x[0];
    for (int j = 0; j < 16; j++) lanes[j] = x[0];
    size_t whole = n / 16 * 16;
    for (size_t i = 0; i < whole; i += 16)
        for (int j = 0; j < 16; j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
    for (int j = 0; j < 16; j++) largest = lanes[j] > largest ? lanes[j] : largest;
    for (size_t i = whole; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

static float TIER(dot)(const float *a, const float *b, size_t n) {
#pragma clang fp reassociate(on) contract(fast)
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static double TIER(sum_of_squares)(const float *x, size_t n) {
#pragma clang fp reassociate(on) contract(fast)
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

static void TIER(add_scaled)(const float *restrict x, size_t n, float factor, float *restrict out) {
#pragma clang fp contract(fast)
    for (size_t i = 0; i < n; i++) out[i] += factor * x[i];
}

static void TIER(rms_norm_backward)(const float *restrict x, const float *restrict weight,
                                    const float *restrict dy, size_t n, float epsilon, float *restrict dx,
                                    float *restrict dweight) {
#pragma clang fp reassociate(on) contract(fast)
    float squares = 0, along = 0;
    for (size_t i = 0; i < n; i++) {
        squares += x[i] * x[i];
        along += dy[i] * weight[i] * x[i];
    }
    float factor = 1 / sqrtf(squares / (float)n + epsilon);
    float back = along * factor * factor * factor / (float)n;
    for (size_t i = 0; i < n; i++) dx[i] += factor * weight[i] * dy[i] - back * x[i];
    if (dweight == NULL) return;
    for (size_t i = 0; i < n; i++) dweight[i] += factor * x[i] * dy[i];
}

static void TIER(silu_backward)(float *restrict gate, float *restrict up, const float *restrict d, size_t n,
                                float *restrict inner) {
#pragma clang fp contract(fast)
    for (size_t i = 0; i < n; i++) {
        float g = gate[i], u = up[i];
        float s = 1 / (1 + TIER(exponential)(-g));
        inner[i] = g * s * u;
        gate[i] = d[i] * u * s * (1 + g * (1 - s));
        up[i] = d[i] * g * s;
    }
}

static void TIER(gelu_backward)(float *restrict gate, float *restrict up, const float *restrict d, size_t n,
                                float *restrict inner) {
#pragma clang fp contract(fast)
    const float root = 0.7978845608f, cubic = 0.044715f;  // sqrt(2 / pi)
    for (size_t i = 0; i < n; i++) {
        float g = gate[i], u = up[i];
        float t = TIER(tangent)(root * (g + cubic * g * g * g));
        float slope = 0.5f * (1 + t) + 0.5f * g * (1 - t * t) * root * (1 + 3 * cubic * g * g);
        float value = 0.5f * g * (1 + t);
        inner[i] = value * u;
        gate[i] = d[i] * u * slope;
        up[i] = d[i] * value;
    }
}

static float TIER(softmax)(float *scores, size_t n, float softcap) {
#pragma clang fp reassociate(on) contract(fast)
    if (softcap > 0) for (size_t i = 0; i < n; i++) scores[i] = TIER(capped)(scores[i], softcap);
    float largest = TIER(largest)(scores, n);
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        scores[i] = TIER(exponential)(scores[i] - largest);
        sum += scores[i];
    }
    float factor = 1 / sum;
    for (size_t i = 0; i < n; i++) scores[i] *= factor;
    return largest + logf(sum);
}

static void TIER(softmax_backward)(float *restrict scores, float *restrict d, size_t n, float softcap,
                                   float log_sum, float dot) {
#pragma clang fp contract(fast)
    if (softcap > 0) {
        for (size_t i = 0; i < n; i++) {
            float t = TIER(tangent)(scores[i] / softcap);
            float p = TIER(exponential)(softcap * t - log_sum);
            d[i] = p * (d[i] - dot) * (1 - t * t);
            scores[i] = p;
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float p = TIER(exponential)(scores[i] - log_sum);
        d[i] = p * (d[i] - dot);
        scores[i] = p;
    }
}

static double TIER(cross_entropy)(float *logits, size_t n, size_t target, float weight, float softcap) {
#pragma clang fp reassociate(on) contract(fast)
    if (softcap > 0) for (size_t i = 0; i < n; i++) logits[i] = TIER(capped)(logits[i], softcap);
    float largest = TIER(largest)(logits, n);
    double total = 0;
    for (size_t start = 0; start < n; start += 1024) {
        size_t end = start + 1024 < n ? start + 1024 : n;
        float sum = 0;
        for (size_t i = start; i < end; i++) sum += TIER(exponential)(logits[i] - largest);
        total += (double)sum;
    }
    double log_sum = (double)largest + log(total), loss = log_sum - (double)logits[target];
    float shift = (float)log_sum;
    float y = logits[target];
    for (size_t i = 0; i < n; i++) {
        float slope = softcap > 0 ? 1 - logits[i] / softcap * (logits[i] / softcap) : 1;
        logits[i] = weight * slope * TIER(exponential)(logits[i] - shift);
    }
    logits[target] -= weight * (softcap > 0 ? 1 - y / softcap * (y / softcap) : 1);
    return loss;
}

static void TIER(adamw)(float *restrict p, const float *restrict g, float *restrict m, float *restrict v,
                        size_t n, const duet_adamw *options) {
#pragma clang fp contract(fast)
    const duet_adamw o = *options;
    for (size_t i = 0; i < n; i++) {
        float gradient = o.scale * g[i];
        m[i] = o.beta1 * m[i] + (1 - o.beta1) * gradient;
        v[i] = o.beta2 * v[i] + (1 - o.beta2) * gradient * gradient;
        float kept = p[i] * (1 - o.rate * o.decay);
        p[i] = kept - o.step * m[i] / (__builtin_elementwise_sqrt(v[i]) * o.root + o.epsilon);
    }
}

// The hash is the finaliser of MurmurHash3, of 32 bits.
static void TIER(dropout)(const float *x, size_t n, uint64_t seed, uint64_t first, float share, float *out) {
    const uint32_t low = (uint32_t)seed, high = (uint32_t)(seed >> 32);
    const uint32_t limit = (uint32_t)((double)share * 16777216.0);
    const float factor = 1 / (1 - share);
    for (size_t i = 0; i < n; i++) {
        uint32_t h = ((uint32_t)(first + i) * 0x9e3779b9u) ^ low;
        h = (h ^ (h >> 16)) * 0x85ebca6bu;
        h = ((h ^ (h >> 13)) + high) * 0xc2b2ae35u;
        h = (h ^ (h >> 16)) >> 8;
        out[i] = h >= limit ? x[i] * factor : 0;
    }
}

static const duet_training TIER(table) = {
    .name = TIER_NAME,
    .rms_norm_backward = TIER(rms_norm_backward),
    .silu_backward = TIER(silu_backward),
    .gelu_backward = TIER(gelu_backward),
    .softmax = TIER(softmax),
    .softmax_backward = TIER(softmax_backward),
    .cross_entropy = TIER(cross_entropy),
    .dot = TIER(dot),
    .sum_of_squares = TIER(sum_of_squares),
    .add_scaled = TIER(add_scaled),
    .adamw = TIER(adamw),
    .dropout = TIER(dropout),
};
