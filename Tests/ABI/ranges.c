/* kvsieve_plan_ranges and kvsieve_plan_error: their sentences in the header, and what they refuse. */
#define _GNU_SOURCE
#include "decoder.h"
#include "harness.h"
#include "refusal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* -- ranges ----------------------------------------------------------------------------------------------------------- */

static kvsieve_ranges ranges_of(const kvsieve_plan *plan, int32_t layer, int32_t head, int32_t dropped) {
    kvsieve_ranges ranges = { 0 };
    ranges.struct_size = sizeof ranges;
    EXPECT_OK(kvsieve_plan_ranges(plan, layer, head, dropped, &ranges));
    return ranges;
}

/* A head's kept and dropped ranges against a mark a token: 1 where it is kept. Each range has an end of its own kind: they are
 * "ascending and as long as they can be", and every token seen is in one of them. */
static void expect_marks(const kvsieve_plan *plan, int32_t layer, int32_t head, const char *marks, int64_t seen) {
    for (int32_t dropped = 0; dropped < 2; ++dropped) {
        const kvsieve_ranges ranges = ranges_of(plan, layer, head, dropped);
        int32_t count = 0;
        for (int64_t first = 0, end; first < seen; first = end) {
            for (end = first; end < seen && marks[end] == marks[first];) ++end;
            if (marks[first] == dropped) continue;
            EXPECT(count < ranges.count && ranges.bounds[2 * count] == first && ranges.bounds[2 * count + 1] == end,
                   "layer %d, head %d, dropped %d: range %d is not %d ... %d", (int)layer, (int)head, (int)dropped, (int)count,
                   (int)first, (int)end);
            ++count;
        }
        EXPECT(ranges.count == count, "layer %d, head %d, dropped %d: %d ranges, not %d", (int)layer, (int)head, (int)dropped,
               (int)ranges.count, (int)count);
    }
}

static void expect_kept(const kvsieve_plan *plan, int32_t layer) {
    const kvsieve_kept kept = kept_of(plan, layer);
    for (int32_t head = 0; head < HEADS; ++head) {
        char *marks = take((size_t)kept.tokens);
        memset(marks, 0, (size_t)kept.tokens);
        for (int64_t i = kept.offsets[head]; i < kept.offsets[head + 1]; ++i) marks[kept.positions[i]] = 1;
        expect_marks(plan, layer, head, marks, kept.tokens);
        free(marks);
    }
}

/* "After observe() of the layer the selection may still shrink; after finish() it is final." */
static void ranges_are_what_kept_says(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        for (int sequences = 0; sequences < 2; ++sequences) {
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                EXPECT_OK(observe(plan, layer, s));
                for (int32_t below = 0; below <= layer; ++below) expect_kept(plan, below);
            }
            EXPECT_OK(kvsieve_plan_finish(plan));
            for (int32_t layer = 0; layer < LAYERS; ++layer) expect_kept(plan, layer);
            EXPECT_OK(kvsieve_plan_reset(plan));
        }
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
}

