/* Tensors whose struct says what cannot be: sizes, strides, alignment, dtype, reserved fields; of every tensor of observe
 * and gather, in the first layer and in a later one. What must disagree with the model or an earlier layer, too. */
#include "fixture.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum field { HEADS_FIELD, TOKENS_FIELD, DIM_FIELD, HEAD_STRIDE, TOKEN_STRIDE, DTYPE, RESERVED0, RESERVED1, SHIFT };
static const char *const field_names[] = { "heads", "tokens", "dim", "head_stride", "token_stride", "dtype", "reserved",
                                           "reserved", "data" };

/* `which`: q k v of observe, s t of gather. SHIFT moves data by that many bytes; a value of dtype F16 is for that. */
struct fault { char which; enum field field; int64_t value; int32_t layer; };

static void break_tensor(kvsieve_tensor *t, const struct fault *fault) {
    switch (fault->field) {
    case HEADS_FIELD: t->heads = fault->value; break;
    case TOKENS_FIELD: t->tokens = fault->value; break;
    case DIM_FIELD: t->dim = (int32_t)fault->value; break;
    case HEAD_STRIDE: t->head_stride = fault->value; break;
    case TOKEN_STRIDE: t->token_stride = fault->value; break;
    case DTYPE: t->dtype = (int32_t)fault->value; break;
    case RESERVED0: t->reserved[0] = fault->value; break;
    case RESERVED1: t->reserved[1] = fault->value; break;
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

/* The target has room for all: head after head, TOKENS rows each. It must stay as it is. */
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

/* Which tensors a method reads in layer 0 (a leader). */
static int reads(int32_t method, char which) {
    kvsieve_plan *plan = plan_new(method);
    int32_t needs = 0;
    EXPECT_OK(kvsieve_plan_needs(plan, 0, &needs));
    kvsieve_plan_destroy(plan);
    return needs >> (which == 'q' ? 0 : which == 'k' ? 1 : 2) & 1;
}

static void expect_fault(int32_t method, struct fault fault, kvsieve_status status) {
    static const char *const names[] = { "queries", "keys", "values", "source", "target" };
    const char *name = names[strchr("qkvst", fault.which) - "qkvst"];
    char words[64];
    int gather = fault.which == 's' || fault.which == 't';
    snprintf(words, sizeof words, "%s|%s", name, field_names[fault.field]);
    if (fault.field <= DTYPE) snprintf(words + strlen(words), 32, "|%lld", (long long)fault.value);
    if (gather)
        expect_refused(method, FINISHED, gather_broken, &fault, status, words);
    else
        expect_refused(method, fault.layer, observe_broken, &fault, status, words);
}

static void fields_that_cannot_be(void) {
    const int64_t row = DIM * 4;
    const struct { enum field field; int64_t value; kvsieve_status status; } faults[] = {
        { HEADS_FIELD, 0, KVSIEVE_ERR_SHAPE },          { HEADS_FIELD, -1, KVSIEVE_ERR_SHAPE },
        { HEADS_FIELD, INT64_MIN, KVSIEVE_ERR_SHAPE },  { HEADS_FIELD, INT64_MAX, KVSIEVE_ERR_SHAPE },
        { TOKENS_FIELD, 0, KVSIEVE_ERR_SHAPE },         { TOKENS_FIELD, -5, KVSIEVE_ERR_SHAPE },
        { TOKENS_FIELD, INT64_MIN, KVSIEVE_ERR_SHAPE }, { TOKENS_FIELD, INT64_MAX, KVSIEVE_ERR_SHAPE },
        { TOKENS_FIELD, 16777217, KVSIEVE_ERR_SHAPE },  { DIM_FIELD, 0, KVSIEVE_ERR_SHAPE },
        { DIM_FIELD, -16, KVSIEVE_ERR_SHAPE },          { DIM_FIELD, INT32_MIN, KVSIEVE_ERR_SHAPE },
        { DIM_FIELD, INT32_MAX, KVSIEVE_ERR_SHAPE },    { DIM_FIELD, 65537, KVSIEVE_ERR_SHAPE },
        { HEAD_STRIDE, 0, KVSIEVE_ERR_LAYOUT },         { HEAD_STRIDE, -row, KVSIEVE_ERR_LAYOUT },
        { HEAD_STRIDE, row - 4, KVSIEVE_ERR_LAYOUT },   { HEAD_STRIDE, INT64_MIN, KVSIEVE_ERR_LAYOUT },
        { HEAD_STRIDE, INT64_MAX, KVSIEVE_ERR_LAYOUT }, { HEAD_STRIDE, INT64_MAX - 3, KVSIEVE_ERR_LAYOUT },
        { HEAD_STRIDE, row * TOKENS + 2, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, 0, KVSIEVE_ERR_LAYOUT },        { TOKEN_STRIDE, -row, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, row - 4, KVSIEVE_ERR_LAYOUT },  { TOKEN_STRIDE, row + 1, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, INT64_MIN, KVSIEVE_ERR_LAYOUT }, { TOKEN_STRIDE, INT64_MAX, KVSIEVE_ERR_LAYOUT },
        { TOKEN_STRIDE, INT64_MAX - 3, KVSIEVE_ERR_LAYOUT }, { TOKEN_STRIDE, INT64_C(1) << 61, KVSIEVE_ERR_LAYOUT },
        { DTYPE, 3, KVSIEVE_ERR_DTYPE },                { DTYPE, -1, KVSIEVE_ERR_DTYPE },
        { DTYPE, INT32_MAX, KVSIEVE_ERR_DTYPE },        { DTYPE, INT32_MIN, KVSIEVE_ERR_DTYPE },
        { RESERVED0, 1, KVSIEVE_ERR_LAYOUT },           { RESERVED1, INT64_MIN, KVSIEVE_ERR_LAYOUT },
        { SHIFT, 1, KVSIEVE_ERR_LAYOUT },               { SHIFT, 2, KVSIEVE_ERR_LAYOUT },
    };
    for (int m = 0; m < METHODS; ++m)
        for (const char *which = "qkvst"; *which; ++which)
            for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
                struct fault fault = { *which, faults[i].field, faults[i].value, 0 };
                if (strchr("qkv", *which) && !reads(methods[m], *which)) continue;
                harness_case("%s: '%c' with %s %lld", method_name(methods[m]), *which, field_names[fault.field],
                             (long long)fault.value);
                expect_fault(methods[m], fault, faults[i].status);
                fault.layer = 2;
                expect_fault(methods[m], fault, faults[i].status);
            }
    harness_case("");
}

static void tensors_that_disagree_with_the_model(void) {
    for (int m = 0; m < METHODS; ++m)
        for (const char *which = "qkv"; *which; ++which) {
            const struct fault fewer = { *which, HEADS_FIELD, 1, 0 }, narrower = { *which, DIM_FIELD, DIM / 2, 2 };
            if (!reads(methods[m], *which)) continue;
            harness_case("%s: '%c' with 1 head, with half the head_dim", method_name(methods[m]), *which);
            expect_fault(methods[m], fewer, KVSIEVE_ERR_SHAPE);
            if (*which != 'v') expect_fault(methods[m], narrower, KVSIEVE_ERR_SHAPE); /* values may have any dim */
        }
    harness_case("");
}

static void other_than_min_w_t_query_rows(void) {
    for (int m = 0; m < METHODS; ++m)
        for (int64_t rows = 1; rows < WINDOW; rows += 3) {
            const struct fault fault = { 'q', TOKENS_FIELD, rows, rows == 1 ? 0 : 2 };
            harness_case("%s: %d query rows of %d", method_name(methods[m]), (int)rows, (int)WINDOW);
            expect_fault(methods[m], fault, KVSIEVE_ERR_SHAPE);
        }
    harness_case("");
    for (int m = 0; m < METHODS; ++m) { /* a prompt of 5 tokens has 5 query rows, not W */
        sequence *s = sequence_new(5, KVSIEVE_F32, 1), *longer = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(methods[m]);
        harness_case("%s: W query rows for fewer tokens", method_name(methods[m]));
        EXPECT_STATUS(kvsieve_plan_observe(plan, 0, &longer->queries[0], &s->keys[0], &s->values[0]), KVSIEVE_ERR_SHAPE);
        EXPECT(error_names("queries.tokens|8|5"), "\"%s\"", kvsieve_last_error());
        EXPECT_OK(observe(plan, 0, s));
        kvsieve_plan_destroy(plan);
        sequence_free(s);
        sequence_free(longer);
    }
    harness_case("");
}

static void another_t_in_a_later_layer(void) {
    for (int m = 0; m < METHODS; ++m) {
        const struct fault fault = { 'k', TOKENS_FIELD, TOKENS - 1, 2 };
        harness_case("%s: one token less in layer 2", method_name(methods[m]));
        expect_fault(methods[m], fault, KVSIEVE_ERR_SHAPE);
    }
    harness_case("values with one token less than keys");
    expect_fault(KVSIEVE_AHAKV, (struct fault){ 'v', TOKENS_FIELD, TOKENS - 1, 0 }, KVSIEVE_ERR_SHAPE);
    expect_fault(KVSIEVE_TASKKV, (struct fault){ 'v', TOKENS_FIELD, TOKENS - 1, 0 }, KVSIEVE_ERR_SHAPE);
    harness_case("");
}

static void rows_over_each_other(void) {
    const int64_t row = DIM * 4;
    const int64_t steps[] = { row, row * 5, row * 95, row * 95 + 4, row + 4, row * 3 - 8 };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; ++i)
        for (const char *which = "kst"; *which; ++which) {
            const struct fault fault = { *which, HEAD_STRIDE, steps[i], 0 };
            harness_case("'%c' with heads %lld bytes apart and tokens %lld", *which, (long long)steps[i], (long long)row);
            if (*which == 'k')
                expect_refused(KVSIEVE_DYNAMICKV, 0, observe_broken, &fault, KVSIEVE_ERR_LAYOUT, "keys|head_stride");
            else
                expect_refused(KVSIEVE_DYNAMICKV, FINISHED, gather_broken, &fault, KVSIEVE_ERR_LAYOUT, "over each other");
        }
    harness_case("");
}

int main(void) {
    fields_that_cannot_be();
    tensors_that_disagree_with_the_model();
    other_than_min_w_t_query_rows();
    another_t_in_a_later_layer();
    rows_over_each_other();
    return harness_end();
}
