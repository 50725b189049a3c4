/* kvsieve_plan_protect: tokens that every head keeps. The header is quoted. */
#include "fixture.h"
#include "harness.h"
#include "refusal.h"
#include "registry.h"

#include <stdlib.h>

/* Ranges 10 ... 13 and 40, of which the first comes in two that overlap. */
static const int32_t protected[] = { 10, 11, 12, 13, 40 };
enum { PROTECTED = sizeof protected / sizeof *protected };

static void protect_some(kvsieve_plan *plan) {
    EXPECT_OK(kvsieve_plan_protect(plan, 12, 2));
    EXPECT_OK(kvsieve_plan_protect(plan, 40, 1));
    EXPECT_OK(kvsieve_plan_protect(plan, 10, 3));
}

static int has(const int32_t *positions, int64_t count, int32_t position) {
    for (int64_t i = 0; i < count; ++i)
        if (positions[i] == position) return 1;
    return 0;
}

static void expect_in_every_head(const kvsieve_plan *plan, const int32_t *positions, int count) {
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        const kvsieve_kept kept = kept_of(plan, layer);
        for (int32_t head = 0; head < HEADS; ++head)
            for (int i = 0; i < count; ++i)
                EXPECT(has(kept.positions + kept.offsets[head], kept.offsets[head + 1] - kept.offsets[head], positions[i]),
                       "layer %d, head %d: %d", (int)layer, (int)head, (int)positions[i]);
    }
}

/* The first rows of a tensor, as a cache that has so many. */
static kvsieve_tensor rows(const kvsieve_tensor *all, int64_t tokens) {
    kvsieve_tensor t = *all;
    t.tokens = tokens;
    return t;
}

static void observe_new(kvsieve_plan *plan, const sequence *s, const int64_t *longest, int64_t new) {
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        const kvsieve_tensor queries = rows(&s->queries[layer], new);
        const kvsieve_tensor keys = rows(&s->keys[layer], longest[layer] + new),
                             values = rows(&s->values[layer], longest[layer] + new);
        EXPECT_OK(kvsieve_plan_observe(plan, layer, &queries, &keys, &values));
    }
    EXPECT_OK(kvsieve_plan_finish(plan));
}

static void longest_of(const kvsieve_plan *plan, int64_t *longest) {
    for (int32_t layer = 0; layer < LAYERS; ++layer) longest[layer] = kept_of(plan, layer).longest;
}

/* "every head keeps them, whatever their scores"; "once for each range. Ranges may overlap. They are kept in all rounds"; "After
 * finish() no head of the layer has more", of kvsieve_plan_bound(). "Between kvsieve_plan_extend() and the next observe it takes
 * new tokens only: an earlier one may be gone." "until kvsieve_plan_reset()" */
