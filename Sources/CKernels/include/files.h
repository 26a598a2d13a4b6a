#ifndef DUET_FILES_H
#define DUET_FILES_H

#include <stdint.h>

// Has the system begin to store what was written to a range of a file, without waiting: a later fsync
// finds less to do. A hint; does nothing on systems without sync_file_range(2).
void duet_start_writeback(int descriptor, int64_t offset, int64_t count);

#endif
