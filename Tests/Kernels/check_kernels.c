// Checks tiers of kernels by duet_check(), as a program of its own: C that needs nothing is easily built for an emulated
// CPU, which the tests in Swift are not.

#define _DEFAULT_SOURCE  // MAP_ANON

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

#include "CKernels.h"
#include "formats.h"

// MARK: The end of memory

// A mapped file may end where its last page does: whoever reads one byte further is killed, and so is this program.
typedef struct {
    uint8_t *start, *end;
} memory;

static memory map(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
    uint8_t *start = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (start == MAP_FAILED || mprotect(start + room, page, PROT_NONE) != 0) {
        perror("check_kernels");
        exit(1);
    }
    return (memory){start, start + room};
}

static void read_weights(const duet_operations *o, int type, memory at, void *panel) {
    static float x[12 * 256], out[12 * 256];
    static int8_t q[12 * 256];
    static duet_run_scale scales[12 * 256 / DUET_RUN];
    const duet_activations one = {x, q, scales}, all[8] = {one, one, one, one, one, one, one, one};
    const size_t block = duet_row_bytes(type, 1) ? 1 : duet_row_bytes(type, DUET_RUN) ? DUET_RUN : 256;
    for (size_t blocks = 1; blocks <= (block == 1 ? 40 : 12); blocks++) {
        const size_t n = blocks * block, bytes = duet_row_bytes(type, n);
        for (size_t rows = 1; rows <= 3; rows++) {
            const uint8_t *weights = at.end - rows * bytes;
            for (size_t columns = 1; columns <= 8; columns++)
                o->dot_columns[type](weights, bytes, rows, n, all, columns, NULL, out, rows);
            o->dot[type](weights, bytes, rows, n, &one, out);
            o->dot_f32[type](weights, bytes, rows, n, &one, out);
            o->pack[type](weights, bytes, rows, n, panel);
        }
        o->dequantize[type](at.end - bytes, out, n);
    }
}

static void read_vectors(const duet_operations *o, memory a, memory b) {
    static int8_t q[96];
    static duet_run_scale scales[3];
    static float out[100];
    for (size_t n = 1; n <= 96; n++) {
        float *x = (float *)a.end - n, *y = (float *)b.end - n;
        o->add(x, n, y);
        o->rms_norm(x, y, n, 1, x);
        o->layer_norm(x, y, y, n, 1, x);
        o->softmax(x, n, 1);
        o->silu_multiply(x, y, n, x);
        o->gelu_multiply(x, y, n, y);
        o->gelu_bias(y, n, x);
        o->argmax(x, n);
        o->finish(DUET_FINISH_GELU_ERF, x, n, n, 1, y, y, n);
        o->expand(b.end - n * 8 * sizeof(float), true, n, 8, x, n, 1, out, 8);
        o->expand(b.end - (n + 4) * 8, false, n, 8, x, n, 1, out, 8);
        if (n % DUET_RUN == 0) o->quantize(x, n, q, scales);
        if (n % 2) continue;
        o->rotate(x, n, (float *)b.end - n / 2, (float *)b.end - n / 2, true);
        o->rotate(x, n, (float *)b.end - n / 2, (float *)b.end - n / 2, false);
    }
}

static void read_to_the_end(const duet_operations *o) {
    const memory a = map(3 * 12 * 256 * 4), b = map(3 * 12 * 256 * 4);
    for (int type = 0; type < DUET_TYPE_COUNT; type++) {
        if (!duet_generic_dequantizer(type)) continue;
        void *panel = malloc(duet_panel_bytes(o, type, 12 * 256));
        if (panel) read_weights(o, type, a, panel);
        free(panel);
    }
    read_vectors(o, a, b);
}

// MARK: The program

static int usage(void) {
    fputs("usage: check_kernels [--seed S] [--rounds N] [--lacks] TIER...\n"
          "  N        at least 1\n"
          "  TIER     a name, or \"\" for the one that is chosen on this CPU\n"
          "  --lacks  it is an error if the CPU has a tier, not if it lacks it\n",
          stderr);
    return 2;
}

static bool parse(const char *text, uint64_t *value) {
    char *end;
    errno = 0;
    *value = text ? strtoull(text, &end, 10) : 0;
    return text && *text >= '0' && *text <= '9' && *end == 0 && errno == 0;
}

static bool check(const char *name, bool lacks, uint64_t seed, uint64_t rounds) {
    char finding[400];
    const duet_operations *tier = duet_select(name);
    if (lacks || tier == NULL) {
        printf("%s: this CPU %s it\n", name, tier ? "has" : "lacks");
        return lacks == (tier == NULL);
    }
    read_to_the_end(tier);
    bool well = duet_check(tier, seed, (size_t)rounds, finding, sizeof finding);
    if (well) printf("%s: %llu round%s with generic\n", tier->name, (unsigned long long)rounds, rounds == 1 ? " agrees" : "s agree");
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
        else if (strcmp(arguments[at], "--rounds") == 0 && parse(arguments[at + 1], &rounds) && rounds > 0) at++;
        else return usage();
    }
    if (at == count) return usage();
    for (; at < count; at++) well = check(arguments[at], lacks, seed, rounds) && well;
    return well ? 0 : 1;
}
