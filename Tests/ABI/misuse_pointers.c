/* Every pointer of every function NULL, unknown methods and indices: a status, a sentence, and nothing happened. */
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int somewhere;
static kvsieve_plan *const untouched = (kvsieve_plan *)(void *)&somewhere;

/* -- functions without a plan -------------------------------------------------------------------------------------- */

static void create_with_null_pointers(void) {
    kvsieve_model model = small_model();
    kvsieve_plan *plan = untouched;
    if (EXPECT_STATUS(kvsieve_plan_create(KVSIEVE_AHAKV, NULL, &plan), KVSIEVE_ERR_NULL))
        EXPECT(error_names("model"), "\"%s\"", kvsieve_last_error());
    EXPECT(plan == untouched, "out was written");
    if (EXPECT_STATUS(kvsieve_plan_create(KVSIEVE_AHAKV, &model, NULL), KVSIEVE_ERR_NULL))
        EXPECT(error_names("out"), "\"%s\"", kvsieve_last_error());
}

static void create_with_unknown_methods(void) {
    static const int32_t unknown[] = { 0, -1, 99, 1000000, INT32_MAX, INT32_MIN };
    kvsieve_model model = small_model();
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; ++i) {
        kvsieve_plan *plan = untouched;
        char value[16];
        EXPECT_STATUS(kvsieve_plan_create(unknown[i], &model, &plan), KVSIEVE_ERR_METHOD);
        EXPECT(plan == untouched, "out was written");
        snprintf(value, sizeof value, "method|%d", (int)unknown[i]);
        EXPECT(error_names(value), "\"%s\"", kvsieve_last_error());
    }
}

static void destroy_of_null_is_fine(void) {
    kvsieve_plan_destroy(NULL);
    EXPECT(1, "-");
}

static void functions_with_a_null_plan(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    double value = -7;
    int32_t needs = -7;
    kvsieve_kept kept, before;
    memset(&kept, 0x5a, sizeof kept);
    kept.struct_size = sizeof kept;
    before = kept;
#define REFUSES_NULL_PLAN(call)                                                                            \
    if (EXPECT_STATUS(call, KVSIEVE_ERR_NULL)) EXPECT(error_names("plan"), "\"%s\"", kvsieve_last_error())
    REFUSES_NULL_PLAN(kvsieve_plan_set(NULL, KVSIEVE_BUDGET, 10));
    REFUSES_NULL_PLAN(kvsieve_plan_get(NULL, KVSIEVE_BUDGET, &value));
    REFUSES_NULL_PLAN(kvsieve_plan_needs(NULL, 0, &needs));
    REFUSES_NULL_PLAN(observe(NULL, 0, s));
    REFUSES_NULL_PLAN(kvsieve_plan_finish(NULL));
    REFUSES_NULL_PLAN(kvsieve_plan_extend(NULL, 1));
    REFUSES_NULL_PLAN(kvsieve_plan_reset(NULL));
    REFUSES_NULL_PLAN(kvsieve_plan_kept(NULL, 0, &kept));
    REFUSES_NULL_PLAN(kvsieve_plan_gather(NULL, 0, &s->keys[0], &s->values[0]));
    EXPECT(value == -7 && needs == -7 && memcmp(&kept, &before, sizeof kept) == 0, "an output was written");
    sequence_free(s);
}

/* Memory of zeros or of other bytes where a plan should be; extend, as it looks at more of a plan's life than others. */
static void memory_that_is_no_plan(void) {
    uint64_t memory[8];
    for (int byte = 0; byte < 256; byte += 51)
        for (int64_t tokens = -1; tokens < 3; ++tokens) {
            memset(memory, byte, sizeof memory);
            if (EXPECT_STATUS(kvsieve_plan_extend((kvsieve_plan *)(void *)memory, tokens), KVSIEVE_ERR_NULL))
                EXPECT(error_names("plan"), "\"%s\"", kvsieve_last_error());
            for (size_t i = 0; i < sizeof memory; ++i) EXPECT(((unsigned char *)memory)[i] == byte, "byte %d was written", (int)i);
        }
}

