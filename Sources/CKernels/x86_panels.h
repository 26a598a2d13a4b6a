// What panels of rows share on x86-64. Included once per file, inside of its target attribute.

// What follows these rows in the file comes while they are multiplied; beyond its end nothing happens.
static inline __attribute__((always_inline)) void fetch_next(const uint8_t *rows, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) _mm_prefetch(rows + bytes + line, _MM_HINT_T1);
}

// Makes lane i of rows[j] what was lane j of rows[i].
static inline __attribute__((always_inline)) void transpose(__m256i rows[8]) {
    __m256i a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        rows[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

// Makes lane i of out[j] what was lane j of rows[i].
static inline __attribute__((always_inline)) void transpose_fours(const __m128 rows[8], __m256 out[4]) {
    __m256 a[4];
    for (int i = 0; i < 4; i++) a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(rows[i]), rows[i + 4], 1);
    __m256 low01 = _mm256_unpacklo_ps(a[0], a[1]), high01 = _mm256_unpackhi_ps(a[0], a[1]);
    __m256 low23 = _mm256_unpacklo_ps(a[2], a[3]), high23 = _mm256_unpackhi_ps(a[2], a[3]);
    out[0] = _mm256_shuffle_ps(low01, low23, 0x44);
    out[1] = _mm256_shuffle_ps(low01, low23, 0xee);
    out[2] = _mm256_shuffle_ps(high01, high23, 0x44);
    out[3] = _mm256_shuffle_ps(high01, high23, 0xee);
}
