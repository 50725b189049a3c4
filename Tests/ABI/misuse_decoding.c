/* step, step_logits, trim and slots called wrongly: NULL, at the wrong time, tensors that cannot be, numbers that are none.
 * Each refused call is made between the right calls of a whole sequence (decoder.h): evict and slots do not change, and the
 * sequence continues as an undisturbed one. */
#include "decoder.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (strchr("QKVZ", which)) tensor_of(call, (char)(which - 'A' + 'a'))->data = NULL;
    else call->missing = which;
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
    EVERY_WAY (method, by_logits) {
        harness_case("%s: as it should be, logits %d", method_name(method), by_logits);
        changes_nothing(method, by_logits, step_as_it_is, NULL);
        for (const char *which = "peqkvzQKVZ"; *which; ++which) {
            const char letter = (char)(*which < 'a' ? *which - 'A' + 'a' : *which);
            const char *word = letter == 'p' ? "plan" : letter == 'e' ? "slot" : name_of(letter);
            if (letter != 'p' && letter != 'e' && step_reads(method, by_logits, letter) < (letter == *which ? SHAPE_ONLY : READ))
                continue;
            harness_case("%s: step without '%c', logits %d", method_name(method), *which, by_logits);
            refused_at(first, method, by_logits, step_missing, which, KVSIEVE_ERR_NULL, word);
            refused_at(amid, method, by_logits, step_missing, which, KVSIEVE_ERR_NULL, word);
        }
        harness_case("%s: slots into NULL, logits %d", method_name(method), by_logits);
        refused_at(amid, method, by_logits, slots_missing, NULL, KVSIEVE_ERR_NULL, "slots");
    }
    harness_case("");
}

/* -- tensors ------------------------------------------------------------------------------------------------------- */

enum field { HEADS_IS, TOKENS_IS, DIM_IS, TOKENS_MORE, DIM_MORE, HEAD_STRIDE, TOKEN_STRIDE, DTYPE, RESERVED0, RESERVED1, SHIFT };
static const char *const field_names[] = { "heads",        "tokens", "dim",      "rows",     "rows", "head_stride",
                                           "token_stride", "dtype",  "reserved", "reserved", "data" };

/* clang-format off */
struct fault { const char *which; enum field field; int64_t value; kvsieve_status status; const char *word; };
struct broken { char which; const struct fault *fault; };
/* clang-format on */

static kvsieve_status step_broken(decoder *d, step_call *call, const void *context) {
    const struct broken *broken = context;
    const int64_t value = broken->fault->value;
    kvsieve_tensor *t = tensor_of(call, broken->which);
    /* Another n, on which all tensors agree. */
    if (broken->which != 'v' && (broken->fault->field == TOKENS_MORE || broken->fault->field == DIM_MORE))
        call->values.tokens += value;
    switch (broken->fault->field) {
    case HEADS_IS: t->heads = value; break;
    case TOKENS_IS: t->tokens = value; break;
    case DIM_IS: t->dim = (int32_t)value; break;
    case TOKENS_MORE: t->tokens += value; break;
    case DIM_MORE: t->dim += (int32_t)value; break;
    case HEAD_STRIDE: t->head_stride = value; break;
    case TOKEN_STRIDE: t->token_stride = value; break;
    case DTYPE: t->dtype = (int32_t)value; break;
    case RESERVED0: t->reserved[0] = (int32_t)value; break;
    case RESERVED1: t->reserved[1] = (int32_t)value; break;
    case SHIFT: t->data = (char *)t->data + value; break;
    }
    return make_call(d, call);
}

/* Of a tensor whose shape alone counts, the numbers of heads and rows are seen. A dimension of size 1 has no stride. */
static int seen(int32_t method, int by_logits, char which, enum field field) {
    const enum reading reading = step_reads(method, by_logits, which);
    if (field == TOKEN_STRIDE && strchr("qz", which) && round_tokens(method, amid.round) == 1) return 0;
    return reading == READ || (reading == SHAPE_ONLY && field != DIM_IS && field <= DIM_MORE);
}

