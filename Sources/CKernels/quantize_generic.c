// The encoders for any CPU, and which tier this one gets.

#include "quantize_encoders.h"
#include "tiers.h"

static duet_encoders generic, avx2;

__attribute__((constructor)) static void fill_encoders(void) {
    fill(&generic, "generic");
    avx2 = generic;
    duet_avx2_fill_encoders(&avx2);
}

const duet_encoders *duet_select_encoders(const char *name) {
    const duet_operations *operations = duet_select(name);
    if (operations == NULL) return NULL;
    return strcmp(operations->name, "generic") == 0 ? &generic : &avx2;
}
