/* Calls at the wrong time, structs of another age, and targets where a gather must not write. */
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- order ------------------------------------------------------------------------------------------------------- */

static kvsieve_status observe_layer(kvsieve_plan *plan, sequence *s, const void *context) {
    const int32_t layer = *(const int32_t *)context, known = layer >= 0 && layer < LAYERS ? layer : 0;
    return kvsieve_plan_observe(plan, layer, &s->queries[known], &s->keys[known], &s->values[known]);
}

static kvsieve_status finish(kvsieve_plan *plan, sequence *s, const void *context) {
    (void)s, (void)context;
    return kvsieve_plan_finish(plan);
}

static kvsieve_status needs(kvsieve_plan *plan, sequence *s, const void *context) {
    int32_t needs = -7;
    kvsieve_status status = kvsieve_plan_needs(plan, *(const int32_t *)context, &needs);
    (void)s;
    EXPECT(needs == -7, "needs was written");
    return status;
}

static kvsieve_status gather(kvsieve_plan *plan, sequence *s, const void *context) {
    kvsieve_tensor target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_F32);
    uint64_t before = bytes_hash(target.data, (size_t)(HEADS * target.head_stride), 0);
    kvsieve_status status = kvsieve_plan_gather(plan, *(const int32_t *)context, &s->keys[0], &target);
    EXPECT(bytes_hash(target.data, (size_t)(HEADS * target.head_stride), 0) == before, "the target was written");
    free(target.data);
    return status;
}

static void layers_out_of_order(void) {
    static const int32_t outside[] = { -1, LAYERS, INT32_MAX, INT32_MIN };
    int number = 0;
    EVERY_METHOD (method)
        for (int stage = BEFORE; stage <= FINISHED; ++stage) {
            if (left_out(number++)) continue;
            harness_case("%s: wrong layers at stage %d", method_name(method), stage);
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                char word[24];
                snprintf(word, sizeof word, "layer %d", (int)layer);
                if (layer != stage) expect_refused(method, stage, observe_layer, &layer, KVSIEVE_ERR_STATE, word);
                if (layer >= stage) expect_refused(method, stage, refused_kept, &layer, KVSIEVE_ERR_STATE, word);
                if (stage < FINISHED) expect_refused(method, stage, gather, &layer, KVSIEVE_ERR_STATE, "finish");
            }
            for (size_t i = 0; i < sizeof outside / sizeof *outside; ++i) {
                char words[32];
                snprintf(words, sizeof words, "layer|%d|%d", (int)outside[i], LAYERS - 1);
                expect_refused(method, stage, observe_layer, &outside[i], KVSIEVE_ERR_SHAPE, words);
                expect_refused(method, stage, refused_kept, &outside[i], KVSIEVE_ERR_SHAPE, words);
                expect_refused(method, stage, needs, &outside[i], KVSIEVE_ERR_SHAPE, words);
                if (stage == FINISHED) expect_refused(method, stage, gather, &outside[i], KVSIEVE_ERR_SHAPE, words);
            }
        }
    harness_case("");
}

static void finish_before_the_last_layer_or_twice(void) {
    EVERY_METHOD (method) {
        for (int stage = BEFORE; stage < LAYERS; ++stage) expect_refused(method, stage, finish, NULL, KVSIEVE_ERR_STATE, "layers");
        expect_refused(method, FINISHED, finish, NULL, KVSIEVE_ERR_STATE, "finished");
    }
}

/* All of a plan's parameters. */
static uint64_t parameters_hash(const kvsieve_plan *plan, int32_t method) {
    kvsieve_parameter_info info = { 0 };
    uint64_t hash = 1;
    info.struct_size = sizeof info;
    for (int32_t i = 0; kvsieve_parameter_at(method, i, &info) == KVSIEVE_OK; ++i) {
        double value = 0;
        EXPECT_OK(kvsieve_plan_get(plan, info.id, &value));
        hash = bytes_hash(&value, sizeof value, hash);
    }
    return hash;
}

