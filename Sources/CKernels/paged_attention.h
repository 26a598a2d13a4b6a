// Attention over pages of the cache. Included once per file, inside of its target attribute, after the floats side
// by side that it is written in (avx2_vector.h and its siblings):
//
//     vector, LANES         floats side by side
//     ROWS                  rows that are taken together at most, of up to 12
//     SCORE_VECTORS(rows)   vectors of tokens that are scored together
//     VALUE_VECTORS(rows)   vectors of a head whose weighted sums are made together; both as registers allow
//     zero, spread, load_floats, store_floats, add_up, multiply, multiply_add, divide, largest_of, tanh_of
//     load_values_of        values of the cache as floats
//     spread_half           a number in half precision, in all lanes
//     hide                  what lies outside of a span becomes -infinity
//     exponential           exp(score - shift), 0 for -infinity
//     total_of, maximum_of  across lanes
//
// A row is the query of one head of one token. Scores of neighbouring tokens are computed side by side (keys
// are stored transposed), then the weighted sum of values runs along the head. Rows that read the same pages
// go together, so that each key and value is loaded and widened once for all of them.

#define PAGE DUET_PAGE_TOKENS
#define SEGMENT (DUET_SEGMENT_PAGES * PAGE)
// Segments of which combine() keeps the weights at hand.
#define SEGMENTS 64

INLINE const uint16_t *scales_of(const void *base, size_t head_size) {
    return (const uint16_t *)((const int8_t *)base + PAGE * head_size);
}

// MARK: Scores

// Fetches `bytes` bytes that are needed soon: pages lie far apart, so the hardware cannot foresee
// the next one.
INLINE void fetch(const void *at, size_t offset, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch((const char *)at + offset + line, 0, 3);
}

INLINE size_t bytes_of(int type) { return type == DUET_F32 ? 4 : type == DUET_F16 ? 2 : 1; }

// Rows of one call, and what they attend to in the pages: all of it lies within span.
typedef struct {
    const float *query[ROWS];
    float *state[ROWS];
    duet_span spans[ROWS], span;
    const void *following;  // what is read after these pages, or NULL
} row_group;

INLINE uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
INLINE uint32_t most(uint32_t a, uint32_t b) { return a > b ? a : b; }

// The positions of a span within a page, counted from its first token.
INLINE duet_span within(duet_span span, size_t page) {
    uint32_t start = (uint32_t)page * PAGE;
    return (duet_span){most(span.first, start) - start, most(least(span.last, start + PAGE), start) - start};
}

// q . k for the tokens of `vectors` vectors from `first` on: out[row][token].
INLINE void score_tokens(int type, size_t rows, size_t vectors, const row_group *group, size_t head_size,
                         const void *keys, size_t first, const void *next, float *out) {
    vector total[ROWS][4];
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++) total[r][v] = zero();
    const size_t step = LANES * vectors, part = bytes_of(type) * step;
    for (size_t i = 0; i < head_size; i++) {
        if (next) fetch(next, (first / step * head_size + i) * part, part);
        vector key[4];
        for (size_t v = 0; v < vectors; v++) key[v] = load_values_of(type, keys, i * PAGE + first + LANES * v);
        if (type == DUET_Q8_0) {
            const uint16_t *scales = scales_of(keys, head_size) + i / DUET_RUN * PAGE + first;
            for (size_t v = 0; v < vectors; v++) key[v] = multiply(key[v], load_values_of(DUET_F16, scales, LANES * v));
        }
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            vector q = spread(group->query[r][i]);
            for (size_t v = 0; v < vectors; v++) total[r][v] = multiply_add(q, key[v], total[r][v]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++) store_floats(out + r * SEGMENT + LANES * v, total[r][v]);
}

// Scales, caps and masks the scores of a page; tokens outside of the span weigh nothing.
INLINE void finish_scores(const duet_query *query, duet_span span, float *scores) {
    bool is_whole = span.first == 0 && span.last == PAGE;
    for (uint32_t i = 0; i < PAGE; i += LANES) {
        vector s = multiply(load_floats(scores + i), spread(query->scale));
        if (query->softcap > 0) {
            vector cap = spread(query->softcap);
            s = multiply(cap, tanh_of(divide(s, cap)));
        }
        store_floats(scores + i, is_whole ? s : hide(s, i, span));
    }
}

// Turns scores into exponentials; returns their sum, and the largest score through `largest`.
INLINE float exponentials(float *scores, size_t count, float *largest) {
    vector maximum = spread(-INFINITY);
    for (size_t i = 0; i < count; i += LANES) maximum = largest_of(load_floats(scores + i), maximum);
    *largest = maximum_of(maximum);
    vector total = zero(), shift = spread(*largest);
    for (size_t i = 0; i < count; i += LANES) {
        vector e = exponential(load_floats(scores + i), shift);
        store_floats(scores + i, e);
        total = add_up(total, e);
    }
    return total_of(total);
}

