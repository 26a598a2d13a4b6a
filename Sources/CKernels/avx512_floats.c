// Panels of float weights times float activations for x86-64 with AVX-512: the panels of avx2_floats.c, whose sixteen
// rows share a vector here. Sums are made in the same order: results are those of that file bit for bit.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))
// Rows of a panel, and tokens that it is multiplied by at a time: each has a sum, and none waits for itself.
#define PANEL_ROWS 16
#define TOKENS 12
// Values of a panel that stay in the nearest cache, beside the tokens' activations.
#define NEAR_VALUES 384

// The products of `tokens` tokens with the values first..<last, added to what `out` holds of the values before.
INLINE void multiply_tokens(const float *panel, __mmask16 rows, size_t first, size_t last, const duet_activations *a,
                            size_t tokens, float *out, size_t out_stride) {
    __m512 total[TOKENS];
    for (size_t t = 0; t < tokens; t++)
        total[t] = first == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, out + t * out_stride);
    for (size_t i = first; i < last; i++) {
        __m512 w = _mm512_loadu_ps(panel + i * PANEL_ROWS);
#pragma clang loop unroll(full)
        for (size_t t = 0; t < tokens; t++) total[t] = _mm512_fmadd_ps(w, _mm512_set1_ps(a[t].x[i]), total[t]);
    }
    for (size_t t = 0; t < tokens; t++) _mm512_mask_storeu_ps(out + t * out_stride, rows, total[t]);
}

static void multiply(const void *panel, size_t rows, size_t n, const duet_activations *a, size_t tokens, float *out,
                     size_t out_stride) {
    const __mmask16 mask = (__mmask16)((1 << rows) - 1);
    for (size_t first = 0; first < n; first += NEAR_VALUES) {
        size_t last = n - first < NEAR_VALUES ? n : first + NEAR_VALUES, t = 0;
        for (; t + TOKENS <= tokens; t += TOKENS)
            multiply_tokens(panel, mask, first, last, a + t, TOKENS, out + t * out_stride, out_stride);
        for (; t + 4 <= tokens; t += 4)
            multiply_tokens(panel, mask, first, last, a + t, 4, out + t * out_stride, out_stride);
        for (; t < tokens; t++) multiply_tokens(panel, mask, first, last, a + t, 1, out + t * out_stride, out_stride);
    }
}

#pragma clang attribute pop

#define ENTRY(TYPE) table->multiply[DUET_##TYPE] = multiply;
void duet_avx512_fill_floats(duet_operations *table) { DUET_FOR_FLOAT_TYPES(ENTRY) }
#else
void duet_avx512_fill_floats(duet_operations *table) { (void)table; }
#endif
