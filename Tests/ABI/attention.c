/* kvsieve_plan_observe_attention(): the same choice as by queries and keys, for every method and kind of numbers; what is not
 * read may be anything; each status that the header names. */
#include "blocks.h"
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NO_METHOD_TAKES = 3 };

static const char *const kinds[] = { "logits", "probabilities", "column sums" };

/* Does a method take the numbers? Those that read no tensor, or keys alone, are asked by kvsieve_plan_needs(). */
static int takes(int32_t method, int32_t kind) {
    int32_t needs = 0;
    kvsieve_plan *plan = plan_new(method);
    EXPECT_OK(kvsieve_plan_needs(plan, 0, &needs));
    kvsieve_plan_destroy(plan);
    if (needs & KVSIEVE_NEEDS_LENGTH) return 1;
    if (!(needs & KVSIEVE_NEEDS_QUERIES)) return 0;
    return method != KVSIEVE_AHAKV || kind != KVSIEVE_COLUMN_SUMS;
}

/* Of a layer, in double from its queries and keys: all T rows, or their sums over the rows that the method reads. NaN where
 * nothing may be read. */
static kvsieve_tensor attention_of(const sequence *s, int32_t layer, int32_t kind, int64_t read, int32_t dtype) {
    const kvsieve_tensor *queries = &s->queries[layer], *keys = &s->keys[layer];
    const int32_t tokens = s->tokens;
    kvsieve_tensor out = tensor_new(QUERY_HEADS, kind == KVSIEVE_COLUMN_SUMS ? 1 : tokens, tokens, dtype);
    double *row = take(sizeof *row * (size_t)tokens), *sums = take(sizeof *sums * (size_t)tokens);
    for (int64_t head = 0; head < QUERY_HEADS; ++head) {
        memset(sums, 0, sizeof *sums * (size_t)tokens);
        for (int64_t i = 0; i < tokens; ++i) {
            double most = -INFINITY, sum = 0;
            for (int64_t j = 0; j <= i; ++j) {
                row[j] = 0;
                for (int32_t d = 0; d < DIM; ++d)
                    row[j] += (double)element(queries, head, i, d) * element(keys, head * HEADS / QUERY_HEADS, j, d);
                row[j] /= 4; /* sqrt(DIM) */
                if (row[j] > most) most = row[j];
            }
            for (int64_t j = 0; j <= i; ++j) sum += exp(row[j] - most);
            for (int64_t j = 0; j < tokens; ++j) {
                const double p = j <= i ? exp(row[j] - most) / sum : 0;
                if (i >= tokens - read) sums[j] += p;
                if (kind == KVSIEVE_COLUMN_SUMS) continue;
                element_set(&out, head, i, (int32_t)j, j > i ? NAN : (float)(kind == KVSIEVE_LOGITS ? row[j] : p));
            }
        }
        for (int32_t j = 0; j < tokens && kind == KVSIEVE_COLUMN_SUMS; ++j) element_set(&out, head, 0, j, (float)sums[j]);
    }
    free(row);
    free(sums);
    return out;
}

static kvsieve_status observe_given(kvsieve_plan *plan, int32_t layer, int32_t kind, kvsieve_tensor *attention, const sequence *s) {
    return kvsieve_plan_observe_attention(plan, layer, kind, attention, &s->values[layer]);
}

/* A layer's attention, and its values, from memory in one piece or in blocks. */
static void expect_taken(kvsieve_plan *plan, int32_t layer, int32_t kind, const sequence *s, int64_t read, int in_blocks) {
    kvsieve_tensor whole = attention_of(s, layer, kind, read, KVSIEVE_F32);
    if (in_blocks) {
        paged attention, values;
        paged_copy(&attention, (int)(layer + kind) % LAYOUTS, 7, &whole);
        paged_copy(&values, layer % LAYOUTS, 16, &s->values[layer]);
        EXPECT_OK(kvsieve_plan_observe_attention(plan, layer, kind, &attention.t, &values.t));
        free(attention.memory);
        free(values.memory);
    } else EXPECT_OK(observe_given(plan, layer, kind, &whole, s));
    free(whole.data);
}

static void the_choice_is_that_of_queries_and_keys(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 5);
    int number = 0;
    for (int in_blocks = 0; in_blocks < 2; ++in_blocks)
        EVERY_METHOD (method)
            for (int32_t kind = 0; kind < NO_METHOD_TAKES; ++kind) {
                kvsieve_plan *plan;
                if (!takes(method, kind) || left_out(number++)) continue;
                harness_case("%s: %s%s", method_name(method), kinds[kind], in_blocks ? " in blocks" : "");
                plan = plan_new(method);
                for (int32_t layer = 0; layer < LAYERS; ++layer)
                    expect_taken(plan, layer, kind, s, fewest_queries(method, TOKENS), in_blocks);
                EXPECT_OK(kvsieve_plan_finish(plan));
                EXPECT(plan_hash(plan, s, 1) == reference_hash(method, s), "another choice");
                kvsieve_plan_destroy(plan);
            }
    harness_case("");
    sequence_free(s);
}