/* A prompt that is kept whole: one range is kept, "0 if there is no such position" is dropped. */
static void a_whole_prompt_is_one_range(void) {
    sequence *s = sequence_new(8, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV);
    observe_range(plan, 0, LAYERS, s);
    EXPECT(ranges_of(plan, 0, 1, 1).count == 0, "something was dropped");
    EXPECT(ranges_of(plan, 0, 1, 0).count == 1 && ranges_of(plan, 0, 1, 0).bounds[1] == 8, "not 0 ... 8");
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

/* "If the plan decodes, the kept positions are those in the head's slots now, and the tokens seen are kvsieve_slots.tokens." */
static void expect_slots(const kvsieve_plan *plan) {
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        for (int32_t head = 0; head < HEADS; ++head) {
            kvsieve_slots slots = { 0 };
            char *marks;
            slots.struct_size = sizeof slots;
            EXPECT_OK(kvsieve_plan_slots(plan, layer, head, &slots));
            marks = take((size_t)slots.tokens);
            memset(marks, 0, (size_t)slots.tokens);
            for (int64_t i = 0; i < slots.length; ++i) marks[slots.positions[i]] = 1;
            expect_marks(plan, layer, head, marks, slots.tokens);
            free(marks);
        }
}

static kvsieve_status looked_at(decoder *d, step_call *call, const void *context) {
    (void)context;
    expect_slots(d->plan); /* layers that have stepped, and layers that have not */
    return make_call(d, call);
}

static void while_decoding_ranges_are_what_the_slots_hold(void) {
    EVERY_WAY (method, by_logits) changes_nothing(method, by_logits, looked_at, NULL);
    EVERY_DECODER (method) {
        decoder *d = decoder_new(method, 0);
        decoder_until(d, before_trim.round, before_trim.layer, NULL, NULL);
        expect_slots(d->plan);
        EXPECT_OK(kvsieve_plan_trim(d->plan, 1));
        expect_slots(d->plan);
        decoder_free(d);
    }
}

/* "valid until the next observe, finish, extend, step, trim, reset or destroy": calls for other heads and layers move nothing. */
static void bounds_are_the_plans_until_then(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_DYNAMICKV);
    kvsieve_ranges all[LAYERS][HEADS][2];
    uint64_t hashes[LAYERS][HEADS][2];
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    for (int round = 0; round < 2; ++round)
        for (int32_t layer = 0; layer < LAYERS; ++layer)
            for (int32_t head = 0; head < HEADS; ++head)
                for (int32_t dropped = 0; dropped < 2; ++dropped) {
                    kvsieve_ranges *ranges = &all[layer][head][dropped];
                    uint64_t *hash = &hashes[layer][head][dropped];
                    if (round == 0) *ranges = ranges_of(plan, layer, head, dropped), *hash = 0;
                    const uint64_t found = bytes_hash(ranges->bounds, 8 * (size_t)ranges->count, 1);
                    if (round == 0) *hash = found;
                    EXPECT(*hash == found, "what bounds points to has changed");
                    EXPECT(ranges_of(plan, layer, head, dropped).bounds == ranges->bounds, "it has moved");
                }
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

struct request {
    int32_t layer, head, dropped, size;
};

static kvsieve_status refused_ranges(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct request *request = context;
    kvsieve_ranges ranges, before;
    kvsieve_status status;
    (void)s;
    memset(&ranges, 0x5a, sizeof ranges);
    ranges.struct_size = (uint32_t)request->size;
    before = ranges;
    status = kvsieve_plan_ranges(plan, request->layer, request->head, request->dropped, request->size < 0 ? NULL : &ranges);
    EXPECT(memcmp(&ranges, &before, sizeof ranges) == 0, "ranges was written");
    return status;
}

static void what_ranges_refuses(void) {
    const int32_t size = sizeof(kvsieve_ranges);
    const struct refusal refusals[] = {
        { &(struct request){ 0, 0, 0, -1 }, FINISHED, KVSIEVE_ERR_NULL, "ranges is NULL" },
        { &(struct request){ 0, 0, 0, 0 }, FINISHED, KVSIEVE_ERR_PARAMETER, "ranges.struct_size|0" },
        { &(struct request){ 0, 0, 0, size - 1 }, FINISHED, KVSIEVE_ERR_PARAMETER, "ranges.struct_size" },
        { &(struct request){ 0, 0, 2, size }, FINISHED, KVSIEVE_ERR_PARAMETER, "dropped is 2" },
        { &(struct request){ 0, 0, -1, size }, FINISHED, KVSIEVE_ERR_PARAMETER, "dropped is -1" },
        { &(struct request){ -1, 0, 0, size }, FINISHED, KVSIEVE_ERR_SHAPE, "layer|-1" },
        { &(struct request){ LAYERS, 0, 0, size }, FINISHED, KVSIEVE_ERR_SHAPE, "layer|4" },
        { &(struct request){ 0, -1, 0, size }, FINISHED, KVSIEVE_ERR_SHAPE, "head|-1" },
        { &(struct request){ 0, HEADS, 1, size }, FINISHED, KVSIEVE_ERR_SHAPE, "head|2" },
        { &(struct request){ 0, 0, 0, size }, BEFORE, KVSIEVE_ERR_STATE, "layer 0|observed" },
        { &(struct request){ 2, 0, 1, size }, 2, KVSIEVE_ERR_STATE, "layer 2|observed" },
    };
    expect_each_refused("ranges", refused_ranges, refusals, sizeof refusals / sizeof *refusals);
    EXPECT_STATUS(kvsieve_plan_ranges(NULL, 0, 0, 0, NULL), KVSIEVE_ERR_NULL);
}

/* -- a plan's error --------------------------------------------------------------------------------------------------- */

/* "If no call on the plan has failed, it is "". A call that succeeds, or that is made on another plan, does not change it." */
static void a_plan_has_the_sentence_of_its_own_last_failed_call(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_SNAPKV), *other = plan_new(KVSIEVE_H2O);
    char first[256];
    EXPECT(kvsieve_plan_error(NULL) != NULL && kvsieve_plan_error(NULL)[0] == 0, "\"%s\"", kvsieve_plan_error(NULL));
    EXPECT(kvsieve_plan_error(plan)[0] == 0, "\"%s\"", kvsieve_plan_error(plan));
    EXPECT_STATUS(kvsieve_plan_finish(plan), KVSIEVE_ERR_STATE);
    EXPECT(strcmp(kvsieve_plan_error(plan), kvsieve_last_error()) == 0, "\"%s\"", kvsieve_plan_error(plan));
    strncpy(first, kvsieve_plan_error(plan), sizeof first - 1), first[sizeof first - 1] = 0;
    EXPECT(strlen(first) > 10, "\"%s\"", first);
    EXPECT(kvsieve_plan_error(other)[0] == 0, "\"%s\"", kvsieve_plan_error(other));
    EXPECT_STATUS(kvsieve_plan_set(other, KVSIEVE_BUDGET, -5), KVSIEVE_ERR_PARAMETER);
    EXPECT_STATUS(kvsieve_plan_finish(NULL), KVSIEVE_ERR_NULL);
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    EXPECT_OK(kvsieve_plan_reset(plan));
    EXPECT(strcmp(kvsieve_plan_error(plan), first) == 0, "\"%s\"", kvsieve_plan_error(plan));
    EXPECT(strstr(kvsieve_plan_error(other), "-5") != NULL, "\"%s\"", kvsieve_plan_error(other));
    /* Calls that take the plan as const, too. */
    EXPECT_STATUS(kvsieve_plan_gather(plan, 77, &s->keys[0], &s->keys[0]), KVSIEVE_ERR_SHAPE);
    EXPECT(strstr(kvsieve_plan_error(plan), "77") != NULL, "\"%s\"", kvsieve_plan_error(plan));
    kvsieve_plan_destroy(plan);
    kvsieve_plan_destroy(other);
    sequence_free(s);
}

