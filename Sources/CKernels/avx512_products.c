// The same products of panels as avx2_products.c for x86-64 with AVX-512 and VNNI: sixteen rows share a vector, and
// one instruction multiplies four values of each and adds them up in 32 bits, whatever their size. It wants weights
// without a sign: 128 is added to those that have one, and sums start at what that makes too much.

#include "tiers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "formats.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)

#include "avx2_formats.h"
#include "avx512_panels.h"
#include "x86_panels.h"

#define INLINE static inline __attribute__((always_inline))

// Tokens that are multiplied at a time.
#define TOKENS DUET_TILE_TOKENS
// Runs of a panel that stay in the nearest cache, beside the tokens' activations.
#define NEAR_RUNS 16

// A run of a tile, so that one address serves all its tokens: a kernel that follows eight has too few registers for them.
typedef struct {
    _Alignas(64) int8_t q[8][TOKENS][4];  // [four values][token][value]
    float scale[TOKENS];
    int32_t middle[TOKENS];  // -128 times the sum of q
    float sum[TOKENS];       // the scale times the sum of q
} tile_run;

INLINE bool has_minimum(format f) { return f.has_minimum && f.middle == 0; }

// Packs eight lanes of all runs from `panel` on; `rows` of them are rows, of which the others repeat the last: their
// results are never stored.
INLINE void pack_lanes(format f, const uint8_t *weights, size_t row_bytes, size_t rows, size_t n,
                       panel_run *panel, size_t lane) {
    for (size_t run = 0; run < n / DUET_RUN; run++, panel++) {
        const uint8_t *at = weights + run * f.bytes;
        __m256i q[8];
        __m128 fours[8];
        for (size_t r = 0; r < 8; r++) {
            size_t row = r < rows ? r : rows - 1;
            q[r] = f.quants(at + row * row_bytes, 0);
            if (f.is_signed) q[r] = _mm256_xor_si256(q[r], _mm256_set1_epi8((char)128));
            fours[r] = f.weight(at + row * row_bytes);
        }
        __m256 of_lanes[4];
        transpose_fours(fours, of_lanes);
        _mm256_storeu_ps(panel->scale + lane, of_lanes[0]);
        if (has_minimum(f)) _mm256_storeu_ps(panel->minimum + lane, of_lanes[2]);
        transpose(q);
        for (int i = 0; i < 8; i++) _mm256_storeu_si256((__m256i *)panel->q[i][lane], q[i]);
    }
}

INLINE void pack(format f, const void *weights, size_t row_bytes, size_t rows, size_t n, void *out) {
    fetch_next((const uint8_t *)weights, rows * row_bytes);
    for (size_t lane = 0; lane < LANES; lane += 8) {
        size_t first = lane < rows ? lane : rows - 1, count = rows - first < 8 ? rows - first : 8;
        pack_lanes(f, (const uint8_t *)weights + first * row_bytes, row_bytes, count, n, out, lane);
    }
}

static void lay_token(const int8_t *q, const duet_run_scale *scales, size_t runs, size_t token, tile_run *tile) {
    for (size_t i = 0; i < runs; i++) {
        tile_run *run = &tile[i];
        for (size_t four = 0; four < 8; four++) memcpy(run->q[four][token], q + DUET_RUN * i + 4 * four, 4);
        const duet_run_scale s = scales[i];
        run->scale[token] = s.scale;
        run->middle[token] = s.middle[0] + s.middle[1];
        run->sum[token] = s.half[0] + s.half[1];
    }
}

// A run of all tokens of a tile, `stride` runs apart.
static void lay_run(const int8_t *q, const duet_run_scale *scales, size_t stride, tile_run *run) {
    __m256i values[TOKENS];
    __m128 fours[TOKENS];
    __m256 columns[4];
    int32_t last[TOKENS];
    for (size_t t = 0; t < TOKENS; t++) {
        values[t] = _mm256_loadu_si256((const __m256i *)(q + DUET_RUN * stride * t));
        fours[t] = _mm_loadu_ps(&scales[stride * t].scale);
        last[t] = scales[stride * t].middle[1];
    }
    transpose(values);
    for (size_t i = 0; i < 8; i++) _mm256_storeu_si256((__m256i *)run->q[i], values[i]);
    transpose_fours(fours, columns);
    __m256i first = _mm256_castps_si256(columns[3]);
    _mm256_storeu_ps(run->scale, columns[0]);
    _mm256_storeu_si256((__m256i *)run->middle, _mm256_add_epi32(first, _mm256_loadu_si256((const __m256i *)last)));
    _mm256_storeu_ps(run->sum, _mm256_add_ps(columns[1], columns[2]));
}

