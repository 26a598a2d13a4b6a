// What rounding activations to runs of bytes shares on x86-64. Included once per file, inside of its target attribute.

// Stores half of a run, 16 bytes, and its entries of the run's scales.
static inline __attribute__((always_inline)) void store_half(__m128i packed, int half, float scale, int8_t *q,
                                                             duet_run_scale *s) {
    packed = _mm_max_epi8(packed, _mm_set1_epi8(-127));
    _mm_storeu_si128((__m128i *)(q + 16 * half), packed);
    // Sums of signed bytes: shift to unsigned, add up, shift back.
    __m128i sums = _mm_sad_epu8(_mm_xor_si128(packed, _mm_set1_epi8(-128)), _mm_setzero_si128());
    int sum = _mm_extract_epi16(sums, 0) + _mm_extract_epi16(sums, 4) - 16 * 128;
    s->scale = scale;
    s->half[half] = scale * (float)sum;
    s->middle[half] = -128 * sum;
}
