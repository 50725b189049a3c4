#define _GNU_SOURCE
#include "ranks.h"
#include "harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const struct part parts[RANKS] = { { 0, 2, 0, 1 }, { 0, 2, 1, 1 }, { 2, 2, 0, 2 } };

struct meeting {
    pthread_barrier_t barrier;
    unsigned char messages[RANKS][MOST_MESSAGE];
};

static int32_t all_gather(void *context, const void *send, int64_t bytes, void *receive) {
    struct member *member = context;
    ranks *all = member->all;
    const int call = all->calls[member->rank]++;
    all->bytes[member->rank] += (int)bytes;
    if (bytes > MOST_MESSAGE) return 2;
    memcpy(all->meeting->messages[member->rank], send, (size_t)bytes);
    pthread_barrier_wait(&all->meeting->barrier);
    for (int rank = 0; rank < RANKS; ++rank) memcpy((char *)receive + rank * bytes, all->meeting->messages[rank], (size_t)bytes);
    pthread_barrier_wait(&all->meeting->barrier);
    return call == all->failing;
}

kvsieve_group group_of(ranks *r, int rank) {
    kvsieve_group group = { sizeof group,           rank,  RANKS, parts[rank].first_layer, LAYERS,
                            parts[rank].first_head, HEADS, 0,     &r->member[rank],        all_gather };
    return group;
}

ranks *ranks_new(int32_t method) {
    ranks *r = take(sizeof *r);
    memset(r, 0, sizeof *r);
    r->failing = -1;
    r->meeting = take(sizeof *r->meeting);
    pthread_barrier_init(&r->meeting->barrier, NULL, RANKS);
    for (int rank = 0; rank < RANKS; ++rank) {
        kvsieve_model model = { parts[rank].layers, QUERY_HEADS / HEADS * parts[rank].heads, parts[rank].heads, DIM, 0, { 0 } };
        kvsieve_group group;
        r->member[rank].all = r;
        r->member[rank].rank = rank;
        group = group_of(r, rank);
        r->plan[rank] = plan_for(method, model, BUDGET);
        EXPECT_OK(kvsieve_plan_join(r->plan[rank], &group));
    }
    return r;
}

void ranks_free(ranks *r) {
    for (int rank = 0; rank < RANKS; ++rank) kvsieve_plan_destroy(r->plan[rank]);
    pthread_barrier_destroy(&r->meeting->barrier);
    free(r->meeting);
    free(r);
}

static kvsieve_tensor heads_of(kvsieve_tensor t, int rank) {
    const int64_t each = t.heads / HEADS;
    t.data = (char *)t.data + parts[rank].first_head * each * t.head_stride;
    t.heads = parts[rank].heads * each;
    return t;
}

void ranks_observe(ranks *r, const sequence *s) {
    for (int rank = 0; rank < RANKS; ++rank)
        for (int32_t layer = 0; layer < parts[rank].layers; ++layer) {
            const int32_t number = parts[rank].first_layer + layer;
            const kvsieve_tensor q = heads_of(s->queries[number], rank), k = heads_of(s->keys[number], rank),
                                 v = heads_of(s->values[number], rank);
            EXPECT_OK(kvsieve_plan_observe(r->plan[rank], layer, &q, &k, &v));
        }
}

static void *finish(void *context) {
    struct member *member = context;
    ranks *r = member->all;
    unsigned long before = 0;
    pthread_barrier_wait(&r->meeting->barrier);
    if (r->count && member->rank == 0) before = r->count();
    pthread_barrier_wait(&r->meeting->barrier);
    r->status[member->rank] = kvsieve_plan_finish(r->plan[member->rank]);
    pthread_barrier_wait(&r->meeting->barrier);
    if (r->count && member->rank == 0) r->counted = r->count() - before;
    pthread_barrier_wait(&r->meeting->barrier);
    strncpy(r->sentence[member->rank], kvsieve_last_error(), sizeof r->sentence[0] - 1);
    return NULL;
}

void ranks_finish(ranks *r) {
    pthread_t threads[RANKS];
    for (int rank = 0; rank < RANKS; ++rank) r->calls[rank] = r->bytes[rank] = 0;
    for (int rank = 0; rank < RANKS; ++rank)
        if (!EXPECT(pthread_create(&threads[rank], NULL, finish, &r->member[rank]) == 0, "no thread")) exit(2);
    for (int rank = 0; rank < RANKS; ++rank) pthread_join(threads[rank], NULL);
}
