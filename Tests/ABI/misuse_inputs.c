/* Statuses of attention that is given, of chunks, of rotated rows and of narrow types that no other program asks for: each is the
 * one that the header names, with a sentence, and the plan goes on as if nothing had been. */
#include "blocks.h"
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- attention -------------------------------------------------------------------------------------------------------- */

struct given {
    char what;
    const char *words;
    kvsieve_status status;
};

static kvsieve_status give(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct given *given = context;
    kvsieve_tensor attention = tensor_new(QUERY_HEADS, TOKENS, TOKENS, KVSIEVE_F32), values = s->values[1];
    kvsieve_tensor *second = &values;
    const kvsieve_tensor *first = &attention;
    kvsieve_status status;
    paged p;
    paged_copy(&p, BY_TOKEN, 16, &attention);
    if (given->what == 'b') p.table[1] = -1, first = &p.t;
    if (given->what == 'c') p.t.block_tokens = 0, first = &p.t;
    if (given->what == 'a') attention.data = (char *)attention.data + 2;
    if (given->what == 'V') second = NULL;
    if (given->what == 'D') values.data = NULL;
    if (given->what == 'h') values.heads = 1;
    if (given->what == 't') values.tokens -= 1;
    if (given->what == 's') values.token_stride = 4;
    if (given->what == 'B') values.dtype = KVSIEVE_BYTES;
    status = kvsieve_plan_observe_attention(plan, 1, KVSIEVE_LOGITS, first, second);
    if (given->what == 'a') attention.data = (char *)attention.data - 2;
    free(attention.data), free(p.memory);
    return status;
}

/* Beside what attention.c refuses; the values are as in observe(). */
static void attention_and_values(void) {
    static const struct given faults[] = {
        { 'b', "attention.blocks[1]|-1", KVSIEVE_ERR_LAYOUT },     { 'c', "attention.block_tokens|0", KVSIEVE_ERR_LAYOUT },
        { 'a', "attention.data|not aligned", KVSIEVE_ERR_LAYOUT }, { 'V', "values is NULL|layer 1", KVSIEVE_ERR_NULL },
        { 'D', "values.data is NULL", KVSIEVE_ERR_NULL },          { 'h', "values.heads|1|2", KVSIEVE_ERR_SHAPE },
        { 't', "values.tokens|95|96", KVSIEVE_ERR_SHAPE },         { 's', "values.token_stride|4", KVSIEVE_ERR_LAYOUT },
        { 'B', "values.dtype|3|BYTES", KVSIEVE_ERR_DTYPE },
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
        harness_case("observe_attention, '%c'", faults[i].what);
        expect_refused(KVSIEVE_AHAKV, 1, give, &faults[i], faults[i].status, faults[i].words);
    }
    harness_case("");
}

static kvsieve_status sums_of(kvsieve_plan *plan, const kvsieve_tensor *sums) {
    return kvsieve_plan_observe_attention(plan, 0, KVSIEVE_COLUMN_SUMS, sums, NULL);
}

/* KVSIEVE_ERR_BUDGET and _PARAMETER "as in kvsieve_plan_observe()"; a value that ahakv reads is NaN. */
static void budgets_and_parameters(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_tensor sums = tensor_new(QUERY_HEADS, 1, TOKENS, KVSIEVE_F32);
    kvsieve_tensor logits = tensor_new(QUERY_HEADS, TOKENS, TOKENS, KVSIEVE_F32);
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 3));
    EXPECT_STATUS(sums_of(plan, &sums), KVSIEVE_ERR_BUDGET);
    EXPECT(error_names("budget 3|smallest budget is 8"), "\"%s\"", kvsieve_last_error());
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 8)); /* nothing was observed */
    EXPECT_OK(sums_of(plan, &sums));
    kvsieve_plan_destroy(plan);
    plan = plan_new(KVSIEVE_H2O);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_SHARE, 2));
    EXPECT_STATUS(sums_of(plan, &sums), KVSIEVE_ERR_PARAMETER);
    EXPECT(error_names("share is 2|decoding 1"), "\"%s\"", kvsieve_last_error());
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_SHARE, 0));
    EXPECT_OK(sums_of(plan, &sums));
    kvsieve_plan_destroy(plan);
    plan = plan_new(KVSIEVE_AHAKV);
    element_set(&s->values[0], 1, 20, 3, NAN);
    EXPECT_STATUS(kvsieve_plan_observe_attention(plan, 0, KVSIEVE_LOGITS, &logits, &s->values[0]), KVSIEVE_ERR_NONFINITE);
    EXPECT(error_names("values|layer 0|kv head 1|token 20"), "\"%s\"", kvsieve_last_error());
    element_set(&s->values[0], 1, 20, 3, 0.5f);
    EXPECT_OK(kvsieve_plan_observe_attention(plan, 0, KVSIEVE_LOGITS, &logits, &s->values[0]));
    kvsieve_plan_destroy(plan);
    free(sums.data), free(logits.data);
    sequence_free(s);
}

