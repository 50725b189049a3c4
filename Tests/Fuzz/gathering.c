/* What a finished round keeps, against the model of the caches; gathers of every kind, byte by byte. */
#include "choices.h"
#include "guarded.h"
#include "pair.h"

#include <stdlib.h>
#include <string.h>

static const float frequencies[32] = { 1, 0.5f, 0.3f, 0.2f, 0.1f, 0.05f, 0.02f, 0.01f };

static kvsieve_kept kept_of(const pair *p, int32_t layer) {
    kvsieve_kept kept = { .struct_size = sizeof kept };
    call c = call_new(KEPT, p->plan[A]);
    c.layer = layer;
    c.out = &kept;
    call_succeeds(&c);
    return kept;
}

/* Rows are those of the cache that was observed, and the protected tokens are among them. */
static void check_rows(const pair *p, int32_t layer, const kvsieve_kept *kept) {
    const int64_t rows = longest_of(p, layer);
    HOLDS(kept->tokens == p->seen, "%lld tokens were seen, not %lld", (long long)p->seen, (long long)kept->tokens);
    for (int32_t head = 0; head < p->sizes.heads; ++head) {
        const int64_t first = first_row(p, layer, head, rows);
        int64_t left = 0;
        for (int64_t position = 0; position < p->seen && position < MOST_ROWS; ++position) left += p->protected[position];
        for (int64_t i = kept->offsets[head]; i < kept->offsets[head + 1]; ++i) {
            const int64_t row = kept->rows[i] - first;
            HOLDS(row >= 0 && row < p->length[layer][head] && p->cache[layer][head][row] == kept->positions[i],
                  "row %d of head %d is not position %d", (int)kept->rows[i], (int)head, (int)kept->positions[i]);
            left -= p->protected[kept->positions[i]];
        }
        HOLDS(left == 0, "%lld protected tokens of layer %d, head %d were dropped", (long long)left, (int)layer, (int)head);
    }
    HOLDS(p->bound[layer] == 0 || p->seen > p->fresh || kept->longest <= p->bound[layer],
          "layer %d keeps %lld rows, its bound is %lld", (int)layer, (long long)kept->longest, (long long)p->bound[layer]);
}

/* What a row of the target must hold: a kept row, or -1: what it held before. */
static int64_t wanted(const pair *p, const kvsieve_kept *kept, const kvsieve_tensor *target, int64_t head, int64_t row) {
    int64_t first, count;
    if (target->heads == 1 && p->sizes.heads > 1) return row < kept->total ? row : -1;
    count = kept->offsets[head + 1] - kept->offsets[head];
    first = p->align ? kept->longest - count : 0;
    return row >= first && row < first + count ? kept->offsets[head] + row - first : -1;
}

static void check_target(const pair *p, int32_t layer, const kvsieve_kept *kept, const kvsieve_tensor *source,
                         const kvsieve_tensor *target, const char *before, enum kind kind) {
    const size_t bytes = (size_t)row_bytes(target->dtype, target->dim);
    char row_wanted[4096];
    for (int64_t head = 0; head < target->heads; ++head)
        for (int64_t row = 0; row < target->tokens; ++row) {
            const int64_t index = wanted(p, kept, target, head, row);
            int64_t from = head;
            if (index < 0) {
                const char *at = row_of(target, head, row);
                const char *was = before ? before + (at - (const char *)target->data) : NULL;
                for (size_t i = 0; i < bytes; ++i)
                    HOLDS(at[i] == (was ? was[i] : (char)FILLER), "row %lld of head %lld was written", (long long)row,
                          (long long)head);
                continue;
            }
            while (index >= kept->offsets[from + 1]) ++from;
            row_fill(row_wanted, source->dtype, source->dim, pair_key(p, kind, layer, from, kept->positions[index]), p->numbers);
            HOLDS(memcmp(row_of(target, head, row), row_wanted, bytes) == 0, "row %lld of head %lld of layer %d is another",
                  (long long)row, (long long)head, (int)layer);
        }
}

static call gather_call(const pair *p, int who, int32_t layer, kvsieve_tensor source, kvsieve_tensor target, int64_t least) {
    call c = call_new(GATHER, p->plan[who]);
    c.layer = layer;
    call_tensor(&c, 0, "source", source, MOVED);
    call_tensor(&c, 1, "target", target, WRITTEN);
    c.least[0] = source.tokens;
    c.least[1] = least;
    return c;
}

/* A target that begins at the source's second row. */
static void gather_over_itself(pair *p, int32_t layer, const kvsieve_tensor *source) {
    call c = gather_call(p, A, layer, *source, *source, 0);
    if (source->blocks != NULL || source->tokens == 1) return;
    c.tensor[1].data = (char *)source->data + source->token_stride;
    call_refused(&c, KVSIEVE_ERR_LAYOUT, "target", "a target over its source", 0);
}

