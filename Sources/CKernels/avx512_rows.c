// Products of rows, straight from the blocks of the file, with one or a few vectors of activations: AVX-512 with VNNI,
// VBMI and GFNI.
//
// A row is read in groups of eight runs of 32 values, two runs to a vector. The scales of a group are unpacked together
// and multiplied by those of the activations as one vector; then each pair takes a product of bytes, a conversion, and
// a multiplication by its scales, which a permutation spreads over the vector: through memory, as the AVX2 kernels
// do it, loads would be the limit. Columns share all that concerns the weights, and each is computed as if it were
// alone: the results are the same bit for bit.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,gfni"))), apply_to = function)

#include "avx512_groups.h"

#define INLINE static inline __attribute__((always_inline))

// Bytes of the file that are fetched ahead of use: more of formats whose blocks are long.
#define AHEAD(FORMAT) ((FORMAT).runs > 1 ? 8192 : 4096)
// Columns that share one unpacking of the weights: as many as there are registers for; half as many where scales
// differ within a run.
#define SHARING 8
// Runs of a row that are multiplied at a time. Longer rows are added up piece by piece.
#define PIECE 256

// A piece of a vector in the order of a group's. Zero beyond its end, for the last runs are read as if they were
// eight. Not a whole number of pages, or all columns would share the same lines of the cache.
typedef struct {
    _Alignas(64) int8_t q[DUET_RUN * PIECE];
    // Of each group 8; or 8 and the sums of the runs; or 16, of half runs.
    _Alignas(64) float scale[2 * PIECE];
    union {
        int32_t start[4 * PIECE];  // what low adds to the products of a run, in the first of its four sums
        float low[2 * PIECE];      // what it adds to those of half runs, and scales multiply
        float spread[4 * PIECE];   // the scales of runs, four times each
    };
    _Alignas(64) int16_t sums[2 * PIECE];  // of half runs
    char apart[1728];
} column;

// The place of a run among those that share a group's vectors, four to a vector.
INLINE size_t place_of(size_t run, bool by_twos) {
    size_t i = run % GROUP;
    return run - i + (by_twos ? i % 2 * QUAD + i / 2 : i);
}

static void lay_out(group_format f, const duet_activations *a, size_t first, size_t runs, column *out) {
    for (size_t i = 0; i < (runs + GROUP - 1) / GROUP * GROUP; i++) {
        duet_run_scale s = {0};
        __m256i q = _mm256_setzero_si256();
        if (i < runs) {
            s = a->scales[first + i];
            q = _mm256_loadu_si256((const __m256i *)(a->q + DUET_RUN * (first + i)));
        }
        const size_t place = place_of(i, f.by_twos), quad = place / QUAD, lane = place % QUAD;
        int8_t *to = out->q + quad * QUAD * DUET_RUN + lane * 16;
        _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(q));
        _mm_storeu_si128((__m128i *)(to + 64), _mm256_extracti128_si256(q, 1));
        const int32_t sums[2] = {s.middle[0] / -128, s.middle[1] / -128};
        if (f.read_folded != NULL) {
            out->scale[i] = s.scale;
            for (size_t half = 0; half < 2; half++) out->sums[2 * i + half] = (int16_t)sums[half];
            _mm_store_ps(out->spread + 4 * i, _mm_set1_ps(s.scale));
        } else if (f.halves) {
            out->scale[2 * i] = out->scale[2 * i + 1] = s.scale;
            for (size_t half = 0; half < 2; half++) out->low[2 * i + half] = (float)(f.low * sums[half]);
        } else if (f.minima) {
            const size_t at = i / GROUP * 2 * GROUP + i % GROUP;
            out->scale[at] = s.scale;
            out->scale[at + GROUP] = (float)f.low * (s.half[0] + s.half[1]);
        } else {
            out->scale[i] = s.scale;
            _mm_store_si128((__m128i *)(out->start + 4 * place), _mm_cvtsi32_si128(f.low * (sums[0] + sums[1])));
        }
    }
}

