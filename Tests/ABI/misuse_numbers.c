/* NaN and infinity: an error if a method reads them, in one element of one head of one layer; ignored if it does not
 * read them. kvsieve_plan_needs() says what is read. When the element is mended, the plan continues. */
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct poison {
    char which;
    int32_t layer, head, token, d;
    float value;
};

static kvsieve_tensor *tensor_of(sequence *s, const struct poison *p) {
    return p->which == 'q' ? &s->queries[p->layer] : p->which == 'k' ? &s->keys[p->layer] : &s->values[p->layer];
}

/* Observes the layer with one poisoned element, mended afterwards. */
static kvsieve_status observe_poisoned(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct poison *p = context;
    kvsieve_tensor *t = tensor_of(s, p);
    float before = element(t, p->head, p->token, p->d);
    kvsieve_status status;
    element_set(t, p->head, p->token, p->d, p->value);
    status = observe(plan, p->layer, s);
    element_set(t, p->head, p->token, p->d, before);
    return status;
}

static const float poisons[] = { NAN, INFINITY, -INFINITY };
static const char *const poison_names[] = { "NaN", "infinity", "-infinity" };

static void in_what_is_read(void) {
    static const int32_t key_tokens[] = { 0, 3, 40, TOKENS - WINDOW - 1, TOKENS - WINDOW, TOKENS - 2, TOKENS - 1 };
    EVERY_METHOD (method)
        for (int i = 0; i < 3; ++i) {
            const int32_t query_rows[] = { (int32_t)(TOKENS - fewest_queries(method, TOKENS)), TOKENS - 1 };
            for (int r = 0; r < 2 && reads(method, 0, 'q') == READ; ++r) { /* the first that is read, and the last */
                const struct poison p = { 'q', r ? 2 : 0, r ? QUERY_HEADS - 1 : 1, query_rows[r], DIM - 1, poisons[i] };
                harness_case("%s: %s in queries, row %d", method_name(method), poison_names[i], (int)p.token);
                expect_refused(method, p.layer, observe_poisoned, &p, KVSIEVE_ERR_NONFINITE, "queries");
            }
            for (size_t t = 0; t < sizeof key_tokens / sizeof *key_tokens; ++t)
                for (int32_t d = 0; d < DIM && reads(method, 0, 'k') == READ; d += 5) {
                    const struct poison p = { 'k', t % 2 ? 2 : 0, d % 2, key_tokens[t], d, poisons[i] };
                    harness_case("%s: %s in keys, token %d, element %d", method_name(method), poison_names[i], (int)p.token,
                                 (int)d);
                    expect_refused(method, p.layer, observe_poisoned, &p, KVSIEVE_ERR_NONFINITE, "keys");
                }
        }
    harness_case("");
}

static void in_values_of_a_method_that_reads_them(void) {
    static const int32_t tokens[] = { 0, 1, 50, TOKENS - 1 };
    for (int i = 0; i < 3; ++i)
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; ++t) {
            const struct poison p = { 'v', t % 2 ? 2 : 0, (int32_t)(t & 1), tokens[t], 3, poisons[i] };
            harness_case("ahakv: %s in values, token %d", poison_names[i], (int)p.token);
            expect_refused(KVSIEVE_AHAKV, p.layer, observe_poisoned, &p, KVSIEVE_ERR_NONFINITE, "values");
        }
    harness_case("");
}

/* Task-KV reads the values of the `semantic` best columns of a head; here: of all. */
static void in_values_that_taskkv_reads(void) {
    for (int i = 0; i < 3; ++i) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(KVSIEVE_TASKKV);
        const struct poison p = { 'v', 0, 1, 50, 3, poisons[i] };
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_TASKKV_SEMANTIC, TOKENS));
        if (EXPECT_STATUS(observe_poisoned(plan, s, &p), KVSIEVE_ERR_NONFINITE))
            EXPECT(error_names("values"), "\"%s\"", kvsieve_last_error());
        EXPECT_OK(observe(plan, 0, s));
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
}

