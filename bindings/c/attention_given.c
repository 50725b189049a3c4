/* An engine that has computed attention itself hands it over, and no keys: logits of the last W rows, before the softmax, or
 * probabilities summed over those rows, which an engine may add up as it goes. Here the three ways must choose the same rows. The
 * engine's logits have a softcap (Gemma 2) in a second run: of that the library cannot know from queries and keys. */
#include "example.h"

#include <math.h>
#include <string.h>

enum { LAYERS = 2, QUERY_HEADS = 8, HEADS = 4, DIM = 32, TOKENS = 500, WINDOW = 16, BUDGET = 96, MOST = HEADS * BUDGET };

struct layer {
    float queries[QUERY_HEADS * WINDOW * DIM], keys[HEADS * TOKENS * DIM];
    float logits[QUERY_HEADS * WINDOW * TOKENS], sums[QUERY_HEADS * TOKENS];
};

/* Logits, and column sums of their softmax; a row's own column is the last that it sees. cap: 0, or that of a softcap. */
static void attend(struct layer *layer, float cap) {
    memset(layer->sums, 0, sizeof layer->sums);
    for (int head = 0; head < QUERY_HEADS; ++head)
        for (int row = 0; row < WINDOW; ++row) {
            const float *query = layer->queries + (head * WINDOW + row) * DIM;
            float *logits = layer->logits + (head * WINDOW + row) * TOKENS;
            const int seen = TOKENS - WINDOW + 1 + row;
            double sum = 0;
            for (int t = 0; t < seen; ++t) {
                const float *key = layer->keys + (head * HEADS / QUERY_HEADS * TOKENS + t) * DIM;
                float dot = 0;
                for (int d = 0; d < DIM; ++d) dot += query[d] * key[d];
                dot /= sqrtf((float)DIM);
                logits[t] = cap > 0 ? cap * tanhf(dot / cap) : dot;
                sum += exp((double)logits[t]);
            }
            for (int t = 0; t < seen; ++t) layer->sums[head * TOKENS + t] += (float)(exp((double)logits[t]) / sum);
        }
}

enum way { BY_KEYS, BY_LOGITS, BY_SUMS };

/* Observes all layers in one way; `chosen` gets the positions that the layers keep. */
static void choose(kvsieve_plan *plan, struct layer *layers, enum way way, int32_t chosen[LAYERS][MOST]) {
    for (int32_t l = 0; l < LAYERS; ++l) {
        kvsieve_tensor queries = example_tensor(layers[l].queries, QUERY_HEADS, WINDOW, DIM);
        kvsieve_tensor keys = example_tensor(layers[l].keys, HEADS, TOKENS, DIM);
        kvsieve_tensor logits = example_tensor(layers[l].logits, QUERY_HEADS, WINDOW, TOKENS);
        kvsieve_tensor sums = example_tensor(layers[l].sums, QUERY_HEADS, 1, TOKENS);
        if (way == BY_KEYS) CHECK(kvsieve_plan_observe(plan, l, &queries, &keys, NULL));
        if (way == BY_LOGITS) CHECK(kvsieve_plan_observe_attention(plan, l, KVSIEVE_LOGITS, &logits, NULL));
        if (way == BY_SUMS) CHECK(kvsieve_plan_observe_attention(plan, l, KVSIEVE_COLUMN_SUMS, &sums, NULL));
    }
    CHECK(kvsieve_plan_finish(plan));
    for (int32_t l = 0; l < LAYERS; ++l) {
        kvsieve_kept kept = { 0 };
        kept.struct_size = sizeof kept;
        CHECK(kvsieve_plan_kept(plan, l, &kept));
        if (kept.total != MOST) {
            fprintf(stderr, "layer %d keeps %d rows, not %d\n", (int)l, (int)kept.total, MOST);
            exit(1);
        }
        memcpy(chosen[l], kept.positions, sizeof chosen[l]);
    }
    CHECK(kvsieve_plan_reset(plan));
}

int main(void) {
    static struct layer layers[LAYERS];
    static int32_t keys[LAYERS][MOST], logits[LAYERS][MOST], sums[LAYERS][MOST], capped[LAYERS][MOST], capped_sums[LAYERS][MOST];
    const kvsieve_model model = { LAYERS, QUERY_HEADS, HEADS, DIM, 0, { 0 } };
    kvsieve_plan *plan = NULL;
    uint64_t seed = 3;
    int same, same_capped;
    CHECK(kvsieve_plan_create(KVSIEVE_SNAPKV, &model, &plan));
    CHECK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, BUDGET));
    CHECK(kvsieve_plan_set(plan, KVSIEVE_WINDOW, WINDOW));
    for (int l = 0; l < LAYERS; ++l) {
        example_fill(layers[l].queries, QUERY_HEADS * WINDOW * DIM, &seed);
        example_fill(layers[l].keys, HEADS * TOKENS * DIM, &seed);
        attend(&layers[l], 0);
    }
    choose(plan, layers, BY_KEYS, keys);
    choose(plan, layers, BY_LOGITS, logits);
    choose(plan, layers, BY_SUMS, sums);
    same = memcmp(keys, logits, sizeof keys) == 0 && memcmp(keys, sums, sizeof keys) == 0;
    for (int l = 0; l < LAYERS; ++l) attend(&layers[l], 0.5f);
    choose(plan, layers, BY_LOGITS, capped);
    choose(plan, layers, BY_SUMS, capped_sums);
    same_capped = memcmp(capped, capped_sums, sizeof capped) == 0 && memcmp(capped, keys, sizeof keys) != 0;
    printf("%d rows a head: queries and keys, logits, column sums %s; with a softcap logits and sums %s\n", BUDGET,
           same ? "choose the same" : "DIFFER", same_capped ? "choose others, both the same" : "DO NOT AGREE, OR ARE AS WITHOUT");
    kvsieve_plan_destroy(plan);
    return same && same_capped ? 0 : 1;
}
