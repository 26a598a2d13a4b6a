// Products of rows with AVX-512: vectors of 32 bytes, but twice as many registers, and products of four with VNNI.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)

#define DUET_VNNI 1
#include "x86_rows.h"

#pragma clang attribute pop

void duet_avx512_fill_rows(duet_operations *table) { DUET_FOR_QUANTIZED_TYPES(ROWS_ENTRY) }
#else
void duet_avx512_fill_rows(duet_operations *table) { (void)table; }
#endif
