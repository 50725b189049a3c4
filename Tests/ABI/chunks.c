/* kvsieve_plan_queries(): the same choice however the prompt was cut, for every method; each status that the header names. */
#include "blocks.h"
#include "fixture.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static kvsieve_tensor piece(const kvsieve_tensor *whole, int64_t begin, int64_t end) {
    kvsieve_tensor part = *whole;
    part.data = (char *)whole->data + begin * whole->token_stride;
    part.tokens = end - begin;
    return part;
}

/* Chunks of `size` tokens through all layers, as an engine reads a prompt; the last may be short. */
static void chunks_of(kvsieve_plan *plan, const sequence *s, int64_t size) {
    for (int64_t begin = 0; begin < s->tokens; begin += size)
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            const kvsieve_tensor part = piece(&s->queries[layer], begin, begin + size < s->tokens ? begin + size : s->tokens);
            EXPECT_OK(kvsieve_plan_queries(plan, layer, &part));
        }
}

static void observe_without_queries(kvsieve_plan *plan, const sequence *s) {
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        EXPECT_OK(kvsieve_plan_observe(plan, layer, NULL, &s->keys[layer], &s->values[layer]));
    EXPECT_OK(kvsieve_plan_finish(plan));
}

static int reads_all(int32_t method) {
    int32_t needs = 0;
    kvsieve_plan *plan = plan_new(method);
    EXPECT_OK(kvsieve_plan_needs(plan, 0, &needs));
    kvsieve_plan_destroy(plan);
    return (needs & KVSIEVE_NEEDS_ALL_QUERIES) != 0;
}

static void the_result_does_not_depend_on_how_the_prompt_was_cut(void) {
    static const int64_t sizes[] = { 1, 7, 31, TOKENS - 1, TOKENS };
    int number = 0;
    for (int32_t dtype = KVSIEVE_F32; dtype <= KVSIEVE_BF16; ++dtype) {
        sequence *s = sequence_new(TOKENS, dtype, 3);
        EVERY_METHOD (method) {
            kvsieve_plan *plan;
            if (reads_all(method)) continue;
            plan = plan_new(method);
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
                if (left_out(number++)) continue;
                harness_case("%s: chunks of %d, dtype %d", method_name(method), (int)sizes[i], (int)dtype);
                chunks_of(plan, s, sizes[i]);
                observe_without_queries(plan, s);
                EXPECT(plan_hash(plan, s, 1) == reference_hash(method, s), "another choice");
                EXPECT_OK(kvsieve_plan_reset(plan));
            }
            kvsieve_plan_destroy(plan);
        }
        sequence_free(s);
    }
    harness_case("%s", "");
}

/* Chunks that the engine has in blocks. */
static void chunks_in_blocks(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_BF16, 3);
    for (int layout = 0; layout < LAYOUTS; ++layout) {
        kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV);
        harness_case("chunks in layout %d", layout);
        for (int64_t begin = 0; begin < TOKENS; begin += 40)
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const kvsieve_tensor part = piece(&s->queries[layer], begin, begin + 40 < TOKENS ? begin + 40 : TOKENS);
                paged chunk;
                paged_copy(&chunk, layout, 7, &part);
                EXPECT_OK(kvsieve_plan_queries(plan, layer, &chunk.t));
                free(chunk.memory);
            }
        observe_without_queries(plan, s);
        EXPECT(plan_hash(plan, s, 1) == reference_hash(KVSIEVE_SNAPKV, s), "another choice");
        kvsieve_plan_destroy(plan);
    }
    harness_case("%s", "");
    sequence_free(s);
}

