// The readable twin of every kernel: what it computes, with no regard for speed. Faster files are
// tested against this one.

#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "formats.h"
#include "tiers.h"

// MARK: Products

// Dequantized values that a row is read in at a time.
#define PIECE 256

// The sum over one run, in integers, of unpacked weights times activations.
static void run_sums(const duet_run *run, const int8_t *q, int sums[2]) {
    for (int half = 0; half < 2; half++) {
        int sum = 0;
        for (int i = 16 * half; i < 16 * half + 16; i++) sum += run->q[i] * q[i];
        sums[half] = sum;
    }
}

void duet_generic_dot_int8(int type, const void *weights, size_t row_bytes, size_t rows, size_t n,
                           const duet_activations *a, float *out) {
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *row = (const uint8_t *)weights + r * row_bytes;
        float total = 0;
        for (size_t i = 0; i < n / DUET_RUN; i++) {
            duet_run run;
            int sums[2];
            duet_unpack_run[type](row, i, &run);
            run_sums(&run, a->q + DUET_RUN * i, sums);
            const duet_run_scale *s = &a->scales[i];
            for (int half = 0; half < 2; half++) {
                total += run.scale[half] * s->scale * (float)sums[half];
                total += run.minimum[half] * s->half[half];
            }
        }
        out[r] = total;
    }
}

// Sums in double precision, so that the reference's only error is that of its inputs.
void duet_generic_dot_float(int type, const void *weights, size_t row_bytes, size_t rows, size_t n,
                            const duet_activations *a, float *out) {
    // Every piece is whole blocks: a row is cut at multiples of 256 values.
    size_t pieces = (n + PIECE - 1) / PIECE, piece_bytes = duet_row_bytes(type, PIECE);
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *row = (const uint8_t *)weights + r * row_bytes;
        double total = 0;
        for (size_t piece = 0; piece < pieces; piece++) {
            float values[PIECE];
            size_t start = piece * PIECE, count = n - start < PIECE ? n - start : PIECE;
            duet_generic_dequantize[type](row + piece * piece_bytes, values, count);
            for (size_t i = 0; i < count; i++) total += (double)values[i] * a->x[start + i];
        }
        out[r] = (float)total;
    }
}

#define DOT_INT8(TYPE)                                                                           \
    static void dot_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n,               \
                           const duet_activations *a, float *out) {                              \
        duet_generic_dot_int8(DUET_##TYPE, w, row_bytes, rows, n, a, out);                       \
    }
#define DOT_FLOAT(TYPE)                                                                          \
    static void dot_f32_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n,           \
                               const duet_activations *a, float *out) {                          \
        duet_generic_dot_float(DUET_##TYPE, w, row_bytes, rows, n, a, out);                      \
    }
DUET_FOR_QUANTIZED_TYPES(DOT_INT8)
DUET_FOR_QUANTIZED_TYPES(DOT_FLOAT)
DUET_FOR_FLOAT_TYPES(DOT_FLOAT)

// MARK: Several columns, one after the other

#define COLUMNS(TYPE, DOT)                                                                       \
    static void columns_##TYPE(const void *w, size_t row_bytes, size_t rows, size_t n,           \
                               const duet_activations *a, size_t columns, duet_laid *laid,       \
                               float *out, size_t out_stride) {                                  \
        (void)laid;                                                                              \
        for (size_t c = 0; c < columns; c++)                                                     \
            DOT##_##TYPE(w, row_bytes, rows, n, &a[c], out + c * out_stride);                    \
    }
#define COLUMNS_INT8(TYPE) COLUMNS(TYPE, dot)
#define COLUMNS_FLOAT(TYPE) COLUMNS(TYPE, dot_f32)
DUET_FOR_QUANTIZED_TYPES(COLUMNS_INT8)
DUET_FOR_FLOAT_TYPES(COLUMNS_FLOAT)

// MARK: Panels: the rows as they lie in the file, each row's address being all that is packed

typedef struct {
    const uint8_t *weights;
    size_t row_bytes;
} panel;