/* -- chunks ----------------------------------------------------------------------------------------------------------- */

static void chunks(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_tensor bad = s->queries[0];
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV), *other;
    paged p;
    bad.data = NULL;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &bad), KVSIEVE_ERR_NULL);
    EXPECT(error_names("queries.data"), "\"%s\"", kvsieve_last_error());
    bad = s->queries[0], bad.reserved[1] = 1;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &bad), KVSIEVE_ERR_LAYOUT);
    bad = s->queries[0], bad.block_tokens = 4;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &bad), KVSIEVE_ERR_LAYOUT);
    EXPECT(error_names("queries.block_tokens|NULL"), "\"%s\"", kvsieve_last_error());
    bad = s->queries[0], bad.data = (char *)bad.data + 1;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &bad), KVSIEVE_ERR_LAYOUT);
    bad = s->queries[0], bad.tokens = 0;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &bad), KVSIEVE_ERR_SHAPE);
    paged_copy(&p, BY_HEAD, 16, &s->queries[0]);
    p.table[3] = 1000;
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &p.t), KVSIEVE_ERR_LAYOUT);
    EXPECT(error_names("queries.blocks[3]|1000"), "\"%s\"", kvsieve_last_error());
    free(p.memory);
    /* "more than 2^24 tokens" */
    {
        const int64_t count = INT64_C(1) << 24;
        float *memory = take((size_t)count * sizeof *memory); /* never written: zeros that take no memory */
        kvsieve_model one = { 1, 1, 1, 1, 0, { 0 } };
        kvsieve_tensor most = { memory, 1, count, 4 * count, 4, 1, KVSIEVE_F32, NULL, 0, 0, 0, { 0 } }, more = most;
        other = plan_for(KVSIEVE_SNAPKV, one, 40);
        more.tokens = 1;
        EXPECT_OK(kvsieve_plan_queries(other, 0, &most));
        EXPECT_STATUS(kvsieve_plan_queries(other, 0, &more), KVSIEVE_ERR_SHAPE);
        EXPECT(error_names("queries.tokens is 1|16777216"), "\"%s\"", kvsieve_last_error());
        kvsieve_plan_destroy(other);
        free(memory);
    }
    /* Nothing is kept for a layer that reads no queries; but it is one of the layers. */
    other = plan_new(KVSIEVE_KEYDIFF);
    bad = s->queries[0], bad.heads = 1;
    EXPECT_OK(kvsieve_plan_queries(other, 0, &bad));
    EXPECT_STATUS(kvsieve_plan_queries(other, LAYERS, &bad), KVSIEVE_ERR_SHAPE);
    kvsieve_plan_destroy(other);
    /* "KVSIEVE_ERR_PARAMETER as in kvsieve_plan_needs()" */
    other = plan_new(KVSIEVE_WINDOWKV);
    EXPECT_OK(kvsieve_plan_set(other, KVSIEVE_WINDOWKV_SIZE, 6));
    EXPECT_OK(kvsieve_plan_set(other, KVSIEVE_BLOCK, 4));
    EXPECT_STATUS(kvsieve_plan_queries(other, 0, &s->queries[0]), KVSIEVE_ERR_PARAMETER);
    EXPECT(error_names("size is 6|block 4"), "\"%s\"", kvsieve_last_error());
    kvsieve_plan_destroy(other);
    /* All that was refused changed nothing. */
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        EXPECT_OK(kvsieve_plan_queries(plan, layer, &s->queries[layer]));
        EXPECT_OK(kvsieve_plan_observe(plan, layer, NULL, &s->keys[layer], &s->values[layer]));
    }
    EXPECT_OK(kvsieve_plan_finish(plan));
    EXPECT_STATUS(kvsieve_plan_queries(plan, 0, &s->queries[0]), KVSIEVE_ERR_STATE);
    EXPECT(plan_hash(plan, s, 1) == reference_hash(KVSIEVE_SNAPKV, s), "another choice");
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

