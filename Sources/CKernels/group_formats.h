// How rows of each quantized format are read in groups of eight runs. Included once, after the readers that it names
// (avx2_groups.h, neon_groups.h) and their types: `group`, the scales of eight runs, and `run_values`, 32 bytes.

typedef struct {
    size_t runs;   // runs of 32 per block: 1 or 8
    size_t bytes;  // of a block
    bool is_signed;
    bool has_minimum;
    bool halves;  // factors and minima differ between the first and the last 16 values
    group (*scales)(const uint8_t *at, size_t runs);
    run_values (*quants)(const uint8_t *block, size_t run);
} group_format;

#define GROUP_OF(NAME, RUNS, SIGNED, MINIMUM, HALVES, SCALES, QUANTS)                                         \
    (group_format) {                                                                                          \
        .runs = RUNS, .bytes = sizeof(duet_block_##NAME), .is_signed = SIGNED, .has_minimum = MINIMUM,        \
        .halves = HALVES, .scales = SCALES, .quants = QUANTS,                                                 \
    }

#define group_Q4_0 GROUP_OF(q4_0, 1, false, true, false, scales_Q4_0, quants_Q4_0)
#define group_Q4_1 GROUP_OF(q4_1, 1, false, true, false, scales_Q4_1, quants_Q4_1)
#define group_Q5_0 GROUP_OF(q5_0, 1, false, true, false, scales_Q5_0, quants_Q5_0)
#define group_Q5_1 GROUP_OF(q5_1, 1, false, true, false, scales_Q5_1, quants_Q5_1)
#define group_Q8_0 GROUP_OF(q8_0, 1, true, false, false, scales_Q8_0, quants_Q8_0)
#define group_IQ4_NL GROUP_OF(iq4_nl, 1, true, false, false, scales_IQ4_NL, quants_IQ4_NL)
#define group_MXFP4 GROUP_OF(mxfp4, 1, true, false, false, scales_MXFP4, quants_MXFP4)
#define group_Q2_K GROUP_OF(q2_k, 8, false, true, true, scales_Q2_K, quants_Q2_K)
#define group_Q3_K GROUP_OF(q3_k, 8, false, true, true, scales_Q3_K, quants_Q3_K)
#define group_Q4_K GROUP_OF(q4_k, 8, false, true, false, scales_with_minima, quants_Q4_K)
#define group_Q5_K GROUP_OF(q5_k, 8, false, true, false, scales_with_minima, quants_Q5_K)
#define group_Q6_K GROUP_OF(q6_k, 8, false, true, true, scales_Q6_K, quants_Q6_K)
#define group_IQ4_XS GROUP_OF(iq4_xs, 8, true, false, false, scales_IQ4_XS, quants_IQ4_XS)
