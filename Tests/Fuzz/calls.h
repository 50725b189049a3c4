/* Every function of the library as one thing that can be copied, changed and made: a call. Right calls are made as they are;
 * a wrong one has a single fault, and must be refused with the status of that fault, and nothing else may have happened. */
#ifndef CALLS_H
#define CALLS_H

#include <kvsieve.h>
#include <stddef.h>

enum function {
    METHOD_AT,
    PARAMETER_AT,
    CREATE,
    SET,
    GET,
    NEEDS,
    BOUND,
    PROTECT,
    QUERIES,
    OBSERVE,
    ATTENTION,
    FINISH,
    EXTEND,
    RESET,
    JOIN,
    KEPT,
    RANGES,
    REPORT,
    GATHER,
    ROTATED,
    STEP,
    STEP_LOGITS,
    TRIM,
    SLOTS,
    FUNCTIONS
};

/* A pointer of a call. NOWHERE may not be looked at. */
enum pointer { ABSENT, GIVEN, NOWHERE };
/* What the library does with a tensor of a call. */
enum use { IGNORED, ITS_SHAPE, READ, MOVED, WRITTEN };

typedef struct call {
    enum function function;
    kvsieve_plan *plan;
    int32_t method, layer, head, index, parameter, kind, dropped;
    int64_t first, tokens;
    double value;
    kvsieve_tensor tensor[3];
    enum pointer given[3];
    enum use use[3];
    const char *name[3]; /* as the sentences have it */
    int64_t least[3];    /* with fewer tokens it is refused; 0: with fewer it may be right */
    int width[3];        /* may its dim be no other? */
    kvsieve_model model;
    kvsieve_rope rope;
    kvsieve_group group;
    enum pointer argument; /* of model, rope, group */
    enum pointer result;   /* of out */
    void *out;
    size_t out_bytes;
    uint32_t least_size; /* of struct_size; 0: out has none */
} call;

call call_new(enum function function, kvsieve_plan *plan);
void call_tensor(call *c, int which, const char *name, kvsieve_tensor tensor, enum use use);

/* Makes it and counts it. */
kvsieve_status call_make(const call *c);
/* Makes it, and expects that status; the sentence has all `words` (separated by '|'). What the plan says of itself is looked at,
 * before and after, if `state` is set. */
void call_refused(const call *c, kvsieve_status status, const char *words, const char *fault, int state);
/* A right call: it succeeds. */
void call_succeeds(const call *c);

const char *function_name(enum function function);

/* Calls that succeeded and that failed. They are in memory that processes share, once calls_shared() has been called. */
struct call_counts {
    unsigned long good[FUNCTIONS], bad[FUNCTIONS];
};
extern struct call_counts *calls_counted;

/* Something does not hold: says so, with the words of the format, and ends the process. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define HOLDS(condition, ...)                 \
    do {                                      \
        if (!(condition)) wrong(__VA_ARGS__); \
    } while (0)

#endif