static void gather(pair *p, int32_t layer, const kvsieve_kept *kept) {
    const enum kind kind = (enum kind[]){ KEY_ROWS, VALUE_ROWS, OTHER_ROWS }[choice(3)];
    const int64_t rows = longest_of(p, layer), more = (int64_t)choice(3);
    const int packed = chance(2) || p->sizes.heads == 1, in_place = chance(3);
    const int64_t heads = packed ? 1 : p->sizes.heads, least = packed ? kept->total : kept->longest;
    kvsieve_tensor source[2], target[2];
    call a, b;
    kvsieve_status status;
    char *before = NULL;
    guarded_clear();
    for (int who = 0; who < 2; ++who) {
        source[who] = cache_tensor(p, kind, layer, rows, layout_drawn());
        target[who] = in_place && who == A ? source[A]
                                           : tensor_empty(heads, least + more, source[who].dim, source[who].dtype, layout_drawn());
    }
    a = gather_call(p, A, layer, source[A], target[A], in_place ? 0 : least);
    b = gather_call(p, B, layer, source[B], target[B], least);
    gather_over_itself(p, layer, &source[A]);
    if (in_place && source[A].blocks == NULL) {
        const size_t bytes = (size_t)((source[A].heads - 1) * source[A].head_stride + (rows - 1) * source[A].token_stride
                                      + row_bytes(source[A].dtype, source[A].dim));
        before = malloc(bytes);
        if (before) memcpy(before, source[A].data, bytes);
    }
    if (in_place) a.use[1] = IGNORED; /* a fault in one would be in both */
    status = pair_make(p, &a, &b);
    HOLDS(status == KVSIEVE_OK, "gather is %s: %s", kvsieve_status_name(status), kvsieve_last_error());
    if (!in_place || before) check_target(p, layer, kept, &source[A], &target[A], before, kind);
    check_target(p, layer, kept, &source[B], &target[B], NULL, kind);
    free(before);
}

static void gather_rotated(pair *p, int32_t layer, const kvsieve_kept *kept) {
    const int64_t rows = longest_of(p, layer);
    const int in_place = chance(3);
    const int32_t dtype = p->dtype[KEY_ROWS], pairs = p->dim / 2;
    kvsieve_tensor source[2], target[2];
    call a, b;
    kvsieve_status status;
    guarded_clear();
    for (int who = 0; who < 2; ++who) {
        source[who] = cache_tensor(p, KEY_ROWS, layer, rows, layout_drawn());
        target[who] = who == A && in_place ? source[A] : tensor_empty(p->sizes.heads, kept->longest, p->dim, dtype, layout_drawn());
    }
    a = gather_call(p, A, layer, source[A], target[A], in_place ? 0 : kept->longest);
    if (in_place) a.use[1] = IGNORED;
    b = gather_call(p, B, layer, source[B], target[B], 0);
    a.function = b.function = ROTATED;
    a.rope = (kvsieve_rope){
        sizeof a.rope, (int32_t)choice(2), 2 * (int32_t)choice_between(1, pairs), 0, frequencies, (int32_t)choice(2), 0
    };
    a.rope.first = (int32_t)choice((uint64_t)(p->dim - a.rope.dims) + 1);
    b.rope = a.rope;
    if (dtype > KVSIEVE_BF16) {
        call_refused(&a, KVSIEVE_ERR_DTYPE, "source.dtype", "rows of a dtype that is not rotated", 0);
        return;
    }
    status = pair_make(p, &a, &b);
    HOLDS(status == KVSIEVE_OK, "gather_rotated is %s: %s", kvsieve_status_name(status), kvsieve_last_error());
    for (int64_t head = 0; head < p->sizes.heads; ++head)
        for (int64_t row = 0; row < kept->longest; ++row)
            HOLDS((in_place && wanted(p, kept, &target[A], head, row) < 0)
                      || memcmp(row_of(&target[A], head, row), row_of(&target[B], head, row), (size_t)row_bytes(dtype, p->dim))
                             == 0,
                  "rotated row %lld of head %lld", (long long)row, (long long)head);
}

void pair_gather(pair *p) {
    for (int32_t layer = 0; layer < p->sizes.layers; ++layer) {
        const kvsieve_kept kept = kept_of(p, layer);
        check_rows(p, layer, &kept);
        for (int times = (int)choice(3); times > 0; --times) gather(p, layer, &kept);
        if (p->dim > 1 && chance(3)) gather_rotated(p, layer, &kept);
    }
    /* The caches are now what was kept. */
    for (int32_t layer = 0; layer < p->sizes.layers; ++layer) {
        const kvsieve_kept kept = kept_of(p, layer);
        for (int32_t head = 0; head < p->sizes.heads; ++head) {
            p->length[layer][head] = kept.offsets[head + 1] - kept.offsets[head];
            memcpy(p->cache[layer][head], kept.positions + kept.offsets[head], sizeof(int32_t) * (size_t)p->length[layer][head]);
        }
    }
}
