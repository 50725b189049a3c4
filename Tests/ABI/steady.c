/* What the header says of memory once a plan is warm: a decoding step makes no call of malloc. */
#include "allocations.h"
#include "decoder.h"
#include "harness.h"

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
            decoder *d = decoder_on(threads, method, by_logits);
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

int main(void) {
    RUN(steps_call_malloc_not_once);
    return harness_end();
}
