/* "16 KiB, and for a plan 6 KiB a thread, 6 KiB a layer and 128 bytes a layer and head": no call of a plan with many layers, heads or
 * threads asks for more of what the Swift runtime allocates; and with every request refused it ends no process. */
#define _GNU_SOURCE
#include "denials.h"
#include "fixture.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 48, NEW = 2, SMALL = 4 };

static const struct size {
    int32_t layers, heads, threads;
} sizes[] = { { 1, 1, 1 }, { 1, 1024, 1 }, { 48, 48, 1 }, { 2, 2, 256 }, { 40, 8, 32 }, { 1024, 1, 1 } };

static const struct size *size;
static int32_t method;
static size_t most;
static int denying, wrong;

static size_t promised(void) {
    const size_t layers = (size_t)size->layers, heads = (size_t)size->heads;
    return (16u << 10) + layers * (6144 + 128 * heads) + 6144 * (size_t)size->threads;
}

/* A call that may be refused, is counted, and is made until it succeeds. */
#define COUNTED(call)                                             \
    do {                                                          \
        kvsieve_status status_;                                   \
        if (denying) {                                            \
            deny(0, 1);                                           \
            status_ = (call);                                     \
            allow();                                              \
            if (status_ == KVSIEVE_OK) break;                     \
            wrong += !EXPECT_STATUS(status_, KVSIEVE_ERR_MEMORY); \
        }                                                         \
        deny(-1, 0);                                              \
        status_ = (call);                                         \
        allow();                                                  \
        wrong += !EXPECT_OK(status_);                             \
        if (asked() > most) most = asked();                       \
    } while (0)

static int32_t alone(void *context, const void *send, int64_t bytes, void *receive) {
    (void)context;
    memcpy(receive, send, (size_t)bytes);
    return 0;
}

static kvsieve_tensor tensor(int64_t heads, int64_t tokens) {
    kvsieve_tensor t = tensor_new(heads, tokens, SMALL, KVSIEVE_F32);
    for (int64_t i = 0; i < heads * tokens * SMALL; ++i) ((float *)t.data)[i] = (float)(i * 7 % 23) / 8 - 1;
    return t;
}

static void round_of(kvsieve_plan *plan, kvsieve_tensor queries, kvsieve_tensor keys, int extended) {
    for (int32_t layer = 0; layer < size->layers; ++layer) {
        kvsieve_kept kept = { 0 };
        kvsieve_ranges ranges = { 0 };
        kept.struct_size = sizeof kept, ranges.struct_size = sizeof ranges;
        if (extended) {
            for (keys.tokens = NEW + 1; keys.tokens <= FEW + NEW; ++keys.tokens)
                if (kvsieve_plan_observe(plan, layer, &queries, &keys, &keys) != KVSIEVE_ERR_SHAPE) break;
        } else COUNTED(kvsieve_plan_observe(plan, layer, &queries, &keys, &keys));
        if (layer == 0) COUNTED(kvsieve_plan_kept(plan, layer, &kept));
        if (layer == 0) COUNTED(kvsieve_plan_ranges(plan, layer, 0, 1, &ranges));
    }
    COUNTED(kvsieve_plan_finish(plan));
}

static void sequence_of(int joins) {
    const kvsieve_model model = { size->layers, size->heads, size->heads, SMALL, 0, { 0 } };
    const kvsieve_group group = { sizeof group, 0, 1, 0, size->layers, 0, size->heads, 0, NULL, alone };
    kvsieve_tensor queries = tensor(size->heads, FEW), keys = tensor(size->heads, FEW + NEW);
    kvsieve_plan *plan = NULL;
    COUNTED(kvsieve_plan_create(method, &model, &plan));
    EXPECT_OK(settle(plan, method, FEW - 8));
    COUNTED(kvsieve_plan_set(plan, KVSIEVE_THREADS, size->threads));
    COUNTED(kvsieve_plan_protect(plan, 1, 1));
    if (joins) COUNTED(kvsieve_plan_join(plan, &group));
    keys.tokens = FEW;
    round_of(plan, queries, keys, 0);
    COUNTED(kvsieve_plan_extend(plan, NEW));
    queries.tokens = NEW;
    round_of(plan, queries, keys, 1);
    COUNTED(kvsieve_plan_reset(plan));
    kvsieve_plan_destroy(plan);
    free(queries.data);
    free(keys.data);
}

static int one_sequence(void) {
    for (int joins = 0; joins < 2; ++joins) sequence_of(joins);
    printf("%zu bytes\n", most);
    return wrong != 0;
}

int main(void) {
    EVERY_METHOD (each) {
        const kvsieve_model model = small_model();
        kvsieve_plan *rehearsed = plan_for(each, model, BUDGET);
        kvsieve_plan_destroy(rehearsed);
        for (size = sizes; size < sizes + sizeof sizes / sizeof *sizes; ++size)
            for (denying = 0; denying < 2; ++denying) {
                if (size->layers > 100 && (method_index(each) % 4 != 0 || slow())) continue; /* a long one, that differs little */
                char output[4096];
                int result;
                method = each;
                harness_case("%s, %d layers, %d heads, %d threads%s", method_name(method), (int)size->layers, (int)size->heads,
                             (int)size->threads, denying ? ", refused first" : "");
                result = in_child(one_sequence, output, sizeof output);
                if (!EXPECT(result == 0, "%d: %s", result, output) || denying) continue;
                EXPECT(strtoul(output, NULL, 10) <= promised(), "%lu bytes, not %zu", strtoul(output, NULL, 10), promised());
            }
    }
    harness_case("%s", "");
    return harness_end();
}
