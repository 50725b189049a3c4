/* Calls that a plan must refuse: what else must be as before. */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "fixture.h"

/* Brings a fresh plan to `stage`, calls `misuse`, and expects `status`, a sentence with `words`, untouched tensors, and
 * afterwards the same result as that of an undisturbed plan (under valgrind every fourth time: without it, always). */
typedef kvsieve_status (*misuse)(kvsieve_plan *plan, sequence *s, const void *context);
void expect_refused(int32_t method, int stage, misuse call, const void *context, kvsieve_status status, const char *words);
/* The same of every method, for each of a table. */
struct refusal {
    const void *context;
    int stage;
    kvsieve_status status;
    const char *words;
};
void expect_each_refused(const char *what, misuse call, const struct refusal *all, size_t count);

/* A misuse: asks what the layer that `context` points to (an int32_t) keeps, which must write nothing. */
kvsieve_status refused_kept(kvsieve_plan *plan, sequence *s, const void *context);

#endif