static void pack(const void *weights, size_t row_bytes, size_t rows, size_t n, void *out) {
    (void)rows, (void)n;
    panel p = {weights, row_bytes};
    memcpy(out, &p, sizeof p);
}

static void multiply(duet_dot_rows dot, const void *packed, size_t rows, size_t n,
                     const duet_activations *a, size_t tokens, float *out, size_t out_stride) {
    panel p;
    memcpy(&p, packed, sizeof p);
    for (size_t t = 0; t < tokens; t++)
        dot(p.weights, p.row_bytes, rows, n, &a[t], out + t * out_stride);
}

#define MULTIPLY(TYPE, DOT)                                                                      \
    static void multiply_##TYPE(const void *packed, size_t rows, size_t n,                       \
                                const duet_activations *a, size_t tokens, float *out,            \
                                size_t out_stride) {                                             \
        multiply(DOT##_##TYPE, packed, rows, n, a, tokens, out, out_stride);                     \
    }
#define MULTIPLY_INT8(TYPE) MULTIPLY(TYPE, dot)
#define MULTIPLY_FLOAT(TYPE) MULTIPLY(TYPE, dot_f32)
DUET_FOR_QUANTIZED_TYPES(MULTIPLY_INT8)
DUET_FOR_FLOAT_TYPES(MULTIPLY_FLOAT)

// MARK: Vectors

static void quantize_run(const float *x, int8_t *q, duet_run_scale *s) {
    float largest = 0;
    bool finite = true;
    for (int i = 0; i < DUET_RUN; i++) {
        finite = finite && isfinite(x[i]);
        largest = fmaxf(largest, fabsf(x[i]));
    }
    float scale = finite ? largest / 127 : 0;
    float inverse = scale > 0 ? 1 / scale : 0;
    if (!isfinite(inverse)) scale = inverse = 0;
    int sums[2] = {0, 0};
    for (int i = 0; i < DUET_RUN; i++) {
        float value = finite ? rintf(x[i] * inverse) : 0;
        q[i] = (int8_t)fmaxf(-127, fminf(127, value));
        sums[i / 16] += q[i];
    }
    s->scale = scale;
    for (int half = 0; half < 2; half++) {
        s->half[half] = scale * (float)sums[half];
        s->middle[half] = -128 * sums[half];
    }
}

static void quantize(const float *x, size_t n, int8_t *q, duet_run_scale *scales) {
    for (size_t i = 0; i < n / DUET_RUN; i++)
        quantize_run(x + DUET_RUN * i, q + DUET_RUN * i, &scales[i]);
}

void duet_generic_rms_norm(const float *x, const float *weight, size_t n, float epsilon, float *out) {
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)x[i] * x[i];
    float factor = (float)(1 / sqrt(squares / (double)n + epsilon));
    for (size_t i = 0; i < n; i++) out[i] = x[i] * factor * weight[i];
}

static void gelu_bias(const float *bias, size_t n, float *x) {
    for (size_t i = 0; i < n; i++) {
        float v = x[i] + bias[i];
        x[i] = 0.5f * v * (1 + erff(v * 0.707106781f));
    }
}

static void rotate(float *x, size_t n, const float *cosines, const float *sines, bool split) {
    size_t apart = split ? n / 2 : 1, step = split ? 1 : 2;
    for (size_t i = 0; i < n / 2; i++) {
        float *pair = x + step * i;
        float a = pair[0], b = pair[apart];
        pair[0] = a * cosines[i] - b * sines[i];
        pair[apart] = a * sines[i] + b * cosines[i];
    }
}

static void add(const float *x, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) out[i] += x[i];
}

static void silu_multiply(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

static void gelu_multiply(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        float x = gate[i];
        float inner = 0.797884561f * (x + 0.044715f * x * x * x);  // sqrt(2 / pi)
        out[i] = 0.5f * x * (1 + tanhf(inner)) * up[i];
    }
}

static size_t argmax(const float *x, size_t n) {
    size_t best = 0;
    float largest = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        // An infinity below all others still wins over what is no number.
        if (x[i] > largest || (x[i] == largest && isnan(x[best]))) {
            largest = x[i];
            best = i;
        }
    }
    return best;
}

// MARK: Products of low rank

