/* extend at the wrong time, by a wrong count, and what is refused until the next finish: then the round goes on undisturbed. */
#include "decoder.h"
#include "harness.h"
#include "refusal.h"
#include "snapshot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEW = 12, STRANGER = 77 };

/* What a finished plan is given after it was extended by NEW tokens: of each head its kept rows of `s`, then new ones;
 * NaN after the rows of a shorter head. */
static sequence *continued(const kvsieve_plan *plan, const sequence *s) {
    sequence *c = take(sizeof *c), *fresh = sequence_new(NEW, KVSIEVE_F32, STRANGER);
    memset(c, 0, sizeof *c);
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept kept = kept_of(plan, layer);
        const int64_t row = DIM * 4;
        c->queries[layer] = tensor_new(QUERY_HEADS, NEW, DIM, KVSIEVE_F32);
        memcpy(c->queries[layer].data, fresh->queries[layer].data, (size_t)(QUERY_HEADS * NEW * row));
        for (int i = 0; i < 2; ++i) {
            const kvsieve_tensor *old = i ? &s->values[layer] : &s->keys[layer],
                                 *new = i ? &fresh->values[layer] : &fresh->keys[layer];
            kvsieve_tensor *to = i ? &c->values[layer] : &c->keys[layer];
            *to = tensor_new(HEADS, kept.longest + NEW, DIM, KVSIEVE_F32);
            memset(to->data, 0xff, (size_t)(HEADS * to->head_stride));
            for (int64_t head = 0; head < HEADS; ++head) {
                char *at = (char *)to->data + head * to->head_stride;
                for (int64_t j = kept.offsets[head]; j < kept.offsets[head + 1]; ++j, at += row)
                    memcpy(at, (char *)old->data + head * old->head_stride + kept.positions[j] * row, (size_t)row);
                memcpy(at, (char *)new->data + head * new->head_stride, (size_t)(NEW * row));
            }
        }
    }
    sequence_free(fresh);
    return c;
}

/* The prompt, finished. */
static kvsieve_plan *prompted(int32_t method, const sequence *s) {
    kvsieve_plan *plan = plan_new(method);
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    return plan;
}

/* All that a finished plan says, rows and all; c is what it was given. */
static uint64_t all_hash(const kvsieve_plan *plan, const sequence *c) {
    uint64_t hash = plan_hash(plan, c, 1);
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept kept = kept_of(plan, layer);
        hash = bytes_hash(kept.rows, sizeof *kept.rows * (size_t)kept.total, hash);
        hash = bytes_hash(&kept.tokens, sizeof kept.tokens, hash);
    }
    return hash;
}

/* A round after the prompt s: all that the plan says then. */
static uint64_t round_hash(kvsieve_plan *plan, const sequence *s) {
    sequence *c = continued(plan, s);
    uint64_t hash;
    EXPECT_OK(kvsieve_plan_extend(plan, NEW));
    observe_range(plan, 0, LAYERS, c);
    EXPECT_OK(kvsieve_plan_finish(plan));
    hash = all_hash(plan, c);
    sequence_free(c);
    return hash;
}

/* Of an undisturbed plan; computed once. */
static uint64_t undisturbed_round(int32_t method) {
    static uint64_t known[MOST_METHODS];
    uint64_t *hash = &known[method_index(method)];
    if (*hash == 0) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = prompted(method, s);
        *hash = round_hash(plan, s);
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
    return *hash;
}

/* `wrong` is called when the plan was extended and so many layers observed again; FINISHED: before extend. */
static void refused_amid(int32_t method, int stage, misuse wrong, const void *context, kvsieve_status status, const char *words) {
    static int number;
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1), *c;
    kvsieve_plan *plan = prompted(method, s);
    int observed = stage == FINISHED ? 0 : stage;
    c = continued(plan, s);
    sequence_remember(c);
    if (stage != FINISHED) {
        EXPECT_OK(kvsieve_plan_extend(plan, NEW));
        observe_range(plan, 0, observed, c);
    }
    if (EXPECT_STATUS(wrong(plan, c, context), status))
        EXPECT(error_names(words), "looked for \"%s\" in \"%s\"", words, kvsieve_last_error());
    EXPECT(snapshot_holds(), "a tensor of the caller was written");
    if (!left_out(number++)) {
        if (stage == FINISHED) EXPECT_OK(kvsieve_plan_extend(plan, NEW));
        observe_range(plan, observed, LAYERS, c);
        EXPECT_OK(kvsieve_plan_finish(plan));
        EXPECT(all_hash(plan, c) == undisturbed_round(method), "not what an undisturbed round of %s decides", method_name(method));
    }
    kvsieve_plan_destroy(plan);
    sequence_free(s), sequence_free(c);
}

/* -- extend ------------------------------------------------------------------------------------------------------------ */

static const int64_t counts[] = { 0, -1, INT64_MIN, INT64_MAX, 1 << 24, INT64_C(1) << 31, INT64_C(1) << 32, INT64_MIN + 1 };

