// Products of rows with AVX2, FMA and F16C.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define DUET_VNNI 0
#include "x86_rows.h"

#pragma clang attribute pop

void duet_avx2_fill_rows(duet_operations *table) { DUET_FOR_QUANTIZED_TYPES(ROWS_ENTRY) }
#else
void duet_avx2_fill_rows(duet_operations *table) { (void)table; }
#endif
