// Whether a tier gives what the readable twins give, by running it: for instruction sets that only an emulator has run,
// and for CPUs of a kind that no test has seen.

#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// MARK: Memory

// Bytes between two pieces, which stay as they are.
#define GAP 64

void *duet_take(duet_checker *c, size_t bytes, size_t alignment) {
    size_t used = c->pieces ? c->ends[c->pieces - 1] : 0, start = (used + GAP + 63) / 64 * 64;
    start += alignment * duet_below(c, 64 / alignment);
    // Sizes are drawn from what this file and its neighbours say: only a mistake there comes here.
    if (c->pieces == DUET_CHECK_PIECES || start + bytes + GAP > DUET_CHECK_BYTES) __builtin_trap();
    c->starts[c->pieces] = start;
    c->ends[c->pieces++] = start + bytes;
    return c->memory + start;
}

float *duet_take_floats(duet_checker *c, size_t count) {
    return duet_take(c, count * sizeof(float), sizeof(float));
}

float *duet_take_random(duet_checker *c, size_t count, float most) {
    float *values = duet_take_floats(c, count);
    for (size_t i = 0; i < count; i++) values[i] = duet_within(c, -most, most);
    return values;
}

static bool is_untouched(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0xff) return false;
    return true;
}

// Checks what lies between the pieces, and gives all back.
static bool give_back(duet_checker *c) {
    bool well = true;
    size_t end = 0;
    for (size_t i = 0; i < c->pieces; end = c->ends[i++])
        well = well && is_untouched(c->memory + end, c->starts[i] - end);
    well = well && is_untouched(c->memory + end, GAP);
    memset(c->memory, 0xff, end + GAP);
    c->pieces = 0;
    return well || duet_report(c, "writes outside of its memory");
}

// MARK: Findings

void duet_subject(duet_checker *c, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(c->subject, sizeof c->subject, format, list);
    va_end(list);
}

bool duet_report(duet_checker *c, const char *format, ...) {
    char what[160];
    va_list list;
    va_start(list, format);
    vsnprintf(what, sizeof what, format, list);
    va_end(list);
    // What is found first is what is told: the rest may follow from it.
    if (c->room > 0 && c->finding[0] == 0) snprintf(c->finding, c->room, "%s: %s", c->subject, what);
    return false;
}

bool duet_expect(duet_checker *c, size_t index, double value, double expected, double allowed) {
    if (value == expected || (isnan(value) && isnan(expected)) || fabs(value - expected) <= allowed) return true;
    return duet_report(c, "value %zu is %.9g, not %.9g within %.2g", index, value, expected, allowed);
}

bool duet_expect_same(duet_checker *c, const float *values, const float *expected, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&values[i], &expected[i], sizeof(float)) == 0 || (isnan(values[i]) && isnan(expected[i]))) continue;
        return duet_report(c, "value %zu is %.9g, not bit for bit %.9g", i, (double)values[i], (double)expected[i]);
    }
    return true;
}

bool duet_expect_untouched(duet_checker *c, const float *values, size_t count) {
    if (is_untouched((const uint8_t *)values, count * sizeof(float))) return true;
    return duet_report(c, "writes beyond its results");
}

const char *duet_type_name(int type) {
#define NAME(TYPE) \
    if (type == DUET_##TYPE) return #TYPE;
    DUET_FOR_QUANTIZED_TYPES(NAME)
    DUET_FOR_FLOAT_TYPES(NAME)
    return "no type";
}

// MARK: The whole

// Calls a round makes of what takes no time, each with another length.
#define LENGTHS 4

// Each operation of every type once.
static bool check_round(duet_checker *c) {
    static bool (*const checks[])(duet_checker *) = {
        duet_check_quantize, duet_check_norms,  duet_check_sums,      duet_check_gates,     duet_check_argmax,
        duet_check_expand,   duet_check_finish, duet_check_depthwise, duet_check_pointwise, duet_check_peak,
    };
    for (size_t i = 0; i < LENGTHS * sizeof checks / sizeof *checks; i++) {
        bool well = checks[i / LENGTHS](c);
        if (!give_back(c) || !well) return false;
    }
    for (int type = 0; type < DUET_TYPE_COUNT; type++) {
        if (!duet_generic_dequantizer(type)) continue;
        bool well = duet_check_products(c, type);
        if (!give_back(c) || !well) return false;
        if (duet_page_bytes(type, DUET_RUN) == 0) continue;
        well = duet_check_attention(c, type);
        if (!give_back(c) || !well) return false;
    }
    return true;
}

bool duet_check(const duet_operations *tier, uint64_t seed, size_t rounds, char *finding, size_t room) {
    duet_checker c = {.tier = tier, .generic = duet_select("generic"), .random = seed, .finding = finding, .room = room};
    if (room > 0) finding[0] = 0;
    duet_subject(&c, "a check");
    c.memory = aligned_alloc(64, DUET_CHECK_BYTES);
    const size_t laid_bytes = (tier->laid_bytes + 63) / 64 * 64;
    if (laid_bytes > 0) c.laid = aligned_alloc(64, laid_bytes);
    bool well = c.memory != NULL && (c.laid != NULL || laid_bytes == 0);
    if (well) {
        memset(c.memory, 0xff, DUET_CHECK_BYTES);
        if (c.laid) memset(c.laid, 0, laid_bytes);
        for (size_t round = 0; round < rounds && well; round++) well = check_round(&c);
    } else {
        duet_report(&c, "there is no memory for it");
    }
    free(c.memory);
    free(c.laid);
    return well;
}