// Every `step`th scale from `first` on, over the four sums of each of four runs.
INLINE __m512 spread(__m512 scales, size_t first, size_t step) {
    const __m512i run = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    __m512i which = step == 2 ? _mm512_add_epi32(run, run) : run;
    return _mm512_permutexvar_ps(_mm512_add_epi32(which, _mm512_set1_epi32((int)first)), scales);
}

// Products of half a run each of four runs, added to `sums`.
INLINE __m512i add_products(__m512i sums, __m512i weights, const int8_t *q) {
    return _mm512_dpbusd_epi32(sums, weights, _mm512_load_si512(q));
}

// Adds the products of `runs` runs from `index` on to the totals. Each column has two where a run makes two sums, so
// that they need not wait for each other.
INLINE void add_group(group_format f, const uint8_t *at, size_t runs, const column *a, size_t columns,
                      size_t index, __m512 total[SHARING][2]) {
    const group g = f.read(at, runs);
    __m512 scales[SHARING];
#pragma clang loop unroll(full)
    for (size_t c = 0; c < columns; c++) {
        if (f.halves || f.minima) {
            scales[c] = _mm512_mul_ps(g.scale, _mm512_load_ps(a[c].scale + 2 * index));
        } else {
            __m256 eight = _mm256_mul_ps(_mm512_castps512_ps256(g.scale), _mm256_load_ps(a[c].scale + index));
            scales[c] = _mm512_castps256_ps512(eight);
        }
        if (f.halves) total[c][1] = _mm512_fmadd_ps(scales[c], _mm512_load_ps(a[c].low + 2 * index), total[c][1]);
        if (f.minima) total[c][0] = _mm512_mask_add_ps(total[c][0], 0xff00, total[c][0], scales[c]);
    }
#pragma clang loop unroll(full)
    for (size_t quad = 0; quad < 2; quad++) {
        if (QUAD * quad >= runs) break;
        const __m512i *w = g.q + 2 * quad;
#pragma clang loop unroll(full)
        for (size_t c = 0; c < columns; c++) {
            const int8_t *q = a[c].q + DUET_RUN * (index + QUAD * quad);
            if (f.halves) {
                __m512i first = add_products(_mm512_setzero_si512(), w[0], q);
                __m512i last = add_products(_mm512_setzero_si512(), w[1], q + 64);
                total[c][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(first), spread(scales[c], 8 * quad, 2), total[c][0]);
                total[c][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(last), spread(scales[c], 8 * quad + 1, 2), total[c][1]);
            } else {
                __m512i start = f.minima ? _mm512_setzero_si512() : _mm512_load_si512(a[c].start + 4 * (index + QUAD * quad));
                __m512i both = add_products(add_products(start, w[0], q), w[1], q + 64);
                __m512 scale = f.by_twos ? spread(scales[c], quad, 2) : spread(scales[c], QUAD * quad, 1);
                total[c][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(both), scale, total[c][0]);
            }
        }
    }
}

// The same of a block whose weights hold their scales: runs are added up before they are multiplied by that of all.
INLINE void add_folded(group_format f, const uint8_t *at, const column *a, size_t columns, size_t index,
                       __m512 total[SHARING][2]) {
    const folded_group g = f.read_folded(at);
#pragma clang loop unroll(full)
    for (size_t c = 0; c < columns; c++) {
        const int8_t *q = a[c].q + DUET_RUN * index;
        const float *scale = a[c].spread + 4 * index;
        __m512i near = add_products(add_products(_mm512_setzero_si512(), g.q[0], q), g.q[1], q + 64);
        __m512i far = add_products(add_products(_mm512_setzero_si512(), g.q[2], q + 128), g.q[3], q + 192);
        __m512 sum = _mm512_mul_ps(_mm512_cvtepi32_ps(near), _mm512_load_ps(scale));
        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(far), _mm512_load_ps(scale + 16), sum);
        total[c][0] = _mm512_fmadd_ps(sum, g.scale, total[c][0]);
        __m256i minima = _mm256_madd_epi16(g.minima, _mm256_load_si256((const __m256i *)(a[c].sums + 2 * index)));
        __m256 low = _mm256_mul_ps(_mm256_cvtepi32_ps(minima), _mm256_load_ps(a[c].scale + index));
        __m256 lows = _mm512_castps512_ps256(total[c][1]);
        total[c][1] = _mm512_zextps256_ps512(_mm256_fnmadd_ps(low, g.minimum, lows));
    }
}

