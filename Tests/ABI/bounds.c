/* What KVSIEVE_BUDGET is worth in rows, and kvsieve_plan_bound, which an engine allocates by. The header is quoted. */
#include "fixture.h"
#include "harness.h"
#include "registry.h"

static int64_t bound_of(const kvsieve_plan *plan, int32_t layer, int64_t tokens) {
    int64_t rows = -1;
    EXPECT_OK(kvsieve_plan_bound(plan, layer, tokens, &rows));
    return rows;
}

/* "After finish() no head of the layer has more." Where every head has the budget, one has as many. */
static void no_head_has_more_than_its_bound(void) {
    static const int32_t lengths[] = { 5, 31, TOKENS };
    EVERY_METHOD (method)
        for (int i = 0; i < 3; ++i) {
            sequence *s = sequence_new(lengths[i], KVSIEVE_F32, 1);
            kvsieve_plan *plan = plan_new(method);
            int64_t bounds[LAYERS];
            harness_case("%s: bounds of %d tokens", method_name(method), (int)lengths[i]);
            for (int32_t layer = 0; layer < LAYERS; ++layer) bounds[layer] = bound_of(plan, layer, lengths[i]);
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const int64_t longest = kept_of(plan, layer).longest;
                EXPECT(longest <= bounds[layer], "layer %d has %d rows, its bound %d", (int)layer, (int)longest,
                       (int)bounds[layer]);
                EXPECT(bounds[layer] <= lengths[i], "layer %d: %d", (int)layer, (int)bounds[layer]);
                if (method == KVSIEVE_SNAPKV || method == KVSIEVE_PYRAMIDKV || method == KVSIEVE_TASKKV)
                    EXPECT(longest == bounds[layer], "layer %d: %d, not %d", (int)layer, (int)longest, (int)bounds[layer]);
            }
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
    harness_case("");
}

/* "If the plan decodes, the slots are counted"; every error of kvsieve_plan_bound(), on which rows is not written. */
static void bounds_of_slots_and_errors(void) {
    kvsieve_plan *plan = plan_new(KVSIEVE_H2O);
    int64_t rows = -1;
    EXPECT(bound_of(plan, 0, 5) == 5, "a short prompt");
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
    EXPECT(bound_of(plan, 0, 5) == BUDGET, "its slots");
    EXPECT_STATUS(kvsieve_plan_bound(NULL, 0, 5, &rows), KVSIEVE_ERR_NULL);
    EXPECT_STATUS(kvsieve_plan_bound(plan, 0, 5, NULL), KVSIEVE_ERR_NULL);
    EXPECT_STATUS(kvsieve_plan_bound(plan, LAYERS, 5, &rows), KVSIEVE_ERR_SHAPE);
    EXPECT_STATUS(kvsieve_plan_bound(plan, -1, 5, &rows), KVSIEVE_ERR_SHAPE);
    EXPECT_STATUS(kvsieve_plan_bound(plan, 0, 0, &rows), KVSIEVE_ERR_SHAPE);
    EXPECT_STATUS(kvsieve_plan_bound(plan, 0, INT64_MIN, &rows), KVSIEVE_ERR_SHAPE);
    EXPECT_STATUS(kvsieve_plan_bound(plan, 0, (INT64_C(1) << 24) + 1, &rows), KVSIEVE_ERR_SHAPE);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_SHARE, 2));
    EXPECT_STATUS(kvsieve_plan_bound(plan, 0, 5, &rows), KVSIEVE_ERR_PARAMETER);
    kvsieve_plan_destroy(plan);
    plan = plan_new(KVSIEVE_SNAPKV);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 3));
    EXPECT_STATUS(kvsieve_plan_bound(plan, 0, TOKENS, &rows), KVSIEVE_ERR_BUDGET);
    EXPECT(rows == -1, "rows was written");
    EXPECT(error_names("the smallest budget is 8"), "\"%s\"", kvsieve_last_error());
    kvsieve_plan_destroy(plan);
}

/* KVSIEVE_BUDGET: "For most methods C is exact. If a method divides the budget, C is the mean: over the heads of a layer (taskkv,
 * adakv) or over the layers (dynamickv, windowkv, pyramidkv)"; "windowkv [...] with charge 1 [...] keeps at most C, and less than a
 * window (of size tokens) fewer"; "pyramidkv may exceed the mean, and adakv by at most half a token a head"; "dynamickv as published
 * may keep less". */
static void the_budget_is_exact_or_a_mean(void) {
    enum { SIZE = 4 }; /* shares are rounded down: less than a token a head, of adakv, which rounds twice, one and a half */
    EVERY_METHOD (method)
        for (uint64_t seed = 1; seed < 4; ++seed) {
            sequence *s = sequence_new(TOKENS, KVSIEVE_F32, seed);
            kvsieve_plan *plan = plan_new(method);
            const int by_head = method == KVSIEVE_TASKKV || method == KVSIEVE_ADAKV;
            const int by_layer = method == KVSIEVE_DYNAMICKV || method == KVSIEVE_WINDOWKV || method == KVSIEVE_PYRAMIDKV;
            int64_t all = 0;
            harness_case("%s: what a budget is", method_name(method));
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, BUDGET));
            if (method == KVSIEVE_WINDOWKV) {
                EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_WINDOWKV_CHARGE, 1));
                EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_WINDOWKV_SIZE, SIZE));
            }
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const kvsieve_kept kept = kept_of(plan, layer);
                all += kept.total;
                for (int32_t head = 0; head < HEADS && !by_head && !by_layer; ++head)
                    EXPECT(kept.offsets[head + 1] - kept.offsets[head] == BUDGET, "layer %d, head %d", (int)layer, (int)head);
                if (by_head)
                    EXPECT(2 * kept.total > HEADS * (2 * BUDGET - 2 - (method == KVSIEVE_ADAKV))
                               && 2 * kept.total <= HEADS * (2 * BUDGET + (method == KVSIEVE_ADAKV)),
                           "layer %d keeps %d", (int)layer, (int)kept.total);
            }
            if (method == KVSIEVE_DYNAMICKV)
                EXPECT(all <= LAYERS * HEADS * BUDGET && 4 * all > 3 * LAYERS * HEADS * BUDGET, "%d", (int)all);
            if (method == KVSIEVE_WINDOWKV)
                EXPECT(all <= LAYERS * HEADS * BUDGET && all > LAYERS * HEADS * (BUDGET - SIZE), "%d", (int)all);
            if (method == KVSIEVE_PYRAMIDKV)
                EXPECT(all >= LAYERS * HEADS * BUDGET && 2 * all <= LAYERS * HEADS * (2 * BUDGET + LAYERS - 1), "%d", (int)all);
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
    harness_case("");
}

int main(void) {
    the_budget_is_exact_or_a_mean();
    RUN(no_head_has_more_than_its_bound);
    RUN(bounds_of_slots_and_errors);
    return harness_end();
}
