#include "pair.h"

#include "choices.h"
#include "guarded.h"
#include "state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* -- the plans --------------------------------------------------------------------------------------------------------- */

/* A group of one. It fails once when it is called so often, if that is not 0. */
static int fails_at;

static int32_t gather_alone(void *context, const void *send, int64_t bytes, void *receive) {
    (void)context;
    memcpy(receive, send, (size_t)bytes);
    return fails_at > 0 && --fails_at == 0;
}

void pair_fail_to_gather(const pair *p) {
    const call finish = call_new(FINISH, p->plan[B]);
    if (!p->joined) return;
    fails_at = (int)choice_between(1, 3); /* three times it is called always */
    call_refused(&finish, KVSIEVE_ERR_GROUP, "all_gather", "an all_gather that fails", 1);
}

static call create_call(const pair *p, kvsieve_plan **out) {
    call c = call_new(CREATE, NULL);
    c.method = p->sizes.method;
    c.model = (kvsieve_model){ p->sizes.layers, p->sizes.heads * p->group, p->sizes.heads, p->dim, p->scale, { 0 } };
    c.out = out;
    c.out_bytes = sizeof *out;
    return c;
}

static call join_call(const pair *p, int who) {
    call c = call_new(JOIN, p->plan[who]);
    c.group = (kvsieve_group){
        .struct_size = sizeof c.group, .ranks = 1, .layers = p->sizes.layers, .heads = p->sizes.heads, .all_gather = gather_alone
    };
    return c;
}

static void disturb_registry(const pair *p) {
    kvsieve_method_info method = { .struct_size = sizeof method };
    kvsieve_parameter_info parameter = { .struct_size = sizeof parameter };
    call c = call_new(chance(2) ? METHOD_AT : PARAMETER_AT, NULL);
    fault f;
    c.method = p->sizes.method;
    c.out = c.function == METHOD_AT ? (void *)&method : &parameter;
    c.out_bytes = c.function == METHOD_AT ? sizeof method : sizeof parameter;
    c.least_size = 8;
    if (fault_drawn(&c, &p->sizes, &f)) call_refused(&c, f.status, f.words, f.what, 0);
    else call_succeeds(&c);
}

void pair_begin(pair *p) {
    static const int32_t dims[] = { 8, 1, 2, 3, 5, 16, 17, 31, 32, 64 };
    kvsieve_method_info info = { .struct_size = sizeof info };
    call c = call_new(METHOD_AT, NULL);
    memset(p, 0, sizeof *p);
    c.index = (int32_t)choice((uint64_t)kvsieve_method_count());
    c.out = &info;
    call_succeeds(&c);
    p->sizes = (sizes){ info.id, (int32_t)choice_between(1, MOST_LAYERS), (int32_t)choice_between(1, MOST_HEADS) };
    p->decodes = info.decodes;
    p->group = (int32_t)choice_between(1, 3);
    p->dim = dims[choice(10)], p->value_dim = dims[choice(10)];
    p->scale = chance(4) ? 0.5f : 0;
    for (int i = 0; i < 3; ++i) {
        const int32_t dtype = chance(2) ? (int32_t)choice(8) : KVSIEVE_F32;
        p->dtype[i] = dtype == KVSIEVE_BYTES ? KVSIEVE_F16 : dtype;
        if (block_of(p->dtype[i]) > 1) *(i < 2 ? &p->dim : &p->value_dim) = 32 * (int32_t)choice_between(1, 2);
    }
    if (block_of(p->dtype[QUERY_ROWS]) > 1 || block_of(p->dtype[KEY_ROWS]) > 1) p->dim = p->dim > 32 ? 64 : 32;
    p->numbers = chance(3) ? (enum numbers)choice(NUMBERS) : ORDINARY;
    p->seed = choice(65536);
    p->looks = !chance(3);
    p->joined = chance(6);
    state_begin(p->sizes.method, p->sizes.layers, p->sizes.heads);
    disturb_registry(p);
    for (int who = 0; who < 2; ++who) {
        call create = create_call(p, &p->plan[who]);
        fault f;
        call broken = create;
        if (who == A && fault_drawn(&broken, &p->sizes, &f)) call_refused(&broken, f.status, f.words, f.what, 0);
        call_succeeds(&create);
    }
    if (p->joined) {
        const call join = join_call(p, B);
        call_succeeds(&join);
    }
}