static void introspection_with_null_and_unknown(void) {
    kvsieve_method_info method, method_before;
    kvsieve_parameter_info parameter, parameter_before;
    memset(&method, 0x5a, sizeof method);
    memset(&parameter, 0x5a, sizeof parameter);
    method.struct_size = sizeof method;
    parameter.struct_size = sizeof parameter;
    method_before = method;
    parameter_before = parameter;
    if (EXPECT_STATUS(kvsieve_method_at(0, NULL), KVSIEVE_ERR_NULL)) EXPECT(error_names("info"), "%s", kvsieve_last_error());
    if (EXPECT_STATUS(kvsieve_parameter_at(KVSIEVE_AHAKV, 0, NULL), KVSIEVE_ERR_NULL))
        EXPECT(error_names("info"), "%s", kvsieve_last_error());
    EXPECT_STATUS(kvsieve_method_at(-1, &method), KVSIEVE_ERR_METHOD);
    EXPECT_STATUS(kvsieve_method_at(kvsieve_method_count(), &method), KVSIEVE_ERR_METHOD);
    EXPECT_STATUS(kvsieve_method_at(INT32_MAX, &method), KVSIEVE_ERR_METHOD);
    if (EXPECT_STATUS(kvsieve_parameter_at(99, 0, &parameter), KVSIEVE_ERR_METHOD))
        EXPECT(error_names("method|99"), "%s", kvsieve_last_error());
    EXPECT_STATUS(kvsieve_parameter_at(KVSIEVE_AHAKV, -1, &parameter), KVSIEVE_ERR_PARAMETER);
    EXPECT_STATUS(kvsieve_parameter_at(KVSIEVE_AHAKV, 1000, &parameter), KVSIEVE_ERR_PARAMETER);
    EXPECT(memcmp(&method, &method_before, sizeof method) == 0, "info of a method was written");
    EXPECT(memcmp(&parameter, &parameter_before, sizeof parameter) == 0, "info of a parameter was written");
}

static void status_name_of_any_value(void) {
    static const kvsieve_status odd[] = { 1, 7, -13, -1000, INT32_MAX, INT32_MIN };
    EXPECT(strcmp(kvsieve_status_name(KVSIEVE_OK), "KVSIEVE_OK") == 0, "%s", kvsieve_status_name(KVSIEVE_OK));
    for (size_t i = 0; i < sizeof odd / sizeof *odd; ++i)
        EXPECT(strcmp(kvsieve_status_name(odd[i]), "unknown status") == 0, "%s", kvsieve_status_name(odd[i]));
}

/* -- functions of a plan: the plan goes on ------------------------------------------------------------------------- */

static kvsieve_status get_null(kvsieve_plan *plan, sequence *s, const void *context) {
    (void)s, (void)context;
    return kvsieve_plan_get(plan, KVSIEVE_THREADS, NULL);
}

static kvsieve_status needs_null(kvsieve_plan *plan, sequence *s, const void *context) {
    (void)s, (void)context;
    return kvsieve_plan_needs(plan, 0, NULL);
}

static kvsieve_status kept_null(kvsieve_plan *plan, sequence *s, const void *context) {
    (void)s, (void)context;
    return kvsieve_plan_kept(plan, 0, NULL);
}

/* context: 'q', 'k' or 'v' is NULL; upper case: its data is. Of layer 1, or 0. */
struct missing {
    int32_t layer;
    char which;
};

static kvsieve_status observe_missing(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct missing *missing = context;
    kvsieve_tensor t[3] = { s->queries[missing->layer], s->keys[missing->layer], s->values[missing->layer] };
    const kvsieve_tensor *p[3] = { &t[0], &t[1], &t[2] };
    for (int i = 0; i < 3; ++i) {
        if (missing->which == "qkv"[i]) p[i] = NULL;
        if (missing->which == "QKV"[i]) t[i].data = NULL;
    }
    return kvsieve_plan_observe(plan, missing->layer, p[0], p[1], p[2]);
}

