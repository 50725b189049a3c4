#define _GNU_SOURCE
#include "calls.h"

#include "guarded.h"
#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct call_counts own;
struct call_counts *calls_counted = &own;

static const char *const names[FUNCTIONS] = {
    "method_at", "parameter_at",      "create", "set",         "get",   "needs", "bound", "protect", "queries",
    "observe",   "observe_attention", "finish", "extend",      "reset", "join",  "kept",  "ranges",  "report",
    "gather",    "gather_rotated",    "step",   "step_logits", "trim",  "slots",
};

const char *function_name(enum function function) { return names[function]; }

void wrong(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("WRONG ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    fflush(stdout);
    abort();
}

call call_new(enum function function, kvsieve_plan *plan) {
    call c;
    memset(&c, 0, sizeof c);
    c.function = function;
    c.plan = plan;
    c.argument = c.result = GIVEN;
    return c;
}

void call_tensor(call *c, int which, const char *name, kvsieve_tensor tensor, enum use use) {
    c->tensor[which] = tensor;
    c->given[which] = GIVEN;
    c->use[which] = use;
    c->name[which] = name;
    c->width[which] = 1;
}

static const void *address(enum pointer pointer, const void *argument) {
    return pointer == GIVEN ? argument : pointer == ABSENT ? NULL : guarded_nowhere();
}

static const kvsieve_tensor *tensor(const call *c, int which) { return address(c->given[which], &c->tensor[which]); }

static kvsieve_status make(const call *c) {
    const kvsieve_tensor *first = tensor(c, 0), *second = tensor(c, 1), *third = tensor(c, 2);
    void *out = (void *)address(c->result, c->out);
    switch (c->function) {
    case METHOD_AT: return kvsieve_method_at(c->index, out);
    case PARAMETER_AT: return kvsieve_parameter_at(c->method, c->index, out);
    case CREATE: return kvsieve_plan_create(c->method, address(c->argument, &c->model), out);
    case SET: return kvsieve_plan_set(c->plan, c->parameter, c->value);
    case GET: return kvsieve_plan_get(c->plan, c->parameter, out);
    case NEEDS: return kvsieve_plan_needs(c->plan, c->layer, out);
    case BOUND: return kvsieve_plan_bound(c->plan, c->layer, c->tokens, out);
    case PROTECT: return kvsieve_plan_protect(c->plan, c->first, c->tokens);
    case QUERIES: return kvsieve_plan_queries(c->plan, c->layer, first);
    case OBSERVE: return kvsieve_plan_observe(c->plan, c->layer, first, second, third);
    case ATTENTION: return kvsieve_plan_observe_attention(c->plan, c->layer, c->kind, first, third);
    case FINISH: return kvsieve_plan_finish(c->plan);
    case EXTEND: return kvsieve_plan_extend(c->plan, c->tokens);
    case RESET: return kvsieve_plan_reset(c->plan);
    case JOIN: return kvsieve_plan_join(c->plan, address(c->argument, &c->group));
    case KEPT: return kvsieve_plan_kept(c->plan, c->layer, out);
    case RANGES: return kvsieve_plan_ranges(c->plan, c->layer, c->head, c->dropped, out);
    case REPORT: return kvsieve_plan_report(c->plan, c->layer, out);
    case GATHER: return kvsieve_plan_gather(c->plan, c->layer, first, second);
    case ROTATED: return kvsieve_plan_gather_rotated(c->plan, c->layer, first, second, address(c->argument, &c->rope));
    case STEP: return kvsieve_plan_step(c->plan, c->layer, first, second, third, out);
    case STEP_LOGITS: return kvsieve_plan_step_logits(c->plan, c->layer, first, third, out);
    case TRIM: return kvsieve_plan_trim(c->plan, c->tokens);
    case SLOTS: return kvsieve_plan_slots(c->plan, c->layer, c->head, out);
    default: return 1;
    }
}

/* A sentence: some words of ASCII that end; the plan says the same. */
static void check_sentence(const call *c, kvsieve_status status) {
    const char *sentence = kvsieve_last_error(), *of_plan = kvsieve_plan_error(c->plan);
    const size_t length = strnlen(sentence, 4096);
    HOLDS(status < 0 && strncmp(kvsieve_status_name(status), "KVSIEVE_ERR_", 12) == 0, "%s returned %d", names[c->function],
          (int)status);
    HOLDS(length > 0 && length < 4096, "%s: a sentence of %zu characters", names[c->function], length);
    for (size_t i = 0; i < length; ++i)
        HOLDS(sentence[i] >= ' ' && sentence[i] < 127, "%s: character %d in its sentence", names[c->function], (int)sentence[i]);
    if (c->plan != NULL) HOLDS(strcmp(sentence, of_plan) == 0, "the plan says \"%s\", the thread \"%s\"", of_plan, sentence);
}

kvsieve_status call_make(const call *c) {
    const kvsieve_status status = make(c);
    /* Relaxed: workers of a run add to the same numbers. */
    __atomic_fetch_add(status == KVSIEVE_OK ? &calls_counted->good[c->function] : &calls_counted->bad[c->function], 1,
                       __ATOMIC_RELAXED);
    if (status != KVSIEVE_OK) check_sentence(c, status);
    return status;
}

static int sentence_has(const char *words) {
    char copy[160], *rest = copy, *word;
    snprintf(copy, sizeof copy, "%s", words);
    while ((word = strsep(&rest, "|")) != NULL)
        if (strstr(kvsieve_last_error(), word) == NULL) return 0;
    return 1;
}

static uint64_t owned_by_caller(const call *c) {
    return bytes_hashed(c->out, c->out_bytes, guarded_hash()) ^ bytes_hashed(&c->rope, sizeof c->rope, 2)
           ^ bytes_hashed(&c->group, sizeof c->group, 3);
}

void call_refused(const call *c, kvsieve_status status, const char *words, const char *fault, int state) {
    const uint64_t before = state && c->plan ? state_of(c->plan) : 0, memory = owned_by_caller(c);
    const kvsieve_status found = call_make(c);
    HOLDS(found == status, "%s with %s is %s, not %s: \"%s\"", names[c->function], fault, kvsieve_status_name(found),
          kvsieve_status_name(status), found ? kvsieve_last_error() : "");
    HOLDS(sentence_has(words), "%s with %s: \"%s\" has not all of \"%s\"", names[c->function], fault, kvsieve_last_error(), words);
    HOLDS(owned_by_caller(c) == memory, "%s with %s has written", names[c->function], fault);
    if (state && c->plan) HOLDS(state_of(c->plan) == before, "%s with %s: the plan is another", names[c->function], fault);
}

void call_succeeds(const call *c) {
    const kvsieve_status found = call_make(c);
    HOLDS(found == KVSIEVE_OK, "%s is %s: \"%s\"", names[c->function], kvsieve_status_name(found),
          found ? kvsieve_last_error() : "");
}
