// Floats side by side on NEON. Included once per file, inside of its target attribute and after INLINE. What
// paged_attention.h and vector_loops.h are written in.

typedef float32x4_t vector;
#define LANES 4

INLINE vector zero(void) { return vdupq_n_f32(0); }
INLINE vector spread(float x) { return vdupq_n_f32(x); }
INLINE vector spread_half(uint16_t x) { return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(x))); }
INLINE vector load_floats(const float *x) { return vld1q_f32(x); }
INLINE void store_floats(float *out, vector x) { vst1q_f32(out, x); }
INLINE vector add_up(vector a, vector b) { return vaddq_f32(a, b); }
INLINE vector subtract(vector a, vector b) { return vsubq_f32(a, b); }
INLINE vector multiply(vector a, vector b) { return vmulq_f32(a, b); }
INLINE vector multiply_add(vector a, vector b, vector c) { return vfmaq_f32(c, a, b); }
INLINE vector multiply_subtract(vector a, vector b, vector c) { return vfmaq_f32(vnegq_f32(c), a, b); }
INLINE vector divide(vector a, vector b) { return vdivq_f32(a, b); }
INLINE vector magnitude_of(vector x) { return vabsq_f32(x); }
INLINE vector with_sign_of(vector from, vector x) { return vbslq_f32(vdupq_n_u32(0x80000000), from, x); }
// b where a is no number, whatever its kind: the instructions for a maximum differ in that.
INLINE vector largest_of(vector a, vector b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
INLINE float total_of(vector x) { return vaddvq_f32(x); }
INLINE float maximum_of(vector x) { return vmaxvq_f32(x); }

// As duet_exp8.
INLINE vector exp_of(vector x) {
    vector bounded = vminq_f32(vdupq_n_f32(89), vmaxq_f32(vdupq_n_f32(-104), x));
    vector k = vrndnq_f32(vmulq_n_f32(bounded, 1.44269504f));
    vector r = vfmsq_n_f32(bounded, k, 0.693359375f);
    r = vfmsq_n_f32(r, k, -2.12194440e-4f);
    vector p = vdupq_n_f32(1.0f / 5040);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 720), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 120), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 24), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 6), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1), p, r);
    p = vfmaq_f32(vdupq_n_f32(1), p, r);
    int32x4_t exponent = vcvtq_s32_f32(k), half = vshrq_n_s32(exponent, 1);
    int32x4_t rest = vsubq_s32(exponent, half), bias = vdupq_n_s32(127);
    p = vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23)));
    // NaN has stayed NaN all along.
    return vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23)));
}

// tanh(x) = 1 - 2 / (exp(2x) + 1)
INLINE vector tanh_of(vector x) {
    vector e = exp_of(vaddq_f32(x, x));
    return vsubq_f32(vdupq_n_f32(1), vdivq_f32(vdupq_n_f32(2), vaddq_f32(e, vdupq_n_f32(1))));
}

INLINE vector load_some(const float *x, size_t n) {
    if (n >= LANES) return vld1q_f32(x);
    float all[LANES] = {0};
    for (size_t i = 0; i < n; i++) all[i] = x[i];
    return vld1q_f32(all);
}
INLINE void store_some(float *out, size_t n, vector x) {
    if (n >= LANES) return vst1q_f32(out, x);
    float all[LANES];
    vst1q_f32(all, x);
    for (size_t i = 0; i < n; i++) out[i] = all[i];
}

INLINE vector load_values_of(int type, const void *base, size_t at) {
    if (type == DUET_F32) return vld1q_f32((const float *)base + at);
    if (type == DUET_F16) return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)base + at)));
    uint32_t four;
    memcpy(&four, (const int8_t *)base + at, sizeof four);
    int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}

INLINE vector hide(vector s, uint32_t first, duet_span span) {
    const uint32x4_t lanes = {0, 1, 2, 3};
    uint32x4_t token = vaddq_u32(vdupq_n_u32(first), lanes);
    uint32x4_t outside = vorrq_u32(vcltq_u32(token, vdupq_n_u32(span.first)), vcgeq_u32(token, vdupq_n_u32(span.last)));
    return vbslq_f32(outside, vdupq_n_f32(-INFINITY), s);
}

INLINE vector exponential(vector s, vector shift) {
    // -inf - -inf is NaN: what is masked is 0 whatever the largest score.
    uint32x4_t masked = vceqq_f32(s, vdupq_n_f32(-INFINITY));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(exp_of(vsubq_f32(s, shift))), masked));
}
