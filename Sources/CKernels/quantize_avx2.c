// The same encoders with the registers of AVX2. Not FMA: every tier writes the same bytes.

#include "formats.h"
#include "tiers.h"

#if defined(__x86_64__)

#include <math.h>

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

#include "quantize_encoders.h"

void duet_avx2_fill_encoders(duet_encoders *table) { fill(table, "avx2"); }

#pragma clang attribute pop

#else

void duet_avx2_fill_encoders(duet_encoders *table) { (void)table; }

#endif
