/* The header's section "Several ranks": what ranks keep together, what join and finish refuse, a collective that fails. */
#include "harness.h"
#include "ranks.h"

#include <stdlib.h>
#include <string.h>

/* Does every rank keep what one plan of the whole model keeps? */
static int is_as_one(ranks *r, const kvsieve_plan *whole) {
    for (int rank = 0; rank < RANKS; ++rank)
        for (int32_t layer = 0; layer < parts[rank].layers; ++layer) {
            const kvsieve_kept all = kept_of(whole, parts[rank].first_layer + layer), own = kept_of(r->plan[rank], layer);
            for (int32_t head = 0; head < parts[rank].heads; ++head) {
                const int32_t number = parts[rank].first_head + head;
                const int64_t count = all.offsets[number + 1] - all.offsets[number];
                if (own.offsets[head + 1] - own.offsets[head] != count) return 0;
                if (memcmp(own.positions + own.offsets[head], all.positions + all.offsets[number], (size_t)count * sizeof(int32_t))
                    != 0)
                    return 0;
            }
        }
    return 1;
}

/* "What all ranks keep together is what one plan of the whole model would keep, bit for bit" */
static void ranks_keep_what_one_plan_keeps(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    EVERY_METHOD (method) {
        ranks *r = ranks_new(method);
        kvsieve_plan *whole = plan_new(method);
        observe_range(whole, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(whole));
        for (int sequences = 0; sequences < 2; ++sequences) {
            int64_t rows = 0;
            ranks_observe(r, s);
            /* "until then ranks need not be at the same layer, and a layer keeps everything" */
            for (int32_t layer = 0; layer < parts[0].layers; ++layer) rows += kept_of(r->plan[0], layer).total;
            EXPECT(rows == parts[0].layers * TOKENS, "%s: %d rows before finish", method_name(method), (int)rows);
            EXPECT(r->calls[0] == 0 || sequences > 0, "%s: observe exchanges", method_name(method));
            ranks_finish(r);
            for (int rank = 0; rank < RANKS; ++rank)
                EXPECT(r->status[rank] == KVSIEVE_OK, "%s: %s", method_name(method), r->sentence[rank]);
            EXPECT(is_as_one(r, whole), "%s: ranks keep other rows", method_name(method));
            for (int rank = 0; rank < RANKS; ++rank) EXPECT_OK(kvsieve_plan_reset(r->plan[rank]));
        }
        kvsieve_plan_destroy(whole);
        ranks_free(r);
    }
    sequence_free(s);
}

/* "KVSIEVE_ERR_GROUP  all_gather failed", "Every plan is as it was": whichever round fails, the next finish() succeeds. */
static void a_collective_that_fails(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    EVERY_METHOD (method) {
        ranks *r = ranks_new(method);
        kvsieve_plan *whole = plan_new(method);
        int rounds = 0;
        observe_range(whole, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(whole));
        do {
            ranks_observe(r, s);
            r->failing = rounds++;
            ranks_finish(r);
            for (int rank = 0; rank < RANKS && r->failing < r->calls[0]; ++rank) {
                EXPECT(r->status[rank] == KVSIEVE_ERR_GROUP && strstr(r->sentence[rank], "all_gather returned 1"), "%s: %s",
                       method_name(method), r->sentence[rank]);
                EXPECT(strcmp(kvsieve_plan_error(r->plan[rank]), r->sentence[rank]) == 0, "the plan's error");
                EXPECT(kept_of(r->plan[rank], 0).total == parts[rank].heads * TOKENS, "a layer is not as it was");
            }
            if (r->failing < r->calls[0]) {
                r->failing = -1;
                ranks_finish(r);
            }
            EXPECT(r->status[0] == KVSIEVE_OK && r->status[1] == KVSIEVE_OK && is_as_one(r, whole), "%s: after round %d",
                   method_name(method), rounds);
            for (int rank = 0; rank < RANKS; ++rank) EXPECT_OK(kvsieve_plan_reset(r->plan[rank]));
        } while (rounds < 40 && rounds <= r->calls[0] && !(slow() && rounds > 3));
        EXPECT(rounds > 3, "%s: %d rounds", method_name(method), rounds);
        kvsieve_plan_destroy(whole);
        ranks_free(r);
    }
    sequence_free(s);
}

static int32_t never(void *context, const void *send, int64_t bytes, void *receive) {
    (void)context, (void)send, (void)bytes, (void)receive;
    return -5;
}

static void join_refuses(void) {
    const kvsieve_group good = { sizeof good, 0, 2, 0, LAYERS, 0, 2 * HEADS, 0, NULL, never };
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV);
    kvsieve_group group = good;
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    EXPECT_STATUS(kvsieve_plan_join(NULL, &group), KVSIEVE_ERR_NULL);
    EXPECT_STATUS(kvsieve_plan_join(plan, NULL), KVSIEVE_ERR_NULL);
    EXPECT(error_names("group is NULL"), "%s", kvsieve_last_error());
    group.all_gather = NULL;
    EXPECT_STATUS(kvsieve_plan_join(plan, &group), KVSIEVE_ERR_NULL);
    EXPECT(error_names("group.all_gather is NULL"), "%s", kvsieve_last_error());
    for (int delta = -8; delta <= 8; delta += 4) {
        group = good;
        group.struct_size = (uint32_t)((int)sizeof group + delta);
        if (delta != 0) EXPECT_STATUS(kvsieve_plan_join(plan, &group), KVSIEVE_ERR_PARAMETER);
    }
    EXPECT(error_names("group.struct_size is|expected sizeof"), "%s", kvsieve_last_error());
    group = good, group.reserved = 1;
    EXPECT_STATUS(kvsieve_plan_join(plan, &group), KVSIEVE_ERR_LAYOUT);
    for (int field = 0; field < 6; ++field) {
        static const int32_t values[] = { INT32_MIN, -1, 2048, INT32_MAX };
        for (int value = 0; value < 4; ++value) {
            int32_t *fields[] = { &group.rank, &group.ranks, &group.first_layer, &group.layers, &group.first_head, &group.heads };
            group = good;
            *fields[field] = values[value];
            EXPECT_STATUS(kvsieve_plan_join(plan, &group), KVSIEVE_ERR_SHAPE);
            EXPECT(error_names("group.|expected"), "%s", kvsieve_last_error());
        }
    }
    /* A plan that has refused all of these is one by itself. */
    observe_range(plan, 0, LAYERS, s);
    EXPECT_STATUS(kvsieve_plan_join(plan, &good), KVSIEVE_ERR_STATE);
    EXPECT_OK(kvsieve_plan_finish(plan));
    EXPECT_STATUS(kvsieve_plan_join(plan, &good), KVSIEVE_ERR_STATE);
    EXPECT(plan_hash(plan, s, 1) == reference_hash(KVSIEVE_SNAPKV, s), "a refused join has changed the choice");
    EXPECT_OK(kvsieve_plan_reset(plan));
    EXPECT_OK(kvsieve_plan_join(plan, &good));
    observe_range(plan, 0, LAYERS, s);
    EXPECT_STATUS(kvsieve_plan_finish(plan), KVSIEVE_ERR_GROUP);
    EXPECT(error_names("all_gather returned -5"), "%s", kvsieve_last_error());
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

int main(void) {
    RUN(ranks_keep_what_one_plan_keeps);
    RUN(a_collective_that_fails);
    RUN(join_refuses);
    return harness_end();
}
