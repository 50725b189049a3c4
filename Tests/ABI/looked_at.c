/* "Functions that take const kvsieve_plan * may run at the same time on one plan": while layers may still shrink, what a layer keeps is
 * made by the first call that asks for it. Under ThreadSanitizer too. */
#define _GNU_SOURCE
#include "fixture.h"
#include "harness.h"

#include <pthread.h>

enum { CREW = 3 };

static kvsieve_plan *shared;
static pthread_barrier_t together;
static int32_t observed;
static uint64_t of_layer[LAYERS];

static uint64_t layer_hash(const kvsieve_plan *plan, int32_t layer) {
    kvsieve_kept kept = { 0 };
    kvsieve_ranges ranges = { 0 };
    int32_t needs = 0;
    double value = 0;
    kept.struct_size = sizeof kept, ranges.struct_size = sizeof ranges;
    if (kvsieve_plan_kept(plan, layer, &kept) != KVSIEVE_OK || kvsieve_plan_ranges(plan, layer, 1, 1, &ranges) != KVSIEVE_OK
        || kvsieve_plan_needs(plan, layer, &needs) != KVSIEVE_OK || kvsieve_plan_get(plan, KVSIEVE_THREADS, &value) != KVSIEVE_OK
        || kvsieve_plan_kept(plan, LAYERS, &kept) != KVSIEVE_ERR_SHAPE)
        return 0;
    return bytes_hash(ranges.bounds, sizeof *ranges.bounds * 2 * (size_t)ranges.count,
                      bytes_hash(kept.positions, sizeof *kept.positions * (size_t)kept.total, (uint64_t)needs + 1));
}

static void *look(void *bad) {
    pthread_barrier_wait(&together);
    for (int32_t i = 0; i < observed; ++i)
        if (layer_hash(shared, i) != of_layer[i]) *(int *)bad += 1;
    return NULL;
}

static void layers_that_may_shrink_are_looked_at_by_many(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 4);
    EVERY_METHOD (each)
        for (int repeat = 0; repeat < (slow() ? 1 : 20); ++repeat) {
            kvsieve_plan *alone = plan_new(each);
            shared = plan_new(each);
            for (observed = 1; observed <= LAYERS; ++observed) {
                pthread_t crew[CREW];
                int bad[CREW] = { 0 }, sum = 0;
                EXPECT_OK(observe(alone, observed - 1, s));
                EXPECT_OK(observe(shared, observed - 1, s));
                for (int32_t i = 0; i < observed; ++i) of_layer[i] = layer_hash(alone, i);
                pthread_barrier_init(&together, NULL, CREW);
                for (int i = 0; i < CREW; ++i) pthread_create(&crew[i], NULL, look, &bad[i]);
                for (int i = 0; i < CREW; ++i) pthread_join(crew[i], NULL), sum += bad[i];
                pthread_barrier_destroy(&together);
                EXPECT(sum == 0 && of_layer[0] != 0, "%s, %d layers: %d answers are wrong", method_name(each), (int)observed, sum);
            }
            kvsieve_plan_destroy(alone);
            kvsieve_plan_destroy(shared);
        }
    sequence_free(s);
}

int main(void) {
    RUN(layers_that_may_shrink_are_looked_at_by_many);
    return harness_end();
}