static kvsieve_status gather_missing(kvsieve_plan *plan, sequence *s, const void *context) {
    const char which = *(const char *)context;
    kvsieve_tensor source = s->keys[0], target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_F32);
    void *memory = target.data;
    uint64_t before = bytes_hash(memory, (size_t)(HEADS * target.head_stride), 0);
    kvsieve_status status;
    if (which == 'S') source.data = NULL;
    if (which == 'T') target.data = NULL;
    status = kvsieve_plan_gather(plan, 0, which == 's' ? NULL : &source, which == 't' ? NULL : &target);
    EXPECT(bytes_hash(memory, (size_t)(HEADS * target.head_stride), 0) == before, "the target was written");
    free(memory);
    return status;
}

static void pointers_of_a_plan(void) {
    EVERY_METHOD (method) {
        const char *name = method_name(method);
        for (int stage = BEFORE; stage <= FINISHED; stage += 2 + (stage == 2)) {
            harness_case("%s: get and needs with NULL, stage %d", name, stage);
            expect_refused(method, stage, get_null, NULL, KVSIEVE_ERR_NULL, "value");
            expect_refused(method, stage, needs_null, NULL, KVSIEVE_ERR_NULL, "needs");
            if (stage > BEFORE) expect_refused(method, stage, kept_null, NULL, KVSIEVE_ERR_NULL, "kept");
        }
        for (int i = 0; i < 3; ++i)
            for (int32_t layer = 0; layer < 2; ++layer) {
                static const char *const words[] = { "queries", "keys", "values" };
                struct missing pointer = { layer, "qkv"[i] }, data = { layer, "QKV"[i] };
                const enum reading reading = reads(method, layer, "qkv"[i]);
                if (reading == UNREAD) continue;
                harness_case("%s: observe of layer %d without %s", name, (int)layer, words[i]);
                expect_refused(method, layer, observe_missing, &pointer, KVSIEVE_ERR_NULL, words[i]);
                if (reading == READ) expect_refused(method, layer, observe_missing, &data, KVSIEVE_ERR_NULL, words[i]);
            }
        for (int i = 0; i < 4; ++i) {
            harness_case("%s: gather without '%c'", name, "sStT"[i]);
            expect_refused(method, FINISHED, gather_missing, &"sStT"[i], KVSIEVE_ERR_NULL, i < 2 ? "source" : "target");
        }
    }
    harness_case("");
}

/* A tensor that a layer does not need may be anything, even NULL or nonsense; and where its shape alone is looked at, its data. */
static void tensors_not_needed_are_not_looked_at(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        uint64_t whole = reference_hash(method, s);
        for (int nonsense = 0; nonsense < 2; ++nonsense) {
            kvsieve_plan *plan = plan_new(method);
            kvsieve_tensor bad;
            memset(&bad, 0xff, sizeof bad);
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const kvsieve_tensor *none = nonsense ? &bad : NULL;
                const kvsieve_tensor *given[] = { &s->queries[layer], &s->keys[layer], &s->values[layer] };
                kvsieve_tensor shape = s->keys[layer];
                int32_t needs = 0;
                shape.data = nonsense ? bad.data : NULL;
                EXPECT_OK(kvsieve_plan_needs(plan, layer, &needs));
                for (int i = 0; i < 3; ++i) {
                    const enum reading reading = reading_of(needs, "qkv"[i]);
                    if (reading != READ) given[i] = reading == SHAPE_ONLY ? &shape : none;
                }
                EXPECT_OK(kvsieve_plan_observe(plan, layer, given[0], given[1], given[2]));
            }
            EXPECT_OK(kvsieve_plan_finish(plan));
            EXPECT(plan_hash(plan, s, 1) == whole, "%s decided otherwise", method_name(method));
            kvsieve_plan_destroy(plan);
        }
        sequence_free(s);
    }
}

int main(void) {
    RUN(create_with_null_pointers);
    RUN(create_with_unknown_methods);
    RUN(destroy_of_null_is_fine);
    RUN(functions_with_a_null_plan);
    RUN(memory_that_is_no_plan);
    RUN(introspection_with_null_and_unknown);
    RUN(status_name_of_any_value);
    pointers_of_a_plan();
    RUN(tensors_not_needed_are_not_looked_at);
    return harness_end();
}
