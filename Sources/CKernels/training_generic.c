// The training kernels for any CPU.

#include "CKernels.h"
#include "tiers.h"

#define TIER(name) generic_##name
#define TIER_NAME "generic"
#include "training_loops.h"

const duet_training *duet_training_select(const char *name) {
    const duet_operations *tier = duet_select(name);
    const duet_training *fast = duet_training_avx2();
    bool has_avx2 = tier != NULL && strcmp(tier->name, "generic") != 0;
    return has_avx2 && fast != NULL ? fast : &generic_table;
}