static void lay_in_tile(const int8_t *q, const duet_run_scale *scales, size_t stride, size_t runs, size_t token,
                        size_t tokens, void *tile) {
    if (tokens == TOKENS) {
        for (size_t i = 0; i < runs; i++) lay_run(q + DUET_RUN * i, scales + i, stride, (tile_run *)tile + i);
        return;
    }
    for (size_t t = 0; t < tokens; t++)
        lay_token(q + DUET_RUN * stride * t, scales + stride * t, runs, token + t, tile);
}

// What the sums of a run start at.
INLINE __m512i start_of(format f, const tile_run *run, size_t token) {
    if (f.is_signed) return _mm512_set1_epi32(run->middle[token]);
    if (f.middle == 0) return _mm512_setzero_si512();
    return _mm512_srai_epi32(_mm512_set1_epi32(run->middle[token]), (unsigned)__builtin_ctz((unsigned)(128 / f.middle)));
}

INLINE __m512i broadcast_four(const int8_t q[4]) {
    int32_t four;
    memcpy(&four, q, 4);
    return _mm512_set1_epi32(four);
}

// Panels that are multiplied at a time: what is fetched of the tokens serves all. They lie `stride` bytes apart.
#define PANELS 3
// Tokens whose sums of all panels, products and scaled, fit the registers. Twelve sums of products are as many as it takes
// to begin two of these instructions a cycle, of which each waits four or five for the one before it.
#define NEAR_TOKENS 4

INLINE const panel_run *other(const panel_run *run, size_t panel, size_t stride) {
    return (const panel_run *)((const char *)run + panel * stride);
}

// Adds the products of `runs` runs of some panels and of tokens of a tile from `token` on.
INLINE void add_products(format f, const panel_run *panel, size_t panels, size_t stride, const tile_run *tile,
                         size_t token, size_t runs, __m512 total[PANELS][TOKENS]) {
    const size_t tokens = panels > 1 ? NEAR_TOKENS : TOKENS;
    for (const panel_run *run = panel; run < panel + runs; run++, tile++) {
        __m512i sums[PANELS][TOKENS];
#pragma clang loop unroll(full)
        for (size_t t = 0; t < tokens; t++) {
            __m512i start = start_of(f, tile, token + t);
            for (size_t p = 0; p < panels; p++) sums[p][t] = start;
        }
#pragma clang loop unroll(full)
        for (int step = 0; step < 8; step++) {
            __m512i w[PANELS];
            for (size_t p = 0; p < panels; p++) w[p] = _mm512_loadu_si512(other(run, p, stride)->q[step]);
#pragma clang loop unroll(full)
            for (size_t t = 0; t < tokens; t++) {
                __m512i four = broadcast_four(tile->q[step][token + t]);
                for (size_t p = 0; p < panels; p++) sums[p][t] = _mm512_dpbusd_epi32(sums[p][t], w[p], four);
            }
        }
#pragma clang loop unroll(full)
        for (size_t p = 0; p < panels; p++) {
            __m512 scale = _mm512_loadu_ps(other(run, p, stride)->scale);
#pragma clang loop unroll(full)
            for (size_t t = 0; t < tokens; t++) {
                __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(tile->scale[token + t]));
                total[p][t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[p][t]), both, total[p][t]);
            }
            if (!has_minimum(f)) continue;
            __m512 minimum = _mm512_loadu_ps(other(run, p, stride)->minimum);
#pragma clang loop unroll(full)
            for (size_t t = 0; t < tokens; t++)
                total[p][t] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(tile->sum[token + t]), total[p][t]);
        }
    }
}

// The products of `runs` runs of some panels and some tokens of a tile, of which `tokens` are stored: added to what
// `out` holds of runs before, unless these are the first.
INLINE void multiply_some(format f, const panel_run *panel, size_t panels, size_t stride, size_t rows, size_t runs,
                          const tile_run *tile, size_t token, size_t tokens, bool first, float *out,
                          size_t out_stride) {
    const size_t most = panels > 1 ? NEAR_TOKENS : TOKENS;
    __mmask16 mask[PANELS];
    __m512 total[PANELS][TOKENS];
    for (size_t p = 0; p < panels; p++) {
        size_t left = rows - p * LANES;
        mask[p] = left >= LANES ? 0xffff : (__mmask16)((1 << left) - 1);
#pragma clang loop unroll(full)
        for (size_t t = 0; t < most; t++)
            total[p][t] = first || t >= tokens ? _mm512_setzero_ps()
                                               : _mm512_maskz_loadu_ps(mask[p], out + t * out_stride + p * LANES);
    }
    add_products(f, panel, panels, stride, tile, token, runs, total);
    for (size_t p = 0; p < panels; p++) {
#pragma clang loop unroll(full)
        for (size_t t = 0; t < most; t++)
            if (t < tokens) _mm512_mask_storeu_ps(out + t * out_stride + p * LANES, mask[p], total[p][t]);
    }
}

