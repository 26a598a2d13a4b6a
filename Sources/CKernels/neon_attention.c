// Attention over pages of the cache for AArch64: paged_attention.h in vectors of 16 bytes.

#include "tiers.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "formats.h"

#define INLINE static inline __attribute__((always_inline))

#include "neon_vector.h"

// Of 32 registers 24 hold sums.
#define ROWS 6
#define SCORE_VECTORS(N) 4
#define VALUE_VECTORS(N) 4

#include "paged_attention.h"

void duet_neon_fill_attention(duet_operations *table) {
    table->attend = attend;
    table->combine = combine;
}
#endif