static float factor_at(const void *b, bool in_float, size_t rank, size_t row, size_t j) {
    size_t group = row / DUET_LOW_RANK_ROWS, lane = row % DUET_LOW_RANK_ROWS;
    if (in_float) return ((const float *)b)[(group * rank + j) * DUET_LOW_RANK_ROWS + lane];
    const uint8_t *at = (const uint8_t *)b + group * DUET_LOW_RANK_ROWS * (sizeof(float) + rank);
    const int8_t *q = (const int8_t *)(at + DUET_LOW_RANK_ROWS * sizeof(float));
    return ((const float *)at)[lane] * (float)q[j * DUET_LOW_RANK_ROWS + lane];
}

static void expand(const void *b, bool in_float, size_t rank, size_t rows, const float *low,
                   size_t low_stride, size_t tokens, float *out, size_t out_stride) {
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t j = 0; j < rank; j++) sum += factor_at(b, in_float, rank, r, j) * low[t * low_stride + j];
            out[t * out_stride + r] += sum;
        }
    }
}

// MARK: The cache

void duet_generic_store(const float *key, const float *value, size_t head_size, int type, size_t slot,
                        void *keys, void *values) {
    const size_t page = DUET_PAGE_TOKENS;
    for (size_t i = 0; i < head_size && type == DUET_F32; i++) {
        ((float *)keys)[i * page + slot] = key[i];
        ((float *)values)[slot * head_size + i] = value[i];
    }
    for (size_t i = 0; i < head_size && type == DUET_F16; i++) {
        ((uint16_t *)keys)[i * page + slot] = duet_float_to_half(key[i]);
        ((uint16_t *)values)[slot * head_size + i] = duet_float_to_half(value[i]);
    }
    if (type != DUET_Q8_0) return;
    uint16_t *key_scales = (uint16_t *)((int8_t *)keys + page * head_size);
    uint16_t *value_scales = (uint16_t *)((int8_t *)values + page * head_size);
    for (size_t run = 0; run < head_size / DUET_RUN; run++) {
        int8_t q[DUET_RUN];
        duet_run_scale s;
        quantize_run(key + run * DUET_RUN, q, &s);
        key_scales[run * page + slot] = duet_float_to_half(s.scale);
        for (size_t i = 0; i < DUET_RUN; i++)
            ((int8_t *)keys)[(run * DUET_RUN + i) * page + slot] = q[i];
        quantize_run(value + run * DUET_RUN, (int8_t *)values + slot * head_size + run * DUET_RUN, &s);
        value_scales[slot * (head_size / DUET_RUN) + run] = duet_float_to_half(s.scale);
    }
}

static float key_at(const duet_query *query, const duet_page *page, size_t token, size_t i) {
    size_t at = i * DUET_PAGE_TOKENS + token;
    if (query->type == DUET_F32) return ((const float *)page->keys)[at];
    if (query->type == DUET_F16) return duet_half_to_float(((const uint16_t *)page->keys)[at]);
    const int8_t *q = page->keys;
    const uint16_t *scales = (const uint16_t *)(q + DUET_PAGE_TOKENS * query->head_size);
    return duet_half_to_float(scales[i / DUET_RUN * DUET_PAGE_TOKENS + token]) * (float)q[at];
}

static float value_at(const duet_query *query, const duet_page *page, size_t token, size_t i) {
    size_t at = token * query->head_size + i;
    if (query->type == DUET_F32) return ((const float *)page->values)[at];
    if (query->type == DUET_F16) return duet_half_to_float(((const uint16_t *)page->values)[at]);
    const int8_t *q = page->values;
    const uint16_t *scales = (const uint16_t *)(q + DUET_PAGE_TOKENS * query->head_size);
    return duet_half_to_float(scales[token * (query->head_size / DUET_RUN) + i / DUET_RUN]) * (float)q[at];
}

static float score(const duet_query *query, const float *q, const duet_page *page, size_t token) {
    float dot = 0;
    for (size_t i = 0; i < query->head_size; i++) dot += q[i] * key_at(query, page, token, i);
    dot *= query->scale;
    return query->softcap > 0 ? query->softcap * tanhf(dot / query->softcap) : dot;
}

