/* "The first finish() of a size allocates; further sequences of that size do not": of plans that have joined, nor does an observe. */
#include "allocations.h"
#include "harness.h"
#include "ranks.h"

static void further_sequences_call_malloc_not_once(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    for (int variant = 0; variant < 3; ++variant)
        EVERY_METHOD (method) {
            ranks *r = ranks_new(method);
            r->count = allocations;
            for (int rank = 0; rank < RANKS && variant > 0 && method_has(method, KVSIEVE_SHARE); ++rank) {
                EXPECT_OK(kvsieve_plan_set(r->plan[rank], KVSIEVE_SHARE, variant));
                EXPECT_OK(kvsieve_plan_set(r->plan[rank], KVSIEVE_BLOCK, 2 * variant));
            }
            for (int sequences = 0; sequences < 4; ++sequences) {
                const unsigned long before = allocations();
                unsigned long observed;
                if (variant == 1)
                    for (int rank = 0; rank < RANKS; ++rank) EXPECT_OK(kvsieve_plan_protect(r->plan[rank], 9, 3));
                ranks_observe(r, s);
                observed = allocations() - before;
                ranks_finish(r);
                for (int rank = 0; rank < RANKS; ++rank)
                    EXPECT(r->status[rank] == KVSIEVE_OK, "%s: %s", method_name(method), r->sentence[rank]);
                if (sequences == 0) EXPECT(r->counted > 0, "nothing is counted");
                if (sequences > 1)
                    EXPECT(observed == 0 && r->counted == 0, "%s, variant %d: %lu calls of malloc by observe, %lu by finish",
                           method_name(method), variant, observed, r->counted);
                for (int rank = 0; rank < RANKS; ++rank) EXPECT_OK(kvsieve_plan_reset(r->plan[rank]));
            }
            ranks_free(r);
        }
    sequence_free(s);
}

int main(void) {
    RUN(further_sequences_call_malloc_not_once);
    return harness_end();
}