// The sums of all lanes of each vector, in the order in which _mm512_reduce_add_ps adds them: halves, and halves of those.
// Four or eight share the steps.
INLINE void add_lanes(const __m512 *all, size_t columns, float *sums) {
    if (columns < 4) {
        for (size_t c = 0; c < columns; c++) sums[c] = _mm512_reduce_add_ps(all[c]);
        return;
    }
    __m512 four[2];  // of four columns four sums each
    for (size_t i = 0; i < columns / 4; i++) {
        const __m512 *v = all + 4 * i;
        __m512 a = _mm512_add_ps(_mm512_shuffle_f32x4(v[0], v[1], 0x44), _mm512_shuffle_f32x4(v[0], v[1], 0xee));
        __m512 b = _mm512_add_ps(_mm512_shuffle_f32x4(v[2], v[3], 0x44), _mm512_shuffle_f32x4(v[2], v[3], 0xee));
        four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    }
    const __m512 last = four[columns / 4 - 1];
    __m512 two = _mm512_add_ps(_mm512_shuffle_ps(four[0], last, 0x44), _mm512_shuffle_ps(four[0], last, 0xee));
    two = _mm512_add_ps(two, _mm512_permute_ps(two, 0xb1));
    _Alignas(64) float lanes[16];
    _mm512_store_ps(lanes, two);
    for (size_t c = 0; c < columns; c++) sums[c] = lanes[c % 4 * 4 + c / 4 * 2];
}

// A piece of one row times `columns` columns: out[column * out_stride].
INLINE void multiply_row(group_format f, const uint8_t *row, size_t runs, const column *a, size_t columns,
                         bool first, float *out, size_t out_stride) {
    __m512 total[SHARING][2];
    for (size_t c = 0; c < columns; c++) total[c][0] = total[c][1] = _mm512_setzero_ps();
    size_t index = 0;
    for (; index + GROUP <= runs; index += GROUP) {
        const uint8_t *at = row + index / f.runs * f.bytes;
        for (size_t line = 0; line < GROUP / f.runs * f.bytes; line += 64) _mm_prefetch(at + AHEAD(f) + line, _MM_HINT_T0);
        if (f.read_folded != NULL) add_folded(f, at, a, columns, index, total);
        else add_group(f, at, GROUP, a, columns, index, total);
    }
    if (f.runs == 1 && index < runs) {
        // Rows of 576 values end with two runs.
        if (runs - index == 2) add_group(f, row + index * f.bytes, 2, a, columns, index, total);
        else add_group(f, row + index * f.bytes, runs - index, a, columns, index, total);
    }
    __m512 all[SHARING];
    float sums[SHARING];
    for (size_t c = 0; c < columns; c++) all[c] = f.halves ? _mm512_add_ps(total[c][0], total[c][1]) : total[c][0];
    add_lanes(all, columns, sums);
    for (size_t c = 0; c < columns; c++) out[c * out_stride] = first ? sums[c] : out[c * out_stride] + sums[c];
}

INLINE void multiply_rows(group_format f, const uint8_t *weights, size_t row_bytes, size_t rows, size_t runs,
                          const column *a, size_t columns, bool first, float *out, size_t out_stride) {
    for (size_t r = 0; r < rows; r++)
        multiply_row(f, weights + r * row_bytes, runs, a, columns, first, out + r, out_stride);
}

