// Checks of the cache and of attention, against a softmax in double precision over what the cache holds.

#include "check.h"

#define PAGE DUET_PAGE_TOKENS
#define CONTEXT (DUET_SEGMENT_PAGES * PAGE)
// Tokens of a query, heads of one token, and rows of both together.
#define TOKENS 8
#define HEADS 9
#define ROWS 16

typedef struct {
    int type;
    size_t size;  // of a head
    duet_page pages[DUET_SEGMENT_PAGES];
    float *keys, *values;  // [CONTEXT][size] as stored, exactly: half precision, or 8 bits times half precision
    duet_span spans[TOKENS];
    duet_query query;
} attention;

static float stored(int type, const void *page, size_t size, size_t at, size_t scale) {
    if (type == DUET_F32) return ((const float *)page)[at];
    if (type == DUET_F16) return duet_half_to_float(((const uint16_t *)page)[at]);
    const int8_t *q = page;
    return duet_half_to_float(((const uint16_t *)(q + PAGE * size))[scale]) * (float)q[at];
}

// MARK: Storing

// What one part of a page holds, by the tier and by the readable twin. 8 bits may differ by one step where inverses of
// scales are rounded another way, and scales by their last bit.
static bool check_page(duet_checker *c, const attention *a, const void *page, const void *expected) {
    const size_t bytes = duet_page_bytes(a->type, a->size), values = PAGE * a->size;
    if (memcmp(page, expected, bytes) == 0) return true;
    if (a->type != DUET_Q8_0) return duet_report(c, "a page differs");
    const int8_t *q = page, *other = expected;
    for (size_t i = 0; i < values; i++)
        if (q[i] - other[i] > 1 || other[i] - q[i] > 1) return duet_report(c, "byte %zu is %d, not %d", i, q[i], other[i]);
    const uint16_t *scales = (const uint16_t *)(q + values), *others = (const uint16_t *)(other + values);
    for (size_t i = 0; i < values / DUET_RUN; i++)
        if (scales[i] - others[i] > 1 || others[i] - scales[i] > 1)
            return duet_report(c, "scale %zu has bits %04x, not %04x", i, scales[i], others[i]);
    return true;
}

static bool is_seen(const attention *a, size_t position) {
    for (size_t t = 0; t < a->query.tokens; t++)
        if (position >= a->spans[t].first && position < a->spans[t].last) return true;
    return false;
}

// Stores what some token attends to; the rest stays as it is, which is no number.
static bool check_store(duet_checker *c, attention *a) {
    const size_t size = a->size, bytes = duet_page_bytes(a->type, size);
    duet_subject(c, "store of %s, head of %zu", duet_type_name(a->type), size);
    float *key = duet_take_floats(c, size), *value = duet_take_floats(c, size);
    void *expected[2] = {duet_take(c, bytes, 64), duet_take(c, bytes, 64)};
    for (size_t p = 0; p < DUET_SEGMENT_PAGES; p++) {
        void *pages[2] = {duet_take(c, bytes, 64), duet_take(c, bytes, 64)};
        memset(expected[0], 0xff, bytes), memset(expected[1], 0xff, bytes);
        for (size_t slot = 0; slot < PAGE; slot++) {
            if (!is_seen(a, p * PAGE + slot)) continue;
            for (size_t i = 0; i < size; i++) key[i] = duet_within(c, -2, 2), value[i] = duet_within(c, -1, 1);
            // Half precision has its own odd numbers: subnormal ones, and none that large. They are stored over.
            if (duet_below(c, 16) == 0) {
                key[0] = 1e-6f, value[size - 1] = -3e-8f, key[size - 1] = duet_flip(c) ? -7e4f : -65519, value[0] = 65520;
                c->tier->store(key, value, size, a->type, slot, pages[0], pages[1]);
                c->generic->store(key, value, size, a->type, slot, expected[0], expected[1]);
                if (!check_page(c, a, pages[0], expected[0]) || !check_page(c, a, pages[1], expected[1])) return false;
                key[0] = 1, value[size - 1] = key[size - 1] = value[0] = 0.5f;
            }
            c->tier->store(key, value, size, a->type, slot, pages[0], pages[1]);
            c->generic->store(key, value, size, a->type, slot, expected[0], expected[1]);
            for (size_t i = 0; i < size; i++) {
                const size_t at = (p * PAGE + slot) * size + i;
                a->keys[at] = stored(a->type, pages[0], size, i * PAGE + slot, i / DUET_RUN * PAGE + slot);
                a->values[at] = stored(a->type, pages[1], size, slot * size + i, slot * (size / DUET_RUN) + i / DUET_RUN);
            }
        }
        if (!check_page(c, a, pages[0], expected[0]) || !check_page(c, a, pages[1], expected[1])) return false;
        a->pages[p] = (duet_page){pages[0], pages[1]};
    }
    return true;
}

// MARK: Attending

// A prompt's neighbours, a window, or anything: within a page, over several, nothing.
static void draw_spans(duet_checker *c, attention *a) {
    const size_t tokens = a->query.tokens, kind = duet_below(c, 3), end = tokens + duet_below(c, CONTEXT - tokens + 1);
    const size_t window = duet_one_to(c, 100);
    for (size_t t = 0; t < tokens; t++) {
        size_t last = end - tokens + t + 1, first = kind == 1 && last > window ? last - window : 0;
        if (kind == 2) {
            first = duet_below(c, CONTEXT), last = first + duet_below(c, 150);
            if (last > CONTEXT) last = CONTEXT;
            if (duet_below(c, 6) == 0) last = duet_below(c, first + 1);
        }
        a->spans[t] = (duet_span){(uint32_t)first, (uint32_t)last};
    }
}

