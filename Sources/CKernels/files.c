// What Swift's overlays of the C library lack.

#define _GNU_SOURCE
#include <fcntl.h>

#include "files.h"

void duet_start_writeback(int descriptor, int64_t offset, int64_t count) {
#if defined(__linux__)
    (void)sync_file_range(descriptor, offset, count, SYNC_FILE_RANGE_WRITE);
#else
    (void)descriptor, (void)offset, (void)count;
#endif
}