/* -- narrow types ----------------------------------------------------------------------------------------------------- */

enum { NARROW_DIM = 32, MOST_ROW = 34 };

struct narrow {
    int32_t dtype, dim;
    int64_t token_stride, offset;
    kvsieve_status status;
    const char *words;
};

/* Keys of a layer of keydiff, which reads them. */
static void narrow_rows_are_checked(void) {
    static const struct narrow faults[] = {
        { 8, 32, 34, 0, KVSIEVE_ERR_DTYPE, "keys.dtype is 8|6 (Q8_0)|7 (Q4_0)" },
        { -1, 32, 34, 0, KVSIEVE_ERR_DTYPE, "keys.dtype is -1" },
        { KVSIEVE_Q8_0, 31, 34, 0, KVSIEVE_ERR_SHAPE, "keys.dim is 31|multiple of 32" },
        { KVSIEVE_Q4_0, 48, 34, 0, KVSIEVE_ERR_SHAPE, "keys.dim is 48|multiple of 32" },
        { KVSIEVE_Q8_0, 32, 32, 0, KVSIEVE_ERR_LAYOUT, "keys.token_stride is 32|34" },
        { KVSIEVE_Q8_0, 32, 35, 0, KVSIEVE_ERR_LAYOUT, "keys.token_stride is 35|multiple of 2" },
        { KVSIEVE_Q4_0, 32, 17, 0, KVSIEVE_ERR_LAYOUT, "keys.token_stride is 17|18" },
        { KVSIEVE_Q8_0, 32, 34, 1, KVSIEVE_ERR_LAYOUT, "keys.data|not aligned" },
        { KVSIEVE_F8_E4M3, 32, 31, 0, KVSIEVE_ERR_LAYOUT, "keys.token_stride is 31|32" },
        { KVSIEVE_F8_E5M2, 64, 32, 0, KVSIEVE_ERR_SHAPE, "keys.dim is 64" },
    };
    const kvsieve_model model = { 1, 1, 1, NARROW_DIM, 0, { 0 } };
    unsigned char *memory = take(TOKENS * 2 * NARROW_DIM + 2);
    kvsieve_plan *plan = plan_for(KVSIEVE_KEYDIFF, model, 20);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
        const struct narrow *f = &faults[i];
        kvsieve_tensor keys = { memory + f->offset, 1, TOKENS, 0, f->token_stride, f->dim, f->dtype, NULL, 0, 0, 0, { 0 } };
        if (f->dim == 64) keys.token_stride = 64;
        harness_case("type %d: %s", (int)f->dtype, f->words);
        EXPECT_STATUS(kvsieve_plan_observe(plan, 0, NULL, &keys, NULL), f->status);
        EXPECT(error_names(f->words), "\"%s\"", kvsieve_last_error());
    }
    harness_case("");
    kvsieve_plan_destroy(plan);
    free(memory);
}