static void every_head_keeps_them(void) {
    EVERY_METHOD (method) {
        static const int32_t later[] = { 10, 11, 12, 13, 40, TOKENS, TOKENS + 1, TOKENS + 2 };
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        int64_t bounds[LAYERS], longest[LAYERS];
        harness_case("protected tokens of %s", method_name(method));
        protect_some(plan);
        for (int32_t layer = 0; layer < LAYERS; ++layer) EXPECT_OK(kvsieve_plan_bound(plan, layer, TOKENS, &bounds[layer]));
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        expect_in_every_head(plan, protected, PROTECTED);
        longest_of(plan, longest);
        for (int32_t layer = 0; layer < LAYERS; ++layer)
            EXPECT(longest[layer] <= bounds[layer], "layer %d has %d rows, its bound %d", (int)layer, (int)longest[layer],
                   (int)bounds[layer]);
        if (longest[0] + 12 <= TOKENS && longest[LAYERS - 1] + 12 <= TOKENS) {
            EXPECT_OK(kvsieve_plan_extend(plan, 12));
            EXPECT_STATUS(kvsieve_plan_protect(plan, TOKENS - 1, 2), KVSIEVE_ERR_SHAPE);
            EXPECT(error_names("first is 95|96 ... 107|may be gone"), "%s", kvsieve_last_error());
            EXPECT_STATUS(kvsieve_plan_protect(plan, TOKENS, 13), KVSIEVE_ERR_SHAPE);
            EXPECT(error_names("count is 13|1 ... 12"), "%s", kvsieve_last_error());
            EXPECT_OK(kvsieve_plan_protect(plan, TOKENS, 3));
            observe_new(plan, s, longest, 12);
            expect_in_every_head(plan, later, 8);
            longest_of(plan, longest);
            EXPECT_OK(kvsieve_plan_extend(plan, 4));
            observe_new(plan, s, longest, 4);
            expect_in_every_head(plan, later, 8);
        } else EXPECT(method == KVSIEVE_TASKKV, "only a method whose heads keep everything has no room in the tensors of the test");
        EXPECT_OK(kvsieve_plan_reset(plan));
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        EXPECT(plan_hash(plan, s, 1) == reference_hash(method, s), "reset did not forget them");
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
    harness_case("%s", "");
}

/* "and while decoding" */
static void no_step_takes_their_slots(void) {
    EVERY_DECODER (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        const int rounds = slow() ? 20 : 100;
        int evicted = 0;
        harness_case("protected tokens of %s while decoding", method_name(method));
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
        protect_some(plan);
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        for (int round = 0; round < rounds; ++round) {
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                kvsieve_slots before = { 0 };
                int32_t slot[HEADS];
                kvsieve_tensor queries = s->queries[layer], keys, values;
                before.struct_size = sizeof before;
                EXPECT_OK(kvsieve_plan_slots(plan, layer, 0, &before));
                queries.data = (char *)queries.data + (round % TOKENS) * queries.token_stride;
                queries.tokens = 1;
                keys = rows(&s->keys[layer], before.length + 1), values = rows(&s->values[layer], before.length + 1);
                EXPECT_OK(kvsieve_plan_step(plan, layer, &queries, &keys, &values, slot));
                for (int32_t head = 0; head < HEADS; ++head) evicted += slot[head] >= 0;
            }
            for (int32_t layer = 0; layer < LAYERS; ++layer)
                for (int32_t head = 0; head < HEADS; ++head) {
                    kvsieve_slots slots = { 0 };
                    slots.struct_size = sizeof slots;
                    EXPECT_OK(kvsieve_plan_slots(plan, layer, head, &slots));
                    for (int i = 0; i < PROTECTED; ++i)
                        EXPECT(has(slots.positions, slots.length, protected[i]), "round %d: %d left", round, (int)protected[i]);
                }
        }
        EXPECT(evicted > 0, "nothing was evicted");
        if (method != KVSIEVE_STREAMINGLLM) EXPECT(evicted >= 100, "%d evictions", evicted);
        EXPECT_STATUS(kvsieve_plan_protect(plan, TOKENS + rounds, 1), KVSIEVE_ERR_STATE);
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
    harness_case("%s", "");
}

/* "Protected tokens count against the budget"; "If the budget cannot hold them, observe says which can: a budget in tokens must
 * hold them beside the sinks and recent tokens, as in later rounds other tokens are recent." */
static void the_budget_must_hold_them(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV);
    int64_t bound = -1;
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 12));
    EXPECT_OK(kvsieve_plan_protect(plan, TOKENS - 5, 5)); /* recent today: the window is 8 */
    EXPECT_STATUS(observe(plan, 0, s), KVSIEVE_ERR_BUDGET);
    EXPECT(error_names("budget 12|5 protected tokens|smallest budget is 13"), "%s", kvsieve_last_error());
    EXPECT_STATUS(kvsieve_plan_bound(plan, 0, TOKENS, &bound), KVSIEVE_ERR_BUDGET);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 13));
    EXPECT_OK(kvsieve_plan_bound(plan, 0, TOKENS, &bound));
    EXPECT(bound == 13, "%d", (int)bound);
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    /* "A token that is a sink or recent, too, counts once." */
    for (int32_t layer = 0; layer < LAYERS; ++layer) EXPECT(kept_of(plan, layer).longest == 13, "layer %d", (int)layer);
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

