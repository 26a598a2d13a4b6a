// The training kernels for x86-64 with AVX2 and FMA: the same loops, vectorised for it.

#include "tiers.h"

#if defined(__x86_64__)
#include <math.h>
#include <string.h>

#include "training.h"

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#define TIER(name) avx2_##name
#define TIER_NAME "avx2"
#include "training_loops.h"

#pragma clang attribute pop

const duet_training *duet_training_avx2(void) { return &avx2_table; }
#else
const duet_training *duet_training_avx2(void) { return NULL; }
#endif
