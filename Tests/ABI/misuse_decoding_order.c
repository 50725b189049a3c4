/* Decoding at the wrong time: steps, trims and slots of plans that are not finished, not to be decoded or between layers; how
 * many tokens a trim may take back, and what there are no slots of. */
#include "decoder.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- plans that do not decode -------------------------------------------------------------------------------------- */

/* step, step_logits and trim are KVSIEVE_ERR_STATE, and so are slots unless `slots_are_there`. */
static void refuses_to_decode(kvsieve_plan *plan, const char *words, int slots_are_there) {
    kvsieve_tensor queries = tensor_new(QUERY_HEADS, 1, DIM, KVSIEVE_F32), keys = tensor_new(HEADS, SLOTS + 1, DIM, KVSIEVE_F32);
    kvsieve_tensor logits = tensor_new(QUERY_HEADS, 1, SLOTS + 1, KVSIEVE_F32);
    int32_t evict[HEADS] = { 77, 77 };
    kvsieve_slots slots, before;
    memset(&slots, 0x5a, sizeof slots);
    slots.struct_size = sizeof slots;
    before = slots;
#define REFUSED(call)                                                                                      \
    if (EXPECT_STATUS(call, KVSIEVE_ERR_STATE)) EXPECT(error_names(words), "\"%s\"", kvsieve_last_error())
    for (int32_t layer = 0; layer < LAYERS; layer += 3) {
        REFUSED(kvsieve_plan_step(plan, layer, &queries, &keys, &keys, evict));
        REFUSED(kvsieve_plan_step_logits(plan, layer, &logits, &keys, evict));
        if (slots_are_there) {
            EXPECT_OK(kvsieve_plan_slots(plan, layer, 1, &slots));
            slots = before;
        } else {
            REFUSED(kvsieve_plan_slots(plan, layer, 1, &slots));
        }
    }
    for (int64_t tokens = -1; tokens < 2; ++tokens) REFUSED(kvsieve_plan_trim(plan, tokens));
    EXPECT(evict[0] == 77 && evict[1] == 77, "evict was written");
    EXPECT(memcmp(&slots, &before, sizeof slots) == 0, "slots were written");
    free(queries.data);
    free(keys.data);
    free(logits.data);
}

static void before_finish_and_after_reset(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    EVERY_DECODER (method) {
        kvsieve_plan *plan = decoding_plan(method);
        decoder *d = decoder_new(method, 0);
        const uint64_t whole = slots_hash(d->plan);
        harness_case("%s: before finish and after reset", method_name(method));
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            refuses_to_decode(plan, "finish", 0);
            EXPECT_OK(observe(plan, layer, s));
        }
        refuses_to_decode(plan, "finish", 0);
        EXPECT_OK(kvsieve_plan_finish(plan));
        EXPECT(slots_hash(plan) == whole, "other slots than a plan that nobody disturbed");
        EXPECT_STATUS(kvsieve_plan_finish(plan), KVSIEVE_ERR_STATE);
        EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_DECODING, 0), KVSIEVE_ERR_STATE);
        EXPECT_OK(kvsieve_plan_reset(plan));
        refuses_to_decode(plan, "finish", 0);
        decoder_until(d, 1, 2, NULL, NULL); /* a sequence that ends between two layers */
        EXPECT_OK(kvsieve_plan_reset(d->plan));
        refuses_to_decode(d->plan, "finish", 0);
        for (int32_t layer = 0; layer < LAYERS; ++layer) EXPECT_OK(observe(d->plan, layer, s));
        EXPECT_OK(kvsieve_plan_finish(d->plan));
        EXPECT(slots_hash(d->plan) == whole, "other slots after reset");
        kvsieve_plan_destroy(plan);
        decoder_free(d);
    }
    sequence_free(s);
    harness_case("");
}

