#include "CKernels.h"
const duet_operations *duet_select(const char *name) { (void)name; return NULL; }
const char *duet_cpu_features(void) { return ""; }