// The same of a whole tile and of up to PANELS panels.
INLINE void multiply_tile(format f, const panel_run *panel, size_t stride, size_t rows, size_t runs,
                          const tile_run *tile, size_t tokens, bool first, float *out, size_t out_stride) {
    if (rows <= LANES) return multiply_some(f, panel, 1, stride, rows, runs, tile, 0, tokens, first, out, out_stride);
    for (size_t t = 0; t < tokens; t += NEAR_TOKENS) {
        float *to = out + t * out_stride;
        if (rows <= 2 * LANES) multiply_some(f, panel, 2, stride, rows, runs, tile, t, tokens - t, first, to, out_stride);
        else multiply_some(f, panel, PANELS, stride, rows, runs, tile, t, tokens - t, first, to, out_stride);
    }
}

// Results of a tile while parts of its rows are added up: where they belong they may lie pages apart.
typedef struct {
    _Alignas(64) float of[TOKENS][PANELS * LANES];
} tile_results;

// Added to a small whole number, the bits of the number BIAS_VALUE make those of BIAS_VALUE and that number in single
// precision: no sum of a run, of at most 32 * 255 * 127, needs to be converted. What is too much is taken off at the beginning.
#define BIAS_BITS 0x4b400000
#define BIAS_VALUE 12582912.0f

// What tokens of a tile begin with in COARSE_RUNS runs: sums of products, and what these add up to.
typedef struct {
    int32_t sum[COARSE_RUNS][TOKENS];
    float total[TOKENS];
} coarse_start;

static coarse_start start_of_coarse(const tile_run *tile) {
    coarse_start start;
    __m256 scales = _mm256_setzero_ps();
    for (size_t run = 0; run < COARSE_RUNS; run++) {
        const __m256i middle = _mm256_loadu_si256((const __m256i *)tile[run].middle);
        _mm256_storeu_si256((__m256i *)start.sum[run], _mm256_add_epi32(middle, _mm256_set1_epi32(BIAS_BITS)));
        scales = _mm256_add_ps(scales, _mm256_loadu_ps(tile[run].scale));
    }
    _mm256_storeu_ps(start.total, _mm256_mul_ps(scales, _mm256_set1_ps(-BIAS_VALUE)));
    return start;
}

// The products of COARSE_RUNS runs of coarse panels and of NEAR_TOKENS tokens.
INLINE void multiply_coarse_runs(const panel_run *panel, size_t panels, size_t stride, const tile_run *tile,
                                 const coarse_start *start, size_t token, bool first, tile_results *results) {
    __m512 total[PANELS][NEAR_TOKENS];
#pragma clang loop unroll(full)
    for (size_t t = 0; t < NEAR_TOKENS; t++)
        for (size_t p = 0; p < panels; p++) total[p][t] = _mm512_set1_ps(start->total[token + t]);
    for (size_t run = 0; run < COARSE_RUNS; run++) {
        __m512i sums[PANELS][NEAR_TOKENS];
#pragma clang loop unroll(full)
        for (size_t t = 0; t < NEAR_TOKENS; t++)
            for (size_t p = 0; p < panels; p++) sums[p][t] = _mm512_set1_epi32(start->sum[run][token + t]);
#pragma clang loop unroll(full)
        for (int step = 0; step < 8; step++) {
            __m512i w[PANELS];
            for (size_t p = 0; p < panels; p++) w[p] = _mm512_loadu_si512(other(panel + run, p, stride)->q[step]);
#pragma clang loop unroll(full)
            for (size_t t = 0; t < NEAR_TOKENS; t++) {
                __m512i four = broadcast_four(tile[run].q[step][token + t]);
                for (size_t p = 0; p < panels; p++) sums[p][t] = _mm512_dpbusd_epi32(sums[p][t], w[p], four);
            }
        }
#pragma clang loop unroll(full)
        for (size_t t = 0; t < NEAR_TOKENS; t++) {
            const __m512 scale = _mm512_set1_ps(tile[run].scale[token + t]);
            for (size_t p = 0; p < panels; p++)
                total[p][t] = _mm512_fmadd_ps(_mm512_castsi512_ps(sums[p][t]), scale, total[p][t]);
        }
    }
    for (size_t p = 0; p < panels; p++) {
        const __m512 scale = _mm512_loadu_ps(other(panel, p, stride)->scale);
#pragma clang loop unroll(full)
        for (size_t t = 0; t < NEAR_TOKENS; t++) {
            float *to = &results->of[token + t][p * LANES];
            const __m512 before = first ? _mm512_setzero_ps() : _mm512_load_ps(to);
            _mm512_store_ps(to, _mm512_fmadd_ps(total[p][t], scale, before));
        }
    }
}