static double score(const attention *a, const float *q, size_t position) {
    double dot = 0;
    for (size_t i = 0; i < a->size; i++) dot += (double)q[i] * a->keys[position * a->size + i];
    dot *= a->query.scale;
    const double cap = a->query.softcap;
    return cap > 0 ? cap * tanh(dot / cap) : dot;
}

static bool check_head(duet_checker *c, const attention *a, const float *q, duet_span span, const float *out,
                       double allowed) {
    double scores[CONTEXT], total = 0, largest = -INFINITY;
    for (size_t p = span.first; p < span.last; p++) largest = fmax(largest, scores[p] = score(a, q, p));
    for (size_t p = span.first; p < span.last; p++) total += scores[p] = exp(scores[p] - largest);
    for (size_t i = 0; i < a->size; i++) {
        double sum = 0;
        for (size_t p = span.first; p < span.last; p++) sum += scores[p] * a->values[p * a->size + i];
        if (!duet_expect(c, i, out[i], sum / total, allowed)) return false;
    }
    return true;
}

static void name(duet_checker *c, const attention *a, const char *what, size_t token) {
    duet_subject(c, "%s of %s, %zu heads of %zu, %zu tokens, token %zu with %u to %u", what, duet_type_name(a->type),
                 a->query.heads, a->size, a->query.tokens, token, a->spans[token].first, a->spans[token].last);
}

// One head of one token, in segments that are joined: bit for bit what is in `state` where there is one.
static bool check_alone(duet_checker *c, const attention *a, size_t token, size_t head, const float *state,
                        double allowed) {
    // A long context has many segments.
    const size_t size = a->size, stride = size + 2 + duet_below(c, 4), count = duet_one_to(c, duet_below(c, 8) ? 3 : 70);
    const duet_span span = a->spans[token];
    duet_query one = a->query;
    one.query += token * one.stride + head * size;
    one.tokens = one.heads = 1;
    float *alone = duet_take_floats(c, size + 2), *out = duet_take_floats(c, size);
    float *states = duet_take_floats(c, count * stride);
    one.spans = &span;
    name(c, a, "attend, alone,", token);
    c->tier->attend(&one, a->pages, alone);
    if (!duet_expect_same(c, state, alone, size + 2)) return false;
    name(c, a, "attend", token);
    const double largest = state[size], total = state[size + 1];
    if (span.first >= span.last && largest == -INFINITY && total == 0) return true;
    if (span.first >= span.last) return duet_report(c, "what attends to nothing has %g and %g", largest, total);
    c->tier->combine(state, size + 2, 1, size, out);
    if (!check_head(c, a, one.query, span, out, allowed)) return false;
    for (size_t i = 0, first = span.first; i < count; i++) {
        const size_t last = i + 1 == count ? span.last : first + duet_below(c, span.last - first + 1);
        const duet_span part = {(uint32_t)first, (uint32_t)last};
        one.spans = &part;
        c->tier->attend(&one, a->pages, states + i * stride);
        first = last;
    }
    name(c, a, "combine", token);
    c->tier->combine(states, stride, count, size, out);
    return check_head(c, a, one.query, span, out, allowed);
}

bool duet_check_attention(duet_checker *c, int type) {
    static const size_t sizes[] = {16, 48, 64, 80, 96, 256, 10}, coarse[] = {32, 64, 96, 256};
    attention a = {.type = type, .size = sizes[duet_below(c, type == DUET_F32 ? 7 : 6)]};
    if (type == DUET_Q8_0) a.size = coarse[duet_below(c, 4)];
    const size_t size = a.size, heads = duet_one_to(c, HEADS), most = ROWS / heads < TOKENS ? ROWS / heads : TOKENS;
    const size_t tokens = duet_one_to(c, most), stride = heads * size + duet_below(c, 6), width = heads * (size + 2);
    // The rounding of a score, which grows with it, is the error of its weight.
    const float sharpness = duet_below(c, 4) ? 1.5f : 30;
    const double allowed = 2e-5 * (sharpness < 2 ? 1 : sharpness);
    float *query = duet_take_random(c, tokens * stride, 2);
    // What is no number stays so, and concerns no other head.
    if (duet_below(c, 4) == 0) query[duet_below(c, tokens * stride)] = NAN;
    a.query = (duet_query){
        .query = query, .tokens = tokens, .stride = stride, .spans = a.spans,
        .heads = heads, .head_size = size, .scale = sharpness / sqrtf((float)size), .softcap = duet_flip(c) ? 5 : 0,
        .type = type,
    };
    a.keys = duet_take_floats(c, CONTEXT * size), a.values = duet_take_floats(c, CONTEXT * size);
    draw_spans(c, &a);
    if (!check_store(c, &a)) return false;
    a.query.following = duet_flip(c) ? a.pages[1].keys : NULL;
    float *state = duet_take_floats(c, tokens * width);
    c->tier->attend(&a.query, a.pages, state);
    // All rows of a few heads: what the others give is that of a tier's own, alone.
    for (size_t t = 0; t < tokens; t++) {
        const size_t head = duet_below(c, heads);
        if (!check_alone(c, &a, t, head, state + t * width + head * (size + 2), allowed)) return false;
    }
    return true;
}
