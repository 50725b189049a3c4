/* step, step_logits, trim and slots called wrongly: NULL, at the wrong time, tensors that cannot be, numbers that are none.
 * Each refused call comes between the right calls of a whole sequence (decoder.h): evict and slots stay as they are, and the
 * sequence goes on as one that nobody disturbed. */
#include "decoder.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- one wrong call in a sequence ---------------------------------------------------------------------------------- */

/* When a call comes: before `layer` of `round` steps; LAYERS: all have stepped, nothing was trimmed or moved yet. */
struct moment { int round; int32_t layer; };
static const struct moment first = { 0, 0 }, amid = { 1, 2 }, before_trim = { 1, LAYERS }, last = { 3, LAYERS - 1 };

static uint64_t undisturbed(int32_t method, int by_logits) {
    static uint64_t known[8][2];
    if (known[method][by_logits] == 0) {
        decoder *d = decoder_new(method, by_logits);
        decoder_until(d, ROUNDS, 0, NULL, NULL);
        known[method][by_logits] = d->trace;
        decoder_free(d);
    }
    return known[method][by_logits];
}

/* `wrong` is given the right call of that moment. */
static void refused_at(struct moment when, int32_t method, int by_logits, step_maker wrong, const void *context,
                       kvsieve_status status, const char *words) {
    decoder *d = decoder_new(method, by_logits);
    int32_t evict[HEADS * MOST], before[HEADS * MOST];
    step_call call;
    uint64_t slots;
    decoder_until(d, when.round, when.layer, NULL, NULL);
    call = decoder_call(d, round_tokens[when.round], evict);
    memcpy(before, evict, sizeof evict);
    slots = slots_hash(d->plan);
    if (EXPECT_STATUS(wrong(d, &call, context), status))
        EXPECT(error_names(words), "looked for \"%s\" in \"%s\"", words, kvsieve_last_error());
    EXPECT(memcmp(evict, before, sizeof evict) == 0, "evict was written");
    EXPECT(slots_hash(d->plan) == slots, "the slots are others");
    decoder_call(d, round_tokens[when.round], evict); /* rows as they were */
    decoder_until(d, ROUNDS, 0, NULL, NULL);
    EXPECT(d->trace == undisturbed(method, by_logits), "%s goes on otherwise", decoder_name(method));
    decoder_free(d);
}

/* Every call of a sequence is made by `make`, and nothing comes out otherwise. */
static void changes_nothing(int32_t method, int by_logits, step_maker make, const void *context) {
    decoder *d = decoder_new(method, by_logits);
    decoder_until(d, ROUNDS, 0, make, context);
    EXPECT(d->trace == undisturbed(method, by_logits), "%s decided otherwise", decoder_name(method));
    decoder_free(d);
}

#define EVERY_WAY(method, by_logits)                                                   \
    for (int index_ = 0; index_ < DECODERS; ++index_)                                  \
        for (int32_t method = decoders[index_], by_logits = 0; by_logits < 2; ++by_logits)

/* Does this way look at the tensor? */
static int reads(int32_t method, int by_logits, char which) {
    if (which == 'v') return method == KVSIEVE_AHAKV;
    return by_logits == (which == 'z');
}

static const char *name_of(char which) {
    return which == 'q' ? "queries" : which == 'k' ? "keys" : which == 'v' ? "values" : "logits";
}

static kvsieve_tensor *tensor_of(step_call *call, char which) {
    return which == 'q' ? &call->queries : which == 'k' ? &call->keys : which == 'v' ? &call->values : &call->logits;
}

/* -- pointers ------------------------------------------------------------------------------------------------------ */

/* context: the letter of what is NULL; upper case: its data is. */
static kvsieve_status step_missing(decoder *d, step_call *call, const void *context) {
    const char which = *(const char *)context;
    if (strchr("QKVZ", which))
        tensor_of(call, (char)(which - 'A' + 'a'))->data = NULL;
    else
        call->missing = which;
    return make_call(d, call);
}

static kvsieve_status step_as_it_is(decoder *d, step_call *call, const void *context) {
    (void)context;
    return make_call(d, call);
}

static kvsieve_status slots_missing(decoder *d, step_call *call, const void *context) {
    (void)call, (void)context;
    return kvsieve_plan_slots(d->plan, 0, 0, NULL);
}