static void tensors_that_cannot_be(void) {
    const int64_t row = DIM * 4;
    /* clang-format off */
    const struct fault faults[] = {
        { "qkvz", HEADS_IS, 0, KVSIEVE_ERR_SHAPE, "" },          { "qkvz", HEADS_IS, INT64_MIN, KVSIEVE_ERR_SHAPE, "" },
        { "qkvz", HEADS_IS, 1, KVSIEVE_ERR_SHAPE, "" },          { "qz", HEADS_IS, HEADS, KVSIEVE_ERR_SHAPE, "4" },
        { "kv", HEADS_IS, HEADS + 1, KVSIEVE_ERR_SHAPE, "2" },   { "qkvz", HEADS_IS, INT64_MAX, KVSIEVE_ERR_SHAPE, "" },
        { "qkvz", TOKENS_IS, 0, KVSIEVE_ERR_SHAPE, "" },         { "qkvz", TOKENS_IS, -3, KVSIEVE_ERR_SHAPE, "" },
        { "qkvz", TOKENS_IS, INT64_MAX, KVSIEVE_ERR_SHAPE, "" }, { "qkvz", TOKENS_IS, 16777217, KVSIEVE_ERR_SHAPE, "" },
        { "qkvz", DIM_IS, 0, KVSIEVE_ERR_SHAPE, "" },            { "qkvz", DIM_IS, INT32_MIN, KVSIEVE_ERR_SHAPE, "" },
        { "qkv", DIM_IS, 65537, KVSIEVE_ERR_SHAPE, "" },         { "qk", DIM_IS, DIM / 2, KVSIEVE_ERR_SHAPE, "16" },
        { "k", TOKENS_MORE, 1, KVSIEVE_ERR_SHAPE, "32" },        { "k", TOKENS_MORE, -1, KVSIEVE_ERR_SHAPE, "32" },
        { "z", DIM_MORE, 1, KVSIEVE_ERR_SHAPE, "32" },           { "z", DIM_MORE, -1, KVSIEVE_ERR_SHAPE, "32" },
        { "qkvz", HEAD_STRIDE, 0, KVSIEVE_ERR_LAYOUT, "" },      { "qkvz", HEAD_STRIDE, -row, KVSIEVE_ERR_LAYOUT, "" },
        { "qkvz", HEAD_STRIDE, 4 * row + 2, KVSIEVE_ERR_LAYOUT, "" }, { "kv", HEAD_STRIDE, row, KVSIEVE_ERR_LAYOUT, "" },
        { "kv", TOKEN_STRIDE, row - 4, KVSIEVE_ERR_LAYOUT, "" }, { "kv", TOKEN_STRIDE, row + 1, KVSIEVE_ERR_LAYOUT, "" },
        { "qkvz", HEAD_STRIDE, INT64_MAX - 3, KVSIEVE_ERR_LAYOUT, "" },
        { "qkvz", TOKEN_STRIDE, INT64_MIN, KVSIEVE_ERR_LAYOUT, "" }, { "z", DIM_IS, 16777217, KVSIEVE_ERR_SHAPE, "16777216" },
        { "qkvz", DTYPE, 8, KVSIEVE_ERR_DTYPE, "8" },            { "qkvz", DTYPE, -1, KVSIEVE_ERR_DTYPE, "-1" },
        { "qkvz", RESERVED0, 1, KVSIEVE_ERR_LAYOUT, "" },        { "qkvz", RESERVED1, INT32_MIN, KVSIEVE_ERR_LAYOUT, "" },
        { "qkvz", SHIFT, 1, KVSIEVE_ERR_LAYOUT, "" },            { "qkvz", SHIFT, 2, KVSIEVE_ERR_LAYOUT, "" },
    };
    /* clang-format on */
    const struct fault values[] = { { "v", TOKENS_MORE, 1, KVSIEVE_ERR_SHAPE, "values.tokens" },
                                    { "v", TOKENS_MORE, -1, KVSIEVE_ERR_SHAPE, "values.tokens" } };
    EVERY_WAY (method, by_logits)
        for (size_t i = 0; i < sizeof faults / sizeof *faults + 2; ++i) {
            const struct fault *fault = i < 2 ? &values[i] : &faults[i - 2];
            for (const char *which = fault->which; *which; ++which) {
                const struct broken broken = { *which, fault };
                char words[64];
                if (left_out((int)i + method_index(method) + by_logits)) continue;
                if (!seen(method, by_logits, *which, fault->field)) continue;
                snprintf(words, sizeof words, "%s|%s|%s", name_of(*which), field_names[fault->field], fault->word);
                if (step_reads(method, by_logits, *which) == SHAPE_ONLY) words[0] = 0; /* the shape says m as well: another m */
                harness_case("%s: '%c' with %s %lld, logits %d", method_name(method), *which, field_names[fault->field],
                             (long long)fault->value, by_logits);
                refused_at(amid, method, by_logits, step_broken, &broken, fault->status, words);
                if (fault->field != TOKEN_STRIDE && !slow())
                    refused_at(last, method, by_logits, step_broken, &broken, fault->status, words);
            }
        }
    harness_case("");
}

