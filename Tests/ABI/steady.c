/* What the header says of memory once a plan is warm: a decoding step makes no call of malloc, nor do a gather that rotates and ranges. */
#include "allocations.h"
#include "decoder.h"
#include "harness.h"

#include <stdlib.h>

/* A round of all layers, whose last `rejected` tokens are taken back: calls of malloc inside the library. */
static unsigned long round_of(decoder *d, int tokens, int rejected) {
    int32_t evict[HEADS * MOST];
    unsigned long inside = 0;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        step_call call;
        unsigned long before;
        d->layer = layer;
        call = decoder_call(d, tokens, evict);
        before = allocations();
        EXPECT_OK(make_call(d, &call));
        inside += allocations() - before;
    }
    if (rejected > 0) {
        const unsigned long before = allocations();
        EXPECT_OK(kvsieve_plan_trim(d->plan, rejected));
        inside += allocations() - before;
    }
    ++d->round;
    return inside;
}

static void steps_call_malloc_not_once(void) {
    unsigned long counted = 0;
    for (int threads = 1; threads <= 3; ++threads)
        EVERY_WAY (method, by_logits) {
            decoder *d = decoder_protecting(threads, method, by_logits, threads == 2 ? 3 : 0);
            const int most = most_tokens(method), several = most < 3 ? most : 3;
            unsigned long inside = 0;
            counted += round_of(d, several, several - 1);
            round_of(d, 1, 0);
            for (int round = 0; round < 500; ++round)
                inside += round % 10 == 0 ? round_of(d, several, several - 1) : round_of(d, 1, 0);
            EXPECT(inside == 0, "%s%s, %d threads: %lu calls of malloc in 500 tokens", method_name(method),
                   by_logits ? ", logits" : "", threads, inside);
            decoder_free(d);
        }
    EXPECT(counted > 0, "nothing is counted");
}

/* "Memory  a row and its angles for each thread, the first time"; "16 bytes for each row that the layer keeps, used again for
 * the next sequence" */
static void results_call_malloc_only_the_first_time(void) {
    static const float frequencies[DIM / 2] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    const kvsieve_rope rope = { sizeof rope, KVSIEVE_ROPE_HALVES, DIM, 0, frequencies, 0, 0 };
    sequence *s = sequence_new(TOKENS, KVSIEVE_BF16, 1);
    kvsieve_tensor target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_BF16);
    for (int threads = 1; threads <= 3; ++threads)
        EVERY_METHOD (method) {
            kvsieve_plan *plan = plan_new(method);
            unsigned long counted = 0;
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
            for (int sequences = 0; sequences < 3; ++sequences) {
                observe_range(plan, 0, LAYERS, s);
                EXPECT_OK(kvsieve_plan_finish(plan));
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    const unsigned long before = allocations();
                    EXPECT_OK(kvsieve_plan_gather_rotated(plan, layer, &s->keys[layer], &target, &rope));
                    if (sequences > 0 || layer > 0)
                        EXPECT(allocations() == before, "%s, %d threads: %lu calls of malloc in layer %d", method_name(method),
                               threads, allocations() - before, (int)layer);
                    else counted = allocations() - before;
                }
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    const unsigned long before = allocations();
                    kvsieve_ranges ranges = { sizeof ranges, 0, NULL };
                    EXPECT_OK(kvsieve_plan_ranges(plan, layer, 0, 1, &ranges));
                    if (sequences > 0)
                        EXPECT(allocations() == before, "%s: %lu calls of malloc by ranges of layer %d", method_name(method),
                               allocations() - before, (int)layer);
                    else counted *= allocations() > before;
                }
                EXPECT_OK(kvsieve_plan_reset(plan));
            }
            EXPECT(counted > 0, "nothing is counted");
            kvsieve_plan_destroy(plan);
        }
    free(target.data);
    sequence_free(s);
}

int main(void) {
    RUN(results_call_malloc_only_the_first_time);
    RUN(steps_call_malloc_not_once);
    return harness_end();
}
