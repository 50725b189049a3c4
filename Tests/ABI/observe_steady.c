/* What the header says of memory during prefill: from the second layer on, and in the next sequence from the first, an observe
 * does not call malloc; if the sequence will be decoded, from the next sequence on. (The first layer whose tokens are scored
 * counts as a first one: a method may keep the layers below it whole.) Every method of the registry, all dtypes, one of them in
 * blocks too; threads that have heads of their own (2) or share each head's tokens (3); prompts that are kept whole, of one tile
 * of keys, and of several. */
#include "allocations.h"
#include "fixture.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

/* Eight heads: Task-KV keeps two of them whole in the first layer, then one. */
enum { MANY_LAYERS = 6, MANY_HEADS = 8, ALL_TOKENS = 600, SEQUENCES = 3 };

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

/* The same memory in blocks, the last first; all 0 if it is not their turn. */
enum { BLOCK = 20, BLOCKS = ALL_TOKENS / BLOCK };
static int32_t table[BLOCKS];

static kvsieve_tensor first_rows(kvsieve_tensor t, int64_t tokens) {
    t.tokens = tokens;
    if (table[0] == 0) return t;
    t.blocks = table;
    t.block_tokens = BLOCK;
    t.block_stride = BLOCK * t.token_stride;
    return t;
}

/* `variant` 1: of every choice between two (a kind of pooling, a task), the other one. 2: the ratio if the budget is the
 * method's default, and the budget if the ratio is. 3: one choice for all layers, of blocks, if there can be, and the share of the
 * attention is reported. 4: two ranges of protected tokens, the share is reported, and heads keep no more than a share needs. */
static kvsieve_plan *plan_of(const kvsieve_method_info *info, int threads, int variant, int decodes) {
    kvsieve_model model = { MANY_LAYERS, 2 * MANY_HEADS, MANY_HEADS, DIM, 0, { 0 } };
    kvsieve_plan *plan = plan_for(info->id, model, 64);
    kvsieve_parameter_info parameter = { 0 };
    parameter.struct_size = sizeof parameter;
    if (variant == 2 && parameter_named(info->id, "budget").initial > 0 && method_has(info->id, KVSIEVE_RATIO))
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_RATIO, 0.5));
    else if (variant == 2 && method_has(info->id, KVSIEVE_BUDGET)) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 64));
    for (int32_t i = 0; variant == 1 && i < info->parameters; ++i) {
        EXPECT_OK(kvsieve_parameter_at(info->id, i, &parameter));
        if (parameter.integral && parameter.lowest == 0 && parameter.highest == 1)
            EXPECT_OK(kvsieve_plan_set(plan, parameter.id, 1 - parameter.initial));
    }
    if (variant == 3) {
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_SHARE, 2));
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BLOCK, 4));
    }
    if (variant >= 3 && method_has(info->id, KVSIEVE_REPORT)) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_REPORT, 1));
    if (variant == 4 && !decodes && method_has(info->id, KVSIEVE_MASS)) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_MASS, 0.5));
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
    if (info->decodes) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, decodes));
    return plan;
}

/* In the place of queries and keys: (Hq, tokens, tokens) of any numbers; data is NULL if it is not their turn. */
static kvsieve_tensor logits;

/* One layer: calls of malloc inside the library. */
static unsigned long observed(kvsieve_plan *plan, int32_t layer, const prompt *p, int64_t tokens) {
    const kvsieve_tensor keys = first_rows(p->keys, tokens), values = first_rows(p->values, tokens);
    const kvsieve_tensor queries = first_rows(p->queries, tokens);
    kvsieve_tensor given = first_rows(logits, tokens);
    const unsigned long before = allocations();
    given.dim = (int32_t)tokens;
    if (given.data) EXPECT_OK(kvsieve_plan_observe_attention(plan, layer, KVSIEVE_LOGITS, &given, &values));
    else EXPECT_OK(kvsieve_plan_observe(plan, layer, &queries, &keys, &values));
    return allocations() - before;
}

static kvsieve_method_info method;
static int32_t dtype;
static const prompt *rows;

/* A report calls malloc not once. */
static int reports(const kvsieve_plan *plan, int32_t layer) {
    kvsieve_report report = { 0 };
    const unsigned long before = allocations();
    report.struct_size = sizeof report;
    if (!EXPECT_OK(kvsieve_plan_report(plan, layer, &report))) return 1;
    return !EXPECT(allocations() == before, "%s: %lu calls of malloc in a report", method.name, allocations() - before);
}

/* The first layer that does not keep all is the first whose tokens are scored. MANY_LAYERS if there is none. */
static int32_t first_scored(const kvsieve_plan *plan, int64_t tokens) {
    int32_t layer = 0;
    while (layer < MANY_LAYERS && kept_of(plan, layer).total == MANY_HEADS * tokens) ++layer;
    return layer;
}

