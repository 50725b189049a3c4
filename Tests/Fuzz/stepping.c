/* Decoding in lockstep: A takes m tokens and gives k back, B takes m - k. The moves that a step asks for are made in the model of the
 * caches, which must then be what the plan says of its slots. */
#include "choices.h"
#include "guarded.h"
#include "pair.h"

#include <string.h>

static int32_t slot[2][MOST_HEADS * MOST_NEW];

/* (Hq, m, n): by the positions of token and row; what comes after the token's own row is NaN. */
static kvsieve_tensor logits_of(const pair *p, int32_t layer, int64_t living, int64_t tokens, int32_t dtype) {
    kvsieve_tensor t = tensor_empty(p->sizes.heads * p->group, tokens, (int32_t)(living + tokens), dtype, layout_drawn());
    for (int64_t head = 0; head < t.heads; ++head)
        for (int64_t i = 0; i < tokens; ++i)
            for (int64_t row = 0; row <= living + i; ++row) {
                const int32_t position = p->cache[layer][head / p->group][row];
                const uint64_t key = pair_key(p, LOGIT_ROWS, layer, head, p->seen + i) + (uint64_t)position;
                number_put(row_of(&t, head, i), t.dtype, row, number_of(mixed(key), p->numbers == LARGE ? ORDINARY : p->numbers));
            }
    return t;
}

/* logits: their dtype, or -1. */
static call step_call(pair *p, int who, int32_t layer, int32_t logits) {
    const int32_t needs = needs_of(p, layer);
    const int64_t living = p->length[layer][0], tokens = p->step_tokens[who], rows = living + tokens;
    const int length_only = needs & KVSIEVE_NEEDS_LENGTH ? 1 : 0;
    const enum use use = length_only ? ITS_SHAPE : READ;
    call c = call_new(logits < 0 ? STEP : STEP_LOGITS, p->plan[who]);
    kvsieve_tensor values;
    for (int32_t head = 0; head < p->sizes.heads; ++head) p->length[layer][head] = rows;
    values = cache_tensor(p, VALUE_ROWS, layer, rows, layout_drawn());
    c.layer = layer;
    c.out = slot[who];
    c.out_bytes = sizeof slot[who];
    memset(slot[who], 0x5a, sizeof slot[who]);
    if (logits >= 0) {
        call_tensor(&c, 0, "logits", logits_of(p, layer, living, tokens, logits), use);
        c.least[0] = layer > 0 ? tokens : 0;
    } else {
        call_tensor(&c, 0, "queries", query_tensor(p, layer, p->seen + tokens, tokens, tokens, layout_drawn()),
                    length_only ? IGNORED : READ);
        call_tensor(&c, 1, "keys", cache_tensor(p, KEY_ROWS, layer, rows, layout_drawn()), use);
        c.least[0] = tokens;
        c.least[1] = length_only && layer == 0 && tokens > 1 ? 0 : rows;
        if (length_only && who == A) c.given[0] = ABSENT;
    }
    call_tensor(&c, 2, "values", values, needs & KVSIEVE_NEEDS_VALUES ? READ : IGNORED);
    c.least[2] = rows;
    c.width[2] = 0;
    for (int32_t head = 0; head < p->sizes.heads; ++head) p->length[layer][head] = living;
    if (who == A && c.use[2] == IGNORED) c.given[2] = chance(2) ? ABSENT : NOWHERE;
    return c;
}

/* New token i moves from row n - m + i to its slot, in the order of i. */
static void move_rows(pair *p, int32_t layer, int64_t kept) {
    const int64_t living = p->length[layer][0];
    int64_t most = living;
    for (int32_t head = 0; head < p->sizes.heads; ++head)
        for (int64_t i = 0; i < kept; ++i) {
            const int32_t to = p->moves[layer][head][i];
            HOLDS(to >= -1 && to < living + i, "slot %d of %lld", (int)to, (long long)(living + i));
            if (to >= 0) p->cache[layer][head][to] = (int32_t)(p->seen + i);
            else most = living + i + 1;
        }
    for (int32_t head = 0; head < p->sizes.heads; ++head) p->length[layer][head] = most;
}

