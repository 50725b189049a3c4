/* The struct of a kvsieve_plan: for KVSieveABI alone. */
#ifndef KVSIEVE_PLAN_H
#define KVSIEVE_PLAN_H
#include "kvsieve.h.in"
#include <stddef.h>

struct kvsieve_plan {
    uint64_t magic;
    void *impl;
    char *message;      /* of the last failed call, in the same memory; "" before it */
    uint64_t *calls;    /* that are running, likewise: support_plan_enter() */
    size_t need;        /* bytes that the Swift runtime may ask for in a call */
    uint64_t host_mode; /* floating-point mode of the host that is in finish(), for all_gather */
};

#endif
