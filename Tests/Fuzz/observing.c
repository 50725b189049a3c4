/* A round of a pair: a prompt or new tokens, observed by tensors, in chunks or by attention, and finished. */
#include "choices.h"
#include "guarded.h"
#include "pair.h"
#include "state.h"

#include <stdio.h>
#include <string.h>

/* Queries that a method reads of `fresh` tokens: as Tests/ABI/fixture.c has it. */
static int64_t rows_read(const pair *p, int32_t needs) {
    const int64_t window = (int64_t)parameter_of(p, KVSIEVE_WINDOW, 1);
    if (needs & KVSIEVE_NEEDS_ALL_QUERIES) return p->fresh;
    return window < p->fresh ? window : p->fresh;
}

static enum use use_of(int32_t needs, int which) {
    if (which == QUERY_ROWS) return needs & KVSIEVE_NEEDS_QUERIES ? READ : IGNORED;
    if (which == VALUE_ROWS) return needs & KVSIEVE_NEEDS_VALUES ? READ : IGNORED;
    return needs & KVSIEVE_NEEDS_KEYS ? READ : needs & KVSIEVE_NEEDS_LENGTH ? ITS_SHAPE : IGNORED;
}

/* What is not looked at is, for A, nothing that could be looked at. */
static void hide(call *c, int which) {
    if (c->use[which] == IGNORED) c->given[which] = chance(2) ? ABSENT : NOWHERE;
    if (c->use[which] == ITS_SHAPE) {
        c->tensor[which].data = chance(2) ? NULL : guarded_nowhere();
        c->tensor[which].token_stride = -1;
        c->tensor[which].dtype = 77;
    }
}

call observe_call(pair *p, int who, int32_t layer) {
    static const char *const names[] = { "queries", "keys", "values" };
    const int32_t needs = needs_of(p, layer);
    const int64_t longest = longest_of(p, layer), read = rows_read(p, needs);
    const int64_t given = choice_between(read, p->fresh);
    /* A prompt has the length of its first layer's keys and values, whatever that is. */
    const int fixed =
        layer > 0 || p->seen > p->fresh || (use_of(needs, KEY_ROWS) != IGNORED && use_of(needs, VALUE_ROWS) != IGNORED);
    call c = call_new(OBSERVE, p->plan[who]);
    c.layer = layer;
    for (int which = 0; which < 3; ++which) {
        const enum layout layout = layout_drawn();
        const kvsieve_tensor t = which == QUERY_ROWS ? query_tensor(p, layer, p->seen, given, who == A ? read : given, layout)
                                                     : cache_tensor(p, (enum kind)which, layer, longest, layout);
        call_tensor(&c, which, names[which], t, use_of(needs, which));
        c.least[which] = which == QUERY_ROWS ? read : fixed ? longest : 0;
        if (who == A) hide(&c, which);
    }
    c.width[VALUE_ROWS] = 0;
    return c;
}

/* -- attention ----------------------------------------------------------------------------------------------------------- */

struct attention {
    const pair *p;
    int32_t layer, kind;
    int64_t columns, rows, read;
    uint64_t drawn;
};

/* Row i of R sees the columns up to its own; A finds NaN behind. */
static void fill_attention(const struct attention *a, kvsieve_tensor *t, int who) {
    for (int64_t head = 0; head < t->heads; ++head)
        for (int64_t row = 0; row < t->tokens; ++row)
            for (int64_t column = 0; column < a->columns; ++column) {
                const uint64_t key = mixed(a->drawn + mixed((uint64_t)(head * 4096 + row)) + (uint64_t)column);
                const int seen = a->kind == KVSIEVE_COLUMN_SUMS || column < a->columns - a->rows + 1 + row;
                const int64_t kv = head / (t->heads / a->p->sizes.heads);
                const int64_t end = a->p->align ? a->columns : a->p->length[a->layer][kv];
                float value = number_of(key, a->p->numbers);
                if (a->kind != KVSIEVE_LOGITS) value = value < 0 ? -value : value;
                if (who == A && !seen && end == a->columns) continue;
                number_put(row_of(t, head, row), t->dtype, column, value);
            }
}