/* reset() at any time, and the next sequence is as if it were the first. */
static void reset_forgets_the_sequence_and_nothing_else(void) {
    EVERY_METHOD (method)
        for (int stage = BEFORE; stage <= FINISHED; ++stage) {
            sequence *first = sequence_new(TOKENS - 20, KVSIEVE_F32, 2), *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
            kvsieve_plan *plan = plan_new(method);
            const uint64_t parameters = parameters_hash(plan, method);
            observe_range(plan, 0, stage < LAYERS ? stage : LAYERS, first);
            if (stage == FINISHED) EXPECT_OK(kvsieve_plan_finish(plan));
            EXPECT_OK(kvsieve_plan_reset(plan));
            EXPECT(parameters_hash(plan, method) == parameters, "%s: other parameters", method_name(method));
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, 1));
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            EXPECT(plan_hash(plan, s, 1) == reference_hash(method, s), "%s remembers", method_name(method));
            kvsieve_plan_destroy(plan);
            sequence_free(first);
            sequence_free(s);
        }
}

/* -- structs of another age ---------------------------------------------------------------------------------------- */

/* Calls `fill` with every struct_size from 0 to beyond what we know. Below some size: ERR_PARAMETER and nothing written. From
 * there on: OK, struct_size says how much was written, what was written is the same as in full, and nothing after it was written. */
typedef kvsieve_status (*fill)(void *target, const kvsieve_plan *plan);

static void any_struct_size(const char *name, size_t size, fill call, const kvsieve_plan *plan) {
    unsigned char full[128] = { 0 }, found[128];
    uint32_t given = (uint32_t)size, written;
    int accepted = 0;
    memcpy(full, &given, sizeof given);
    EXPECT_OK(call(full, plan));
    for (given = 0; given < 120; ++given) {
        memset(found, 0x5a, sizeof found);
        memcpy(found, &given, sizeof given);
        if (call(found, plan) == KVSIEVE_OK) {
            memcpy(&written, found, sizeof written);
            accepted = 1;
            EXPECT(written == (given < size ? given : size), "%s: %u of %u are written", name, written, given);
            EXPECT(memcmp(found + 4, full + 4, written - 4) == 0, "%s: struct_size %u has other fields", name, given);
            for (size_t i = written; i < sizeof found; ++i)
                if (!EXPECT(found[i] == 0x5a, "%s: byte %d of struct_size %u", name, (int)i, given)) break;
        } else {
            EXPECT(!accepted && given < size, "%s: struct_size %u is refused", name, given);
            EXPECT(error_names("struct_size"), "\"%s\"", kvsieve_last_error());
            memcpy(&written, found, sizeof written);
            EXPECT(written == given, "%s: a refused struct was written", name);
            for (size_t i = 4; i < sizeof found; ++i)
                if (!EXPECT(found[i] == 0x5a, "%s: a refused struct was written", name)) break;
        }
    }
    memset(full, 0, sizeof full);
    EXPECT_STATUS(call(full, plan), KVSIEVE_ERR_PARAMETER);
}

static kvsieve_status fill_kept(void *target, const kvsieve_plan *plan) { return kvsieve_plan_kept(plan, 1, target); }

static kvsieve_status fill_method(void *target, const kvsieve_plan *plan) {
    (void)plan;
    return kvsieve_method_at(1, target);
}

static kvsieve_status fill_parameter(void *target, const kvsieve_plan *plan) {
    (void)plan;
    return kvsieve_parameter_at(KVSIEVE_TASKKV, 2, target);
}

static void structs_of_an_older_and_a_newer_caller(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_TASKKV);
    observe_range(plan, 0, 2, s);
    any_struct_size("kept", sizeof(kvsieve_kept), fill_kept, plan);
    any_struct_size("method_info", sizeof(kvsieve_method_info), fill_method, NULL);
    any_struct_size("parameter_info", sizeof(kvsieve_parameter_info), fill_parameter, NULL);
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

/* -- targets ------------------------------------------------------------------------------------------------------- */

/* The target lies in the source's own memory, `shift` bytes on. */
struct overlap {
    int64_t shift, heads, tokens, head_stride, token_stride;
};

static kvsieve_status gather_overlapping(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct overlap *o = context;
    kvsieve_tensor target = s->keys[1];
    target.data = (char *)target.data + o->shift;
    target.heads = o->heads;
    target.tokens = o->tokens;
    target.head_stride = o->head_stride;
    target.token_stride = o->token_stride;
    return kvsieve_plan_gather(plan, 1, &s->keys[1], &target);
}

