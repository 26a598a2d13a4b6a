// How panels of quantized weights lie on AVX-512.

#ifndef DUET_AVX512_PANELS_H
#define DUET_AVX512_PANELS_H

// Rows that share a vector, which are those of a panel.
#define LANES 16

// Runs of formats with superblocks that are rounded to 8 bits with one scale when they are packed: what scales of 16 or
// 32 values cost is paid once for 128 then.
#define COARSE_RUNS 4

// A run of sixteen rows, transposed so that a 32-bit lane belongs to one row.
typedef struct {
    uint8_t q[DUET_RUN / 4][LANES][4];  // [four values][row][value]
    float scale[LANES];                 // of COARSE_RUNS the first run's is that of all
    float minimum[LANES];
} panel_run;

#endif
