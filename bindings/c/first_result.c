/* The first result: a seeded cache of 4 layers and 1024 tokens, one method, and what each layer kept of it.
 * In every head the last query looks at the tokens 100, 400 and 700: they must be among the 64 that are kept. */
#include "example.h"

enum { LAYERS = 4, QUERY_HEADS = 8, HEADS = 2, DIM = 64, TOKENS = 1024, WINDOW = 8 };

int main(void) {
    static const int64_t planted[] = { 100, 400, 700 };
    kvsieve_model model = { LAYERS, QUERY_HEADS, HEADS, DIM, 0, { 0 } };
    kvsieve_plan *plan = NULL;
    float *queries = example_allocate(sizeof(float) * QUERY_HEADS * WINDOW * DIM);
    float *keys = example_allocate(sizeof(float) * HEADS * TOKENS * DIM);
    uint64_t seed = 1;
    int missing = 0;

    CHECK(kvsieve_plan_create(KVSIEVE_DYNAMICKV, &model, &plan));
    CHECK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 64));
    CHECK(kvsieve_plan_set(plan, KVSIEVE_WINDOW, WINDOW));

    for (int32_t layer = 0; layer < LAYERS; ++layer) { /* one layer is in memory at a time, as in a prefill */
        kvsieve_tensor q = example_tensor(queries, QUERY_HEADS, WINDOW, DIM);
        kvsieve_tensor k = example_tensor(keys, HEADS, TOKENS, DIM);
        example_fill(queries, QUERY_HEADS * WINDOW * DIM, &seed);
        example_fill(keys, HEADS * TOKENS * DIM, &seed);
        for (int head = 0; head < HEADS; ++head)
            for (int i = 0; i < 3; ++i) example_plant(&k, head, planted[i], &q);
        CHECK(kvsieve_plan_observe(plan, layer, &q, &k, NULL)); /* DynamicKV reads no values */
    }
    CHECK(kvsieve_plan_finish(plan));

    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept kept = { 0 };
        kept.struct_size = sizeof kept;
        CHECK(kvsieve_plan_kept(plan, layer, &kept));
        for (int head = 0; head < kept.heads; ++head) {
            int64_t first = kept.offsets[head], end = kept.offsets[head + 1];
            int found = 0;
            for (int64_t i = first; i < end; ++i)
                for (int p = 0; p < 3; ++p) found += kept.positions[i] == planted[p];
            printf("layer %d head %d: %d of %d tokens, %d of the 3 looked at; first", (int)layer, head, (int)(end - first),
                   (int)kept.tokens, found);
            for (int64_t i = first; i < end && i < first + 6; ++i) printf(" %d", (int)kept.positions[i]);
            printf(" ... last %d\n", (int)kept.positions[end - 1]);
            missing += 3 - found;
        }
    }
    kvsieve_plan_destroy(plan);
    free(keys);
    free(queries);
    return missing == 0 ? 0 : 1;
}