/* The sentence says which layer, so that a user of 32 layers finds the faulty one. */
static void the_sentence_has_the_layer(void) {
    const struct poison p = { 'k', 2, 1, 17, 0, NAN };
    EVERY_METHOD (method)
        if (reads(method, p.layer, 'k') == READ)
            expect_refused(method, p.layer, observe_poisoned, &p, KVSIEVE_ERR_NONFINITE, "layer 2");
}

static void in_half_precision(void) {
    static const int32_t dtypes[] = { KVSIEVE_F16, KVSIEVE_BF16 };
    EVERY_METHOD (method)
        for (int type = 0; type < 2; ++type)
            for (int i = 0; i < 3; ++i) {
                sequence *s = sequence_new(TOKENS, dtypes[type], 1);
                kvsieve_plan *plan = plan_new(method);
                const struct poison key = { 'k', 0, 1, 33, 15, poisons[i] }, query = { 'q', 0, 3, TOKENS - 1, 0, poisons[i] };
                harness_case("%s: %s in dtype %d", method_name(method), poison_names[i], (int)dtypes[type]);
                if (reads(method, 0, 'k') == READ) EXPECT_STATUS(observe_poisoned(plan, s, &key), KVSIEVE_ERR_NONFINITE);
                if (reads(method, 0, 'q') == READ) EXPECT_STATUS(observe_poisoned(plan, s, &query), KVSIEVE_ERR_NONFINITE);
                EXPECT_OK(observe(plan, 0, s));
                kvsieve_plan_destroy(plan);
                sequence_free(s);
            }
    harness_case("");
}

/* Tensors that a layer does not need, and query rows before the last W. */
static void nothing_is_wrong_where_nothing_is_read(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1), *clean = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method), *other = plan_new(method);
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            kvsieve_tensor *tensors[] = { &s->queries[layer], &s->keys[layer], &s->values[layer] };
            int32_t needs = 7;
            EXPECT_OK(kvsieve_plan_needs(plan, layer, &needs));
            for (int i = 0; i < 3; ++i)
                if (reading_of(needs, "qkv"[i]) != READ) element_set(tensors[i], 1, tensors[i]->tokens - 1, 2, NAN);
            if (fewest_queries(method, TOKENS) < TOKENS)
                element_set(&s->queries[layer], 1, TOKENS - fewest_queries(method, TOKENS) - 1, 2, NAN);
            EXPECT_OK(observe(plan, layer, s));
            EXPECT_OK(observe(other, layer, clean));
        }
        EXPECT(plan_hash(plan, clean, 0) == plan_hash(other, clean, 0), "%s decided otherwise", method_name(method));
        kvsieve_plan_destroy(plan);
        kvsieve_plan_destroy(other);
        sequence_free(s);
        sequence_free(clean);
    }
}

/* Bytes are moved, whatever they hold. */
static void gather_moves_nan(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_DYNAMICKV);
    kvsieve_kept kept;
    kvsieve_tensor packed;
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    element_set(&s->values[0], 0, TOKENS - 1, 0, NAN);
    kept = kept_of(plan, 0);
    packed = tensor_new(1, kept.total, DIM, KVSIEVE_F32);
    EXPECT_OK(kvsieve_plan_gather(plan, 0, &s->values[0], &packed));
    EXPECT(isnan(element(&packed, 0, kept.offsets[1] - 1, 0)), "the last row of head 0 is not what it was");
    free(packed.data);
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

int main(void) {
    in_what_is_read();
    in_values_of_a_method_that_reads_them();
    RUN(in_values_that_taskkv_reads);
    RUN(the_sentence_has_the_layer);
    in_half_precision();
    RUN(nothing_is_wrong_where_nothing_is_read);
    RUN(gather_moves_nan);
    return harness_end();
}
