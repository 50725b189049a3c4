/* Prompts of 1 to 9 tokens and budgets of 1 to 3, for every method, by budget and by ratio, with the parameters of a new plan,
 * those of the fixture, and the least of each; extended or decoded afterwards. Each head keeps a token; or the budget is
 * refused, and what the sentence proposes is accepted. */
#include "decoder.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 9, ROUNDS_MORE = 3 };
enum kind { NEW_PLAN, FIXTURE, LEAST, KINDS };
static const char *const kinds[] = { "a new plan", "the fixture", "the least" };

/* By ratio if it is more than 0, else by budget. */
struct tiny {
    int32_t method, tokens, budget;
    double ratio;
    enum kind kind;
    int decodes;
};

static int is_size(int32_t parameter) {
    return parameter == KVSIEVE_BUDGET || parameter == KVSIEVE_RATIO || parameter == KVSIEVE_THREADS
           || parameter == KVSIEVE_DECODING;
}

/* NULL if the method does not go by that. */
static kvsieve_plan *tiny_plan(const struct tiny *t) {
    const int32_t by = t->ratio > 0 ? KVSIEVE_RATIO : KVSIEVE_BUDGET, other = t->ratio > 0 ? KVSIEVE_BUDGET : KVSIEVE_RATIO;
    const kvsieve_model model = small_model();
    kvsieve_parameter_info info = { 0 };
    kvsieve_plan *plan = NULL;
    info.struct_size = sizeof info;
    if (!method_has(t->method, by)) return NULL;
    EXPECT_OK(kvsieve_plan_create(t->method, &model, &plan));
    if (t->kind == FIXTURE) EXPECT_OK(settle(plan, t->method, BUDGET));
    for (int32_t i = 0; t->kind == LEAST && kvsieve_parameter_at(t->method, i, &info) == KVSIEVE_OK; ++i)
        if (!is_size(info.id)) EXPECT_OK(kvsieve_plan_set(plan, info.id, info.lowest));
    /* A ratio or a budget of 0 is "by the other"; where that is out of bounds, the one that is set decides alone. */
    if (method_has(t->method, other)) ANY_STATUS(kvsieve_plan_set(plan, other, 0));
    EXPECT_OK(kvsieve_plan_set(plan, by, t->ratio > 0 ? t->ratio : t->budget));
    if (t->decodes) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
    return plan;
}

static int no_head_is_empty(const kvsieve_plan *plan, const char *when) {
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept kept = kept_of(plan, layer);
        for (int head = 0; head < HEADS; ++head)
            if (!EXPECT(kept.offsets[head + 1] > kept.offsets[head], "%s: layer %d, head %d", when, (int)layer, head)) return 0;
    }
    return 1;
}

/* All layers, `rows` of keys a head in each; 1 if the budget was refused in the first. */
static int refused(kvsieve_plan *plan, const int64_t *rows, int64_t new, kvsieve_status *status) {
    kvsieve_tensor queries = tensor_new(QUERY_HEADS, new, DIM, KVSIEVE_F32);
    *status = KVSIEVE_OK;
    for (int32_t layer = 0; layer < LAYERS && *status == KVSIEVE_OK; ++layer) {
        kvsieve_tensor keys = tensor_new(HEADS, rows[layer], DIM, KVSIEVE_F32);
        for (int64_t n = 0; n < HEADS * rows[layer] * DIM; ++n) ((float *)keys.data)[n] = (float)((n * 7 + layer) % 13) - 6;
        for (int64_t n = 0; n < QUERY_HEADS * new * DIM; ++n) ((float *)queries.data)[n] = (float)((n * 5 + layer) % 11) - 5;
        *status = kvsieve_plan_observe(plan, layer, &queries, &keys, &keys);
        if (layer > 0 || *status != KVSIEVE_ERR_BUDGET) EXPECT_OK(*status);
        free(keys.data);
    }
    free(queries.data);
    return *status == KVSIEVE_ERR_BUDGET;
}

/* Sets what the sentence proposes; each parameter once: what was proposed is enough. 0 if it proposes nothing new. */
static int take_proposal(kvsieve_plan *plan, int32_t method, int32_t *taken, int *count) {
    double number = 0;
    const int32_t parameter = proposal(method, &number);
    if (!EXPECT(parameter != 0, "nothing is proposed: \"%s\"", kvsieve_last_error())) return 0;
    for (int i = 0; i < *count; ++i)
        if (!EXPECT(taken[i] != parameter, "proposed before: \"%s\"", kvsieve_last_error())) return 0;
    taken[(*count)++] = parameter;
    return EXPECT_OK(kvsieve_plan_set(plan, parameter, number));
}

/* The prompt, then short rounds. If a round is refused, all begins again with reset() and what is proposed. */
static int goes_through(const struct tiny *t) {
    kvsieve_plan *plan = tiny_plan(t);
    int32_t taken[4];
    int count = 0, good = 1, round = 0;
    int64_t rows[LAYERS];
    if (plan == NULL) return 1;
    while (good && round < (t->decodes ? 1 : ROUNDS_MORE)) {
        kvsieve_status status;
        for (int32_t layer = 0; layer < LAYERS; ++layer) rows[layer] = round ? kept_of(plan, layer).longest + round : t->tokens;
        if (round) good &= EXPECT_OK(kvsieve_plan_extend(plan, round));
        if (refused(plan, rows, round ? round : t->tokens, &status)) {
            if (round) good &= EXPECT_OK(kvsieve_plan_reset(plan));
            good = good && count < 4 && take_proposal(plan, t->method, taken, &count);
            round = 0;
            continue;
        }
        good = good && status == KVSIEVE_OK && EXPECT_OK(kvsieve_plan_finish(plan));
        good = good && no_head_is_empty(plan, round ? "after extend" : "after the prompt");
        ++round;
    }
    kvsieve_plan_destroy(plan);
    return good;
}

static int32_t method;

/* How many did not. */
static int every_prompt_and_budget(void) {
    static const double ratios[] = { 0.01, 0.125, 0.29, 0.5 };
    int wrong = 0;
    for (int kind = 0; kind < KINDS; ++kind)
        for (int decodes = 0; decodes <= method_decodes(method); ++decodes)
            for (int32_t tokens = 1; tokens <= LONGEST; ++tokens)
                for (int size = 0; size < 7; ++size) {
                    const struct tiny t = { method, tokens, size + 1, size < 3 ? 0 : ratios[size - 3], (enum kind)kind, decodes };
                    wrong += !EXPECT(goes_through(&t), "%d tokens, %s %g, %s%s", (int)tokens, size < 3 ? "budget" : "ratio",
                                     size < 3 ? size + 1 : t.ratio, kinds[kind], decodes ? ", decoding" : "");
                }
    return wrong;
}

static int in_its_process(void) { return every_prompt_and_budget() > 0; }

/* In a process of its own, so that an abort is a failure of one method; under valgrind in this one, which it watches. */
int main(void) {
    EVERY_METHOD (each) {
        char output[4096];
        method = each;
        harness_case("%s: tiny prompts, tiny budgets", method_name(method));
        if (slow()) {
            EXPECT(every_prompt_and_budget() == 0, "see above");
        } else {
            const int result = in_child(in_its_process, output, sizeof output);
            EXPECT(result == 0, "%s %d:\n%s", result < 0 ? "signal" : "exit", result < 0 ? -result : result, output);
        }
    }
    return harness_end();
}
