/* What the header says of memory while prefill goes on: from the second layer on, and in the next sequence from the first,
 * an observe makes no call of malloc; where the sequence will be decoded, from the next sequence on. Every method of the registry, all dtypes; threads that have heads of their own (2) or
 * share each head's tokens (3); prompts that are kept whole, of one tile of keys, and of several. */
#include "allocations.h"
#include "fixture.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

/* Eight heads: Task-KV keeps two of them whole in the first layer, then one. */
enum { MANY_LAYERS = 6, MANY_HEADS = 8, ALL_TOKENS = 900, SEQUENCES = 3 };

typedef struct prompt {
    kvsieve_tensor queries, keys, values;
} prompt;

static prompt prompt_new(int32_t dtype) {
    prompt p;
    uint64_t seed = 88172645463325252u;
    kvsieve_tensor *tensors[3];
    tensors[0] = &p.queries, tensors[1] = &p.keys, tensors[2] = &p.values;
    for (int i = 0; i < 3; ++i) {
        kvsieve_tensor *t = tensors[i];
        *t = tensor_new(i == 0 ? 2 * MANY_HEADS : MANY_HEADS, ALL_TOKENS, DIM, dtype);
        for (int64_t head = 0; head < t->heads; ++head)
            for (int64_t token = 0; token < t->tokens; ++token)
                for (int32_t d = 0; d < DIM; ++d) {
                    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                    element_set(t, head, token, d, (float)(seed >> 40) / 4194304.0f - 2.0f);
                }
    }
    return p;
}

static void prompt_free(prompt *p) {
    free(p->queries.data);
    free(p->keys.data);
    free(p->values.data);
}

static kvsieve_tensor first_rows(kvsieve_tensor t, int64_t tokens) {
    t.tokens = tokens;
    return t;
}

static kvsieve_plan *plan_of(const kvsieve_method_info *info, int threads, int variant, int decodes) {
    static const struct { int32_t parameter; double value; } settings[] = {
        { KVSIEVE_BUDGET, 64 },       { KVSIEVE_RATIO, 0.7 },           { KVSIEVE_WINDOW, WINDOW },
        { KVSIEVE_TASKKV_SINKS, 4 },  { KVSIEVE_TASKKV_RECENT, 16 },    { KVSIEVE_TASKKV_TOKENS, 8 },
        { KVSIEVE_WINDOWKV_SIZE, 4 }, { KVSIEVE_WINDOWKV_SHARED, 2 },   { KVSIEVE_WINDOWKV_PYRAMID, 3 },
        { KVSIEVE_DYNAMICKV_CAP, 3 }, { KVSIEVE_DYNAMICKV_EVERY, 2 },
    };
    kvsieve_model model = small_model();
    kvsieve_plan *plan = NULL;
    model.layers = MANY_LAYERS;
    model.query_heads = 2 * MANY_HEADS;
    model.kv_heads = MANY_HEADS;
    EXPECT_OK(kvsieve_plan_create(info->id, &model, &plan));
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
    for (size_t i = 0; i < sizeof settings / sizeof *settings; ++i) /* those that the method has */
        (void)kvsieve_plan_set(plan, settings[i].parameter, settings[i].value);
    if (variant) (void)kvsieve_plan_set(plan, KVSIEVE_WINDOWKV_TASK, 1);
    if (variant) (void)kvsieve_plan_set(plan, KVSIEVE_POOL, 1);
    if (decodes) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
    return plan;
}

/* One layer: calls of malloc inside the library. */
static unsigned long observed(kvsieve_plan *plan, int32_t layer, const prompt *p, int64_t tokens) {
    const kvsieve_tensor keys = first_rows(p->keys, tokens), values = first_rows(p->values, tokens);
    kvsieve_tensor queries = first_rows(p->queries, tokens);
    unsigned long before;
    int32_t needs = 0;
    EXPECT_OK(kvsieve_plan_needs(plan, layer, &needs));
    if (!(needs & KVSIEVE_NEEDS_ALL_QUERIES) && tokens > WINDOW) queries.tokens = WINDOW;
    before = allocations();
    EXPECT_OK(kvsieve_plan_observe(plan, layer, &queries, &keys, &values));
    return allocations() - before;
}

static kvsieve_method_info method;
static int32_t dtype;
static const prompt *rows;

/* How many expectations failed. */
static int sequences(int threads, int64_t tokens, int variant, int decodes) {
    kvsieve_plan *plan = plan_of(&method, threads, variant, decodes);
    int wrong = 0;
    for (int round = 0; round < SEQUENCES; ++round) {
        for (int32_t layer = 0; layer < MANY_LAYERS; ++layer) {
            const unsigned long inside = observed(plan, layer, rows, tokens);
            if (round == 0 && (layer == 0 || decodes)) /* what a layer that decodes remembers is its own */
                wrong += !EXPECT(inside > 0, "nothing is counted");
            else
                wrong += !EXPECT(inside == 0, "%s%s, %d threads, %d tokens: %lu calls of malloc in layer %d of sequence %d",
                                 method.name, decodes ? " that decodes" : "", threads, (int)tokens, inside, (int)layer, round);
        }
        wrong += !EXPECT_OK(kvsieve_plan_finish(plan));
        wrong += !EXPECT_OK(kvsieve_plan_reset(plan));
    }
    kvsieve_plan_destroy(plan);
    return wrong;
}

/* In a process of its own, where no other method has made what Swift makes once a process. */
static int every_way(void) {
    static const int64_t lengths[] = { 40, TOKENS, ALL_TOKENS };
    int wrong = 0;
    for (int threads = 1; threads <= 3; ++threads)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i)
            for (int variant = 0; variant < 2; ++variant)
                for (int decodes = 0; decodes <= method.decodes; ++decodes)
                    wrong += sequences(threads, lengths[i], variant, decodes);
    return wrong > 0;
}

int main(void) {
    for (dtype = KVSIEVE_F32; dtype <= KVSIEVE_BF16; ++dtype) {
        prompt p = prompt_new(dtype);
        rows = &p;
        for (int32_t index = 0; index < kvsieve_method_count(); ++index) {
            char output[4096];
            memset(&method, 0, sizeof method);
            method.struct_size = sizeof method;
            harness_case("observes_call_malloc_not_once, method %d, dtype %d", (int)index, (int)dtype);
            if (!EXPECT_OK(kvsieve_method_at(index, &method))) continue;
            EXPECT(in_child(every_way, output, sizeof output) == 0, "in its process:\n%s", output);
        }
        prompt_free(&p);
    }
    harness_case("%s", "");
    return harness_end();
}
