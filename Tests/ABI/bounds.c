/* kvsieve_plan_bound: what an engine allocates by. The header is quoted. */
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

int main(void) {
    RUN(no_head_has_more_than_its_bound);
    RUN(bounds_of_slots_and_errors);
    return harness_end();
}
