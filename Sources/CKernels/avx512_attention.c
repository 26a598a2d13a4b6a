// Attention over pages of the cache for x86-64 with AVX-512: paged_attention.h in vectors of 64 bytes.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

#include "avx512_vector.h"

// Of 32 registers 24 may hold sums. Of a page of which little is seen, less is scored in steps of half of it. The more
// rows, the fewer conversions from half precision, which take two of the slots of a multiplication.
#define ROWS 12
#define SCORE_VECTORS(N) ((N) <= 3 ? 4 : 2)
#define VALUE_VECTORS(N) ((N) <= 6 ? 4 : 2)

#include "paged_attention.h"

#pragma clang attribute pop

void duet_avx512_fill_attention(duet_operations *table) {
    table->attend = attend;
    table->combine = combine;
}
#endif
