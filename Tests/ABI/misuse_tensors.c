/* Tensors whose struct says what cannot be: sizes, strides, alignment, dtype, reserved fields; of every tensor of observe
 * and gather, in the first layer and in a later one. What must disagree with the model or an earlier layer, too. */
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum field { HEADS_FIELD, TOKENS_FIELD, DIM_FIELD, HEAD_STRIDE, TOKEN_STRIDE, DTYPE, RESERVED0, RESERVED1, SHIFT };
static const char *const field_names[] = { "heads", "tokens",   "dim",      "head_stride", "token_stride",
                                           "dtype", "reserved", "reserved", "data" };

/* `which`: q k v of observe, s t of gather. SHIFT moves data by that many bytes; a value of dtype F16 is for that. */
struct fault {
    char which;
    enum field field;
    int64_t value;
    int32_t layer;
};

static void break_tensor(kvsieve_tensor *t, const struct fault *fault) {
    switch (fault->field) {
    case HEADS_FIELD: t->heads = fault->value; break;
    case TOKENS_FIELD: t->tokens = fault->value; break;
    case DIM_FIELD: t->dim = (int32_t)fault->value; break;
    case HEAD_STRIDE: t->head_stride = fault->value; break;
    case TOKEN_STRIDE: t->token_stride = fault->value; break;
    case DTYPE: t->dtype = (int32_t)fault->value; break;
    case RESERVED0: t->reserved[0] = (int32_t)fault->value; break;
    case RESERVED1: t->reserved[1] = (int32_t)fault->value; break;
    case SHIFT: t->data = (char *)t->data + fault->value; break;
    }
}

static kvsieve_status observe_broken(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct fault *fault = context;
    kvsieve_tensor t[3] = { s->queries[fault->layer], s->keys[fault->layer], s->values[fault->layer] };
    for (int i = 0; i < 3; ++i)
        if (fault->which == "qkv"[i]) break_tensor(&t[i], fault);
    return kvsieve_plan_observe(plan, fault->layer, &t[0], &t[1], &t[2]);
}

/* The target has room for all: head after head, TOKENS rows each. It must not change. */
static kvsieve_status gather_broken(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct fault *fault = context;
    kvsieve_tensor source = s->keys[fault->layer], target = tensor_new(HEADS, TOKENS, DIM, s->dtype);
    const size_t size = (size_t)(HEADS * target.head_stride);
    void *memory = target.data;
    kvsieve_status status;
    uint64_t before;
    memset(memory, 0x5a, size);
    before = bytes_hash(memory, size, 0);
    break_tensor(fault->which == 's' ? &source : &target, fault);
    status = kvsieve_plan_gather(plan, fault->layer, &source, &target);
    EXPECT(bytes_hash(memory, size, 0) == before, "the target was written");
    free(memory);
    return status;
}

/* Does a method that reads so much of a tensor see that fault? Layers 0 and 2 are read alike: a group has two layers. */
static int seen(int32_t method, char which, enum field field) {
    const enum reading reading = reads(method, 0, which);
    return reading == READ || (reading == SHAPE_ONLY && (field == HEADS_FIELD || field == TOKENS_FIELD));
}

static void expect_fault(int32_t method, struct fault fault, kvsieve_status status) {
    static const char *const names[] = { "queries", "keys", "values", "source", "target" };
    const char *name = names[strchr("qkvst", fault.which) - "qkvst"];
    char words[64];
    int gather = fault.which == 's' || fault.which == 't';
    snprintf(words, sizeof words, "%s|%s", name, field_names[fault.field]);
    if (fault.field <= DTYPE) snprintf(words + strlen(words), 32, "|%lld", (long long)fault.value);
    if (gather) expect_refused(method, FINISHED, gather_broken, &fault, status, words);
    else expect_refused(method, fault.layer, observe_broken, &fault, status, words);
}