/* -- numbers ------------------------------------------------------------------------------------------------------- */

/* `token`: a row of the tensor; negative: from its end. `d`: an element; for logits a row of the keys, likewise. */
/* clang-format off */
struct poison { char which; int32_t head, token, d; float value; };
/* clang-format on */

/* A round of 3 tokens is shorter where the method does not take as many. */
static int has_row(int32_t method, const struct poison *p) {
    const int tokens = round_tokens(method, amid.round);
    return p->which == 'k' || (p->token < tokens && p->token >= -tokens && (p->which != 'z' || p->d < SLOTS + tokens));
}

/* Makes the call with one poisoned element, mended afterwards. */
static kvsieve_status step_poisoned(decoder *d, step_call *call, const void *context) {
    const struct poison *p = context;
    const kvsieve_tensor *t = tensor_of(call, p->which);
    const int64_t token = p->token < 0 ? t->tokens + p->token : p->token;
    const int32_t place = p->d < 0 ? t->dim + p->d : p->d;
    const float before = element(t, p->head, token, place);
    kvsieve_status status;
    element_set(t, p->head, token, place, p->value);
    status = make_call(d, call);
    element_set(t, p->head, token, place, before);
    return status;
}

/* A logit of 1e38 * 1e38 / 4. */
static kvsieve_status step_overflowing(decoder *d, step_call *call, const void *context) {
    const struct poison query = { 'q', 2, 0, 3, 1e38f };
    const float before = element(&call->keys, 1, 5, 3);
    kvsieve_status status;
    (void)context;
    element_set(&call->keys, 1, 5, 3, 1e38f);
    status = step_poisoned(d, call, &query);
    element_set(&call->keys, 1, 5, 3, before);
    return status;
}

/* What is read, in a round of 3 tokens: NaN and infinity, and what overflows on the way. */
static void numbers_that_are_none(void) {
    static const float poisons[] = { NAN, INFINITY, -INFINITY };
    static const struct poison read[] = {
        { 'q', 0, 0, 0, 0 },        { 'q', 3, -1, DIM - 1, 0 }, { 'q', 2, 1, 7, 0 },  { 'k', 0, 0, 3, 0 },
        { 'k', 1, 31, DIM - 1, 0 }, { 'k', 1, -1, 0, 0 },       { 'k', 0, -3, 8, 0 }, { 'v', 0, -1, 0, 0 },
        { 'v', 1, -3, DIM - 1, 0 }, { 'v', 0, -2, 5, 0 },       { 'z', 0, 0, 0, 0 },  { 'z', 3, 0, 31, 0 },
        { 'z', 1, 0, 32, 0 },       { 'z', 2, 1, 33, 0 },       { 'z', 3, 2, -1, 0 },
    };
    EVERY_WAY (method, by_logits) {
        static const struct poison norm = { 'v', 1, -1, 2, 2e19f };
        for (size_t i = 0; i < sizeof read / sizeof *read * 3; ++i) {
            struct poison p = read[i / 3];
            p.value = poisons[i % 3];
            if (step_reads(method, by_logits, p.which) != READ || !has_row(method, &p)) continue;
            harness_case("%s: %g in '%c' %d %d %d, logits %d", method_name(method), (double)p.value, p.which, (int)p.head,
                         (int)p.token, (int)p.d, by_logits);
            refused_at(amid, method, by_logits, step_poisoned, &p, KVSIEVE_ERR_NONFINITE,
                       p.which == 'v' ? "values|layer 2"
                       : by_logits    ? "logits|layer 2"
                                      : "layer 2");
        }
        harness_case("%s: numbers that overflow, logits %d", method_name(method), by_logits);
        if (method == KVSIEVE_AHAKV) refused_at(amid, method, by_logits, step_poisoned, &norm, KVSIEVE_ERR_NONFINITE, "values");
        if (step_reads(method, by_logits, 'k') == READ && step_reads(method, by_logits, 'q') == READ)
            refused_at(amid, method, by_logits, step_overflowing, NULL, KVSIEVE_ERR_NONFINITE, "layer 2");
    }
    harness_case("");
}