static void pointers(void) {
    kvsieve_slots slots, before;
    memset(&slots, 0x5a, sizeof slots);
    slots.struct_size = sizeof slots;
    before = slots;
    harness_case("trim and slots of a NULL plan");
    if (EXPECT_STATUS(kvsieve_plan_trim(NULL, 0), KVSIEVE_ERR_NULL)) EXPECT(error_names("plan"), "%s", kvsieve_last_error());
    if (EXPECT_STATUS(kvsieve_plan_slots(NULL, 0, 0, &slots), KVSIEVE_ERR_NULL))
        EXPECT(error_names("plan"), "%s", kvsieve_last_error());
    EXPECT(memcmp(&slots, &before, sizeof slots) == 0, "slots were written");
    EVERY_WAY(method, by_logits) {
        harness_case("%s: as it should be, logits %d", decoder_name(method), by_logits);
        changes_nothing(method, by_logits, step_as_it_is, NULL);
        for (const char *which = "peqkvzQKVZ"; *which; ++which) {
            const char letter = (char)(*which < 'a' ? *which - 'A' + 'a' : *which);
            const char *word = letter == 'p' ? "plan" : letter == 'e' ? "evict" : name_of(letter);
            if (letter != 'p' && letter != 'e' && !reads(method, by_logits, letter)) continue;
            harness_case("%s: step without '%c', logits %d", decoder_name(method), *which, by_logits);
            refused_at(first, method, by_logits, step_missing, which, KVSIEVE_ERR_NULL, word);
            refused_at(amid, method, by_logits, step_missing, which, KVSIEVE_ERR_NULL, word);
        }
        harness_case("%s: slots into NULL, logits %d", decoder_name(method), by_logits);
        refused_at(amid, method, by_logits, slots_missing, NULL, KVSIEVE_ERR_NULL, "slots");
    }
    harness_case("");
}

/* -- tensors ------------------------------------------------------------------------------------------------------- */

enum field { HEADS_IS, TOKENS_IS, DIM_IS, TOKENS_MORE, DIM_MORE, HEAD_STRIDE, TOKEN_STRIDE, DTYPE, RESERVED0, RESERVED1, SHIFT };
static const char *const field_names[] = { "heads", "tokens", "dim", "rows", "rows", "head_stride", "token_stride",
                                           "dtype", "reserved", "reserved", "data" };

struct fault { const char *which; enum field field; int64_t value; kvsieve_status status; const char *word; };

struct broken { char which; const struct fault *fault; };

static kvsieve_status step_broken(decoder *d, step_call *call, const void *context) {
    const struct broken *broken = context;
    const int64_t value = broken->fault->value;
    kvsieve_tensor *t = tensor_of(call, broken->which);
    switch (broken->fault->field) {
    case HEADS_IS: t->heads = value; break;
    case TOKENS_IS: t->tokens = value; break;
    case DIM_IS: t->dim = (int32_t)value; break;
    case TOKENS_MORE: t->tokens += value; break;
    case DIM_MORE: t->dim += (int32_t)value; break;
    case HEAD_STRIDE: t->head_stride = value; break;
    case TOKEN_STRIDE: t->token_stride = value; break;
    case DTYPE: t->dtype = (int32_t)value; break;
    case RESERVED0: t->reserved[0] = value; break;
    case RESERVED1: t->reserved[1] = value; break;
    case SHIFT: t->data = (char *)t->data + value; break;
    }
    return make_call(d, call);
}

