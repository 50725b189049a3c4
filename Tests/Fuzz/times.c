/* Calls that are right but for their time, and questions with a fault. What comes at which time is a model of the plan's life. */
#include "choices.h"
#include "guarded.h"
#include "pair.h"

#include <string.h>

/* -- questions ----------------------------------------------------------------------------------------------------------- */

static union {
    kvsieve_kept kept;
    kvsieve_ranges ranges;
    kvsieve_report report;
    kvsieve_slots slots;
    double value;
    int32_t needs;
    int64_t rows;
} answer;

static call question(const pair *p, enum function function) {
    call c = call_new(function, p->plan[A]);
    size_t bytes = 0;
    switch (function) {
    case KEPT: bytes = sizeof answer.kept; break;
    case RANGES: bytes = sizeof answer.ranges; break;
    case REPORT: bytes = sizeof answer.report; break;
    case SLOTS: bytes = sizeof answer.slots; break;
    case GET: bytes = sizeof answer.value; break;
    default: bytes = sizeof answer.needs; break;
    }
    memset(&answer, 0x5a, sizeof answer);
    if (function != GET && function != NEEDS) {
        memcpy(&answer, &(uint32_t){ (uint32_t)bytes }, 4);
        c.least_size = 8;
    }
    c.layer = (int32_t)choice((uint64_t)p->sizes.layers);
    c.head = (int32_t)choice((uint64_t)p->sizes.heads);
    c.dropped = (int32_t)choice(2);
    c.parameter = KVSIEVE_BUDGET;
    c.out = &answer;
    c.out_bytes = sizeof answer;
    return c;
}

/* A struct of an older header is filled as far as it goes. */
static void ask_by_an_older_header(call *c) {
    static const uint32_t first[] = { [KEPT] = sizeof(kvsieve_kept), [REPORT] = sizeof(kvsieve_report) };
    const uint32_t bytes = first[c->function] - (uint32_t)choice(9);
    unsigned char *byte = c->out;
    memcpy(c->out, &bytes, 4);
    if (call_make(c) != KVSIEVE_OK) return;
    for (size_t i = bytes; i < c->out_bytes; ++i)
        HOLDS(byte[i] == 0x5a, "%s of %u bytes has written byte %zu", function_name(c->function), (unsigned)bytes, i);
}

static void ask_wrongly(pair *p) {
    static const enum function functions[] = { KEPT, RANGES, REPORT, SLOTS, GET, NEEDS };
    call c = question(p, functions[choice(6)]);
    fault f;
    if (c.function != GET && c.function != NEEDS && c.layer >= p->observed) {
        call_refused(&c, KVSIEVE_ERR_STATE, "layer", "a layer that was not observed", 0);
        return;
    }
    if (c.function == SLOTS && !p->finished) {
        call_refused(&c, KVSIEVE_ERR_STATE, "finish", "slots before finish", 0);
        return;
    }
    if (c.function == NEEDS && p->observed == 0) return; /* parameters may contradict each other */
    if (!p->looks && !p->finished && c.function != GET && c.function != NEEDS) return;
    if ((c.function == KEPT || c.function == REPORT) && chance(4)) ask_by_an_older_header(&c);
    else if (fault_drawn(&c, &p->sizes, &f)) call_refused(&c, f.status, f.words, f.what, 0);
}

/* -- times --------------------------------------------------------------------------------------------------------------- */

static void refuse(pair *p, const call *c, const char *words, const char *what) {
    call_refused(c, KVSIEVE_ERR_STATE, words, what, p->looks && chance(4));
}

static void set_late(pair *p) {
    call c = call_new(SET, p->plan[A]);
    c.parameter = KVSIEVE_BUDGET;
    c.value = 5;
    refuse(p, &c, "", "set after observe");
}

static void protect_late(pair *p) {
    call c = call_new(PROTECT, p->plan[A]);
    c.first = p->seen - p->fresh;
    c.tokens = 1;
    refuse(p, &c, "protect", "protect after observe");
}

static void join_late(pair *p) {
    call c = call_new(JOIN, p->plan[A]);
    c.group = (kvsieve_group){ .struct_size = sizeof c.group, .ranks = 1, .layers = p->sizes.layers, .heads = p->sizes.heads };
    c.group.all_gather = (kvsieve_all_gather)(uintptr_t)guarded_nowhere();
    refuse(p, &c, "join", "join after observe");
}