struct worker {
    kvsieve_plan *plan;
    int number, wrong;
};

static pthread_barrier_t together;

/* Fails on a plan of its own, lets the other thread fail on its plan, and then reads. */
static void *fails_and_reads(void *argument) {
    struct worker *worker = argument;
    for (int round = 1; round <= 200; ++round) {
        const int value = -(worker->number * 1000 + round);
        worker->wrong += kvsieve_plan_set(worker->plan, KVSIEVE_BUDGET, value) != KVSIEVE_ERR_PARAMETER;
        pthread_barrier_wait(&together);
        worker->wrong += strstr(kvsieve_plan_error(worker->plan), kvsieve_last_error()) == NULL;
        worker->wrong += !error_names("budget");
        pthread_barrier_wait(&together);
    }
    return NULL;
}

static void another_threads_call_on_another_plan_does_not_change_it(void) {
    struct worker workers[2];
    pthread_t threads[2];
    pthread_barrier_init(&together, NULL, 2);
    for (int i = 0; i < 2; ++i) {
        workers[i].plan = plan_new(KVSIEVE_DYNAMICKV), workers[i].number = i + 1, workers[i].wrong = 0;
        if (!EXPECT(pthread_create(&threads[i], NULL, fails_and_reads, &workers[i]) == 0, "no thread")) exit(2);
    }
    for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; ++i) {
        EXPECT(workers[i].wrong == 0, "thread %d: %d wrong", i, workers[i].wrong);
        /* "whatever thread made it": this one made none. */
        EXPECT(strstr(kvsieve_plan_error(workers[i].plan), i == 0 ? "-1200" : "-2200") != NULL, "\"%s\"",
               kvsieve_plan_error(workers[i].plan));
        kvsieve_plan_destroy(workers[i].plan);
    }
    pthread_barrier_destroy(&together);
}

int main(void) {
    RUN(ranges_are_what_kept_says);
    RUN(a_whole_prompt_is_one_range);
    RUN(while_decoding_ranges_are_what_the_slots_hold);
    RUN(bounds_are_the_plans_until_then);
    RUN(what_ranges_refuses);
    RUN(a_plan_has_the_sentence_of_its_own_last_failed_call);
    RUN(another_threads_call_on_another_plan_does_not_change_it);
    return harness_end();
}
