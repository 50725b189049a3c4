/* NaN and infinity: an error wherever a method reads them, in one element of one head of one layer; no matter where it does
 * not read. The plan goes on when the element is mended. */
#include "fixture.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct poison { char which; int32_t layer, head, token, d; float value; };

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
    for (int m = 0; m < METHODS; ++m)
        for (int i = 0; i < 3; ++i) {
            for (int32_t row = 0; row < WINDOW; row += 7) {
                const struct poison p = { 'q', row ? 2 : 0, row ? QUERY_HEADS - 1 : 1, row, DIM - 1, poisons[i] };
                harness_case("%s: %s in queries, row %d", method_name(methods[m]), poison_names[i], (int)row);
                expect_refused(methods[m], p.layer, observe_poisoned, &p, KVSIEVE_ERR_NONFINITE, "queries");
            }
            for (size_t t = 0; t < sizeof key_tokens / sizeof *key_tokens; ++t)
                for (int32_t d = 0; d < DIM; d += 5) {
                    const struct poison p = { 'k', t % 2 ? 2 : 0, d % 2, key_tokens[t], d, poisons[i] };
                    harness_case("%s: %s in keys, token %d, element %d", method_name(methods[m]), poison_names[i],
                                 (int)p.token, (int)d);
                    expect_refused(methods[m], p.layer, observe_poisoned, &p, KVSIEVE_ERR_NONFINITE, "keys");
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

/* Task-KV reads the values of the `tokens` best columns of a head; here: of all. */
static void in_values_that_taskkv_reads(void) {
    for (int i = 0; i < 3; ++i) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(KVSIEVE_TASKKV);
        const struct poison p = { 'v', 0, 1, 50, 3, poisons[i] };
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_TASKKV_TOKENS, TOKENS));
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
    for (int m = 0; m < METHODS; ++m)
        expect_refused(methods[m], 2, observe_poisoned, &p, KVSIEVE_ERR_NONFINITE, "layer 2");
}

static void in_half_precision(void) {
    static const int32_t dtypes[] = { KVSIEVE_F16, KVSIEVE_BF16 };
    for (int m = 0; m < METHODS; ++m)
        for (int type = 0; type < 2; ++type)
            for (int i = 0; i < 3; ++i) {
                sequence *s = sequence_new(TOKENS, dtypes[type], 1);
                kvsieve_plan *plan = plan_new(methods[m]);
                const struct poison key = { 'k', 0, 1, 33, 15, poisons[i] }, query = { 'q', 0, 3, 7, 0, poisons[i] };
                harness_case("%s: %s in dtype %d", method_name(methods[m]), poison_names[i], (int)dtypes[type]);
                EXPECT_STATUS(observe_poisoned(plan, s, &key), KVSIEVE_ERR_NONFINITE);
                EXPECT_STATUS(observe_poisoned(plan, s, &query), KVSIEVE_ERR_NONFINITE);
                EXPECT_OK(observe(plan, 0, s));
                kvsieve_plan_destroy(plan);
                sequence_free(s);
            }
    harness_case("");
}

static void nothing_is_wrong_where_nothing_is_read(void) {
    for (int m = 0; m < METHODS; ++m) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1), *clean = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(methods[m]), *other = plan_new(methods[m]);
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            kvsieve_tensor *tensors[] = { &s->queries[layer], &s->keys[layer], &s->values[layer] };
            int32_t needs = 7;
            EXPECT_OK(kvsieve_plan_needs(plan, layer, &needs));
            for (int i = 0; i < 3; ++i)
                if (!(needs >> i & 1)) element_set(tensors[i], 1, tensors[i]->tokens - 1, 2, NAN);
            EXPECT_OK(observe(plan, layer, s));
            EXPECT_OK(observe(other, layer, clean));
        }
        EXPECT(plan_hash(plan, clean, 0) == plan_hash(other, clean, 0), "%s decided otherwise", method_name(methods[m]));
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