call attention_call(pair *p, int who, int32_t layer, int32_t kind, uint64_t drawn) {
    const int32_t needs = needs_of(p, layer);
    const int64_t columns = longest_of(p, layer), read = rows_read(p, needs);
    const int64_t rows = kind == KVSIEVE_COLUMN_SUMS ? 1 : read;
    const struct attention attention = { p, layer, kind, columns, rows, read, drawn };
    const int32_t heads = p->sizes.heads * (kind == KVSIEVE_COLUMN_SUMS && drawn % 2 ? 1 : p->group);
    call c = call_new(ATTENTION, p->plan[who]);
    kvsieve_tensor t = tensor_empty(heads, rows, (int32_t)columns, (int32_t)(drawn / 2 % 3), layout_drawn());
    fill_attention(&attention, &t, who);
    c.layer = layer;
    c.kind = kind;
    call_tensor(&c, 0, "attention", t, use_of(needs, QUERY_ROWS));
    call_tensor(&c, 2, "values", cache_tensor(p, VALUE_ROWS, layer, columns, layout_drawn()), use_of(needs, VALUE_ROWS));
    c.least[0] = rows;
    c.least[2] = columns;
    c.width[0] = layer > 0 || p->seen > p->fresh;
    c.width[2] = 0;
    if (who == A) hide(&c, 2);
    return c;
}

/* An attention that a method does not take is refused, and the layer is then observed by its tensors. */
static int observe_attention(pair *p, int32_t layer) {
    const int32_t kind = (int32_t)choice(3);
    const uint64_t drawn = choice(65536);
    call a = attention_call(p, A, layer, kind, drawn), b = attention_call(p, B, layer, kind, drawn);
    kvsieve_status status;
    const int32_t needs = needs_of(p, layer);
    if (!(needs & KVSIEVE_NEEDS_QUERIES)) return 0;
    /* Its faults have their status in the methods that take it. */
    if (kind == KVSIEVE_COLUMN_SUMS) a.use[0] = IGNORED;
    status = pair_make(p, &a, &b);
    HOLDS(status == KVSIEVE_OK || status == KVSIEVE_ERR_PARAMETER || status == KVSIEVE_ERR_SHAPE || status == KVSIEVE_ERR_BUDGET
              || status == KVSIEVE_ERR_NONFINITE,
          "attention of kind %d is %s: %s", (int)kind, kvsieve_status_name(status), kvsieve_last_error());
    return status == KVSIEVE_OK;
}

/* -- queries in chunks --------------------------------------------------------------------------------------------------- */

int pair_queries(pair *p, int32_t layer) {
    const int32_t needs = needs_of(p, layer);
    if (!(needs & KVSIEVE_NEEDS_QUERIES) || needs & KVSIEVE_NEEDS_ALL_QUERIES) return 0;
    for (int64_t done = 0; done < p->fresh;) {
        const int64_t left = p->fresh - done, drawn = choice_between(1 + p->fresh / 16, 20 + p->fresh / 16);
        const int64_t rows = drawn > left || chance(4) ? left : drawn;
        call c = call_new(QUERIES, p->plan[A]);
        done += rows;
        c.layer = layer;
        call_tensor(&c, 0, "queries", query_tensor(p, layer, p->seen - p->fresh + done, rows, rows, layout_drawn()), READ);
        pair_disturb(p, &c);
        call_succeeds(&c);
    }
    return 1;
}

/* -- the round ----------------------------------------------------------------------------------------------------------- */

/* A number of A's that is NaN or infinite: it is not read, or refused. 1: the layer is observed. */
static int observe_spoilt(const call *right) {
    const int which = (int)choice(3);
    const kvsieve_tensor *t = &right->tensor[which];
    const int64_t head = (int64_t)choice((uint64_t)t->heads), row = (int64_t)choice((uint64_t)t->tokens);
    char kept[4096];
    const size_t bytes = (size_t)row_bytes(t->dtype, t->dim);
    char *at;
    kvsieve_status status;
    if (right->use[which] != READ || right->given[which] != GIVEN || bytes > sizeof kept) return 0;
    at = row_of(t, head, row);
    memcpy(kept, at, bytes);
    number_spoil(at, t->dtype, (int32_t)choice((uint64_t)t->dim), chance(2));
    status = call_make(right);
    memcpy(at, kept, bytes);
    HOLDS(status == KVSIEVE_OK || status == KVSIEVE_ERR_NONFINITE || status == KVSIEVE_ERR_BUDGET
              || status == KVSIEVE_ERR_PARAMETER,
          "NaN is %s: %s", kvsieve_status_name(status), kvsieve_last_error());
    return status == KVSIEVE_OK;
}