static void finish_wrongly(pair *p) {
    const call c = call_new(FINISH, p->plan[A]);
    if (p->finished) refuse(p, &c, "finished", "a second finish");
    else if (p->observed < p->sizes.layers) refuse(p, &c, "observed", "finish before all layers");
}

static void extend_wrongly(pair *p) {
    call c = call_new(EXTEND, p->plan[A]);
    c.tokens = 1;
    if (!p->finished) refuse(p, &c, "extend", "extend before finish");
    else if (parameter_of(p, KVSIEVE_DECODING, 0) == 1) refuse(p, &c, "extend", "extend of a plan that decodes");
}

static int steps(const pair *p) { return p->finished && parameter_of(p, KVSIEVE_DECODING, 0) == 1; }

static void trim_wrongly(pair *p) {
    call c = call_new(TRIM, p->plan[A]);
    fault f;
    if (!steps(p)) refuse(p, &c, "trim", "trim where nothing is decoded");
    else if (p->stepped > 0) refuse(p, &c, "trim", "trim between layers");
    else {
        c.tokens = p->undoable;
        if (fault_drawn(&c, &p->sizes, &f)) call_refused(&c, f.status, f.words, f.what, 0);
    }
}

/* Of one token, with tensors that are right. */
static void step_wrongly(pair *p) {
    int32_t slot[MOST_HEADS];
    const int64_t rows = longest_of(p, 0) + 1;
    call c = call_new(STEP, p->plan[A]);
    if (steps(p) || p->dim == 0) return;
    c.out = slot, c.out_bytes = sizeof slot;
    call_tensor(&c, 0, "queries", tensor_empty(p->sizes.heads * p->group, 1, p->dim, KVSIEVE_F32, BY_HEAD), IGNORED);
    call_tensor(&c, 1, "keys", tensor_empty(p->sizes.heads, rows, p->dim, KVSIEVE_F32, BY_HEAD), IGNORED);
    call_tensor(&c, 2, "values", tensor_empty(p->sizes.heads, rows, p->value_dim, KVSIEVE_F32, BY_HEAD), IGNORED);
    memset(slot, 0x5a, sizeof slot);
    refuse(p, &c, "step", "a step where nothing is decoded");
}

static void gather_wrongly(pair *p) {
    const int64_t rows = longest_of(p, 0);
    call c = call_new(chance(2) ? GATHER : ROTATED, p->plan[A]);
    static const float frequency[1] = { 1 };
    if (p->finished || rows == 0 || p->dim < 2) return;
    call_tensor(&c, 0, "source", tensor_empty(p->sizes.heads, rows, p->dim, KVSIEVE_F32, BY_HEAD), IGNORED);
    call_tensor(&c, 1, "target", tensor_empty(p->sizes.heads, rows, p->dim, KVSIEVE_F32, BY_HEAD), IGNORED);
    c.rope = (kvsieve_rope){ sizeof c.rope, 0, 2, 0, frequency, 0, 0 };
    refuse(p, &c, "finish", "a gather before finish");
}

static void observe_wrongly(pair *p) {
    const int32_t layer = (int32_t)choice((uint64_t)p->sizes.layers);
    call c;
    if (!p->finished && (layer == p->observed || p->observed == 0)) return;
    if (p->finished && longest_of(p, layer) < p->fresh) return;
    c = observe_call(p, A, layer);
    refuse(p, &c, "layer", "observe out of order");
    if (p->finished || layer < p->observed) {
        c.function = QUERIES;
        if (c.given[0] == GIVEN) refuse(p, &c, "queries", "queries of a layer that was observed");
    }
}

void wrong_times(pair *p) {
    void (*const calls[])(pair *) = { ask_wrongly,    finish_wrongly,  extend_wrongly, trim_wrongly, step_wrongly,
                                      gather_wrongly, observe_wrongly, set_late,       protect_late, join_late };
    for (int count = (int)choice(3); count > 0; --count) {
        const uint64_t which = choice(p->observed > 0 || p->finished ? 10 : 6);
        calls[which](p);
    }
}
