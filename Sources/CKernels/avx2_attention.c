// Attention over pages of the cache for x86-64 with AVX2, FMA and F16C: paged_attention.h in vectors of 32 bytes.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

#include "avx2_vector.h"

// Of sixteen registers twelve hold sums.
#define ROWS 6
#define SCORE_VECTORS(N) ((N) <= 3 ? 4 : 2)
#define VALUE_VECTORS(N) ((N) <= 3 ? 4 : 2)

#include "paged_attention.h"

#pragma clang attribute pop

void duet_avx2_fill_attention(duet_operations *table) {
    table->attend = attend;
    table->combine = combine;
}
#endif