/* Old values, those that the method does not read, and logits of later tokens. */
static void nothing_is_wrong_where_nothing_is_read(void) {
    static const struct poison logits = { 'z', 1, 0, -1, NAN }, old = { 'v', 1, 31, 2, INFINITY };
    EVERY_WAY (method, by_logits) {
        decoder *d;
        harness_case("%s: values of old tokens, logits %d", method_name(method), by_logits);
        changes_nothing(method, by_logits, step_poisoned, &old);
        for (const char *which = by_logits ? "vz" : "qkv"; *which; ++which) {
            const struct poison new = { *which, 0, -1, 2, NAN };
            const char data[] = { (char)(*which - 'a' + 'A') };
            const enum reading reading = step_reads(method, by_logits, *which);
            if (reading == READ) continue;
            harness_case("%s: '%c' that is not read, logits %d", method_name(method), *which, by_logits);
            changes_nothing(method, by_logits, step_poisoned, &new);
            changes_nothing(method, by_logits, step_missing, data);
            if (reading == UNREAD) changes_nothing(method, by_logits, step_missing, which);
        }
        if (!by_logits || step_reads(method, by_logits, 'z') != READ) continue;
        if (round_tokens(method, 1) == 1) continue; /* there is no later token */
        harness_case("%s: logits behind a token's own row", method_name(method));
        d = decoder_new(method, by_logits);
        decoder_until(d, 1, 0, NULL, NULL);
        decoder_until(d, 1, LAYERS, step_poisoned, &logits); /* a round of 3 tokens */
        decoder_until(d, ROUNDS, 0, NULL, NULL);
        EXPECT(d->trace == undisturbed(method, by_logits), "%s decided otherwise", method_name(method));
        decoder_free(d);
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
    EVERY_WAY (method, by_logits) {
        const int too_many = most_tokens(method) + 1, m = round_tokens(method, amid.round), fewer = m - 1, more = m + 1;
        char words[64];
        harness_case("%s: layers out of range and out of turn, logits %d", method_name(method), by_logits);
        for (int i = 0; i < 4; ++i) refused_at(amid, method, by_logits, step_layer, &outside[i], KVSIEVE_ERR_SHAPE, "layer");
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            if (layer != first.layer) refused_at(first, method, by_logits, step_layer, &layer, KVSIEVE_ERR_STATE, "layer 0");
            if (layer != amid.layer) refused_at(amid, method, by_logits, step_layer, &layer, KVSIEVE_ERR_STATE, "layer 2");
            if (layer != last.layer) refused_at(last, method, by_logits, step_layer, &layer, KVSIEVE_ERR_STATE, "layer 3");
            if (layer != 0) refused_at(before_trim, method, by_logits, step_layer, &layer, KVSIEVE_ERR_STATE, "layer 0");
        }
        harness_case("%s: another m than the layers before, logits %d", method_name(method), by_logits);
        snprintf(words, sizeof words, "layer 2|%d|%d", fewer, m);
        if (fewer > 0) refused_at(amid, method, by_logits, step_tokens, &fewer, KVSIEVE_ERR_SHAPE, words);
        snprintf(words, sizeof words, "layer 2|%d|%d", more, m);
        if (more < too_many) refused_at(amid, method, by_logits, step_tokens, &more, KVSIEVE_ERR_SHAPE, words);
        harness_case("%s: m beyond the recent tokens, logits %d", method_name(method), by_logits);
        if (EXPECT(too_many <= MOST, "%s takes %d tokens, more than there are slots", method_name(method), too_many - 1))
            refused_at(first, method, by_logits, step_tokens, &too_many, KVSIEVE_ERR_SHAPE, "recent");
    }
    harness_case("");
}

int main(void) {
    pointers();
    tensors_that_cannot_be();
    numbers_that_are_none();
    nothing_is_wrong_where_nothing_is_read();
    layers_and_counts();
    return harness_end();
}
