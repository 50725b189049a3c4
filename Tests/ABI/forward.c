/* The functions that registry.c, fixture.c and harness.c call, forwarded to what dlsym finds in `handle`: a program with this file is not
 * linked to the library. */
#include <dlfcn.h>
#include <kvsieve.h>
#include <stdio.h>
#include <stdlib.h>

extern void *handle;
void *handle;

static void *found(const char *name) {
    void *function = handle ? dlsym(handle, name) : NULL;
    if (function == NULL) {
        fprintf(stderr, "no %s\n", name);
        exit(2);
    }
    return function;
}

#define FORWARD(returning, result, name, parameters, arguments) \
    result name parameters {                                    \
        result(*function) parameters;                           \
        *(void **)(&function) = found(#name);                   \
        returning function arguments;                           \
    }
FORWARD(return, const char *, kvsieve_last_error, (void), ())
FORWARD(return, const char *, kvsieve_status_name, (kvsieve_status s), (s))
FORWARD(return, int32_t, kvsieve_method_count, (void), ())
FORWARD(return, kvsieve_status, kvsieve_self_check, (void), ())
FORWARD(return, kvsieve_status, kvsieve_method_at, (int32_t n, kvsieve_method_info *i), (n, i))
FORWARD(return, kvsieve_status, kvsieve_parameter_at, (int32_t m, int32_t n, kvsieve_parameter_info *i), (m, n, i))
FORWARD(return, kvsieve_status, kvsieve_plan_create, (int32_t m, const kvsieve_model *o, kvsieve_plan **p), (m, o, p))
FORWARD(return, kvsieve_status, kvsieve_plan_set, (kvsieve_plan * p, int32_t n, double v), (p, n, v))
FORWARD(return, kvsieve_status, kvsieve_plan_needs, (const kvsieve_plan *p, int32_t l, int32_t *n), (p, l, n))
FORWARD(return, kvsieve_status, kvsieve_plan_observe,
              (kvsieve_plan * p, int32_t l, const kvsieve_tensor *q, const kvsieve_tensor *k, const kvsieve_tensor *v),
              (p, l, q, k, v))
FORWARD(return, kvsieve_status, kvsieve_plan_finish, (kvsieve_plan * p), (p))
FORWARD(return, kvsieve_status, kvsieve_plan_kept, (const kvsieve_plan *p, int32_t l, kvsieve_kept *k), (p, l, k))
FORWARD(return, kvsieve_status, kvsieve_plan_gather,
              (const kvsieve_plan *p, int32_t l, const kvsieve_tensor *s, const kvsieve_tensor *t), (p, l, s, t))
FORWARD(, void, kvsieve_plan_destroy, (kvsieve_plan * p), (p))