// What multiply_tile does, of coarse panels.
static void multiply_coarse_tile(const panel_run *panel, size_t stride, size_t rows, size_t runs,
                                 const tile_run *tile, size_t tokens, bool first, float *out, size_t out_stride) {
    tile_results results;
    for (size_t run = 0; run < runs; run += COARSE_RUNS) {
        const coarse_start start = start_of_coarse(tile + run);
        for (size_t t = 0; t < tokens; t += NEAR_TOKENS) {
            if (rows <= LANES)
                multiply_coarse_runs(panel + run, 1, stride, tile + run, &start, t, run == 0, &results);
            else if (rows <= 2 * LANES)
                multiply_coarse_runs(panel + run, 2, stride, tile + run, &start, t, run == 0, &results);
            else multiply_coarse_runs(panel + run, PANELS, stride, tile + run, &start, t, run == 0, &results);
        }
    }
    for (size_t row = 0; row < rows; row += LANES) {
        const __mmask16 mask = rows - row >= LANES ? 0xffff : (__mmask16)((1 << (rows - row)) - 1);
        for (size_t t = 0; t < tokens; t++) {
            float *to = out + t * out_stride + row;
            const __m512 before = first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, to);
            _mm512_mask_storeu_ps(to, mask, _mm512_add_ps(before, _mm512_load_ps(&results.of[t][row])));
        }
    }
}

typedef void (*tile_product)(const panel_run *panel, size_t stride, size_t rows, size_t runs, const tile_run *tile,
                             size_t tokens, bool first, float *out, size_t out_stride);

// Runs are taken in equal parts of at most NEAR_RUNS, in which `unit` stay together: where a part begins.
INLINE size_t part_start(size_t runs, size_t unit, size_t part) {
    return runs / unit * part / ((runs + NEAR_RUNS - 1) / NEAR_RUNS) * unit;
}

// By PANELS panels at a time.
static void multiply_tiles(tile_product product, size_t unit, const panel_run *panel, size_t rows, size_t n,
                           const tile_run *tiles, size_t tokens, float *out, size_t out_stride) {
    const size_t runs = n / DUET_RUN;
    const size_t stride = runs * sizeof(panel_run) + DUET_PANEL_GAP, most = PANELS * LANES;
    for (size_t row = 0; row < rows; row += most, panel = other(panel, PANELS, stride), out += most) {
        const size_t here = rows - row < most ? rows - row : most;
        for (size_t part = 0, first = 0, last; first < runs; part++, first = last) {
            last = part_start(runs, unit, part + 1);
            for (size_t t = 0; t < tokens; t += TOKENS) {
                size_t some = tokens - t < TOKENS ? tokens - t : TOKENS;
                product(panel + first, stride, here, last - first, tiles + t / TOKENS * runs + first, some, part == 0,
                        out + t * out_stride, out_stride);
            }
        }
    }
}

// Of tokens as they lie, tiles are made a part at a time; the last token stands in for those that are missing.
static void multiply(tile_product product, size_t unit, const panel_run *panel, size_t rows, size_t n,
                     const duet_activations *a, size_t tokens, float *out, size_t out_stride) {
    tile_run tile[NEAR_RUNS];
    const size_t runs = n / DUET_RUN;
    for (size_t t = 0; t < tokens; t += TOKENS) {
        size_t some = tokens - t < TOKENS ? tokens - t : TOKENS;
        for (size_t part = 0, first = 0, count; first < runs; part++, first += count) {
            count = part_start(runs, unit, part + 1) - first;
            for (size_t i = 0; i < TOKENS; i++) {
                const duet_activations *from = &a[t + (i < some ? i : some - 1)];
                lay_token(from->q + DUET_RUN * first, from->scales + first, count, i, tile);
            }
            product(panel + first, 0, rows, count, tile, some, first == 0, out + t * out_stride, out_stride);
        }
    }
}

