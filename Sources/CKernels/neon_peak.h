// How many products registers make, on AArch64. Included once per file, inside of its target attribute, after
// multiply_bytes, which adds the products of two vectors of bytes to some sums and says how many those were.

// Sums that no instruction waits for: four pipes whose results take four cycles.
#define PEAK_SUMS 16

static uint64_t peak(bool in_float, size_t rounds) {
    int32x4_t sums[PEAK_SUMS];
    float32x4_t totals[PEAK_SUMS];
    uint64_t products = 0;
    for (int i = 0; i < PEAK_SUMS; i++) {
        sums[i] = vdupq_n_s32(0);
        totals[i] = vdupq_n_f32(0);
    }
    int8x16_t w = vdupq_n_s8(3), a = vdupq_n_s8(-5);
    float32x4_t x = vdupq_n_f32(0.5f);
    for (size_t round = 0; round < rounds; round++) {
        for (int i = 0; i < PEAK_SUMS; i++) {
            // As if it were another weight, or the product would be made once for all.
            __asm__ volatile("" : "+w"(w), "+w"(x));
            if (in_float) totals[i] = vfmaq_f32(totals[i], x, x);
            products += in_float ? 4 : multiply_bytes(&sums[i], w, a);
        }
    }
    // What nobody reads would not be computed.
    for (int i = 0; i < PEAK_SUMS; i++) __asm__ volatile("" ::"w"(sums[i]), "w"(totals[i]));
    return products;
}
