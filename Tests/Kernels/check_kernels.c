// Checks tiers of kernels by duet_check(), as a program of its own: C that needs nothing is easily built for an emulated
// CPU, which the tests in Swift are not.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

static int usage(void) {
    fputs("usage: check_kernels [--seed S] [--rounds N] [--lacks] TIER...\n"
          "  TIER     a name, or \"\" for the one that is chosen on this CPU\n"
          "  --lacks  it is an error if the CPU has a tier, not if it lacks it\n",
          stderr);
    return 2;
}

static bool parse(const char *text, uint64_t *value) {
    char *end;
    *value = text ? strtoull(text, &end, 10) : 0;
    return text && *text >= '0' && *text <= '9' && *end == 0;
}

static bool check(const char *name, bool lacks, uint64_t seed, uint64_t rounds) {
    char finding[400];
    const duet_operations *tier = duet_select(name);
    if (lacks || tier == NULL) {
        printf("%s: this CPU %s it\n", name, tier ? "has" : "lacks");
        return lacks == (tier == NULL);
    }
    bool well = duet_check(tier, seed, (size_t)rounds, finding, sizeof finding);
    if (well) printf("%s: %llu rounds agree with generic\n", tier->name, (unsigned long long)rounds);
    else printf("%s: %s\n", tier->name, finding);
    return well;
}

int main(int count, char **arguments) {
    uint64_t seed = 1, rounds = 100;
    bool lacks = false, well = true;
    int at = 1;
    for (; at < count && strncmp(arguments[at], "--", 2) == 0; at++) {
        if (strcmp(arguments[at], "--lacks") == 0) lacks = true;
        else if (strcmp(arguments[at], "--seed") == 0 && parse(arguments[at + 1], &seed)) at++;
        else if (strcmp(arguments[at], "--rounds") == 0 && parse(arguments[at + 1], &rounds)) at++;
        else return usage();
    }
    if (at == count) return usage();
    for (; at < count; at++) well = check(arguments[at], lacks, seed, rounds) && well;
    return well ? 0 : 1;
}