/* A scale, or a number, that is NaN or infinite. */
static void narrow_numbers_must_be_finite(void) {
    static const struct {
        int32_t dtype;
        int64_t row;
        int at;
        unsigned char low, high; /* high 0: one byte */
    } poisons[] = {
        { KVSIEVE_F8_E4M3, 32, 5, 0x7f, 0 }, { KVSIEVE_F8_E4M3, 32, 31, 0xff, 0 }, { KVSIEVE_F8_E5M2, 32, 0, 0x7c, 0 },
        { KVSIEVE_F8_E5M2, 32, 9, 0xfe, 0 }, { KVSIEVE_Q8_0, 34, 0, 0x00, 0x7c },  { KVSIEVE_Q8_0, 34, 0, 0x01, 0x7e },
        { KVSIEVE_Q4_0, 18, 0, 0x00, 0xfc },
    };
    const kvsieve_model model = { 1, 1, 1, NARROW_DIM, 0, { 0 } };
    unsigned char *memory = take(TOKENS * MOST_ROW);
    for (size_t i = 0; i < sizeof poisons / sizeof *poisons; ++i) {
        kvsieve_plan *plan = plan_for(KVSIEVE_KEYDIFF, model, 20);
        kvsieve_tensor keys = { memory, 1, TOKENS, 0, poisons[i].row, NARROW_DIM, poisons[i].dtype, NULL, 0, 0, 0, { 0 } };
        unsigned char *place = memory + 40 * poisons[i].row + poisons[i].at;
        memset(memory, 0x11, TOKENS * MOST_ROW);
        harness_case("type %d: poison 0x%02x%02x", (int)poisons[i].dtype, poisons[i].high, poisons[i].low);
        place[0] = poisons[i].low;
        if (poisons[i].high) place[1] = poisons[i].high;
        EXPECT_STATUS(kvsieve_plan_observe(plan, 0, NULL, &keys, NULL), KVSIEVE_ERR_NONFINITE);
        EXPECT(error_names("keys|token 40"), "\"%s\"", kvsieve_last_error());
        memset(memory, 0x11, TOKENS * MOST_ROW);
        EXPECT_OK(kvsieve_plan_observe(plan, 0, NULL, &keys, NULL));
        EXPECT_OK(kvsieve_plan_finish(plan));
        kvsieve_plan_destroy(plan);
    }
    harness_case("");
    free(memory);
}

/* -- gather after a step ---------------------------------------------------------------------------------------------- */

/* kvsieve_plan_gather() and _rotated(): KVSIEVE_ERR_STATE if the plan "has taken steps in the layer". */
static void gathers_after_a_step(void) {
    static const float frequencies[DIM / 2] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    const kvsieve_rope rope = { sizeof rope, KVSIEVE_ROPE_HALVES, DIM, 0, frequencies, 0, 0 };
    EVERY_DECODER (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        kvsieve_tensor target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_F32);
        const uint64_t before = bytes_hash(target.data, (size_t)(HEADS * target.head_stride), 0);
        harness_case("%s: gather after a step", method_name(method));
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            kvsieve_tensor queries = s->queries[layer], keys = s->keys[layer], values = s->values[layer], place = target;
            kvsieve_slots slots = { sizeof slots, 0, 0, 0, NULL };
            int32_t slot[HEADS];
            EXPECT_OK(kvsieve_plan_slots(plan, layer, 0, &slots));
            queries.tokens = 1, keys.tokens = values.tokens = slots.length + 1;
            EXPECT_OK(kvsieve_plan_step(plan, layer, &queries, &keys, &values, slot));
            EXPECT_STATUS(kvsieve_plan_gather(plan, layer, &s->keys[layer], &place), KVSIEVE_ERR_STATE);
            EXPECT(error_names("gather|step|slots"), "\"%s\"", kvsieve_last_error());
            EXPECT_STATUS(kvsieve_plan_gather_rotated(plan, layer, &s->keys[layer], &place, &rope), KVSIEVE_ERR_STATE);
            EXPECT(bytes_hash(target.data, (size_t)(HEADS * target.head_stride), 0) == before, "the target was written");
            if (layer + 1 == LAYERS) continue; /* the next layer has not stepped */
            EXPECT_OK(kvsieve_plan_gather(plan, layer + 1, &s->values[layer + 1], &s->values[layer + 1]));
        }
        kvsieve_plan_destroy(plan);
        free(target.data);
        sequence_free(s);
    }
    harness_case("");
}

int main(void) {
    attention_and_values();
    RUN(budgets_and_parameters);
    RUN(chunks);
    narrow_rows_are_checked();
    narrow_numbers_must_be_finite();
    gathers_after_a_step();
    return harness_end();
}
