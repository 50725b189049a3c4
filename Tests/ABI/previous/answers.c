/* What the library of an earlier release answers to questions that need no sequence: parameters and what they are at first, what a
 * method reads, statuses of calls that fail, and which rows it keeps of keys of each dtype. Part of program.c, and bound as it is.
 * H key/value heads, D head size, T tokens, C budget. */
#include <kvsieve.h>
#include <stdio.h>
#include <string.h>

enum { HQ = 2, H = 2, D = 64, T = 96, C = 24 };

void answers(void);

static unsigned char keys_of[H * T * D * 4];
static float queries_of[HQ * T * D];

static kvsieve_plan *plan_of(int32_t method) {
    kvsieve_model model;
    kvsieve_plan *plan = NULL;
    memset(&model, 0, sizeof model);
    model.layers = 1, model.query_heads = HQ, model.kv_heads = H, model.head_dim = D;
    if (kvsieve_plan_create(method, &model, &plan) != KVSIEVE_OK) printf("FAILED plan_create of %d\n", (int)method);
    return plan;
}

static void parameters(const kvsieve_method_info *method) {
    for (int32_t i = 0; i < method->parameters; ++i) {
        kvsieve_parameter_info info;
        memset(&info, 0, sizeof info);
        info.struct_size = sizeof info;
        if (kvsieve_parameter_at(method->id, i, &info) != KVSIEVE_OK) printf("FAILED parameter_at\n");
        printf("parameter %s %s: id %d, at first %.12g, %.12g to %.12g, integral %d\n", method->name, info.name, (int)info.id,
               info.initial, info.lowest, info.highest, (int)info.integral);
    }
}

static void methods(void) {
    for (int32_t i = 0; i < kvsieve_method_count(); ++i) {
        kvsieve_method_info info;
        kvsieve_plan *plan;
        int32_t needs = -1;
        memset(&info, 0, sizeof info);
        info.struct_size = sizeof info;
        if (kvsieve_method_at(i, &info) != KVSIEVE_OK) printf("FAILED method_at\n");
        plan = plan_of(info.id);
        if (kvsieve_plan_needs(plan, 0, &needs) != KVSIEVE_OK) printf("FAILED needs\n");
        printf("method %s: id %d, decodes %d, needs %d\n", info.name, (int)info.id, (int)info.decodes, (int)needs);
        parameters(&info);
        kvsieve_plan_destroy(plan);
    }
}

static kvsieve_tensor view(void *data, int64_t heads, int64_t tokens, int64_t row, int32_t dtype) {
    kvsieve_tensor t;
    memset(&t, 0, sizeof t);
    t.data = data, t.heads = heads, t.tokens = tokens, t.dim = D, t.dtype = dtype;
    t.token_stride = row, t.head_stride = tokens * row;
    return t;
}

/* Bytes that are finite numbers of any of the types: of each number, and of each block's scale, the greatest bit of the exponent is 0.
 * Blocks of Q8_0 and Q4_0 begin with their scale. */
static void fill(int64_t size, int64_t every) {
    uint32_t seed = 7;
    for (size_t i = 0; i < sizeof keys_of; ++i) {
        seed = seed * 1664525u + 1013904223u;
        keys_of[i] = (unsigned char)(seed >> 24);
        if ((int64_t)i % every == size - 1) keys_of[i] &= 0xbf;
    }
}

static void status(const char *of, kvsieve_status found) {
    printf("status of %s: %d %s\n", of, (int)found, kvsieve_status_name(found));
}