static void plans_that_only_append(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    EVERY_METHOD (method) {
        const int decodes = method_decodes(method);
        kvsieve_plan *plan = decodes ? decoding_plan(method) : plan_new(method);
        harness_case("%s: without KVSIEVE_DECODING", method_name(method));
        EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_DECODING, 2), KVSIEVE_ERR_PARAMETER);
        EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_DECODING, 0), decodes ? KVSIEVE_OK : KVSIEVE_ERR_PARAMETER);
        for (int32_t layer = 0; layer < LAYERS; ++layer) EXPECT_OK(observe(plan, layer, s));
        EXPECT_OK(kvsieve_plan_finish(plan));
        refuses_to_decode(plan, decodes ? "decoding" : method_name(method), 1);
        for (int32_t layer = 0; layer < LAYERS; ++layer)
            for (int32_t head = 0; head < HEADS; ++head) {
                kvsieve_kept kept = kept_of(plan, layer);
                kvsieve_slots slots = { 0 };
                const int64_t from = kept.offsets[head];
                slots.struct_size = sizeof slots;
                EXPECT_OK(kvsieve_plan_slots(plan, layer, head, &slots));
                EXPECT(slots.length == kept.offsets[head + 1] - from && slots.tokens == TOKENS && slots.reserved == 0
                           && memcmp(slots.positions, kept.positions + from, sizeof(int32_t) * (size_t)slots.length) == 0,
                       "layer %d head %d: the slots are not what is kept", (int)layer, (int)head);
            }
        kvsieve_plan_destroy(plan);
    }
    sequence_free(s);
    harness_case("");
}

/* -- trim ---------------------------------------------------------------------------------------------------------- */

static kvsieve_status trim(decoder *d, step_call *call, const void *context) {
    (void)call;
    return kvsieve_plan_trim(d->plan, *(const int64_t *)context);
}

/* Two tokens of a round of 3 are taken back: one is left. (First a trim that is refused, then the right one.) If a round has fewer
 * tokens, all but one are taken back. */
static void trimmed_twice(int32_t method) {
    decoder *d = decoder_new(method, 0);
    const int rest = round_tokens(method, 1) - 1;
    uint64_t before;
    decoder_until(d, 1, 0, NULL, NULL);
    before = slots_hash(d->plan);
    decoder_until(d, 1, LAYERS, NULL, NULL);
    EXPECT_OK(kvsieve_plan_trim(d->plan, rest));
    EXPECT_STATUS(kvsieve_plan_trim(d->plan, 2), KVSIEVE_ERR_SHAPE);
    EXPECT_OK(kvsieve_plan_trim(d->plan, 0));
    EXPECT_OK(kvsieve_plan_trim(d->plan, 1));
    EXPECT(slots_hash(d->plan) == before, "the slots are others than before the step");
    EXPECT_STATUS(kvsieve_plan_trim(d->plan, 1), KVSIEVE_ERR_SHAPE);
    d->layer = 0; /* the round again */
    decoder_until(d, ROUNDS, 0, NULL, NULL);
    EXPECT(d->trace == undisturbed(method, 0), "%s goes on otherwise", method_name(method));
    decoder_free(d);
}

static kvsieve_status step_then_mend(decoder *d, step_call *call, const void *context) {
    const float before = element(&call->queries, 0, 0, 0);
    kvsieve_status status;
    (void)context;
    element_set(&call->queries, 0, 0, 0, NAN);
    status = make_call(d, call);
    element_set(&call->queries, 0, 0, 0, before);
    return status;
}

/* Keys of one head. */
static kvsieve_status step_too_narrow(decoder *d, step_call *call, const void *context) {
    (void)context;
    call->keys.heads = 1;
    return make_call(d, call);
}