static void check_slots(pair *p) {
    for (int32_t layer = 0; layer < p->sizes.layers; ++layer)
        for (int32_t head = 0; head < p->sizes.heads; ++head) {
            kvsieve_slots slots = { .struct_size = sizeof slots };
            call c = call_new(SLOTS, p->plan[A]);
            c.layer = layer, c.head = head, c.out = &slots;
            call_succeeds(&c);
            HOLDS(slots.length == p->length[layer][head] && slots.tokens == p->seen, "%lld slots of %lld", (long long)slots.length,
                  (long long)p->length[layer][head]);
            for (int64_t i = 0; i < slots.length; ++i)
                HOLDS(slots.positions[i] == p->cache[layer][head][i], "slot %lld of layer %d, head %d has %d, not %d", (long long)i,
                      (int)layer, (int)head, (int)slots.positions[i], (int)p->cache[layer][head][i]);
            for (int64_t position = 0; position < p->seen && position < MOST_ROWS; ++position) {
                int64_t at = 0;
                while (p->protected[position] && at < slots.length && slots.positions[at] != position) ++at;
                HOLDS(!p->protected[position] || at < slots.length, "protected token %lld has no slot", (long long)position);
            }
        }
}

/* 0: the plan is at the end of what it takes. */
static int step_layer(pair *p, int32_t layer, int32_t logits, int64_t kept) {
    call a, b;
    kvsieve_status status;
    for (int32_t head = 0; head < p->sizes.heads; ++head)
        for (int64_t i = 0; i < p->step_tokens[A]; ++i) p->cache[layer][head][p->length[layer][head] + i] = (int32_t)(p->seen + i);
    guarded_clear();
    a = step_call(p, A, layer, logits), b = step_call(p, B, layer, logits);
    if (layer == 0 && p->step_tokens[A] > 1) {
        /* At once are taken as many as are recent: that may be fewer, and then A's call has a fault. */
        if (call_make(&a) != KVSIEVE_OK) return 0;
        status = call_make(&b);
        HOLDS(status == KVSIEVE_OK, "a step of fewer tokens is %s", kvsieve_status_name(status));
    } else status = pair_make(p, &a, &b);
    if (status != KVSIEVE_OK) return 0;
    for (int32_t head = 0; head < p->sizes.heads; ++head)
        for (int64_t i = 0; i < kept; ++i) {
            p->moves[layer][head][i] = slot[A][head * p->step_tokens[A] + i];
            HOLDS(p->moves[layer][head][i] == slot[B][head * kept + i],
                  "token %lld of layer %d, head %d goes to %d for A, %d for B", (long long)i, (int)layer, (int)head,
                  (int)p->moves[layer][head][i], (int)slot[B][head * kept + i]);
        }
    p->stepped = (layer + 1) % p->sizes.layers;
    return 1;
}

int pair_step(pair *p) {
    const int32_t logits = chance(3) ? (int32_t)choice(3) : -1;
    int64_t tokens = choice_between(1, 4), back = (int64_t)choice((uint64_t)tokens);
    call trim = call_new(TRIM, p->plan[A]);
    if (longest_of(p, 0) + MOST_NEW > MOST_ROWS) return 0;
    p->step_tokens[A] = tokens, p->step_tokens[B] = tokens - back;
    if (!step_layer(p, 0, logits, tokens - back)) {
        if (tokens == 1) return 0;
        p->step_tokens[A] = p->step_tokens[B] = tokens = 1, back = 0;
        if (!step_layer(p, 0, logits, 1)) return 0;
    }
    for (int32_t layer = 1; layer < p->sizes.layers; ++layer)
        if (!step_layer(p, layer, logits, tokens - back)) return 0;
    p->undoable = tokens;
    trim.tokens = tokens;
    pair_disturb(p, &trim);
    trim.tokens = back;
    call_succeeds(&trim);
    p->undoable -= back;
    for (int32_t layer = 0; layer < p->sizes.layers; ++layer) move_rows(p, layer, tokens - back);
    p->seen += tokens - back;
    check_slots(p);
    pair_compare(p);
    return 1;
}