/* f16 and bf16 are widened exactly: the choice is that of the same numbers in f32. */
static void halves_are_read_as_the_floats_they_are(void) {
    static const int32_t dtypes[] = { KVSIEVE_F16, KVSIEVE_BF16 };
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 6);
    for (int i = 0; i < 2; ++i)
        for (int32_t kind = 0; kind < NO_METHOD_TAKES; ++kind) {
            kvsieve_plan *plans[2];
            if (slow() && kind != i) continue;
            for (int wide = 0; wide < 2; ++wide) {
                plans[wide] = plan_new(KVSIEVE_DYNAMICKV);
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    kvsieve_tensor half = attention_of(s, layer, kind, fewest_queries(KVSIEVE_DYNAMICKV, TOKENS), dtypes[i]);
                    kvsieve_tensor full = tensor_new(half.heads, half.tokens, half.dim, KVSIEVE_F32);
                    for (int64_t head = 0; head < half.heads; ++head)
                        for (int64_t token = 0; token < half.tokens; ++token)
                            for (int32_t d = 0; d < half.dim; ++d)
                                element_set(&full, head, token, d, element(&half, head, token, d));
                    EXPECT_OK(observe_given(plans[wide], layer, kind, wide ? &full : &half, s));
                    free(half.data);
                    free(full.data);
                }
                EXPECT_OK(kvsieve_plan_finish(plans[wide]));
            }
            EXPECT(plan_hash(plans[0], s, 1) == plan_hash(plans[1], s, 1), "dtype %d, %s", (int)dtypes[i], kinds[kind]);
            kvsieve_plan_destroy(plans[0]);
            kvsieve_plan_destroy(plans[1]);
        }
    sequence_free(s);
}

/* -- refusals ---------------------------------------------------------------------------------------------------- */

struct given {
    int32_t method, kind;
    kvsieve_tensor attention;
};

static kvsieve_status give(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct given *given = context;
    return kvsieve_plan_observe_attention(plan, 1, given->kind, given->attention.heads ? &given->attention : NULL, &s->values[1]);
}

static void refused(const struct given *given, kvsieve_status status, const char *words) {
    expect_refused(given->method, 1, give, given, status, words);
}

static void shapes_and_kinds(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    const int32_t method = KVSIEVE_SNAPKV;
    const int64_t read = fewest_queries(method, TOKENS);
    kvsieve_tensor good = attention_of(s, 1, KVSIEVE_LOGITS, read, KVSIEVE_F32);
    kvsieve_tensor sums = attention_of(s, 1, KVSIEVE_COLUMN_SUMS, read, KVSIEVE_F32);
    struct given given = { method, KVSIEVE_LOGITS, good };
    static const int32_t unknown[] = { -1, 3, INT32_MAX, INT32_MIN };
    for (int i = 0; i < 4; ++i) {
        given.kind = unknown[i];
        refused(&given, KVSIEVE_ERR_PARAMETER, "kind|logits|probabilities|column sums");
    }
    given.kind = KVSIEVE_LOGITS;
    given.attention.heads = 0;
    refused(&given, KVSIEVE_ERR_NULL, "attention");
    given.attention = good, given.attention.data = NULL;
    refused(&given, KVSIEVE_ERR_NULL, "attention.data");
    given.attention = good, given.attention.heads = HEADS;
    refused(&given, KVSIEVE_ERR_SHAPE, "attention.heads|query_heads");
    given.attention = good, given.attention.tokens = read - 1;
    refused(&given, KVSIEVE_ERR_SHAPE, "attention.tokens|at least");
    given.attention = good, given.attention.dim = TOKENS - 1;
    refused(&given, KVSIEVE_ERR_SHAPE, "attention.dim");
    given.attention = good, given.attention.dim = (1 << 24) + 1;
    refused(&given, KVSIEVE_ERR_SHAPE, "attention.dim|16777216");
    given.attention = good, given.attention.dtype = 9;
    refused(&given, KVSIEVE_ERR_DTYPE, "attention.dtype");
    given.attention = good, given.attention.head_stride = 4;
    refused(&given, KVSIEVE_ERR_LAYOUT, "attention.head_stride");
    given.attention = good, given.attention.reserved[0] = 1;
    refused(&given, KVSIEVE_ERR_LAYOUT, "attention.reserved");
    given.kind = KVSIEVE_COLUMN_SUMS;
    given.attention = good;
    refused(&given, KVSIEVE_ERR_SHAPE, "attention.tokens|1");
    given.attention = sums, given.attention.heads = 3;
    refused(&given, KVSIEVE_ERR_SHAPE, "attention.heads|query_heads|kv_heads");
    given.method = KVSIEVE_AHAKV, given.attention = sums;
    refused(&given, KVSIEVE_ERR_PARAMETER, "column sums|logits|probabilities");
    given.method = KVSIEVE_KEYDIFF;
    refused(&given, KVSIEVE_ERR_NULL, "keys|kvsieve_plan_observe");
    free(good.data);
    free(sums.data);
    sequence_free(s);
}