void pair_end(pair *p) {
    for (int who = 0; who < 2; ++who) kvsieve_plan_destroy(p->plan[who]);
    kvsieve_plan_destroy(NULL);
}

/* -- parameters -------------------------------------------------------------------------------------------------------- */

static kvsieve_status set(pair *p, int who, int32_t parameter, double value) {
    call c = call_new(SET, p->plan[who]);
    c.parameter = parameter;
    c.value = value;
    if (who == A) pair_disturb(p, &c);
    return call_make(&c);
}

double parameter_of(const pair *p, int32_t parameter, double otherwise) {
    double value = otherwise;
    return kvsieve_plan_get(p->plan[A], parameter, &value) == KVSIEVE_OK ? value : otherwise;
}

/* What a plan that decodes remembers grows with the budget: there it is small. */
static double value_drawn(const pair *p, const kvsieve_parameter_info *info) {
    const int small = info->id == KVSIEVE_BUDGET && parameter_of(p, KVSIEVE_DECODING, 0) == 1;
    double value = info->lowest + (double)choice(24) * (info->integral == 2 ? 2 : 1);
    if (chance(8)) return info->initial;
    if (chance(8) && !small) return info->highest;
    if (!info->integral) value = info->lowest + (double)choice(101) / 100 * (fmin(info->highest, 12) - info->lowest);
    else if (chance(4)) value += 2 * (double)choice(60);
    return fmin(value, info->highest);
}

static void set_both(pair *p, int32_t parameter, double value) {
    const kvsieve_status status[] = { set(p, A, parameter, value), set(p, B, parameter, value) };
    HOLDS(status[A] == KVSIEVE_OK && status[B] == KVSIEVE_OK, "parameter %d refuses %g: \"%s\"", (int)parameter, value,
          kvsieve_last_error());
}

void pair_settle(pair *p) {
    kvsieve_parameter_info info = { .struct_size = sizeof info };
    if (p->decodes) {
        set_both(p, KVSIEVE_BUDGET, 24);
        set_both(p, KVSIEVE_DECODING, (double)choice(2));
    }
    for (int32_t index = 0; kvsieve_parameter_at(p->sizes.method, index, &info) == KVSIEVE_OK; ++index) {
        if (info.id == KVSIEVE_THREADS) {
            set(p, A, info.id, (double)choice_between(1, 4));
            set(p, B, info.id, (double)choice_between(1, 8));
        } else if (info.id != KVSIEVE_DECODING && (info.id == KVSIEVE_BUDGET ? choice(4) > 0 : chance(3))) {
            set_both(p, info.id, value_drawn(p, &info));
        }
    }
}

void pair_settle_plainly(pair *p) {
    kvsieve_parameter_info info = { .struct_size = sizeof info };
    for (int32_t index = 0; kvsieve_parameter_at(p->sizes.method, index, &info) == KVSIEVE_OK; ++index)
        if (info.id != KVSIEVE_THREADS) set_both(p, info.id, info.initial);
}

/* -- calls ------------------------------------------------------------------------------------------------------------- */

void pair_disturb(pair *p, const call *right) {
    for (int count = (int)choice(3); count > 0; --count) {
        call c = *right;
        fault f;
        if (fault_drawn(&c, &p->sizes, &f)) call_refused(&c, f.status, f.words, f.what, p->looks && chance(4));
    }
}

