/* The same cache and the same calls as test_parity.py, in C.
 *   parity METHOD LAYERS QUERY_HEADS KV_HEADS TOKENS DIM [PARAMETER=VALUE ...]
 * prints for every layer its offsets, its positions, and the kept keys' bytes as an FNV-1a hash. */
#include <kvsieve.h>
#include <stdio.h>
#include <stdlib.h>

#define TRY(call)                                          \
    do {                                                   \
        if ((call) != KVSIEVE_OK) {                        \
            fprintf(stderr, "%s\n", kvsieve_last_error()); \
            return 1;                                      \
        }                                                  \
    } while (0)

static float noise(uint64_t stream, uint64_t index) {
    uint64_t z = (index + 1 + (stream << 32)) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (float)(z >> 40) / (float)(1 << 22) - 2.0f;
}

/* Head-major (layers, heads, tokens, dim); layers of it by layer(). */
typedef struct {
    float *data;
    int64_t heads, tokens, dim;
} cache;

static cache filled(uint64_t stream, int64_t layers, int64_t heads, int64_t tokens, int64_t dim) {
    cache made = { malloc((size_t)(layers * heads * tokens * dim) * sizeof(float)), heads, tokens, dim };
    if (!made.data) exit(1);
    for (int64_t i = 0; i < layers * heads * tokens * dim; ++i) made.data[i] = noise(stream, (uint64_t)i);
    return made;
}

static kvsieve_tensor layer_of(const cache *all, int64_t layer) {
    kvsieve_tensor view = { 0 };
    view.data = all->data + layer * all->heads * all->tokens * all->dim;
    view.heads = all->heads;
    view.tokens = all->tokens;
    view.token_stride = all->dim * (int64_t)sizeof(float);
    view.head_stride = all->tokens * view.token_stride;
    view.dim = (int32_t)all->dim;
    view.dtype = KVSIEVE_F32;
    return view;
}

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    int32_t layers = atoi(argv[2]), query_heads = atoi(argv[3]), kv_heads = atoi(argv[4]);
    int32_t tokens = atoi(argv[5]), dim = atoi(argv[6]);
    kvsieve_model model = { layers, query_heads, kv_heads, dim, 0, { 0 } };
    kvsieve_plan *plan = NULL;
    TRY(kvsieve_plan_create(atoi(argv[1]), &model, &plan));
    for (int i = 7; i < argc; ++i) {
        int parameter;
        double value;
        if (sscanf(argv[i], "%d=%lf", &parameter, &value) != 2) return 2;
        TRY(kvsieve_plan_set(plan, parameter, value));
    }
    cache queries = filled(1, layers, query_heads, tokens, dim);
    cache keys = filled(2, layers, kv_heads, tokens, dim), values = filled(3, layers, kv_heads, tokens, dim);
    for (int32_t l = 0; l < layers; ++l) {
        kvsieve_tensor q = layer_of(&queries, l), k = layer_of(&keys, l), v = layer_of(&values, l);
        TRY(kvsieve_plan_observe(plan, l, &q, &k, &v));
    }
    TRY(kvsieve_plan_finish(plan));
    for (int32_t l = 0; l < layers; ++l) {
        kvsieve_kept kept = { .struct_size = sizeof kept };
        TRY(kvsieve_plan_kept(plan, l, &kept));
        cache packed = filled(4, 1, 1, kept.total, dim);
        kvsieve_tensor source = layer_of(&keys, l), target = layer_of(&packed, 0);
        TRY(kvsieve_plan_gather(plan, l, &source, &target));
        for (int32_t h = 0; h <= kept.heads; ++h) printf("%lld ", (long long)kept.offsets[h]);
        printf("| ");
        for (int64_t i = 0; i < kept.total; ++i) printf("%d ", (int)kept.positions[i]);
        uint64_t hash = 0xCBF29CE484222325u;
        const unsigned char *bytes = (const unsigned char *)packed.data;
        for (int64_t i = 0; i < kept.total * dim * (int64_t)sizeof(float); ++i) hash = (hash ^ bytes[i]) * 0x100000001B3u;
        printf("| %lld %lld %lld %016llx\n", (long long)kept.longest, (long long)kept.total, (long long)kept.tokens,
               (unsigned long long)hash);
        free(packed.data);
    }
    kvsieve_plan_destroy(plan);
    free(queries.data);
    free(keys.data);
    free(values.data);
    return 0;
}