static void sums_of_groups_are_too_few_for_windowkv(void) {
    kvsieve_tensor sums = tensor_new(HEADS, 1, TOKENS, KVSIEVE_F32);
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_WINDOWKV);
    EXPECT_STATUS(observe_given(plan, 0, KVSIEVE_COLUMN_SUMS, &sums, s), KVSIEVE_ERR_SHAPE);
    EXPECT(error_names("attention.heads|each query head"), "%s", kvsieve_last_error());
    observe_range(plan, 0, LAYERS, s); /* and the plan is as before */
    kvsieve_plan_destroy(plan);
    sequence_free(s);
    free(sums.data);
}

static void numbers_that_are_read_must_be_finite(void) {
    static const float poisons[] = { NAN, INFINITY, -INFINITY };
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    int number = 0;
    EVERY_METHOD (method)
        for (int32_t kind = 0; kind < NO_METHOD_TAKES; ++kind) {
            const int64_t read = fewest_queries(method, TOKENS);
            struct given given = { method, kind, { 0 } };
            if (read == 0 || !takes(method, kind)) continue;
            if (left_out(number++)) continue;
            if (reads(method, 1, 'q') != READ) continue; /* a layer that takes over another's choice */
            given.attention = attention_of(s, 1, kind, read, KVSIEVE_F32);
            harness_case("%s: poison in %s", method_name(method), kinds[kind]);
            for (int i = 0; i < 4; ++i) {
                const float poison = i < 3 ? poisons[i] : -0.5f;
                const int64_t row = kind == KVSIEVE_COLUMN_SUMS ? 0 : TOKENS - read; /* the first that is read */
                const int32_t column = (int32_t)(TOKENS - read);                     /* the row's own */
                float before = element(&given.attention, 2, row, column);
                if (i == 3 && kind == KVSIEVE_LOGITS) continue;
                element_set(&given.attention, 2, row, column, poison);
                refused(&given, KVSIEVE_ERR_NONFINITE, "attention|layer 1|head 2");
                element_set(&given.attention, 2, row, column, before);
            }
            free(given.attention.data);
        }
    harness_case("");
    sequence_free(s);
}

/* n where a tensor has its dim: longer than a head may be. */
static void sequences_are_longer_than_a_dim_may_be(void) {
    enum { LONG = 70000, KEPT = 100 };
    const kvsieve_model model = { 1, 1, 1, DIM, 0, { 0 } };
    kvsieve_tensor sums = tensor_new(1, 1, LONG, KVSIEVE_F32);
    kvsieve_plan *plan = plan_for(KVSIEVE_SNAPKV, model, KEPT);
    kvsieve_kept kept;
    for (int32_t j = 0; j < LONG; j += 1000) element_set(&sums, 0, 0, j, 1.0f);
    EXPECT_OK(kvsieve_plan_observe_attention(plan, 0, KVSIEVE_COLUMN_SUMS, &sums, NULL));
    EXPECT_OK(kvsieve_plan_finish(plan));
    kept = kept_of(plan, 0);
    EXPECT(kept.total == KEPT && kept.tokens == LONG, "%d of %d", (int)kept.total, (int)kept.tokens);
    for (int i = 0; i < 10; ++i) EXPECT(kept.positions[i] % 1000 <= 3 || kept.positions[i] % 1000 >= 997, "%d", kept.positions[i]);
    kvsieve_plan_destroy(plan);
    free(sums.data);
}

static void order_is_as_in_observe(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_tensor logits = attention_of(s, 0, KVSIEVE_LOGITS, 8, KVSIEVE_F32);
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV);
    EXPECT_STATUS(kvsieve_plan_observe_attention(NULL, 0, KVSIEVE_LOGITS, &logits, NULL), KVSIEVE_ERR_NULL);
    EXPECT_STATUS(observe_given(plan, 1, KVSIEVE_LOGITS, &logits, s), KVSIEVE_ERR_STATE);
    EXPECT_OK(observe_given(plan, 0, KVSIEVE_LOGITS, &logits, s));
    EXPECT_STATUS(observe_given(plan, 0, KVSIEVE_LOGITS, &logits, s), KVSIEVE_ERR_STATE);
    observe_range(plan, 1, LAYERS, s); /* layers may differ in what they are given */
    EXPECT_OK(kvsieve_plan_finish(plan));
    EXPECT_STATUS(observe_given(plan, 0, KVSIEVE_LOGITS, &logits, s), KVSIEVE_ERR_STATE);
    EXPECT_STATUS(kvsieve_plan_observe_attention(plan, LAYERS, KVSIEVE_LOGITS, &logits, NULL), KVSIEVE_ERR_SHAPE);
    kvsieve_plan_destroy(plan);
    free(logits.data);
    sequence_free(s);
}

int main(void) {
    RUN(the_choice_is_that_of_queries_and_keys);
    RUN(halves_are_read_as_the_floats_they_are);
    RUN(shapes_and_kinds);
    RUN(sums_of_groups_are_too_few_for_windowkv);
    RUN(numbers_that_are_read_must_be_finite);
    RUN(sequences_are_longer_than_a_dim_may_be);
    RUN(order_is_as_in_observe);
    return harness_end();
}
