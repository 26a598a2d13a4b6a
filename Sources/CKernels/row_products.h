// Products of rows, straight from the blocks of the file, with one or a few vectors of activations. Included once per
// file, inside of its target attribute, after:
//
//     GROUP, group and group_format  (avx2_groups.h, neon_groups.h, group_formats.h)
//     totals                         a vector of floats
//     SHARING                        columns that share one unpacking of the weights: 4, as there are registers for
//     AHEAD                          bytes of the file that are fetched ahead of use
//
// and before add_group, no_totals and sum_of, which it calls.
//
// A row is read in groups of eight runs of 32 values. Columns share all that concerns the weights, and each is computed
// as if it were alone: the results are the same bit for bit.

// Runs of a row that are multiplied at a time. Longer rows are added up piece by piece.
#define PIECE 256

// Scales and sums of a piece of a vector, apart from each other. Zero beyond its end, for the last runs are read
// as if they were eight: what lies there is multiplied by 0, which must not be by infinity or by no number.
typedef struct {
    const int8_t *q;
    float scale[PIECE + GROUP];
    float sum[PIECE + GROUP];
    float half[2][PIECE + GROUP];
} column;

static void lay_out(const duet_activations *a, size_t first, size_t runs, column *out) {
    out->q = a->q + DUET_RUN * first;
    for (size_t i = 0; i < runs + GROUP; i++) {
        duet_run_scale s = {0};
        if (i < runs) s = a->scales[first + i];
        out->scale[i] = s.scale;
        out->half[0][i] = s.half[0];
        out->half[1][i] = s.half[1];
        out->sum[i] = s.half[0] + s.half[1];
    }
}

// Adds the products of `runs` runs from `index` on to the totals, of which each column has two so
// that sums need not wait for each other.
INLINE void add_group(group_format f, const uint8_t *at, size_t runs, const column *a, size_t columns,
                      size_t index, totals total[SHARING][2]);
INLINE totals no_totals(void);
INLINE float sum_of(totals even, totals odd);

// A piece of one row times `columns` columns: out[column * out_stride].
INLINE void multiply_row(group_format f, const uint8_t *row, size_t runs, const column *a, size_t columns,
                         bool first, float *out, size_t out_stride) {
    totals total[SHARING][2];
    for (size_t c = 0; c < columns; c++) total[c][0] = total[c][1] = no_totals();
    const size_t run_bytes = f.bytes / f.runs;
    size_t index = 0;
    for (; index + GROUP <= runs; index += GROUP) {
        const uint8_t *at = row + index * run_bytes;
        if (f.runs > 1) at = row + index / GROUP * f.bytes;
        for (size_t line = 0; line < GROUP / f.runs * f.bytes; line += 64) __builtin_prefetch(at + AHEAD + line, 0, 3);
        add_group(f, at, GROUP, a, columns, index, total);
    }
    if (f.runs == 1) {
        if (runs & 4) add_group(f, row + index * f.bytes, 4, a, columns, index, total), index += 4;
        if (runs & 2) add_group(f, row + index * f.bytes, 2, a, columns, index, total), index += 2;
        if (runs & 1) add_group(f, row + index * f.bytes, 1, a, columns, index, total);
    }
    for (size_t c = 0; c < columns; c++) {
        float sum = sum_of(total[c][0], total[c][1]);
        out[c * out_stride] = first ? sum : out[c * out_stride] + sum;
    }
}

INLINE void multiply_rows(group_format f, const uint8_t *weights, size_t row_bytes, size_t rows, size_t runs,
                          const column *a, size_t columns, bool first, float *out, size_t out_stride) {
    for (size_t r = 0; r < rows; r++)
        multiply_row(f, weights + r * row_bytes, runs, a, columns, first, out + r, out_stride);
}

// Rows that lie in the nearest cache while all columns are multiplied by them.
#define NEAR_BYTES 12288

_Static_assert(SHARING == 4, "dot_columns has cases for as many columns");
INLINE void dot_columns(group_format f, const void *weights, size_t row_bytes, size_t rows, size_t n,
                        const duet_activations *a, size_t columns, float *out, size_t out_stride) {
    column laid[SHARING];
    size_t all = n / DUET_RUN, block = NEAR_BYTES / row_bytes + 1;
    if (columns <= SHARING) block = rows;
    for (size_t start = 0; start < all; start += PIECE) {
        size_t runs = all - start < PIECE ? all - start : PIECE;
        const uint8_t *piece = (const uint8_t *)weights + start / f.runs * f.bytes;
        for (size_t r = 0; r < rows; r += block) {
            size_t count = rows - r < block ? rows - r : block;
            const uint8_t *at = piece + r * row_bytes;
            for (size_t c = 0; c < columns; c += SHARING) {
                size_t some = columns - c < SHARING ? columns - c : SHARING;
                float *to = out + c * out_stride + r;
                for (size_t i = 0; i < some; i++) lay_out(&a[c + i], start, runs, &laid[i]);
                switch (some) {
                case 1: multiply_rows(f, at, row_bytes, count, runs, laid, 1, start == 0, to, out_stride); break;
                case 2: multiply_rows(f, at, row_bytes, count, runs, laid, 2, start == 0, to, out_stride); break;
                case 3: multiply_rows(f, at, row_bytes, count, runs, laid, 3, start == 0, to, out_stride); break;
                default: multiply_rows(f, at, row_bytes, count, runs, laid, 4, start == 0, to, out_stride); break;
                }
            }
        }
    }
}

#define ROWS(TYPE)                                                                                  \
    static void columns_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n,              \
                               const duet_activations *a, size_t columns, duet_laid *laid,          \
                               float *out, size_t out_stride) {                                     \
        (void)laid;                                                                                 \
        dot_columns(group_##TYPE, w, row_bytes, rows, n, a, columns, out, out_stride);              \
    }                                                                                               \
    static void dot_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n,                  \
                           const duet_activations *a, float *out) {                                 \
        columns_##TYPE(w, row_bytes, rows, n, a, 1, NULL, out, 0);                                        \
    }
DUET_FOR_QUANTIZED_TYPES(ROWS)

#define ENTRY(TYPE)                       \
    table->dot[DUET_##TYPE] = dot_##TYPE; \
    table->dot_columns[DUET_##TYPE] = columns_##TYPE;