// Rows that lie in the nearest cache while all columns are multiplied by them.
#define NEAR_BYTES 12288

// What a thread keeps.
typedef struct {
    duet_laid of;
    _Alignas(64) column columns[SHARING];
} laid_columns;

// Whether these vectors lie ready in `kept`; if not, they are about to.
INLINE bool is_laid(laid_columns *kept, int type, const duet_activations *a, size_t columns, size_t n) {
    duet_laid *of = &kept->of;
    if (of->made_in == of->pass && of->type == type && of->of == a && of->columns == columns && of->n == n) return true;
    *of = (duet_laid){.pass = of->pass, .made_in = of->pass, .of = a, .columns = columns, .n = n, .type = type};
    return false;
}

INLINE void dot_columns(group_format f, int type, const void *weights, size_t row_bytes, size_t rows, size_t n,
                        const duet_activations *a, size_t columns, duet_laid *kept, float *out, size_t out_stride) {
    laid_columns own;
    const size_t most = f.halves && f.read_folded == NULL ? SHARING / 2 : SHARING;
    // What needs more room than there is, is laid out anew each time.
    const bool keeps = kept != NULL && rows > 0 && columns <= most && (columns & (columns - 1)) == 0 && n <= PIECE * DUET_RUN;
    column *laid = keeps ? ((laid_columns *)kept)->columns : own.columns;
    const bool ready = keeps && is_laid((laid_columns *)kept, type, a, columns, n);
    size_t all = n / DUET_RUN, block = columns <= most ? rows : NEAR_BYTES / row_bytes + 1;
    for (size_t start = 0; start < all; start += PIECE) {
        size_t runs = all - start < PIECE ? all - start : PIECE;
        const uint8_t *piece = (const uint8_t *)weights + start / f.runs * f.bytes;
        for (size_t r = 0; r < rows; r += block) {
            size_t count = rows - r < block ? rows - r : block, c = 0, some = most;
            const uint8_t *at = piece + r * row_bytes;
            while (c < columns) {
                while (some > columns - c) some /= 2;
                float *to = out + c * out_stride + r;
                for (size_t i = 0; i < some && !ready; i++) lay_out(f, &a[c + i], start, runs, &laid[i]);
                switch (some) {
                case 1: multiply_rows(f, at, row_bytes, count, runs, laid, 1, start == 0, to, out_stride); break;
                case 2: multiply_rows(f, at, row_bytes, count, runs, laid, 2, start == 0, to, out_stride); break;
                case 4: multiply_rows(f, at, row_bytes, count, runs, laid, 4, start == 0, to, out_stride); break;
                default: multiply_rows(f, at, row_bytes, count, runs, laid, most, start == 0, to, out_stride); break;
                }
                c += some;
            }
        }
    }
}

#define ROWS(TYPE)                                                                                  \
    static void columns_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n,              \
                               const duet_activations *a, size_t columns, duet_laid *laid,          \
                               float *out, size_t out_stride) {                                     \
        dot_columns(group_##TYPE, DUET_##TYPE, w, row_bytes, rows, n, a, columns, laid, out, out_stride); \
    }                                                                                               \
    static void dot_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n,                  \
                           const duet_activations *a, float *out) {                                 \
        columns_##TYPE(w, row_bytes, rows, n, a, 1, NULL, out, 0);                                        \
    }
DUET_FOR_QUANTIZED_TYPES(ROWS)

#pragma clang attribute pop

#define ENTRY(TYPE)                       \
    table->dot[DUET_##TYPE] = dot_##TYPE; \
    table->dot_columns[DUET_##TYPE] = columns_##TYPE;

void duet_avx512_fill_rows(duet_operations *table) {
    table->laid_bytes = sizeof(laid_columns);
    DUET_FOR_QUANTIZED_TYPES(ENTRY)
}
#else
void duet_avx512_fill_rows(duet_operations *table) { (void)table; }
#endif