static void tensors_that_cannot_be(void) {
    const int64_t row = DIM * 4;
    const struct fault faults[] = {
        { "qkvz", HEADS_IS, 0, KVSIEVE_ERR_SHAPE, "" },          { "qkvz", HEADS_IS, INT64_MIN, KVSIEVE_ERR_SHAPE, "" },
        { "qkvz", HEADS_IS, 1, KVSIEVE_ERR_SHAPE, "" },          { "qz", HEADS_IS, HEADS, KVSIEVE_ERR_SHAPE, "4" },
        { "kv", HEADS_IS, HEADS + 1, KVSIEVE_ERR_SHAPE, "2" },   { "qkvz", HEADS_IS, INT64_MAX, KVSIEVE_ERR_SHAPE, "" },
        { "qkvz", TOKENS_IS, 0, KVSIEVE_ERR_SHAPE, "" },         { "qkvz", TOKENS_IS, -3, KVSIEVE_ERR_SHAPE, "" },
        { "qkvz", TOKENS_IS, INT64_MAX, KVSIEVE_ERR_SHAPE, "" }, { "qkvz", TOKENS_IS, 16777217, KVSIEVE_ERR_SHAPE, "" },
        { "qkvz", DIM_IS, 0, KVSIEVE_ERR_SHAPE, "" },            { "qkvz", DIM_IS, INT32_MIN, KVSIEVE_ERR_SHAPE, "" },
        { "qkvz", DIM_IS, 65537, KVSIEVE_ERR_SHAPE, "" },        { "qk", DIM_IS, DIM / 2, KVSIEVE_ERR_SHAPE, "16" },
        { "k", TOKENS_MORE, 1, KVSIEVE_ERR_SHAPE, "32" },        { "k", TOKENS_MORE, -1, KVSIEVE_ERR_SHAPE, "32" },
        { "z", DIM_MORE, 1, KVSIEVE_ERR_SHAPE, "32" },           { "z", DIM_MORE, -1, KVSIEVE_ERR_SHAPE, "32" },
        { "qkvz", HEAD_STRIDE, 0, KVSIEVE_ERR_LAYOUT, "" },      { "qkvz", HEAD_STRIDE, -row, KVSIEVE_ERR_LAYOUT, "" },
        { "qkvz", HEAD_STRIDE, 4 * row + 2, KVSIEVE_ERR_LAYOUT, "" }, { "kv", HEAD_STRIDE, row, KVSIEVE_ERR_LAYOUT, "" },
        { "kv", TOKEN_STRIDE, row - 4, KVSIEVE_ERR_LAYOUT, "" }, { "kv", TOKEN_STRIDE, row + 1, KVSIEVE_ERR_LAYOUT, "" },
        { "qkvz", HEAD_STRIDE, INT64_MAX - 3, KVSIEVE_ERR_LAYOUT, "" },
        { "qkvz", TOKEN_STRIDE, INT64_MIN, KVSIEVE_ERR_LAYOUT, "" },
        { "qkvz", DTYPE, 3, KVSIEVE_ERR_DTYPE, "3" },            { "qkvz", DTYPE, -1, KVSIEVE_ERR_DTYPE, "-1" },
        { "qkvz", RESERVED0, 1, KVSIEVE_ERR_LAYOUT, "" },        { "qkvz", RESERVED1, INT64_MIN, KVSIEVE_ERR_LAYOUT, "" },
        { "qkvz", SHIFT, 1, KVSIEVE_ERR_LAYOUT, "" },            { "qkvz", SHIFT, 2, KVSIEVE_ERR_LAYOUT, "" },
    };
    const struct fault values[] = { { "v", TOKENS_MORE, 1, KVSIEVE_ERR_SHAPE, "values.tokens" },
                                    { "v", TOKENS_MORE, -1, KVSIEVE_ERR_SHAPE, "values.tokens" } };
    EVERY_WAY(method, by_logits)
        for (size_t i = 0; i < sizeof faults / sizeof *faults + 2; ++i) {
            const struct fault *fault = i < 2 ? &values[i] : &faults[i - 2];
            for (const char *which = fault->which; *which; ++which) {
                const struct broken broken = { *which, fault };
                char words[64];
                if (!reads(method, by_logits, *which)) continue;
                snprintf(words, sizeof words, "%s|%s|%s", name_of(*which), i < 2 ? "" : field_names[fault->field], fault->word);
                harness_case("%s: '%c' with %s %lld, logits %d", decoder_name(method), *which, field_names[fault->field],
                             (long long)fault->value, by_logits);
                /* A dimension of size 1 has no stride: a round of 3 tokens. */
                refused_at(amid, method, by_logits, step_broken, &broken, fault->status, words);
                if (fault->field != TOKEN_STRIDE)
                    refused_at(last, method, by_logits, step_broken, &broken, fault->status, words);
            }
        }
    harness_case("");
}

/* -- order and counts ---------------------------------------------------------------------------------------------- */

static kvsieve_status step_layer(decoder *d, step_call *call, const void *context) {
    call->layer = *(const int32_t *)context;
    return make_call(d, call);
}

/* context: so many tokens, all tensors agreeing. */
static kvsieve_status step_tokens(decoder *d, step_call *call, const void *context) {
    const int32_t layer = call->layer;
    *call = decoder_call(d, *(const int *)context, call->evict);
    call->layer = layer;
    return make_call(d, call);
}

static void layers_and_counts(void) {
    static const int32_t outside[] = { -1, LAYERS, INT32_MAX, INT32_MIN };
    static const int two = 2, four = 4;
    EVERY_WAY(method, by_logits) {
        const int too_many = recent_of(method) + 1;
        harness_case("%s: layers out of range and out of turn, logits %d", decoder_name(method), by_logits);
        for (int i = 0; i < 4; ++i)
            refused_at(amid, method, by_logits, step_layer, &outside[i], KVSIEVE_ERR_SHAPE, "layer");
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            if (layer != first.layer) refused_at(first, method, by_logits, step_layer, &layer, KVSIEVE_ERR_STATE, "layer 0");
            if (layer != amid.layer) refused_at(amid, method, by_logits, step_layer, &layer, KVSIEVE_ERR_STATE, "layer 2");
            if (layer != last.layer) refused_at(last, method, by_logits, step_layer, &layer, KVSIEVE_ERR_STATE, "layer 3");
            if (layer != 0) refused_at(before_trim, method, by_logits, step_layer, &layer, KVSIEVE_ERR_STATE, "layer 0");
        }
        harness_case("%s: another m than the layers before, logits %d", decoder_name(method), by_logits);
        refused_at(amid, method, by_logits, step_tokens, &two, KVSIEVE_ERR_SHAPE, "layer 2|2|3");
        refused_at(amid, method, by_logits, step_tokens, &four, KVSIEVE_ERR_SHAPE, "layer 2|4|3");
        harness_case("%s: m beyond the recent tokens, logits %d", decoder_name(method), by_logits);
        refused_at(first, method, by_logits, step_tokens, &too_many, KVSIEVE_ERR_SHAPE, "recent");
    }
    harness_case("");
}

int main(void) {
    pointers();
    tensors_that_cannot_be();
    layers_and_counts();
    return harness_end();
}
