/* A prefill as an engine runs it, layer by layer, with a cache that shrinks before the later layers are observed.
 *
 * needs -> observe -> kept -> move rows -> ... -> finish -> kept -> move rows. What a layer keeps only shrinks, so the
 * engine compacts every layer it holds, as soon as the plan says less, and does not wait for the last layer.
 * At the end the shrunken cache is compared with kvsieve_plan_gather() of a copy that never shrank.
 * Three methods: WindowKV (7 of 8 layers need no tensor), DynamicKV (shrinks early layers late), Task-KV (ragged heads). */
#include "example.h"

#include <string.h>

enum { LAYERS = 8, QUERY_HEADS = 8, HEADS = 4, DIM = 32, TOKENS = 640, ROW = DIM * (int)sizeof(float) };

/* One layer of the engine's cache: keys and values head after head, TOKENS rows of room in each, and for every head the
 * positions of the rows that are still there. */
struct layer_cache {
    float *keys, *values;
    int64_t count[HEADS];
    int32_t positions[HEADS][TOKENS];
};

static float *row(float *data, int head, int64_t slot) { return data + ((int64_t)head * TOKENS + slot) * DIM; }

/* Moves the rows that `kept` names to the front of their head. Both lists ascend and one holds the other, so one walk
 * does it, in place: a row never moves to a later slot. */
static void compact(struct layer_cache *cache, const kvsieve_kept *kept) {
    for (int head = 0; head < HEADS; ++head) {
        const int32_t *wanted = kept->positions + kept->offsets[head];
        int64_t count = kept->offsets[head + 1] - kept->offsets[head], from = 0;
        for (int64_t to = 0; to < count; ++to, ++from) {
            while (from < cache->count[head] && cache->positions[head][from] != wanted[to]) ++from;
            if (from == cache->count[head]) {
                fprintf(stderr, "position %d is kept, but was given up earlier\n", (int)wanted[to]);
                exit(1);
            }
            memmove(row(cache->keys, head, to), row(cache->keys, head, from), ROW);
            memmove(row(cache->values, head, to), row(cache->values, head, from), ROW);
            cache->positions[head][to] = wanted[to];
        }
        cache->count[head] = count;
    }
}

static int64_t compact_all(const kvsieve_plan *plan, struct layer_cache *caches, int32_t layers) {
    int64_t rows = 0;
    for (int32_t layer = 0; layer < layers; ++layer) {
        kvsieve_kept kept = { 0 };
        kept.struct_size = sizeof kept;
        CHECK(kvsieve_plan_kept(plan, layer, &kept));
        compact(&caches[layer], &kept);
        rows += kept.total;
    }
    return rows;
}

/* Compares the engine's rows of one layer with those the library gathers from the whole cache; 0 if all are equal. */
static int compare(const kvsieve_plan *plan, int32_t layer, struct layer_cache *cache, float *whole, float *shrunk) {
    kvsieve_kept kept = { 0 };
    kvsieve_tensor source = example_tensor(whole, HEADS, TOKENS, DIM);
    kvsieve_tensor packed;
    int wrong = 0;
    kept.struct_size = sizeof kept;
    CHECK(kvsieve_plan_kept(plan, layer, &kept));
    packed = example_tensor(example_allocate((size_t)kept.total * ROW), 1, kept.total, DIM);
    CHECK(kvsieve_plan_gather(plan, layer, &source, &packed));
    for (int head = 0; head < HEADS; ++head) {
        const float *expected = (const float *)packed.data + kept.offsets[head] * DIM;
        wrong += cache->count[head] != kept.offsets[head + 1] - kept.offsets[head]
                 || memcmp(expected, row(shrunk, head, 0), (size_t)cache->count[head] * ROW) != 0;
    }
    free(packed.data);
    return wrong;
}

static int prefill(int32_t method, int32_t parameter, double value, float *memory) {
    static struct layer_cache caches[LAYERS];
    const int64_t size = (int64_t)HEADS * TOKENS * DIM; /* floats of one layer's keys */
    kvsieve_model model = { LAYERS, QUERY_HEADS, HEADS, DIM, 0, { 0 } };
    kvsieve_plan *plan = NULL;
    double window = 0;
    int64_t most = 0, rows = 0;
    uint64_t seed = 7;
    int wrong = 0, read = 0;
    float *queries;

    CHECK(kvsieve_plan_create(method, &model, &plan));
    CHECK(kvsieve_plan_set(plan, parameter, value));
    CHECK(kvsieve_plan_get(plan, KVSIEVE_WINDOW, &window));
    queries = example_allocate(sizeof(float) * QUERY_HEADS * DIM * (size_t)window);

    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        struct layer_cache *cache = &caches[layer];
        float *whole = memory + 2 * layer * size; /* a copy that the end compares with; an engine has none */
        kvsieve_tensor q = example_tensor(queries, QUERY_HEADS, (int64_t)window, DIM), k, v;
        int32_t needs = 0;
        cache->keys = memory + 2 * (LAYERS + layer) * size;
        cache->values = cache->keys + size;
        k = example_tensor(cache->keys, HEADS, TOKENS, DIM);
        v = example_tensor(cache->values, HEADS, TOKENS, DIM);
        example_fill(queries, QUERY_HEADS * (int64_t)window * DIM, &seed); /* here an engine would run the layer */
        example_fill(cache->keys, 2 * size, &seed);
        memcpy(whole, cache->keys, sizeof(float) * 2 * (size_t)size);
        for (int head = 0; head < HEADS; ++head) {
            cache->count[head] = TOKENS;
            for (int32_t t = 0; t < TOKENS; ++t) cache->positions[head][t] = t;
        }
        CHECK(kvsieve_plan_needs(plan, layer, &needs));
        CHECK(kvsieve_plan_observe(plan, layer, needs & KVSIEVE_NEEDS_QUERIES ? &q : NULL, needs & KVSIEVE_NEEDS_KEYS ? &k : NULL,
                                   needs & KVSIEVE_NEEDS_VALUES ? &v : NULL));
        read += needs != 0;
        if (rows + HEADS * TOKENS > most) most = rows + HEADS * TOKENS;
        rows = compact_all(plan, caches, layer + 1);
    }
    CHECK(kvsieve_plan_finish(plan));
    rows = compact_all(plan, caches, LAYERS);

    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        float *whole = memory + 2 * layer * size;
        wrong += compare(plan, layer, &caches[layer], whole, caches[layer].keys);
        wrong += compare(plan, layer, &caches[layer], whole + size, caches[layer].values);
    }
    printf("method %d: %d of %d layers read; of %d rows at most %d held at once, %d in the end; %s\n", (int)method, read,
           (int)LAYERS, LAYERS * HEADS * TOKENS, (int)most, (int)rows, wrong ? "MISMATCH" : "same as gathered");
    kvsieve_plan_destroy(plan);
    free(queries);
    return wrong;
}

int main(void) {
    float *memory = example_allocate(sizeof(float) * 4 * LAYERS * HEADS * TOKENS * DIM);
    int wrong = prefill(KVSIEVE_WINDOWKV, KVSIEVE_BUDGET, 128, memory);
    wrong += prefill(KVSIEVE_DYNAMICKV, KVSIEVE_BUDGET, 64, memory);
    wrong += prefill(KVSIEVE_TASKKV, KVSIEVE_RATIO, 0.6, memory);
    free(memory);
    return wrong == 0 ? 0 : 1;
}