// MARK: Values

// `vectors` vectors of one token's values, from element `at` of the head on.
INLINE void load_values(int type, size_t vectors, const void *values, size_t head_size, size_t token, size_t at,
                        vector value[4]) {
    for (size_t v = 0; v < vectors; v++) value[v] = load_values_of(type, values, token * head_size + at + LANES * v);
    if (type != DUET_Q8_0) return;
    const uint16_t *scales = scales_of(values, head_size) + token * (head_size / DUET_RUN);
    for (size_t v = 0; v < vectors; v++)
        value[v] = multiply(value[v], spread_half(scales[(at + LANES * v) / DUET_RUN]));
}

// Adds weights[row][token] * values[token] of the tokens first..<last of page number `page`. Where these do
// not belong to all rows, each takes its own: what others attend to may be no number, and 0 times that is none.
INLINE void add_values(int type, size_t rows, size_t vectors, bool is_common, const row_group *group,
                       const float *weights, size_t head_size, const void *values, size_t page, uint32_t first,
                       uint32_t last, const void *next, size_t at, vector total[ROWS][4]) {
    const size_t bytes = bytes_of(type) * head_size;
    for (uint32_t token = first; token < last; token++) {
        if (next && at == 0) fetch(next, token * bytes, bytes);
        vector value[4];
        load_values(type, vectors, values, head_size, token, at, value);
        uint32_t position = (uint32_t)page * PAGE + token;
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            if (!is_common && (position < group->spans[r].first || position >= group->spans[r].last)) continue;
            vector w = spread(weights[r * SEGMENT + position]);
            for (size_t v = 0; v < vectors; v++) total[r][v] = multiply_add(w, value[v], total[r][v]);
        }
    }
}

// The weighted sums of the elements from `at` on.
INLINE void sum_values(int type, size_t rows, size_t vectors, const row_group *group, const float *weights,
                       size_t head_size, const duet_page *pages, bool fetches, size_t at) {
    vector total[ROWS][4];
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++) total[r][v] = zero();
    duet_span common = group->spans[0];
    for (size_t r = 1; r < rows; r++) {
        common.first = most(common.first, group->spans[r].first);
        common.last = least(common.last, group->spans[r].last);
    }
    size_t end = (group->span.last + PAGE - 1) / PAGE;
    for (size_t p = group->span.first / PAGE; p < end; p++) {
        const void *values = pages[p].values;
        const void *next = !fetches ? NULL : p + 1 < end ? pages[p + 1].values : group->following;
        duet_span all = within(group->span, p), shared = within(common, p);
        if (shared.last <= shared.first) shared = (duet_span){all.last, all.last};
        add_values(type, rows, vectors, false, group, weights, head_size, values, p, all.first, shared.first, next, at, total);
        add_values(type, rows, vectors, true, group, weights, head_size, values, p, shared.first, shared.last, next, at, total);
        add_values(type, rows, vectors, false, group, weights, head_size, values, p, shared.last, all.last, next, at, total);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++) store_floats(group->state[r] + at + LANES * v, total[r][v]);
}

// MARK: Both

// Scores of all pages, masked: [rows][SEGMENT].
INLINE void score_pages(int type, size_t rows, const duet_query *query, const row_group *group,
                        const duet_page *pages, bool fetches, float *scores) {
    const size_t vectors = SCORE_VECTORS(rows), step = LANES * vectors;
    size_t start = group->span.first / PAGE, end = (group->span.last + PAGE - 1) / PAGE;
    for (size_t p = start; p < end; p++) {
        duet_span used = within(group->span, p);
        const void *next = !fetches ? NULL : p + 1 < end ? pages[p + 1].keys : pages[start].values;
        for (size_t first = 0; first < PAGE; first += step) {
            float *out = scores + p * PAGE + first;
            // What no row attends to is masked below; its memory may be unwritten.
            if (first >= used.last || first + step <= used.first)
                for (size_t r = 0; r < rows; r++) memset(out + r * SEGMENT, 0, step * sizeof(float));
            else
                score_tokens(type, rows, vectors, group, query->head_size, pages[p].keys, first, next, out);
        }
        for (size_t r = 0; r < rows; r++)
            finish_scores(query, within(group->spans[r], p), scores + r * SEGMENT + p * PAGE);
    }
}