static void target_overlapping_source(void) {
    const int64_t row = DIM * 4, head = row * TOKENS;
    const struct overlap overlaps[] = {
        { row, HEADS, TOKENS - 1, head, row },         /* one row on */
        { 4, HEADS, TOKENS - 1, head, row },           /* one element on */
        { 0, HEADS, TOKENS - 8, head - row * 8, row }, /* same start, other head stride */
        { 0, 1, HEADS * TOKENS, head, row },           /* packed over the source */
        { 0, HEADS, TOKENS / 2, head, row * 2 },       /* same start, other token stride */
        { head, 1, TOKENS, head, row },                /* the source's second head */
        { row * 90, 1, TOKENS, head, row },
    };
    EVERY_METHOD (method)
        for (size_t i = 0; i < sizeof overlaps / sizeof *overlaps; ++i) {
            sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
            kvsieve_plan *plan = plan_new(method);
            int has_room;
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            has_room = overlaps[i].tokens >= (overlaps[i].heads == 1 ? kept_of(plan, 1).total : kept_of(plan, 1).longest);
            kvsieve_plan_destroy(plan);
            sequence_free(s);
            if (has_room) /* else it is the shape that is refused */
                expect_refused(method, FINISHED, gather_overlapping, &overlaps[i], KVSIEVE_ERR_LAYOUT, "overlap");
        }
}

struct room {
    int64_t heads, missing;
};

static kvsieve_status gather_small(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct room *room = context;
    kvsieve_kept kept = kept_of(plan, 1);
    int64_t tokens = (room->heads == 1 ? kept.total : kept.longest) - room->missing;
    kvsieve_tensor target = tensor_new(room->heads, tokens, DIM, KVSIEVE_F32);
    kvsieve_status status = kvsieve_plan_gather(plan, 1, &s->keys[1], &target);
    free(target.data);
    return status;
}

static void target_without_room(void) {
    static const struct room packed = { 1, 1 }, padded = { HEADS, 1 }, more_heads = { HEADS + 1, 0 };
    EVERY_METHOD (method) {
        expect_refused(method, FINISHED, gather_small, &packed, KVSIEVE_ERR_SHAPE, "target.tokens");
        expect_refused(method, FINISHED, gather_small, &padded, KVSIEVE_ERR_SHAPE, "target.tokens");
        expect_refused(method, FINISHED, gather_small, &more_heads, KVSIEVE_ERR_SHAPE, "target.heads");
    }
}

/* context: which tensor is not as the plan expects. */
static kvsieve_status gather_unlike(kvsieve_plan *plan, sequence *s, const void *context) {
    const char which = *(const char *)context;
    kvsieve_tensor source = s->keys[1], target = tensor_new(1, HEADS * TOKENS, DIM, which == 't' ? KVSIEVE_BF16 : KVSIEVE_F32);
    kvsieve_status status;
    if (which == 's') source.dtype = KVSIEVE_F16;
    if (which == 'd') target.dim = DIM / 2;
    if (which == 'T') source.tokens = TOKENS - 1;
    if (which == 'H') source.heads = 1;
    status = kvsieve_plan_gather(plan, 1, &source, &target);
    free(target.data);
    return status;
}

static void source_and_target_unlike(void) {
    expect_refused(KVSIEVE_TASKKV, FINISHED, gather_unlike, "t", KVSIEVE_ERR_DTYPE, "target.dtype");
    expect_refused(KVSIEVE_TASKKV, FINISHED, gather_unlike, "s", KVSIEVE_ERR_DTYPE, "dtype");
    expect_refused(KVSIEVE_TASKKV, FINISHED, gather_unlike, "d", KVSIEVE_ERR_SHAPE, "target.dim|8|16");
    expect_refused(KVSIEVE_TASKKV, FINISHED, gather_unlike, "T", KVSIEVE_ERR_SHAPE, "source.tokens|95|96");
    expect_refused(KVSIEVE_TASKKV, FINISHED, gather_unlike, "H", KVSIEVE_ERR_SHAPE, "source.heads|1|2");
}

int main(void) {
    layers_out_of_order();
    RUN(finish_before_the_last_layer_or_twice);
    RUN(reset_forgets_the_sequence_and_nothing_else);
    RUN(structs_of_an_older_and_a_newer_caller);
    RUN(target_overlapping_source);
    RUN(target_without_room);
    RUN(source_and_target_unlike);
    return harness_end();
}