static void trims(void) {
    static const int64_t none = 0, one = 1, outside[] = { -1, 4, INT64_MAX, INT64_MIN, INT64_C(1) << 32 };
    EVERY_DECODER (method) {
        char words[16];
        snprintf(words, sizeof words, "trim|%d", round_tokens(method, before_trim.round));
        harness_case("%s: trims that cannot be", method_name(method));
        for (int k = 0; k < 5; ++k) {
            refused_at(first, method, 0, trim, &outside[k], KVSIEVE_ERR_SHAPE, "trim");
            refused_at(before_trim, method, 0, trim, &outside[k], KVSIEVE_ERR_SHAPE, words);
            refused_at(amid, method, 0, trim, &outside[k], KVSIEVE_ERR_STATE, "between layers|layer 2");
        }
        refused_at(first, method, 0, trim, &one, KVSIEVE_ERR_SHAPE, "trim");
        refused_at(amid, method, 1, trim, &one, KVSIEVE_ERR_STATE, "between layers");
        refused_at(amid, method, 1, trim, &none, KVSIEVE_ERR_STATE, "between layers");
        harness_case("%s: a trim after a trim", method_name(method));
        trimmed_twice(method);
        harness_case("%s: a trim after a step that was refused", method_name(method));
        refused_at(before_trim, method, 0, step_too_narrow, NULL, KVSIEVE_ERR_SHAPE, "");
        if (step_reads(method, 0, 'q') == READ)
            refused_at(before_trim, method, 0, step_then_mend, NULL, KVSIEVE_ERR_NONFINITE, "layer 0");
    }
    harness_case("");
}

/* -- slots --------------------------------------------------------------------------------------------------------- */

struct place {
    int32_t layer, head;
    uint32_t size;
};

static kvsieve_status slots_of(decoder *d, step_call *call, const void *context) {
    const struct place *place = context;
    unsigned char found[64], before[64];
    kvsieve_status status;
    (void)call;
    memset(found, 0x5a, sizeof found);
    memcpy(found, &place->size, sizeof place->size);
    memcpy(before, found, sizeof found);
    status = kvsieve_plan_slots(d->plan, place->layer, place->head, (kvsieve_slots *)(void *)found);
    EXPECT(memcmp(found, before, sizeof found) == 0, "slots were written");
    return status;
}

static void slots_that_are_none(void) {
    static const int32_t outside[] = { -1, 1000, INT32_MAX, INT32_MIN };
    const uint32_t size = sizeof(kvsieve_slots);
    EVERY_DECODER (method) {
        harness_case("%s: slots of no layer and no head", method_name(method));
        for (int k = 0; k < 4; ++k) {
            const struct place layer = { outside[k], 0, size }, head = { 1, outside[k], size };
            refused_at(k % 2 ? first : amid, method, 0, slots_of, &layer, KVSIEVE_ERR_SHAPE, "layer");
            refused_at(k % 2 ? last : before_trim, method, 0, slots_of, &head, KVSIEVE_ERR_SHAPE, "head");
        }
        refused_at(first, method, 0, slots_of, &(struct place){ LAYERS, 0, size }, KVSIEVE_ERR_SHAPE, "layer|4|3");
        refused_at(first, method, 0, slots_of, &(struct place){ 0, HEADS, size }, KVSIEVE_ERR_SHAPE, "head|2|1");
        harness_case("%s: slots of an older and a newer caller", method_name(method));
        for (uint32_t given = 0; given < size; given += 1 + given % 7)
            refused_at(amid, method, 0, slots_of, &(struct place){ 0, 0, given }, KVSIEVE_ERR_PARAMETER, "slots.struct_size");
        for (uint32_t given = size; given < size + 20; ++given) {
            decoder *d = decoder_new(method, 0);
            struct {
                kvsieve_slots slots;
                unsigned char behind[32];
            } newer;
            memset(&newer, 0x5a, sizeof newer);
            newer.slots.struct_size = given;
            EXPECT_OK(kvsieve_plan_slots(d->plan, 3, 1, &newer.slots));
            EXPECT(newer.slots.struct_size == size && newer.slots.reserved == 0, "%u of %u", newer.slots.struct_size, given);
            EXPECT(newer.slots.length == SLOTS && newer.slots.tokens == TOKENS, "%d slots", (int)newer.slots.length);
            for (size_t b = 0; b < sizeof newer.behind; ++b) EXPECT(newer.behind[b] == 0x5a, "byte %d behind", (int)b);
            decoder_free(d);
        }
    }
    harness_case("");
}

int main(void) {
    before_finish_and_after_reset();
    plans_that_only_append();
    trims();
    slots_that_are_none();
    return harness_end();
}