static void fields_that_cannot_be(void) {
    const int64_t row = DIM * 4;
    const struct {
        enum field field;
        int64_t value;
        kvsieve_status status;
    } faults[] = {
        { HEADS_FIELD, 0, KVSIEVE_ERR_SHAPE },
        { HEADS_FIELD, -1, KVSIEVE_ERR_SHAPE },
        { HEADS_FIELD, INT64_MIN, KVSIEVE_ERR_SHAPE },
        { HEADS_FIELD, INT64_MAX, KVSIEVE_ERR_SHAPE },
        { TOKENS_FIELD, 0, KVSIEVE_ERR_SHAPE },
        { TOKENS_FIELD, -5, KVSIEVE_ERR_SHAPE },
        { TOKENS_FIELD, INT64_MIN, KVSIEVE_ERR_SHAPE },
        { TOKENS_FIELD, INT64_MAX, KVSIEVE_ERR_SHAPE },
        { TOKENS_FIELD, 16777217, KVSIEVE_ERR_SHAPE },
        { DIM_FIELD, 0, KVSIEVE_ERR_SHAPE },
        { DIM_FIELD, -16, KVSIEVE_ERR_SHAPE },
        { DIM_FIELD, INT32_MIN, KVSIEVE_ERR_SHAPE },
        { DIM_FIELD, INT32_MAX, KVSIEVE_ERR_SHAPE },
        { DIM_FIELD, 65537, KVSIEVE_ERR_SHAPE },
        { HEAD_STRIDE, 0, KVSIEVE_ERR_LAYOUT },
        { HEAD_STRIDE, -row, KVSIEVE_ERR_LAYOUT },
        { HEAD_STRIDE, row - 4, KVSIEVE_ERR_LAYOUT },
        { HEAD_STRIDE, INT64_MIN, KVSIEVE_ERR_LAYOUT },
        { HEAD_STRIDE, INT64_MAX, KVSIEVE_ERR_LAYOUT },
        { HEAD_STRIDE, INT64_MAX - 3, KVSIEVE_ERR_LAYOUT },
        { HEAD_STRIDE, row * TOKENS + 2, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, 0, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, -row, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, row - 4, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, row + 1, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, INT64_MIN, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, INT64_MAX, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, INT64_MAX - 3, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, INT64_C(1) << 61, KVSIEVE_ERR_LAYOUT },
        { DTYPE, 8, KVSIEVE_ERR_DTYPE },
        { DTYPE, -1, KVSIEVE_ERR_DTYPE },
        { DTYPE, INT32_MAX, KVSIEVE_ERR_DTYPE },
        { DTYPE, INT32_MIN, KVSIEVE_ERR_DTYPE },
        { RESERVED0, 1, KVSIEVE_ERR_LAYOUT },
        { RESERVED1, INT32_MIN, KVSIEVE_ERR_LAYOUT },
        { SHIFT, 1, KVSIEVE_ERR_LAYOUT },
        { SHIFT, 2, KVSIEVE_ERR_LAYOUT },
    };
    EVERY_METHOD (method)
        for (const char *which = "qkvst"; *which; ++which)
            for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
                struct fault fault = { *which, faults[i].field, faults[i].value, 0 };
                if (left_out((int)i + method_index(method))) continue;
                if (strchr("qkv", *which) && !seen(method, *which, fault.field)) continue;
                harness_case("%s: '%c' with %s %lld", method_name(method), *which, field_names[fault.field],
                             (long long)fault.value);
                expect_fault(method, fault, faults[i].status);
                fault.layer = 2;
                expect_fault(method, fault, faults[i].status);
            }
    harness_case("");
}

static void tensors_that_disagree_with_the_model(void) {
    EVERY_METHOD (method)
        for (const char *which = "qkv"; *which; ++which) {
            const struct fault fewer = { *which, HEADS_FIELD, 1, 0 }, narrower = { *which, DIM_FIELD, DIM / 2, 2 };
            if (!seen(method, *which, HEADS_FIELD)) continue;
            harness_case("%s: '%c' with 1 head, with half the head_dim", method_name(method), *which);
            expect_fault(method, fewer, KVSIEVE_ERR_SHAPE);
            if (*which != 'v' && seen(method, *which, DIM_FIELD))
                expect_fault(method, narrower, KVSIEVE_ERR_SHAPE); /* values may have any dim */
        }
    harness_case("");
}