kvsieve_status pair_make(pair *p, const call *a, const call *b) {
    kvsieve_status status[2];
    char sentence[256];
    uint64_t memory = guarded_hash();
    status[B] = call_make(b);
    snprintf(sentence, sizeof sentence, "%s", kvsieve_last_error());
    /* A call that is refused has a fault already. */
    if (status[B] == KVSIEVE_OK) {
        pair_disturb(p, a);
        wrong_times(p);
    }
    if (b->function == GATHER || b->function == ROTATED || status[B] == KVSIEVE_OK) memory = guarded_hash();
    status[A] = call_make(a);
    HOLDS(status[A] == status[B], "%s is %s for A, %s for B: \"%s\", \"%s\"", function_name(a->function),
          kvsieve_status_name(status[A]), kvsieve_status_name(status[B]), kvsieve_last_error(), sentence);
    if (a->function != GATHER && a->function != ROTATED)
        HOLDS(guarded_hash() == memory, "%s has written what it reads", function_name(a->function));
    return status[A];
}

void pair_compare(const pair *p) { HOLDS(choice_of_plan(p->plan[A]) == choice_of_plan(p->plan[B]), "the plans are different"); }

/* -- the caches -------------------------------------------------------------------------------------------------------- */

uint64_t pair_key(const pair *p, enum kind kind, int32_t layer, int64_t head, int64_t position) {
    return mixed(mixed(p->seed * 64 + (uint64_t)kind * 8 + (uint64_t)layer) + (uint64_t)head * 65536 + (uint64_t)position) | 1;
}

int64_t longest_of(const pair *p, int32_t layer) {
    int64_t longest = 0;
    for (int32_t head = 0; head < p->sizes.heads; ++head)
        if (p->length[layer][head] > longest) longest = p->length[layer][head];
    return longest;
}

int64_t first_row(const pair *p, int32_t layer, int64_t head, int64_t rows) { return p->align ? rows - p->length[layer][head] : 0; }

struct place {
    const pair *p;
    enum kind kind;
    int32_t layer;
    int64_t rows, first;
};

static uint64_t cache_key(const void *context, int64_t head, int64_t token) {
    const struct place *at = context;
    const int64_t row = token - first_row(at->p, at->layer, head, at->rows);
    if (row < 0 || row >= at->p->length[at->layer][head]) return 0;
    return pair_key(at->p, at->kind, at->layer, head, at->p->cache[at->layer][head][row]);
}

kvsieve_tensor cache_tensor(const pair *p, enum kind kind, int32_t layer, int64_t rows, enum layout layout) {
    const struct place place = { p, kind, layer, rows, 0 };
    const struct rows all = { p->sizes.heads,
                              rows,
                              kind == VALUE_ROWS ? p->value_dim : p->dim,
                              kind == OTHER_ROWS ? KVSIEVE_BYTES : p->dtype[kind],
                              cache_key,
                              &place,
                              p->numbers };
    return tensor_of(&all, layout);
}

static uint64_t query_key(const void *context, int64_t head, int64_t token) {
    const struct place *at = context;
    return token < at->rows ? 0 : pair_key(at->p, QUERY_ROWS, at->layer, head, at->first + token);
}

kvsieve_tensor query_tensor(const pair *p, int32_t layer, int64_t end, int64_t rows, int64_t read, enum layout layout) {
    const struct place place = { p, QUERY_ROWS, layer, rows - read, end - rows };
    const struct rows all = { p->sizes.heads * p->group, rows, p->dim, p->dtype[QUERY_ROWS], query_key, &place, p->numbers };
    return tensor_of(&all, layout);
}

int32_t needs_of(const pair *p, int32_t layer) {
    int32_t needs = 0;
    call c = call_new(NEEDS, p->plan[A]);
    c.layer = layer;
    c.out = &needs;
    c.out_bytes = sizeof needs;
    return call_make(&c) == KVSIEVE_OK ? needs : KVSIEVE_NEEDS_KEYS;
}