static void reset_and_observe_forget_them(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 4);
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV);
    chunks_of(plan, s, 50);
    EXPECT_OK(kvsieve_plan_reset(plan));
    EXPECT_STATUS(kvsieve_plan_observe(plan, 0, NULL, &s->keys[0], &s->values[0]), KVSIEVE_ERR_NULL);
    EXPECT_OK(kvsieve_plan_queries(plan, 0, &s->queries[0]));
    EXPECT_OK(kvsieve_plan_observe(plan, 0, NULL, &s->keys[0], &s->values[0]));
    EXPECT_STATUS(kvsieve_plan_observe(plan, 1, NULL, &s->keys[1], &s->values[1]), KVSIEVE_ERR_NULL);
    observe_range(plan, 1, LAYERS, s); /* all at once in the other layers */
    EXPECT_OK(kvsieve_plan_finish(plan));
    EXPECT(plan_hash(plan, s, 1) == reference_hash(KVSIEVE_SNAPKV, s), "another choice");
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

static void statuses(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 5), *half = sequence_new(TOKENS, KVSIEVE_F16, 5);
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV), *all = plan_new(KVSIEVE_H2O);
    kvsieve_tensor bad = s->queries[0];
    const kvsieve_tensor first = piece(&s->queries[0], 0, 60), second = piece(&s->queries[0], 60, TOKENS);
    EXPECT_STATUS(kvsieve_plan_queries(NULL, 0, &first), KVSIEVE_ERR_NULL);
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, NULL), KVSIEVE_ERR_NULL);
    EXPECT_STATUS(kvsieve_plan_queries(plan, -1, &first), KVSIEVE_ERR_SHAPE);
    EXPECT_STATUS(kvsieve_plan_queries(plan, LAYERS, &first), KVSIEVE_ERR_SHAPE);
    bad.heads = QUERY_HEADS - 1;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &bad), KVSIEVE_ERR_SHAPE);
    EXPECT(error_names("queries.heads"), "%s", kvsieve_last_error());
    bad = s->queries[0], bad.dim = DIM - 1;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &bad), KVSIEVE_ERR_SHAPE);
    bad = s->queries[0], bad.head_stride = 4;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &bad), KVSIEVE_ERR_LAYOUT);
    bad = s->queries[0], bad.dtype = 8;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &bad), KVSIEVE_ERR_DTYPE);
    EXPECT_STATUS(kvsieve_plan_queries(all, 0, &first), KVSIEVE_ERR_STATE);
    EXPECT(error_names("all tokens|kvsieve_plan_observe"), "%s", kvsieve_last_error());

    EXPECT_OK(kvsieve_plan_queries(plan, 0, &first));
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &half->queries[0]), KVSIEVE_ERR_DTYPE);
    EXPECT(error_names("F16|F32|chunks"), "%s", kvsieve_last_error());
    EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_WINDOW, 5), KVSIEVE_ERR_STATE);
    EXPECT_STATUS(kvsieve_plan_observe(plan, 0, &s->queries[0], &s->keys[0], NULL), KVSIEVE_ERR_STATE);
    EXPECT(error_names("kvsieve_plan_queries|NULL"), "%s", kvsieve_last_error());
    EXPECT_OK(kvsieve_plan_queries(plan, 0, &second));
    EXPECT_OK(kvsieve_plan_queries(plan, 1, &s->queries[1]));
    EXPECT_OK(kvsieve_plan_queries(plan, 1, &first)); /* more than there are tokens: known when the keys are */
    EXPECT_OK(kvsieve_plan_observe(plan, 0, NULL, &s->keys[0], NULL));
    EXPECT_STATUS(kvsieve_plan_observe(plan, 1, NULL, &s->keys[1], NULL), KVSIEVE_ERR_SHAPE);
    EXPECT(error_names("156 queries|at most 96"), "%s", kvsieve_last_error());
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &first), KVSIEVE_ERR_STATE);
    kvsieve_plan_destroy(plan);
    kvsieve_plan_destroy(all);
    sequence_free(s);
    sequence_free(half);
}

int main(void) {
    RUN(the_result_does_not_depend_on_how_the_prompt_was_cut);
    chunks_in_blocks();
    RUN(reset_and_observe_forget_them);
    RUN(statuses);
    return harness_end();
}