static kvsieve_status observe_layer(pair *p, int32_t layer) {
    call a, b;
    int64_t rows = 0;
    call bound = call_new(BOUND, p->plan[A]);
    kvsieve_status bounded = KVSIEVE_OK, status;
    guarded_clear();
    bound.layer = layer, bound.tokens = p->fresh, bound.out = &rows, bound.out_bytes = sizeof rows;
    if (p->seen == p->fresh && chance(2)) {
        bounded = call_make(&bound);
        if (bounded == KVSIEVE_OK) pair_disturb(p, &bound);
        p->bound[layer] = bounded == KVSIEVE_OK ? rows : 0;
        /* Once queries came, a parameter that observe refuses could not be changed. */
        if (bounded != KVSIEVE_OK) rows = 0;
    }
    if (chance(6) && observe_attention(p, layer)) return KVSIEVE_OK;
    guarded_clear();
    a = observe_call(p, A, layer), b = observe_call(p, B, layer);
    if ((layer > 0 || rows > 0) && chance(4) && pair_queries(p, layer)) {
        a.given[QUERY_ROWS] = ABSENT;
        a.use[QUERY_ROWS] = IGNORED;
        p->chunked = 1;
    }
    if (chance(8) && observe_spoilt(&a)) {
        call_succeeds(&b);
        return KVSIEVE_OK;
    }
    if (chance(4))
        for (int which = 0; which < 3; ++which) tensor_odd_strides(&b.tensor[which]);
    status = pair_make(p, &a, &b);
    HOLDS(bounded == KVSIEVE_OK || status != KVSIEVE_OK, "observe of layer %d succeeds, its bound is %s", (int)layer,
          kvsieve_status_name(bounded));
    return status;
}

/* A parameter that a sentence proposes, and its number; 0 if it proposes none. */
static int32_t proposed(const pair *p, double *number) {
    static const char words[] = "the smallest ";
    const char *found = strstr(kvsieve_last_error(), words);
    kvsieve_parameter_info info = { .struct_size = sizeof info };
    char name[64];
    if (found == NULL || sscanf(found + sizeof words - 1, "%63s is %lf", name, number) != 2) return 0;
    for (int32_t index = 0; kvsieve_parameter_at(p->sizes.method, index, &info) == KVSIEVE_OK; ++index)
        if (strcmp(info.name, name) == 0) return info.id;
    return 0;
}

/* Makes a prompt's first layer right if it was refused, as far as that goes. */
static int repaired(pair *p, kvsieve_status status, int attempt) {
    double number = 0;
    int32_t parameter;
    if (status == KVSIEVE_ERR_NONFINITE) {
        p->numbers = ORDINARY;
        return 1;
    }
    if (p->seen > p->fresh || attempt > 3) return 0;
    if (status == KVSIEVE_ERR_BUDGET && (parameter = proposed(p, &number)) != 0) {
        for (int who = 0; who < 2; ++who) {
            call c = call_new(SET, p->plan[who]);
            c.parameter = parameter;
            c.value = number;
            if (call_make(&c) != KVSIEVE_OK) return 0;
        }
        return 1;
    }
    pair_settle_plainly(p);
    return 1;
}

static void finish(pair *p) {
    call a = call_new(FINISH, p->plan[A]), b = call_new(FINISH, p->plan[B]);
    kvsieve_status status;
    if (chance(2)) pair_fail_to_gather(p);
    status = pair_make(p, &a, &b);
    HOLDS(status == KVSIEVE_OK, "finish is %s: %s", kvsieve_status_name(status), kvsieve_last_error());
    p->finished = 1;
    p->stepped = 0, p->undoable = 0;
    pair_compare(p);
    if (chance(16)) state_asked_by_threads(p->plan[A]);
}

int pair_observe(pair *p) {
    p->observed = 0;
    p->finished = p->chunked = 0;
    p->align = parameter_of(p, KVSIEVE_ALIGN, 0) == 1;
    wrong_times(p);
    for (int attempt = 0; p->observed < p->sizes.layers;) {
        const kvsieve_status status = observe_layer(p, p->observed);
        if (status == KVSIEVE_OK) {
            ++p->observed;
            p->chunked = 0;
            if (p->looks && !p->joined && chance(2)) pair_compare(p);
            continue;
        }
        if (p->chunked || (p->observed > 0 && status != KVSIEVE_ERR_NONFINITE)) return 0;
        if (++attempt > 5 || !repaired(p, status, attempt)) return 0;
        p->align = parameter_of(p, KVSIEVE_ALIGN, 0) == 1;
        memset(p->bound, 0, sizeof p->bound);
    }
    guarded_clear();
    finish(p);
    return 1;
}
