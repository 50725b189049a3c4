/* The set's shape: one choice for the heads of a layer or for all layers, one budget for all layers, blocks that are
 * kept whole. The header is quoted. */
#include "fixture.h"
#include "harness.h"
#include "registry.h"

#include <string.h>

static kvsieve_plan *shaped(int32_t method, double share, double even) {
    kvsieve_plan *plan = plan_new(method);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_SHARE, share));
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_EVEN, even));
    return plan;
}

/* Does head `b` of one layer keep the positions of head `a` of another? */
static int alike(const kvsieve_plan *plan, int32_t layer, int32_t a, int32_t other, int32_t b) {
    kvsieve_kept one = kept_of(plan, layer), two = kept_of(plan, other);
    int64_t count = one.offsets[a + 1] - one.offsets[a];
    return count == two.offsets[b + 1] - two.offsets[b]
           && memcmp(one.positions + one.offsets[a], two.positions + two.offsets[b], (size_t)count * sizeof *one.positions) == 0;
}

/* "1: the heads of a layer keep the same positions." */
static void heads_of_a_layer_keep_the_same(void) {
    EVERY_METHOD (method) {
        sequence *s;
        kvsieve_plan *plan;
        if (!method_has(method, KVSIEVE_SHARE)) continue;
        harness_case("%s: share 1", method_name(method));
        s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        plan = shaped(method, 1, 0);
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            EXPECT_OK(observe(plan, layer, s));
            EXPECT(alike(plan, layer, 0, layer, 1), "layer %d, which was just observed", (int)layer);
        }
        EXPECT_OK(kvsieve_plan_finish(plan));
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            EXPECT(alike(plan, layer, 0, layer, 1), "layer %d", (int)layer);
            EXPECT(kept_of(plan, layer).total < HEADS * TOKENS, "layer %d keeps all", (int)layer);
        }
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
    harness_case("");
}

/* "2: so do all layers [...]. The choice is made by finish(); until then kvsieve_plan_kept() tells the whole cache." */
static void all_layers_keep_the_same(void) {
    EVERY_METHOD (method) {
        sequence *s;
        uint64_t expected = 0;
        if (!method_has(method, KVSIEVE_SHARE)) continue;
        harness_case("%s: share 2", method_name(method));
        s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        for (int threads = 1; threads <= 3; threads += 2) {
            kvsieve_plan *plan = shaped(method, 2, 0);
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
            for (int sequences = 0; sequences < 2; ++sequences) {
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    EXPECT_OK(observe(plan, layer, s));
                    for (int32_t below = 0; below <= layer; ++below)
                        EXPECT(kept_of(plan, below).total == HEADS * TOKENS, "layer %d after layer %d", (int)below, (int)layer);
                }
                EXPECT_OK(kvsieve_plan_finish(plan));
                for (int32_t layer = 0; layer < LAYERS; ++layer)
                    for (int32_t head = 0; head < HEADS; ++head)
                        EXPECT(alike(plan, 0, 0, layer, head), "layer %d, head %d", (int)layer, (int)head);
                EXPECT(kept_of(plan, 0).total < HEADS * TOKENS, "all is kept");
                if (expected == 0) expected = plan_hash(plan, s, 1);
                EXPECT(plan_hash(plan, s, 1) == expected, "%d threads, sequence %d", threads, sequences);
                EXPECT_OK(kvsieve_plan_reset(plan));
            }
            kvsieve_plan_destroy(plan);
        }
        sequence_free(s);
    }
    harness_case("");
}

/* KVSIEVE_EVEN: "1: every layer has the budget C, whatever the paper says of layers." */
static void every_layer_has_the_same_budget(void) {
    EVERY_METHOD (method) {
        sequence *s;
        kvsieve_plan *plan;
        if (!method_has(method, KVSIEVE_EVEN)) continue;
        harness_case("%s: even", method_name(method));
        s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        plan = shaped(method, 0, 1);
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        for (int32_t layer = 0; layer < LAYERS; ++layer)
            EXPECT(kept_of(plan, layer).total == kept_of(plan, 0).total, "layer %d", (int)layer);
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
    harness_case("");
}

/* "Methods whose heads keep different numbers of rows by design have none of these (taskkv, adakv)." */
static void heads_that_differ_by_design_refuse(void) {
    EVERY_METHOD (method) {
        kvsieve_plan *plan;
        if (method_has(method, KVSIEVE_SHARE)) continue;
        harness_case("%s: no shape", method_name(method));
        plan = plan_new(method);
        EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_SHARE, 1), KVSIEVE_ERR_PARAMETER);
        EXPECT(error_names("share (107)|by design"), "\"%s\"", kvsieve_last_error());
        EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_EVEN, 1), KVSIEVE_ERR_PARAMETER);
        EXPECT(error_names("even (108)|by design"), "\"%s\"", kvsieve_last_error());
        EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_BLOCK, 2), KVSIEVE_ERR_PARAMETER);
        EXPECT(error_names("block (109)|by design"), "\"%s\"", kvsieve_last_error());
        kvsieve_plan_destroy(plan);
    }
    harness_case("");
}

/* "A plan that decodes takes share 1 if the heads of its method keep the same slots (tova, streamingllm), and never 2: else
 * KVSIEVE_ERR_PARAMETER by the first observe." */
