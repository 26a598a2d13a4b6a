// Operations on single vectors for AArch64.

#include "tiers.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "formats.h"

#define INLINE static inline __attribute__((always_inline))

#include "neon_vector.h"
#include "vector_loops.h"

static void quantize_run(const float *x, int8_t *q, duet_run_scale *s) {
    float32x4_t v[8], largest = zero();
    uint32x4_t ordered = vdupq_n_u32(UINT32_MAX);
    for (int i = 0; i < 8; i++) {
        v[i] = vld1q_f32(x + 4 * i);
        ordered = vandq_u32(ordered, vceqq_f32(v[i], v[i]));
        largest = vmaxq_f32(largest, vabsq_f32(v[i]));
    }
    float scale = vmaxvq_f32(largest) / 127, inverse = 1 / scale;
    if (vminvq_u32(ordered) == 0 || !isfinite(scale) || !isfinite(inverse)) {
        memset(q, 0, DUET_RUN);
        memset(s, 0, sizeof *s);
        return;
    }
    s->scale = scale;
    for (int half = 0; half < 2; half++) {
        int16x4_t words[4];
        for (int i = 0; i < 4; i++) words[i] = vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(v[4 * half + i], inverse)));
        int8x8_t low = vqmovn_s16(vcombine_s16(words[0], words[1]));
        int8x8_t high = vqmovn_s16(vcombine_s16(words[2], words[3]));
        int8x16_t all = vmaxq_s8(vcombine_s8(low, high), vdupq_n_s8(-127));
        vst1q_s8(q + 16 * half, all);
        int sum = vaddlvq_s8(all);
        s->half[half] = scale * (float)sum;
        s->middle[half] = -128 * sum;
    }
}

static void quantize(const float *x, size_t n, int8_t *q, duet_run_scale *scales) {
    for (size_t i = 0; i < n / DUET_RUN; i++)
        quantize_run(x + DUET_RUN * i, q + DUET_RUN * i, &scales[i]);
}

static void rotate(float *x, size_t n, const float *cosines, const float *sines, bool split) {
    if (split) return rotate_split(x, n / 2, cosines, sines);
    size_t i = 0;
    for (; i + LANES <= n / 2; i += LANES) {
        float32x4x2_t pairs = vld2q_f32(x + 2 * i), turned;
        vector c = vld1q_f32(cosines + i), s = vld1q_f32(sines + i);
        turned.val[0] = multiply_subtract(pairs.val[0], c, multiply(pairs.val[1], s));
        turned.val[1] = multiply_add(pairs.val[0], s, multiply(pairs.val[1], c));
        vst2q_f32(x + 2 * i, turned);
    }
    for (; i < n / 2; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = a * sines[i] + b * cosines[i];
    }
}

static void store(const float *key, const float *value, size_t head_size, int type, size_t slot, void *keys,
                  void *values) {
    if (type != DUET_F16 || head_size % LANES != 0) {
        duet_generic_store(key, value, head_size, type, slot, keys, values);
        return;
    }
    uint16_t *to = (uint16_t *)keys + slot;
    for (size_t i = 0; i < head_size; i += LANES, to += LANES * DUET_PAGE_TOKENS) {
        uint16x4_t k = vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(key + i)));
        uint16x4_t v = vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(value + i)));
        vst1_u16((uint16_t *)values + slot * head_size + i, v);
        vst1_lane_u16(to, k, 0);
        vst1_lane_u16(to + DUET_PAGE_TOKENS, k, 1);
        vst1_lane_u16(to + 2 * DUET_PAGE_TOKENS, k, 2);
        vst1_lane_u16(to + 3 * DUET_PAGE_TOKENS, k, 3);
    }
}

void duet_neon_fill_vectors(duet_operations *table) {
    table->store = store;
    table->quantize = quantize;
    table->rms_norm = rms_norm;
    table->gelu_bias = gelu_bias;
    table->rotate = rotate;
    table->add = add;
    table->silu_multiply = silu_multiply;
    table->gelu_multiply = gelu_multiply;
    table->argmax = argmax;
}
#endif