/* How many expectations failed. */
static int sequences(int threads, int64_t tokens, int variant, int decodes) {
    kvsieve_plan *plan = plan_of(&method, threads, variant, decodes);
    int wrong = 0;
    for (int round = 0; round < (variant == 0 ? SEQUENCES : 2); ++round) {
        unsigned long inside[MANY_LAYERS];
        int32_t scored = 0;
        const unsigned long before = allocations();
        if (variant == 4) {
            EXPECT_OK(kvsieve_plan_protect(plan, 20, 4));
            EXPECT_OK(kvsieve_plan_protect(plan, 3, 5));
        }
        wrong += !EXPECT(round == 0 || allocations() == before, "%s: %lu calls of malloc by protect", method.name,
                         allocations() - before);
        for (int32_t layer = 0; layer < MANY_LAYERS; ++layer) inside[layer] = observed(plan, layer, rows, tokens);
        wrong += !EXPECT_OK(kvsieve_plan_finish(plan));
        if (round == 0) scored = first_scored(plan, tokens);
        for (int32_t layer = 0; layer < MANY_LAYERS && !decodes; ++layer) wrong += reports(plan, layer);
        for (int32_t layer = 0; layer < MANY_LAYERS; ++layer) {
            if (round == 0 && (layer == 0 || decodes)) /* what a layer that decodes remembers is its own */
                wrong += !EXPECT(inside[layer] > 0, "nothing is counted");
            else if (round > 0 || layer != scored)
                wrong += !EXPECT(
                    inside[layer] == 0, "%s%s, variant %d, %d threads, %d tokens: %lu calls of malloc in layer %d of sequence %d",
                    method.name, decodes ? " that decodes" : "", variant, threads, (int)tokens, inside[layer], (int)layer, round);
        }
        wrong += !EXPECT_OK(kvsieve_plan_reset(plan));
    }
    kvsieve_plan_destroy(plan);
    return wrong;
}

/* In a process of its own, where no other method has made what Swift makes once a process. */
static int every_way(void) {
    /* All rows of all tokens take the time of their square. */
    const int64_t lengths[] = { 40, TOKENS, fewest_queries(method.id, TOKENS) == TOKENS ? 400 : ALL_TOKENS };
    int wrong = 0;
    for (int threads = 1; threads <= 3; ++threads)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i)
            for (int variant = 0; variant < 5; ++variant)
                for (int decodes = 0; decodes <= method.decodes; ++decodes)
                    if (variant < 3 || (!decodes && variant == 3 && method_has(method.id, KVSIEVE_SHARE))
                        || (variant == 4 && (!decodes || threads == 2)))
                        wrong += sequences(threads, lengths[i], variant, decodes);
    return wrong > 0;
}

/* Every way of every method, each in a process of its own. */
static void every_method(const char *what) {
    for (int32_t index = 0; index < kvsieve_method_count(); ++index) {
        char output[4096];
        memset(&method, 0, sizeof method);
        method.struct_size = sizeof method;
        harness_case("observes_call_malloc_not_once, method %d, dtype %d, %s", (int)index, (int)dtype, what);
        if (!EXPECT_OK(kvsieve_method_at(index, &method))) continue;
        if (logits.data && reads(method.id, 0, 'k') == READ && reads(method.id, 0, 'q') == UNREAD)
            continue; /* takes no attention */
        EXPECT(in_child(every_way, output, sizeof output) == 0, "in its process:\n%s", output);
    }
    harness_case("%s", "");
}

int main(void) {
    prompt p = prompt_new(dtype = KVSIEVE_F32);
    uint64_t seed = 7;
    rows = &p;
    logits = tensor_new(2 * MANY_HEADS, ALL_TOKENS, ALL_TOKENS, KVSIEVE_F32);
    for (int64_t i = 0; i < logits.heads * logits.tokens * logits.dim; ++i) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        ((float *)logits.data)[i] = (float)(seed >> 40) / 4194304.0f;
    }
    every_method("from logits");
    free(logits.data);
    memset(&logits, 0, sizeof logits);
    prompt_free(&p);
    for (dtype = KVSIEVE_F32; dtype <= KVSIEVE_BF16; ++dtype) {
        p = prompt_new(dtype);
        every_method("from queries and keys");
        for (int32_t i = 0; i < BLOCKS && dtype == KVSIEVE_F16; ++i) table[i] = BLOCKS - 1 - i;
        if (table[0] != 0) every_method("from queries and keys in blocks");
        memset(table, 0, sizeof table);
        prompt_free(&p);
    }
    return harness_end();
}