INLINE void attend_rows(int type, size_t rows, const duet_query *query, const row_group *group,
                        const duet_page *pages, float scores[ROWS * SEGMENT]) {
    size_t head_size = query->head_size, at = 0;
    // Of one token a page is read once and soon needed; of several it stays near.
    bool fetches = query->tokens == 1;
    score_pages(type, rows, query, group, pages, fetches, scores);
    size_t first = group->span.first / PAGE * PAGE, end = (group->span.last + PAGE - 1) / PAGE * PAGE;
    for (size_t r = 0; r < rows; r++) {
        float *state = group->state[r] + head_size;
        state[1] = exponentials(scores + r * SEGMENT + first, end - first, &state[0]);
    }
    const size_t vectors = VALUE_VECTORS(rows);
    for (; at + LANES * vectors <= head_size; at += LANES * vectors)
        sum_values(type, rows, vectors, group, scores, head_size, pages, fetches, at);
    for (; at < head_size; at += 16) sum_values(type, rows, 16 / LANES, group, scores, head_size, pages, fetches, at);
}

// Rows first..<first + rows, counted through the heads of all tokens.
INLINE row_group group_rows(const duet_query *query, size_t first, size_t rows, float *state) {
    row_group group = {.span = {UINT32_MAX, 0}};
    for (size_t r = 0; r < rows; r++) {
        size_t token = (first + r) / query->heads, head = (first + r) % query->heads;
        duet_span span = query->spans[token];
        if (span.last <= span.first) span = (duet_span){0, 0};
        group.query[r] = query->query + token * query->stride + head * query->head_size;
        group.state[r] = state + (first + r) * (query->head_size + 2);
        group.spans[r] = span;
        if (span.last == 0) continue;
        group.span = (duet_span){least(group.span.first, span.first), most(group.span.last, span.last)};
    }
    if (group.span.last == 0) group.span.first = 0;
    return group;
}

_Static_assert(ROWS == 6 || ROWS == 8 || ROWS == 12, "attend_type has cases for these");
INLINE void attend_type(int type, const duet_query *query, const duet_page *pages, float *state) {
    size_t all = query->tokens * query->heads, groups = (all + ROWS - 1) / ROWS;
    float scores[ROWS * SEGMENT];
    for (size_t i = 0, first = 0; i < groups; i++) {
        // Groups as even as can be.
        size_t rows = (all - first + groups - i - 1) / (groups - i);
        row_group group = group_rows(query, first, rows, state);
        group.following = i + 1 < groups ? NULL : query->following;
        switch (rows) {
#define CASE(N) case N: attend_rows(type, N, query, &group, pages, scores); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if ROWS > 6
        CASE(7) CASE(8)
#endif
#if ROWS > 8
        CASE(9) CASE(10) CASE(11) CASE(12)
#endif
        }
        first += rows;
    }
}

static void attend_f32(const duet_query *q, const duet_page *p, float *s) { attend_type(DUET_F32, q, p, s); }
static void attend_f16(const duet_query *q, const duet_page *p, float *s) { attend_type(DUET_F16, q, p, s); }
static void attend_q8_0(const duet_query *q, const duet_page *p, float *s) { attend_type(DUET_Q8_0, q, p, s); }

static void attend(const duet_query *query, const duet_page *pages, float *state) {
    if (query->head_size % 16 != 0) return duet_generic_attend(query, pages, state);
    if (query->type == DUET_F32) return attend_f32(query, pages, state);
    if (query->type == DUET_F16) return attend_f16(query, pages, state);
    attend_q8_0(query, pages, state);
}

// MARK: Segments

// Scaled to the largest score, the segments' sums are added up and divided by all exponentials.
static void combine(const float *state, size_t stride, size_t count, size_t head_size, float *out) {
    if (head_size % 16 != 0) return duet_generic_combine(state, stride, count, head_size, out);
    float largest = -INFINITY, total = 0, weights[SEGMENTS];
    if (count > SEGMENTS) return duet_generic_combine(state, stride, count, head_size, out);
    for (size_t s = 0; s < count; s++) largest = fmaxf(largest, state[s * stride + head_size]);
    for (size_t s = 0; s < count; s++) {
        const float *ends = state + s * stride + head_size;
        // Nothing in its window: its values may be no numbers.
        weights[s] = ends[1] == 0 ? 0 : expf(ends[0] - largest);
        total += weights[s] * ends[1];
    }
    float inverse = 1 / total;
    for (size_t i = 0; i < head_size; i += LANES) {
        vector sum = zero();
        for (size_t s = 0; s < count; s++)
            if (weights[s] != 0) sum = multiply_add(spread(weights[s]), load_floats(state + s * stride + i), sum);
        store_floats(out + i, multiply(sum, spread(inverse)));
    }
}
