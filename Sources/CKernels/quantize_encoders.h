// The table of encoders and measures. Included once per tier.

#include "quantize_superblocks.h"

// MARK: Measures

static void difference(const float *x, const float *y, const float *weights, size_t n, duet_difference *sums) {
    for (size_t start = 0; start < n; start += 256) {
        size_t count = n - start < 256 ? n - start : 256, i = 0;
        const float *w = weights ? weights + start : ones;
        f8 e = 0, xx = 0, we = 0, wxx = 0;
        for (; i + 8 <= count; i += 8) {
            f8 v = load8(x + start + i), rest = v - load8(y + start + i), u = load8(w + i);
            rest *= rest;
            v *= v;
            e += rest;
            xx += v;
            we += u * rest;
            wxx += u * v;
        }
        for (; i < count; i++) {
            float v = x[start + i], rest = v - y[start + i];
            e[0] += rest * rest;
            xx[0] += v * v;
            we[0] += w[i] * (rest * rest);
            wxx[0] += w[i] * (v * v);
        }
        sums->error += sum8(e);
        sums->energy += sum8(xx);
        sums->weighted_error += sum8(we);
        sums->weighted_energy += sum8(wxx);
    }
}

static bool is_finite(const float *x, size_t n) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most < 0x7f800000;
}

static void add_squares(const float *x, size_t n, float *sums) {
    for (size_t i = 0; i < n; i++) sums[i] += x[i] * x[i];
}

static void fill(duet_encoders *e, const char *name) {
    e->name = name;
    e->plain[DUET_F32] = encode_f32, e->search[DUET_F32] = encode_f32;
    e->plain[DUET_F16] = encode_f16, e->search[DUET_F16] = encode_f16;
    e->plain[DUET_BF16] = encode_bf16, e->search[DUET_BF16] = encode_bf16;
    e->plain[DUET_Q4_0] = plain_q4_0, e->search[DUET_Q4_0] = search_q4_0;
    e->plain[DUET_Q4_1] = plain_q4_1, e->search[DUET_Q4_1] = search_q4_1;
    e->plain[DUET_Q5_0] = plain_q5_0, e->search[DUET_Q5_0] = search_q5_0;
    e->plain[DUET_Q5_1] = plain_q5_1, e->search[DUET_Q5_1] = search_q5_1;
    e->plain[DUET_Q8_0] = plain_q8_0, e->search[DUET_Q8_0] = search_q8_0;
    e->plain[DUET_MXFP4] = plain_mxfp4, e->search[DUET_MXFP4] = search_mxfp4;
    e->search[DUET_Q2_K] = search_q2_k;
    e->search[DUET_Q3_K] = search_q3_k;
    e->search[DUET_Q4_K] = search_q4_k;
    e->search[DUET_Q5_K] = search_q5_k;
    e->search[DUET_Q6_K] = search_q6_k;
    e->search[DUET_IQ4_NL] = search_iq4_nl;
    e->search[DUET_IQ4_XS] = search_iq4_xs;
    e->difference = difference;
    e->is_finite = is_finite;
    e->add_squares = add_squares;
}
