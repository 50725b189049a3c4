/* One model on three ranks that are threads: two have layers 0 and 1, a head each, and one has layers 2 and 3. */
#ifndef RANKS_H
#define RANKS_H

#include "fixture.h"

enum { RANKS = 3, MOST_MESSAGE = 1 << 16 };

typedef struct ranks {
    kvsieve_plan *plan[RANKS];
    kvsieve_status status[RANKS];
    char sentence[RANKS][256];
    /* Of all_gather, and the bytes that each rank has sent, in the last finish(). */
    int calls[RANKS], bytes[RANKS];
    /* allocations(), or NULL; and by how much it has grown while all ranks were in finish(). */
    unsigned long (*count)(void);
    unsigned long counted;
    /* The call that fails, or -1. */
    int failing;
    struct meeting *meeting;
    struct member {
        struct ranks *all;
        int rank;
    } member[RANKS];
} ranks;

/* What a rank has of the model. */
extern const struct part {
    int32_t first_layer, layers, first_head, heads;
} parts[RANKS];

/* Plans of all parts, which have joined each other. */
ranks *ranks_new(int32_t method);
void ranks_free(ranks *r);
/* The group of a rank, to join by. */
kvsieve_group group_of(ranks *r, int rank);
/* Observes what each rank has, one rank after the other. */
void ranks_observe(ranks *r, const sequence *s);
/* finish() of all ranks at the same time. */
void ranks_finish(ranks *r);

#endif
