/* One fault in a right call, and the status that it must have. */
#ifndef FAULTS_H
#define FAULTS_H

#include "calls.h"

typedef struct fault {
    kvsieve_status status;
    const char *words; /* that its sentence has, separated by '|' */
    char what[96];     /* for a message */
} fault;

/* What a plan is, for faults that depend on it. */
typedef struct sizes {
    int32_t method, layers, heads;
} sizes;

/* Changes the call by a fault that is drawn. 0: that one is none in this call, which is then as it was. */
int fault_of_tensor(call *c, int which, fault *f);
int fault_of_argument(call *c, const sizes *sizes, fault *f);
/* Any of them. */
int fault_drawn(call *c, const sizes *sizes, fault *f);
int fault_is(fault *f, kvsieve_status status, const char *words, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