/* A budget of C rows of the same bytes, as numbers of each type. */
static void dtypes(void) {
    static const struct {
        const char *name;
        int32_t dtype;
        int64_t row, size, every; /* bytes: of a row; of the number that must be finite; from one to the next */
    } types[] = { { "f32", KVSIEVE_F32, D * 4, 4, 4 },     { "f16", KVSIEVE_F16, D * 2, 2, 2 },
                  { "bf16", KVSIEVE_BF16, D * 2, 2, 2 },   { "bytes", KVSIEVE_BYTES, D, 1, 1 },
                  { "f8_e4m3", KVSIEVE_F8_E4M3, D, 1, 1 }, { "f8_e5m2", KVSIEVE_F8_E5M2, D, 1, 1 },
                  { "q8_0", KVSIEVE_Q8_0, 68, 2, 34 },     { "q4_0", KVSIEVE_Q4_0, 36, 2, 18 } };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; ++i) {
        kvsieve_plan *plan = plan_of(KVSIEVE_SNAPKV);
        kvsieve_kept kept;
        fill(types[i].size, types[i].every);
        kvsieve_tensor keys = view(keys_of, H, T, types[i].row, types[i].dtype),
                       queries = view(queries_of, HQ, T, D * 4, KVSIEVE_F32);
        kvsieve_status done = kvsieve_plan_set(plan, KVSIEVE_BUDGET, C);
        if (done == KVSIEVE_OK) done = kvsieve_plan_set(plan, KVSIEVE_WINDOW, 8);
        if (done == KVSIEVE_OK) done = kvsieve_plan_observe(plan, 0, &queries, &keys, NULL);
        status(types[i].name, done);
        memset(&kept, 0, sizeof kept);
        kept.struct_size = sizeof kept;
        if (done == KVSIEVE_OK && kvsieve_plan_finish(plan) == KVSIEVE_OK && kvsieve_plan_kept(plan, 0, &kept) == KVSIEVE_OK) {
            printf("kept of %s:", types[i].name);
            for (int64_t row = 0; row < kept.total; ++row) printf(" %d", (int)kept.positions[row]);
            printf("\n");
        }
        kvsieve_plan_destroy(plan);
    }
}

static void statuses(void) {
    kvsieve_plan *plan = plan_of(KVSIEVE_SNAPKV), *none = NULL;
    kvsieve_model model;
    kvsieve_kept kept;
    memset(&model, 0, sizeof model);
    memset(&kept, 0, sizeof kept);
    fill(4, 4);
    kvsieve_tensor keys = view(keys_of, H, T, D * 4, KVSIEVE_F32), queries = view(queries_of, HQ, T, D * 4, KVSIEVE_F32),
                   other = keys;
    status("plan_create without sizes", kvsieve_plan_create(KVSIEVE_SNAPKV, &model, &none));
    model.layers = 1, model.query_heads = HQ, model.kv_heads = H, model.head_dim = D;
    status("plan_create of no method", kvsieve_plan_create(99, &model, &none));
    status("plan_set of a window", kvsieve_plan_set(plan, KVSIEVE_WINDOW, 8));
    status("plan_set of no plan", kvsieve_plan_set(NULL, KVSIEVE_BUDGET, C));
    status("plan_set of no parameter", kvsieve_plan_set(plan, 99, C));
    status("plan_finish too early", kvsieve_plan_finish(plan));
    status("plan_kept of no size", kvsieve_plan_kept(plan, 0, &kept));
    status("plan_observe of no keys", kvsieve_plan_observe(plan, 0, &queries, NULL, NULL));
    status("plan_observe of no layer", kvsieve_plan_observe(plan, 1, &queries, &keys, NULL));
    other.token_stride = 1;
    status("plan_observe of rows that overlap", kvsieve_plan_observe(plan, 0, &queries, &other, NULL));
    other = keys, other.dtype = 99;
    status("plan_observe of no dtype", kvsieve_plan_observe(plan, 0, &queries, &other, NULL));
    status("plan_set of a budget within the window", kvsieve_plan_set(plan, KVSIEVE_BUDGET, 1));
    status("plan_observe with it", kvsieve_plan_observe(plan, 0, &queries, &keys, NULL));
    memset(keys_of, 0xff, 4);
    status("plan_set", kvsieve_plan_set(plan, KVSIEVE_BUDGET, C));
    status("plan_observe of NaN", kvsieve_plan_observe(plan, 0, &queries, &keys, NULL));
    kvsieve_plan_destroy(plan);
}

void answers(void) {
    uint32_t seed = 3;
    for (int i = 0; i < HQ * T * D; ++i)
        seed = seed * 1664525u + 1013904223u, queries_of[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    methods();
    dtypes();
    statuses();
}
