/* What the instruction counts are taken of: three sequences, each counted after a short one to warm up. check.py runs this under
 * callgrind, which counts between the two toggles only but needs as long for what it does not count. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <valgrind/callgrind.h>

#include "kvsieve.h"

enum { QUERY_HEADS = 32, HEADS = 8, DIM = 128, WINDOW = 32, BUDGET = 512, WARM_UP = 128 };

static uint64_t state = 1;

/* A bell in [-1, 1]; xorshift. */
static float noise(void) {
    float sum = 0;
    for (int i = 0; i < 3; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        sum += (float)(state >> 40) / (float)(1 << 23) - 1;
    }
    return sum / 3;
}

/* (heads, tokens, DIM) of noise; bfloat16 by cutting off. */
static kvsieve_tensor make(int32_t dtype, int32_t heads, int64_t tokens, int token_major) {
    kvsieve_tensor tensor;
    int64_t size = dtype == KVSIEVE_F32 ? 4 : 2, count = heads * tokens * DIM;
    memset(&tensor, 0, sizeof tensor);
    tensor.data = malloc((size_t)(count * size));
    tensor.dtype = dtype, tensor.heads = heads, tensor.dim = DIM, tensor.tokens = tokens;
    tensor.token_stride = token_major ? heads * DIM * size : DIM * size;
    tensor.head_stride = token_major ? DIM * size : tokens * DIM * size;
    if (!tensor.data) exit(2);
    for (int64_t i = 0; i < count; i++) {
        float value = noise();
        uint32_t bits;
        memcpy(&bits, &value, 4);
        if (size == 4) memcpy((char *)tensor.data + 4 * i, &value, 4);
        else ((uint16_t *)tensor.data)[i] = (uint16_t)(bits >> 16);
    }
    return tensor;
}

static void check(kvsieve_status status) {
    if (status == KVSIEVE_OK) return;
    fprintf(stderr, "%s: %s\n", kvsieve_status_name(status), kvsieve_last_error());
    exit(1);
}

static void run(int32_t method, int32_t layers, int64_t tokens, int32_t dtype, int token_major) {
    kvsieve_model model = { 0 };
    model.layers = layers, model.query_heads = QUERY_HEADS, model.kv_heads = HEADS, model.head_dim = DIM;
    kvsieve_plan *plan = NULL;
    check(kvsieve_plan_create(method, &model, &plan));
    check(kvsieve_plan_set(plan, KVSIEVE_WINDOW, WINDOW));
    if (method == KVSIEVE_TASKKV) check(kvsieve_plan_set(plan, KVSIEVE_RATIO, 0.4));
    else check(kvsieve_plan_set(plan, KVSIEVE_BUDGET, BUDGET));
    kvsieve_tensor queries = make(dtype, QUERY_HEADS, WINDOW, token_major);
    kvsieve_tensor keys = make(dtype, HEADS, tokens, token_major);
    kvsieve_tensor values = make(dtype, HEADS, tokens, token_major);
    kvsieve_tensor target = make(dtype, HEADS, tokens, 0);
    for (int round = 0; round < 2; round++) {
        keys.tokens = values.tokens = round ? tokens : WARM_UP;
        if (round) CALLGRIND_TOGGLE_COLLECT;
        for (int32_t layer = 0; layer < layers; layer++) check(kvsieve_plan_observe(plan, layer, &queries, &keys, &values));
        check(kvsieve_plan_finish(plan));
        for (int32_t layer = 0; layer < layers; layer++) {
            check(kvsieve_plan_gather(plan, layer, &keys, &target));
            check(kvsieve_plan_gather(plan, layer, &values, &target));
        }
        if (round) CALLGRIND_TOGGLE_COLLECT;
        check(kvsieve_plan_reset(plan));
    }
    kvsieve_plan_destroy(plan);
    free(queries.data), free(keys.data), free(values.data), free(target.data);
}

int main(int argc, char **argv) {
    int which = argc == 2 ? atoi(argv[1]) : -1;
    if (which == 0) run(KVSIEVE_DYNAMICKV, 4, 1500, KVSIEVE_F32, 0);
    else if (which == 1) run(KVSIEVE_TASKKV, 2, 2000, KVSIEVE_BF16, 1);
    else if (which == 2) run(KVSIEVE_AHAKV, 1, 4000, KVSIEVE_F32, 1);
    else return 2;
    return 0;
}