static kvsieve_status extend(kvsieve_plan *plan, sequence *s, const void *context) {
    (void)s;
    return kvsieve_plan_extend(plan, *(const int64_t *)context);
}

static void extend_by_counts_that_cannot_be(void) {
    static const int64_t one = 1;
    EVERY_METHOD (method) {
        harness_case("%s: tokens out of bounds", method_name(method));
        for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i) {
            char words[48];
            snprintf(words, sizeof words, "tokens|%lld", (long long)counts[i]);
            refused_amid(method, FINISHED, extend, &counts[i], KVSIEVE_ERR_SHAPE, words);
        }
        harness_case("%s: extend before finish", method_name(method));
        for (int stage = BEFORE; stage <= AFTER_ALL; ++stage) {
            expect_refused(method, stage, extend, &one, KVSIEVE_ERR_STATE, "extend|finish");
            expect_refused(method, stage, extend, &counts[3], KVSIEVE_ERR_STATE, "finish");
            refused_amid(method, stage, extend, &one, KVSIEVE_ERR_STATE, "finish");
            refused_amid(method, stage, extend, &counts[0], KVSIEVE_ERR_STATE, "finish");
        }
    }
    harness_case("");
}

static kvsieve_status extend_a_decoder(decoder *d, step_call *call, const void *context) {
    (void)call;
    return kvsieve_plan_extend(d->plan, *(const int64_t *)context);
}

static void extend_a_plan_that_decodes(void) {
    static const int64_t few[] = { 1, 0, INT64_MAX };
    EVERY_DECODER (method) {
        harness_case("%s: decodes", method_name(method));
        for (int k = 0; k < 3; ++k) {
            refused_at(first, method, 0, extend_a_decoder, &few[k], KVSIEVE_ERR_STATE, "decodes|step");
            refused_at(amid, method, 0, extend_a_decoder, &few[k], KVSIEVE_ERR_STATE, "decodes|step");
        }
    }
    harness_case("");
}

/* -- what waits for the next finish -------------------------------------------------------------------------------------- */

static kvsieve_status set(kvsieve_plan *plan, sequence *s, const void *context) {
    (void)s, (void)context;
    return kvsieve_plan_set(plan, KVSIEVE_THREADS, 2);
}

static kvsieve_status finish(kvsieve_plan *plan, sequence *s, const void *context) {
    (void)s, (void)context;
    return kvsieve_plan_finish(plan);
}

static kvsieve_status gather(kvsieve_plan *plan, sequence *s, const void *context) {
    kvsieve_tensor target = tensor_new(HEADS, TOKENS + NEW, DIM, KVSIEVE_F32);
    uint64_t before = bytes_hash(target.data, (size_t)(HEADS * target.head_stride), 0);
    kvsieve_status status = kvsieve_plan_gather(plan, *(const int32_t *)context, &s->keys[*(const int32_t *)context], &target);
    EXPECT(bytes_hash(target.data, (size_t)(HEADS * target.head_stride), 0) == before, "the target was written");
    free(target.data);
    return status;
}

static kvsieve_status slots(kvsieve_plan *plan, sequence *s, const void *context) {
    kvsieve_slots slots = { sizeof slots, 0, 0, 0, NULL };
    (void)s;
    return kvsieve_plan_slots(plan, *(const int32_t *)context, 0, &slots);
}

static kvsieve_status observe_layer(kvsieve_plan *plan, sequence *s, const void *context) {
    const int32_t layer = *(const int32_t *)context, known = layer >= 0 && layer < LAYERS ? layer : 0;
    return kvsieve_plan_observe(plan, layer, &s->queries[known], &s->keys[known], &s->values[known]);
}

static void calls_between_extend_and_finish(void) {
    static const int32_t outside[] = { -1, LAYERS, INT32_MAX, INT32_MIN };
    EVERY_METHOD (method)
        for (int stage = BEFORE; stage <= AFTER_ALL; ++stage) {
            if (left_out(stage + method_index(method))) continue;
            harness_case("%s: extended, %d layers observed again", method_name(method), stage);
            refused_amid(method, stage, set, NULL, KVSIEVE_ERR_STATE, "parameter");
            if (stage < AFTER_ALL) refused_amid(method, stage, finish, NULL, KVSIEVE_ERR_STATE, "layers");
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                refused_amid(method, stage, gather, &layer, KVSIEVE_ERR_STATE, "gather|finish");
                refused_amid(method, stage, slots, &layer, KVSIEVE_ERR_STATE, "finish");
                if (layer >= stage) refused_amid(method, stage, refused_kept, &layer, KVSIEVE_ERR_STATE, "layer");
                if (layer != stage) refused_amid(method, stage, observe_layer, &layer, KVSIEVE_ERR_STATE, "layer");
            }
            for (int i = 0; i < 4; ++i) {
                refused_amid(method, stage, observe_layer, &outside[i], KVSIEVE_ERR_SHAPE, "layer");
                refused_amid(method, stage, refused_kept, &outside[i], KVSIEVE_ERR_SHAPE, "layer");
            }
        }
    harness_case("");
}

