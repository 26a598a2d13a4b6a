// Which table of operations this CPU gets.

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__) && defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "CKernels.h"
#include "formats.h"
#include "tiers.h"

enum { GENERIC, AVX2, AVX512, NEON, I8MM, TIERS };

// Filled before main(), so that readers need no lock.
static duet_operations all[TIERS];
static bool runs[TIERS];
static char features[96];

#if defined(__x86_64__)
static void find_features(void) {
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
    runs[AVX2] = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    runs[AVX512] = runs[AVX2] && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi")
        && __builtin_cpu_supports("gfni");
}
#elif defined(__aarch64__)
#if defined(__APPLE__)
static bool has_feature(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}
#define HAS_DOTPROD has_feature("hw.optional.arm.FEAT_DotProd")
#define HAS_I8MM has_feature("hw.optional.arm.FEAT_I8MM")
#elif defined(__linux__)
// Bits of the two words of capabilities that Linux gives (its Documentation/arch/arm64/elf_hwcaps.rst).
#define HAS_DOTPROD (getauxval(AT_HWCAP) >> 20 & 1)
#define HAS_I8MM (getauxval(AT_HWCAP2) >> 13 & 1)
#else
#define HAS_DOTPROD false
#define HAS_I8MM false
#endif
static void find_features(void) {
    runs[NEON] = HAS_DOTPROD;
    runs[I8MM] = runs[NEON] && HAS_I8MM;
    strcat(features, "asimd");
    if (runs[NEON]) strcat(features, " dotprod");
    if (runs[I8MM]) strcat(features, " i8mm");
}
#else
static void find_features(void) {}
#endif

__attribute__((constructor)) static void fill(void) {
    find_features();
    runs[GENERIC] = true;
    duet_generic_fill(&all[GENERIC]);
    all[AVX2] = all[GENERIC];
    duet_avx2_fill(&all[AVX2]);
    all[AVX512] = all[AVX2];
    duet_avx512_fill(&all[AVX512]);
    all[NEON] = all[GENERIC];
    duet_neon_fill(&all[NEON]);
    all[I8MM] = all[NEON];
    duet_i8mm_fill(&all[I8MM]);
}

// What each tier's check has found, which is made once.
static struct {
    bool is_made, agrees;
    char text[256];
} findings[TIERS];
static pthread_mutex_t checking = PTHREAD_MUTEX_INITIALIZER;

const char *duet_finding(const duet_operations *operations) {
    if (!operations->checks_itself) return NULL;
    const size_t tier = (size_t)(operations - all);
    pthread_mutex_lock(&checking);
    if (!findings[tier].is_made) {
        findings[tier].agrees = duet_check(operations, 1, 1, findings[tier].text, sizeof findings[tier].text);
        findings[tier].is_made = true;
    }
    pthread_mutex_unlock(&checking);
    return findings[tier].agrees ? NULL : findings[tier].text;
}

const duet_operations *duet_select(const char *name) {
    bool any = name == NULL || name[0] == 0;
    for (int tier = TIERS - 1; tier >= 0; tier--) {
        if (!runs[tier] || !(any ? duet_finding(&all[tier]) == NULL : strcmp(name, all[tier].name) == 0)) continue;
        return &all[tier];
    }
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