// state: [head_size + 2]
static void attend_head(const duet_query *query, const float *q, duet_span span, const duet_page *pages, float *state) {
    size_t head_size = query->head_size;
    float *largest = state + head_size, *total = largest + 1;
    for (size_t i = 0; i < head_size; i++) state[i] = 0;
    *largest = -INFINITY;
    *total = 0;
    for (size_t position = span.first; position < span.last; position++) {
        const duet_page *page = pages + position / DUET_PAGE_TOKENS;
        size_t token = position % DUET_PAGE_TOKENS;
        float s = score(query, q, page, token);
        float maximum = fmaxf(*largest, s);
        float keep = expf(*largest - maximum), weight = expf(s - maximum);
        for (size_t i = 0; i < head_size; i++) state[i] = state[i] * keep + weight * value_at(query, page, token, i);
        *total = *total * keep + weight;
        *largest = maximum;
    }
}

void duet_generic_attend(const duet_query *query, const duet_page *pages, float *state) {
    for (size_t token = 0; token < query->tokens; token++)
        for (size_t head = 0; head < query->heads; head++, state += query->head_size + 2)
            attend_head(query, query->query + token * query->stride + head * query->head_size,
                        query->spans[token], pages, state);
}

void duet_generic_combine(const float *state, size_t stride, size_t count, size_t head_size, float *out) {
    float largest = -INFINITY, total = 0;
    for (size_t s = 0; s < count; s++) largest = fmaxf(largest, state[s * stride + head_size]);
    for (size_t i = 0; i < head_size; i++) out[i] = 0;
    for (size_t s = 0; s < count; s++) {
        const float *segment = state + s * stride;
        if (segment[head_size + 1] == 0) continue;  // nothing in its window
        float weight = expf(segment[head_size] - largest);
        total += weight * segment[head_size + 1];
        for (size_t i = 0; i < head_size; i++) out[i] += weight * segment[i];
    }
    float inverse = 1 / total;
    for (size_t i = 0; i < head_size; i++) out[i] *= inverse;
}

// MARK: The table

#define QUANTIZED_ENTRY(TYPE)                                                                    \
    .dot[DUET_##TYPE] = dot_##TYPE, .dot_columns[DUET_##TYPE] = columns_##TYPE,                  \
    .dot_f32[DUET_##TYPE] = dot_f32_##TYPE, .pack[DUET_##TYPE] = pack,                           \
    .multiply[DUET_##TYPE] = multiply_##TYPE,
#define FLOAT_ENTRY(TYPE)                                                                        \
    .dot[DUET_##TYPE] = dot_f32_##TYPE, .dot_f32[DUET_##TYPE] = dot_f32_##TYPE,                  \
    .dot_columns[DUET_##TYPE] = columns_##TYPE, .pack[DUET_##TYPE] = pack,                       \
    .multiply[DUET_##TYPE] = multiply_##TYPE,

void duet_generic_fill(duet_operations *table) {
    *table = (duet_operations){
        .name = "generic",
        .panel_rows = 8,
        // 32 bytes, two scales and two minima; here two words in all.
        .panel_run_bytes = 48,
        DUET_FOR_QUANTIZED_TYPES(QUANTIZED_ENTRY)
        DUET_FOR_FLOAT_TYPES(FLOAT_ENTRY)
        .quantize = quantize,
        .rms_norm = duet_generic_rms_norm,
        .gelu_bias = gelu_bias,
        .rotate = rotate,
        .add = add,
        .silu_multiply = silu_multiply,
        .gelu_multiply = gelu_multiply,
        .store = duet_generic_store,
        .attend = duet_generic_attend,
        .combine = duet_generic_combine,
        .argmax = argmax,
        .expand = expand,
        .finish = duet_generic_finish,
        .depthwise = duet_generic_depthwise,
        .layer_norm = duet_generic_layer_norm,
        .softmax = duet_generic_softmax,
        .pointwise = duet_generic_pointwise,
    };
    memcpy(table->dequantize, duet_generic_dequantize, sizeof table->dequantize);
}
