// Which table of operations this CPU gets.

#include <string.h>
#include <unistd.h>

#include "CKernels.h"
#include "formats.h"
#include "tiers.h"

typedef struct {
    duet_operations generic, avx2, avx512;
} tables;

// Filled before main(), so that readers need no lock.
static tables all;
static char features[96];

static void name_features(void) {
#if defined(__x86_64__)
#define NAME_FEATURE(WORD) \
    if (__builtin_cpu_supports(WORD)) strcat(features, features[0] ? " " WORD : WORD);
    NAME_FEATURE("avx2")
    NAME_FEATURE("fma")
    NAME_FEATURE("f16c")
    NAME_FEATURE("avx512f")
    NAME_FEATURE("avx512bw")
    NAME_FEATURE("avx512dq")
    NAME_FEATURE("avx512vl")
    NAME_FEATURE("avx512vnni")
    NAME_FEATURE("avx512vbmi")
    NAME_FEATURE("gfni")
#endif
}

__attribute__((constructor)) static void fill(void) {
    name_features();
    duet_generic_fill(&all.generic);
    all.avx2 = all.generic;
    duet_avx2_fill(&all.avx2);
    all.avx512 = all.avx2;
    duet_avx512_fill(&all.avx512);
}

static bool has_avx2(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#else
    return false;
#endif
}

static bool has_avx512(void) {
#if defined(__x86_64__)
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi")
        && __builtin_cpu_supports("gfni");
#else
    return false;
#endif
}

const duet_operations *duet_select(const char *name) {
    if (name == NULL || name[0] == 0) {
        if (has_avx512()) return &all.avx512;
        return has_avx2() ? &all.avx2 : &all.generic;
    }
    if (strcmp(name, "generic") == 0) return &all.generic;
    if (strcmp(name, "avx2") == 0 && has_avx2()) return &all.avx2;
    if (strcmp(name, "avx512") == 0 && has_avx512()) return &all.avx512;
    return NULL;
}

const char *duet_cpu_features(void) { return features; }

size_t duet_second_cache_bytes(void) {
#ifdef _SC_LEVEL2_CACHE_SIZE
    long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? (size_t)bytes : 0;
#else
    return 0;
#endif
}

// Runs of quantized weights, as a tier lays them; floats for the rest.
size_t duet_panel_bytes(const duet_operations *operations, int type, size_t n) {
    size_t bytes = type == DUET_F32 || type == DUET_F16 || type == DUET_BF16 ? 4 * n : n / DUET_RUN * operations->panel_run_bytes;
    return operations->panel_rows * bytes + DUET_PANEL_GAP;
}

size_t duet_page_bytes(int type, size_t head_size) {
    size_t values = DUET_PAGE_TOKENS * head_size;
    if (type == DUET_F32) return 4 * values;
    if (type == DUET_F16) return 2 * values;
    if (type == DUET_Q8_0 && head_size % DUET_RUN == 0) return values + 2 * (values / DUET_RUN);
    return 0;
}

uint64_t duet_read(const void *bytes, size_t count) {
    uint64_t sums[8] = {0};
    for (size_t i = 0; i + 64 <= count; i += 64) {
        uint64_t words[8];
        memcpy(words, (const uint8_t *)bytes + i, 64);
        for (int j = 0; j < 8; j++) sums[j] += words[j];
    }
    uint64_t total = 0;
    for (int j = 0; j < 8; j++) total += sums[j];
    return total;
}