static void heads_keep_the_same_slots(kvsieve_plan *plan, const sequence *s) {
    for (int32_t token = 0; token < 8; ++token)
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            kvsieve_tensor queries = s->queries[layer], keys = s->keys[layer], values = s->values[layer];
            kvsieve_slots one = { 0 }, two = { 0 };
            int32_t slot[HEADS];
            one.struct_size = two.struct_size = sizeof one;
            EXPECT_OK(kvsieve_plan_slots(plan, layer, 0, &one));
            queries.tokens = 1, keys.tokens = values.tokens = one.length + 1;
            EXPECT_OK(kvsieve_plan_step(plan, layer, &queries, &keys, &values, slot));
            EXPECT(slot[0] == slot[1], "token %d, layer %d: %d and %d", (int)token, (int)layer, (int)slot[0], (int)slot[1]);
            EXPECT_OK(kvsieve_plan_slots(plan, layer, 0, &one));
            EXPECT_OK(kvsieve_plan_slots(plan, layer, 1, &two));
            EXPECT(memcmp(one.positions, two.positions, (size_t)one.length * sizeof *one.positions) == 0, "token %d, layer %d",
                   (int)token, (int)layer);
        }
}

static void heads_that_decode_apart_refuse(void) {
    EVERY_DECODER (method)
        for (int share = 1; share <= 2; ++share) {
            sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
            kvsieve_plan *plan = shaped(method, share, 0);
            kvsieve_status status;
            harness_case("%s: share %d while decoding", method_name(method), share);
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
            status = observe(plan, 0, s);
            if (status == KVSIEVE_OK) {
                EXPECT(share == 1, "share 2 is taken");
                observe_range(plan, 1, LAYERS, s);
                EXPECT_OK(kvsieve_plan_finish(plan));
                heads_keep_the_same_slots(plan, s);
            } else {
                EXPECT(share == 2 || (method != KVSIEVE_TOVA && method != KVSIEVE_STREAMINGLLM), "share 1 is refused");
                EXPECT_STATUS(status, KVSIEVE_ERR_PARAMETER);
                EXPECT(error_names("share is|decoding 1|expected share"), "\"%s\"", kvsieve_last_error());
                EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 0)); /* nothing was observed: it may be set still */
                observe_range(plan, 0, LAYERS, s);
                EXPECT_OK(kvsieve_plan_finish(plan));
            }
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
    harness_case("");
}

/* KVSIEVE_BLOCK: "Blocks of so many tokens, counted from position 0, are kept or dropped whole. [...] The newest block is always
 * kept; it may be short." */
static void blocks_are_whole(void) {
    static const int32_t blocks[] = { 2, 5, 8 }, lengths[] = { TOKENS, TOKENS - 3 };
    EVERY_METHOD (method) {
        if (!method_has(method, KVSIEVE_BLOCK)) continue;
        for (int i = 0; i < 6; ++i) {
            const int32_t block = blocks[i % 3], tokens = lengths[i / 3];
            sequence *s = sequence_new(tokens, KVSIEVE_F32, 1);
            kvsieve_plan *plan = plan_new(method);
            harness_case("%s: blocks of %d, %d tokens", method_name(method), (int)block, (int)tokens);
            if (method == KVSIEVE_WINDOWKV) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_WINDOWKV_SIZE, 2 * block));
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BLOCK, block));
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                kvsieve_kept kept = kept_of(plan, layer);
                EXPECT(kept.total < HEADS * tokens, "layer %d keeps all", (int)layer);
                for (int32_t head = 0; head < HEADS; ++head) {
                    int rows[TOKENS] = { 0 };
                    for (int64_t j = kept.offsets[head]; j < kept.offsets[head + 1]; ++j) ++rows[kept.positions[j] / block];
                    for (int32_t first = 0; first < tokens; first += block) {
                        const int32_t most = tokens - first < block ? tokens - first : block;
                        const int found = rows[first / block];
                        EXPECT(found == most || (found == 0 && most == block), "layer %d, head %d: %d tokens of the block at %d",
                               (int)layer, (int)head, found, (int)first);
                    }
                }
            }
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
    }
    harness_case("");
}

/* "Not for a plan that decodes; windowkv's size must be a multiple of it (both KVSIEVE_ERR_PARAMETER by the first observe)." */
static void blocks_that_cannot_be_are_refused(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_WINDOWKV);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_WINDOWKV_SIZE, 6));
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BLOCK, 4));
    EXPECT_STATUS(observe(plan, 0, s), KVSIEVE_ERR_PARAMETER);
    EXPECT(error_names("size is 6|block 4|multiple"), "\"%s\"", kvsieve_last_error());
    kvsieve_plan_destroy(plan);
    EVERY_DECODER (method) {
        plan = plan_new(method);
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BLOCK, 4));
        EXPECT_STATUS(observe(plan, 0, s), KVSIEVE_ERR_PARAMETER);
        EXPECT(error_names("block is 4|decoding 1"), "\"%s\"", kvsieve_last_error());
        kvsieve_plan_destroy(plan);
    }
    sequence_free(s);
}

/* "The budget must hold what is protected in whole blocks, wherever in a block the sequence ends." */
static void a_budget_below_that_is_refused(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_STREAMINGLLM);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BLOCK, 16));
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_STREAMINGLLM_SINKS, 4));
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 31)); /* 16 + 1 + 15 */
    EXPECT_STATUS(observe(plan, 0, s), KVSIEVE_ERR_BUDGET);
    EXPECT(error_names("blocks of 16|smallest budget is 32"), "\"%s\"", kvsieve_last_error());
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 32));
    observe_range(plan, 0, LAYERS, s);
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

int main(void) {
    RUN(heads_of_a_layer_keep_the_same);
    RUN(all_layers_keep_the_same);
    RUN(every_layer_has_the_same_budget);
    RUN(heads_that_differ_by_design_refuse);
    RUN(heads_that_decode_apart_refuse);
    RUN(blocks_are_whole);
    RUN(blocks_that_cannot_be_are_refused);
    RUN(a_budget_below_that_is_refused);
    return harness_end();
}
