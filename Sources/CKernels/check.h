// What the checks of a tier share: random numbers, memory that shows what is written where nothing belongs, and
// comparisons that name what differs.

#ifndef DUET_CHECK_H
#define DUET_CHECK_H

#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "formats.h"
#include "tiers.h"

// Pieces of memory that one check takes at most, and how much in all: sizes are drawn so that both suffice.
#define DUET_CHECK_PIECES 128
#define DUET_CHECK_BYTES ((size_t)4 << 20)

typedef struct {
    const duet_operations *tier, *generic;
    duet_laid *laid;  // the tier's, or NULL
    uint64_t random;
    char subject[160];  // what is being checked, and its sizes
    char *finding;
    size_t room;
    // All bits are set where nothing has been taken or written: NaN, whichever type is read.
    uint8_t *memory;
    size_t pieces, ends[DUET_CHECK_PIECES], starts[DUET_CHECK_PIECES];
} duet_checker;

// MARK: Numbers

// SplitMix64 (Steele, Lea and Flood, 2014).
static inline uint64_t duet_draw(duet_checker *c) {
    uint64_t z = c->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline size_t duet_below(duet_checker *c, size_t end) { return (size_t)((duet_draw(c) >> 32) * end >> 32); }
static inline size_t duet_one_to(duet_checker *c, size_t last) { return 1 + duet_below(c, last); }
static inline bool duet_flip(duet_checker *c) { return duet_draw(c) >> 63; }

static inline float duet_within(duet_checker *c, float low, float high) {
    return low + (float)(duet_draw(c) >> 40) * 0x1p-24f * (high - low);
}

// MARK: Memory

// Bytes at a random multiple of `alignment` within a line of 64 bytes: lines of memory are cut in all ways.
void *duet_take(duet_checker *c, size_t bytes, size_t alignment);
float *duet_take_floats(duet_checker *c, size_t count);
// Floats within +-most.
float *duet_take_random(duet_checker *c, size_t count, float most);

// MARK: Findings. All return whether all is well

__attribute__((format(printf, 2, 3))) void duet_subject(duet_checker *c, const char *format, ...);
// Says what is wrong with the subject, and returns false.
__attribute__((format(printf, 2, 3))) bool duet_report(duet_checker *c, const char *format, ...);
bool duet_expect(duet_checker *c, size_t index, double value, double expected, double allowed);
// Bit for bit, any NaN being equal to any other.
bool duet_expect_same(duet_checker *c, const float *values, const float *expected, size_t count);
// That nothing has been written there.
bool duet_expect_untouched(duet_checker *c, const float *values, size_t count);

const char *duet_type_name(int type);

// MARK: The checks, each of some operations with other sizes and values at each call

bool duet_check_products(duet_checker *c, int type);
bool duet_check_attention(duet_checker *c, int type);
bool duet_check_quantize(duet_checker *c);
bool duet_check_norms(duet_checker *c);
bool duet_check_sums(duet_checker *c);
bool duet_check_gates(duet_checker *c);
bool duet_check_argmax(duet_checker *c);
bool duet_check_expand(duet_checker *c);
bool duet_check_finish(duet_checker *c);
bool duet_check_depthwise(duet_checker *c);
bool duet_check_pointwise(duet_checker *c);
bool duet_check_peak(duet_checker *c);

#endif