/* context: so many rows, none over another. */
static kvsieve_status observe_rows(kvsieve_plan *plan, sequence *s, const void *context) {
    kvsieve_tensor queries = tensor_new(QUERY_HEADS, *(const int64_t *)context, DIM, KVSIEVE_F32);
    kvsieve_status status = kvsieve_plan_observe(plan, 2, &queries, &s->keys[2], &s->values[2]);
    free(queries.data);
    return status;
}

/* Fewer than the method reads, and more than there are tokens. */
static void query_rows_that_cannot_be(void) {
    EVERY_METHOD (method) {
        const int64_t fewest = fewest_queries(method, TOKENS), rows[] = { 1, fewest / 2, fewest - 1, TOKENS + 1, 2 * TOKENS };
        if (fewest == 0) continue;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
            char words[32];
            if (rows[i] < 1 || (rows[i] >= fewest && rows[i] <= TOKENS)) continue;
            harness_case("%s: %d query rows of %d tokens", method_name(method), (int)rows[i], (int)TOKENS);
            snprintf(words, sizeof words, "queries.tokens|%d", (int)rows[i]);
            expect_refused(method, 2, observe_rows, &rows[i], KVSIEVE_ERR_SHAPE, words);
        }
    }
    harness_case("");
    EVERY_METHOD (method) {
        sequence *s = sequence_new(5, KVSIEVE_F32, 1), *longer = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        const int looked_at = reads(method, 0, 'q') == READ;
        harness_case("%s: %d query rows of 5 tokens", method_name(method), (int)TOKENS);
        if (looked_at) {
            EXPECT_STATUS(kvsieve_plan_observe(plan, 0, &longer->queries[0], &s->keys[0], &s->values[0]), KVSIEVE_ERR_SHAPE);
            EXPECT(error_names("queries.tokens|96|5"), "\"%s\"", kvsieve_last_error());
        }
        EXPECT_OK(kvsieve_plan_observe(plan, 0, looked_at ? &s->queries[0] : &longer->queries[0], &s->keys[0], &s->values[0]));
        kvsieve_plan_destroy(plan);
        sequence_free(s);
        sequence_free(longer);
    }
    harness_case("");
}

static void another_t(void) {
    EVERY_METHOD (method) {
        const struct fault later = { 'k', TOKENS_FIELD, TOKENS - 1, 2 }, values = { 'v', TOKENS_FIELD, TOKENS - 1, 0 };
        harness_case("%s: one token less in layer 2", method_name(method));
        EXPECT(reads(method, 2, 'k') != UNREAD, "nobody would see it");
        expect_fault(method, later, KVSIEVE_ERR_SHAPE);
        if (reads(method, 0, 'v') != READ) continue;
        harness_case("%s: values with one token less than keys", method_name(method));
        expect_fault(method, values, KVSIEVE_ERR_SHAPE);
    }
    harness_case("");
}

static void rows_over_each_other(void) {
    const int64_t row = DIM * 4;
    const int64_t steps[] = { row, row * 5, row * 95, row * 95 + 4, row + 4, row * 3 - 8 };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; ++i)
        for (const char *which = "kst"; *which; ++which) {
            const struct fault fault = { *which, HEAD_STRIDE, steps[i], 0 };
            harness_case("'%c' with heads %lld bytes apart and tokens %lld", *which, (long long)steps[i], (long long)row);
            if (*which == 'k') expect_refused(KVSIEVE_DYNAMICKV, 0, observe_broken, &fault, KVSIEVE_ERR_LAYOUT, "keys|head_stride");
            else expect_refused(KVSIEVE_DYNAMICKV, FINISHED, gather_broken, &fault, KVSIEVE_ERR_LAYOUT, "over each other");
        }
    harness_case("");
}

int main(void) {
    fields_that_cannot_be();
    tensors_that_disagree_with_the_model();
    query_rows_that_cannot_be();
    another_t();
    rows_over_each_other();
    return harness_end();
}