/* One token is protected, of units of so many tokens. */
static void expect_protected(int32_t method, int32_t parameter, int unit, int64_t token, const int32_t *kept) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(method);
    EXPECT_OK(kvsieve_plan_set(plan, parameter, unit));
    EXPECT_OK(kvsieve_plan_protect(plan, token, 1));
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    expect_in_every_head(plan, kept, unit);
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

/* "A block of KVSIEVE_BLOCK, or a window of windowkv, that has a protected token is protected whole." */
static void a_block_is_protected_whole(void) {
    static const int32_t block[] = { 40, 41, 42, 43 }, window[] = { 45, 46, 47, 48, 49 };
    expect_protected(KVSIEVE_SNAPKV, KVSIEVE_BLOCK, 4, 42, block);
    expect_protected(KVSIEVE_WINDOWKV, KVSIEVE_WINDOWKV_SIZE, 5, 47, window);
}

struct range {
    int64_t first, count;
};

static kvsieve_status protect(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct range *range = context;
    (void)s;
    return kvsieve_plan_protect(plan, range->first, range->count);
}

static kvsieve_status protect_nothing(kvsieve_plan *plan, sequence *s, const void *context) {
    (void)plan, (void)s, (void)context;
    return kvsieve_plan_protect(NULL, 0, 1);
}

/* Every error of kvsieve_plan_protect() but out of memory; the plan is then as it was before the call. */
static void wrong_ranges_and_wrong_times(void) {
    static const struct range one = { 3, 1 }, wrong[] = { { -1, 1 },        { 0, 0 },
                                                          { 0, -1 },        { INT64_MIN, INT64_MAX },
                                                          { INT64_MAX, 1 }, { 1, INT64_MAX },
                                                          { 1 << 24, 1 },   { (1 << 24) - 1, 2 },
                                                          { 5, INT64_MIN }, { INT64_MAX, INT64_MAX } };
    int number = 0;
    EVERY_METHOD (method) {
        if (left_out(number++)) continue;
        harness_case("%s: wrong ranges", method_name(method));
        expect_refused(method, BEFORE, protect_nothing, NULL, KVSIEVE_ERR_NULL, "plan");
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i)
            expect_refused(method, BEFORE, protect, &wrong[i], KVSIEVE_ERR_SHAPE, "expected");
        for (int stage = 1; stage <= FINISHED; ++stage)
            expect_refused(method, stage, protect, &one, KVSIEVE_ERR_STATE, "protect|observe");
    }
    harness_case("%s", "");
}

/* "of a prompt, first + count is 2^24 at most, and at most T when it is observed"; the plan goes on with a longer prompt. */
static void tokens_that_the_prompt_has_not(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1), *shorter = sequence_new(TOKENS - 1, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV);
    const int32_t last[] = { TOKENS - 1 };
    int64_t bound = -1;
    EXPECT_OK(kvsieve_plan_protect(plan, TOKENS - 1, 1));
    EXPECT_STATUS(observe(plan, 0, shorter), KVSIEVE_ERR_SHAPE);
    EXPECT(error_names("position 95|protected|at most 94"), "%s", kvsieve_last_error());
    EXPECT_STATUS(kvsieve_plan_bound(plan, 0, TOKENS - 1, &bound), KVSIEVE_ERR_SHAPE);
    EXPECT(bound == -1, "rows was written");
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    expect_in_every_head(plan, last, 1);
    EXPECT_OK(kvsieve_plan_reset(plan));
    EXPECT_OK(kvsieve_plan_protect(plan, 0, 1 << 24));
    EXPECT_STATUS(observe(plan, 0, s), KVSIEVE_ERR_SHAPE);
    kvsieve_plan_destroy(plan);
    sequence_free(s);
    sequence_free(shorter);
}

int main(void) {
    RUN(every_head_keeps_them);
    RUN(no_step_takes_their_slots);
    RUN(the_budget_must_hold_them);
    RUN(a_block_is_protected_whole);
    RUN(wrong_ranges_and_wrong_times);
    RUN(tokens_that_the_prompt_has_not);
    return harness_end();
}