/* -- what observe is given ----------------------------------------------------------------------------------------------- */

/* Tensor 'q', 'k' or 'v' of that layer with other sizes, without memory of their own; or NULL, or a NaN in a row. */
struct spoiled {
    int32_t layer;
    char which;
    int64_t heads, tokens;
    int32_t dim;
    int nan, null;
};

static kvsieve_status observe_spoiled(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct spoiled *spoiled = context;
    kvsieve_tensor t[3] = { s->queries[spoiled->layer], s->keys[spoiled->layer], s->values[spoiled->layer] };
    const kvsieve_tensor *p[3] = { &t[0], &t[1], &t[2] };
    const int i = spoiled->which == 'q' ? 0 : spoiled->which == 'k' ? 1 : 2;
    const int64_t row = i == 0 ? t[i].tokens - 1 : 3; /* the last query is read by all that read any */
    const float before = element(&t[i], 0, row, 5);
    kvsieve_status status;
    t[i].heads += spoiled->heads, t[i].tokens += spoiled->tokens, t[i].dim += spoiled->dim;
    if (spoiled->tokens > 0) t[i].head_stride += spoiled->tokens * t[i].token_stride; /* refused unread */
    if (spoiled->null) p[i] = NULL;
    if (spoiled->nan) element_set(&t[i], 0, row, 5, NAN);
    status = kvsieve_plan_observe(plan, spoiled->layer, p[0], p[1], p[2]);
    element_set(&t[i], 0, row, 5, before);
    return status;
}

static void tensors_of_a_round(void) {
    static const char *const words[] = { "queries", "keys", "values" };
    EVERY_METHOD (method)
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            if (left_out(layer + method_index(method))) continue;
            harness_case("%s: tensors of layer %d", method_name(method), (int)layer);
            for (int i = 0; i < 3; ++i) {
                const char which = "qkv"[i];
                const enum reading reading = reads(method, layer, which);
                const int64_t fewer = which == 'q' ? NEW - fewest_queries(method, NEW) + 1 : 1; /* than are taken */
                const struct spoiled sizes[] = {
                    { layer, which, 0, -fewer, 0, 0, 0 }, { layer, which, 0, 1, 0, 0, 0 },  { layer, which, 0, NEW, 0, 0, 0 },
                    { layer, which, 0, TOKENS, 0, 0, 0 }, { layer, which, -1, 0, 0, 0, 0 },
                };
                const struct spoiled narrow = { layer, which, 0, 0, -1, 0, 0 }, nan = { layer, which, 0, 0, 0, 1, 0 };
                const struct spoiled null = { layer, which, 0, 0, 0, 0, 1 };
                if (reading == UNREAD) continue;
                for (size_t k = 0; k < sizeof sizes / sizeof *sizes; ++k)
                    refused_amid(method, layer, observe_spoiled, &sizes[k], KVSIEVE_ERR_SHAPE, words[i]);
                refused_amid(method, layer, observe_spoiled, &null, KVSIEVE_ERR_NULL, words[i]);
                if (which == 'v' || reading != READ) continue;
                refused_amid(method, layer, observe_spoiled, &narrow, KVSIEVE_ERR_SHAPE, words[i]);
                refused_amid(method, layer, observe_spoiled, &nan, KVSIEVE_ERR_NONFINITE, words[i]);
            }
        }
    harness_case("");
}

/* -- reset ----------------------------------------------------------------------------------------------------------------- */

static void reset_in_a_round(void) {
    EVERY_METHOD (method)
        for (int stage = BEFORE; stage <= FINISHED; ++stage) {
            sequence *other = sequence_new(TOKENS, KVSIEVE_F32, 2), *s = sequence_new(TOKENS, KVSIEVE_F32, 1), *c;
            kvsieve_plan *plan = prompted(method, other);
            harness_case("%s: reset at %d of a round", method_name(method), stage);
            c = continued(plan, other);
            EXPECT_OK(kvsieve_plan_extend(plan, NEW));
            observe_range(plan, 0, stage < LAYERS ? stage : LAYERS, c);
            if (stage == FINISHED) EXPECT_OK(kvsieve_plan_finish(plan));
            EXPECT_OK(kvsieve_plan_reset(plan));
            EXPECT_STATUS(kvsieve_plan_extend(plan, 1), KVSIEVE_ERR_STATE);
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, 1));
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            EXPECT(plan_hash(plan, s, 1) == reference_hash(method, s), "%s remembers", method_name(method));
            EXPECT(round_hash(plan, s) == undisturbed_round(method), "%s remembers", method_name(method));
            kvsieve_plan_destroy(plan);
            sequence_free(other), sequence_free(s), sequence_free(c);
        }
    harness_case("");
}

int main(void) {
    extend_by_counts_that_cannot_be();
    extend_a_plan_that_decodes();
    calls_between_extend_and_finish();
    tensors_of_a_round();
    reset_in_a_round();
    return harness_end();
}