// Superblocks are packed in avx512_superblocks.c.
#define PACK(TYPE)                                                                               \
    static void pack_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n, void *out) { \
        pack(format_##TYPE, w, row_bytes, rows, n, out);                                         \
    }
DUET_FOR_PLAIN_TYPES(PACK)
#define PACK_ENTRY(TYPE) table->pack[DUET_##TYPE] = pack_##TYPE;

#define TILE(TYPE)                                                                                              \
    static void tile_##TYPE(const panel_run *panel, size_t stride, size_t rows, size_t runs,                    \
                            const tile_run *tile, size_t tokens, bool first, float *out, size_t out_stride) {   \
        multiply_tile(format_##TYPE, panel, stride, rows, runs, tile, tokens, first, out, out_stride);          \
    }
DUET_FOR_PLAIN_TYPES(TILE)

#define TILES(TYPE, TILE, UNIT)                                                                                 \
    static void multiply_tiles_##TYPE(const void *panel, size_t rows, size_t n, const void *tiles,              \
                                      size_t tokens, float *out, size_t out_stride) {                           \
        multiply_tiles(TILE, UNIT, panel, rows, n, tiles, tokens, out, out_stride);                             \
    }                                                                                                           \
    static void multiply_##TYPE(const void *panel, size_t rows, size_t n, const duet_activations *a,            \
                                size_t tokens, float *out, size_t out_stride) {                                 \
        multiply(TILE, UNIT, panel, rows, n, a, tokens, out, out_stride);                                       \
    }
#define PLAIN_TILES(TYPE) TILES(TYPE, tile_##TYPE, 1)
#define COARSE_TILES(TYPE) TILES(TYPE, multiply_coarse_tile, COARSE_RUNS)
DUET_FOR_PLAIN_TYPES(PLAIN_TILES)
DUET_FOR_SUPERBLOCK_TYPES(COARSE_TILES)
#define TILES_ENTRY(TYPE)                                   \
    table->multiply_tiles[DUET_##TYPE] = multiply_tiles_##TYPE; \
    table->multiply[DUET_##TYPE] = multiply_##TYPE;

// Sums that no instruction waits for.
#define PEAK_SUMS 16

static uint64_t peak(bool in_float, size_t rounds) {
    __m512i sums[PEAK_SUMS];
    __m512 totals[PEAK_SUMS];
    for (int i = 0; i < PEAK_SUMS; i++) {
        sums[i] = _mm512_setzero_si512();
        totals[i] = _mm512_setzero_ps();
    }
    const __m512i w = _mm512_set1_epi8(3), a = _mm512_set1_epi8(-5);
    const __m512 x = _mm512_set1_ps(0.5f);
    for (size_t round = 0; round < rounds && in_float; round++)
        for (int i = 0; i < PEAK_SUMS; i++) totals[i] = _mm512_fmadd_ps(x, x, totals[i]);
    for (size_t round = 0; round < rounds && !in_float; round++)
        for (int i = 0; i < PEAK_SUMS; i++) sums[i] = _mm512_dpbusd_epi32(sums[i], w, a);
    // What nobody reads would not be computed.
    for (int i = 0; i < PEAK_SUMS; i++) __asm__ volatile("" ::"v"(sums[i]), "v"(totals[i]));
    return rounds * PEAK_SUMS * (in_float ? 16 : 64);
}

#pragma clang attribute pop

void duet_avx512_fill(duet_operations *table) {
    table->name = "avx512";
    table->panel_rows = LANES;
    table->panel_run_bytes = sizeof(panel_run) / LANES;
    table->peak = peak;
    table->tile_bytes = sizeof(tile_run);
    table->lay_in_tile = lay_in_tile;
    DUET_FOR_PLAIN_TYPES(PACK_ENTRY)
    DUET_FOR_QUANTIZED_TYPES(TILES_ENTRY)
    duet_avx512_fill_superblocks(table);
    duet_avx512_fill_rows(table);
    duet_avx512_fill_floats(table);
    duet_avx512_fill_vectors(table);
    duet_avx512_fill_attention(table);
    duet_avx512_fill_low_rank(table);
    duet_avx512_fill_vision(table);
}
#else
void duet_avx512_fill(duet_operations *table) { (void)table; }
#endif
