/* kvsieve_plan_gather_rotated: its sentences in the header, against a plain rotation in double; what it refuses; several threads
 * on one plan. */
#define _GNU_SOURCE
#include "blocks.h"
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const float frequencies[DIM / 2] = { 1, 0.5f, 0.25f, 0.125f, 0.06f, 0.03f, 0.01f, 0.001f };

static kvsieve_rope rope_new(int32_t pairing) {
    kvsieve_rope rope = { sizeof rope, pairing, DIM, 0, frequencies, 0, 0 };
    return rope;
}

static kvsieve_plan *finished_plan(int32_t method, int threads, const sequence *s) {
    kvsieve_plan *plan = plan_new(method);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    return plan;
}

/* Element d of a row that moves by `distance` positions, from the row as it was. */
static double turned(const kvsieve_tensor *t, int64_t head, int64_t token, int32_t d, int64_t distance, const kvsieve_rope *rope) {
    const int32_t pairs = rope->dims / 2, inside = d - rope->first;
    int32_t pair, second, other;
    double angle;
    if (inside < 0 || inside >= rope->dims) return element(t, head, token, d);
    pair = rope->pairing == KVSIEVE_ROPE_HALVES ? inside % pairs : inside / 2;
    second = rope->pairing == KVSIEVE_ROPE_HALVES ? inside >= pairs : inside % 2;
    other = rope->pairing == KVSIEVE_ROPE_HALVES ? pairs : 1;
    angle = (double)distance * rope->frequencies[pair];
    if (second) return element(t, head, token, d - other) * sin(angle) + element(t, head, token, d) * cos(angle);
    return element(t, head, token, d) * cos(angle) - element(t, head, token, d + other) * sin(angle);
}

/* "Row j of those that a head keeps is turned by (j - its position) * frequency." */
static void rows_are_turned_to_their_index(void) {
    EVERY_METHOD (method)
        for (int32_t dtype = KVSIEVE_F32; dtype <= KVSIEVE_BF16; ++dtype)
            for (int32_t pairing = 0; pairing < 2; ++pairing) {
                sequence *s = sequence_new(TOKENS, dtype, 1);
                kvsieve_plan *plan = finished_plan(method, 1 + pairing, s);
                kvsieve_rope rope = rope_new(pairing);
                const double unit = dtype == KVSIEVE_F32 ? 1e-6 : dtype == KVSIEVE_F16 ? 1.0 / 1024 : 1.0 / 128;
                rope.dims = DIM - 4, rope.first = 3;
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    kvsieve_kept kept = kept_of(plan, layer);
                    kvsieve_tensor packed = tensor_new(1, kept.total, DIM, dtype);
                    double furthest = 0;
                    EXPECT_OK(kvsieve_plan_gather_rotated(plan, layer, &s->keys[layer], &packed, &rope));
                    for (int64_t i = 0, head = 0; i < kept.total; ++i) {
                        head += i >= kept.offsets[head + 1];
                        for (int32_t d = 0; d < DIM; ++d) {
                            const int64_t j = i - kept.offsets[head];
                            const double exact = turned(&s->keys[layer], head, kept.positions[i], d, j - kept.positions[i], &rope);
                            const double off = fabs(element(&packed, 0, i, d) - exact) / (1 + fabs(exact));
                            furthest = off > furthest ? off : furthest;
                        }
                    }
                    EXPECT(furthest < unit, "%s, dtype %d, pairing %d: off by %g", method_name(method), (int)dtype, (int)pairing,
                           furthest);
                    /* "in place too": the same bytes */
                    EXPECT_OK(kvsieve_plan_gather_rotated(plan, layer, &s->keys[layer], &s->keys[layer], &rope));
                    for (int64_t i = 0, head = 0; i < kept.total; ++i) {
                        head += i >= kept.offsets[head + 1];
                        EXPECT(memcmp((char *)s->keys[layer].data + head * s->keys[layer].head_stride
                                          + (i - kept.offsets[head]) * s->keys[layer].token_stride,
                                      (char *)packed.data + i * packed.token_stride, (size_t)(DIM * element_size(dtype)))
                                   == 0,
                               "in place, row %d", (int)i);
                    }
                    free(packed.data);
                }
                kvsieve_plan_destroy(plan);
                sequence_free(s);
            }
}

/* From blocks, to blocks, and in place in blocks: the bytes of the same rows without a table. */
static void rows_in_blocks_are_turned_as_others(void) {
    for (int32_t dtype = KVSIEVE_F32; dtype <= KVSIEVE_BF16; ++dtype)
        for (int layout = 0; layout < LAYOUTS; ++layout) {
            sequence *s = sequence_new(TOKENS, dtype, 2);
            kvsieve_plan *plan = finished_plan(KVSIEVE_ADAKV, 2, s);
            const kvsieve_kept kept = kept_of(plan, 1);
            const kvsieve_rope rope = rope_new(layout % 2);
            const size_t row = (size_t)(DIM * element_size(dtype));
            kvsieve_tensor expected = tensor_new(HEADS, TOKENS, DIM, dtype);
            paged source, target, packed;
            harness_case("dtype %d in layout %d", (int)dtype, layout);
            paged_copy(&source, layout, 7, &s->keys[1]);
            paged_new(&target, (layout + 1) % LAYOUTS, 5, HEADS, kept.longest, DIM, dtype);
            paged_new(&packed, layout, 16, 1, kept.total, DIM, dtype);
            EXPECT_OK(kvsieve_plan_gather_rotated(plan, 1, &s->keys[1], &expected, &rope));
            EXPECT_OK(kvsieve_plan_gather_rotated(plan, 1, &source.t, &target.t, &rope));
            EXPECT_OK(kvsieve_plan_gather_rotated(plan, 1, &source.t, &packed.t, &rope));
            EXPECT_OK(kvsieve_plan_gather_rotated(plan, 1, &source.t, &source.t, &rope));
            for (int32_t head = 0; head < HEADS; ++head)
                for (int64_t i = kept.offsets[head], j = 0; i < kept.offsets[head + 1]; ++i, ++j) {
                    const char *wanted = row_of(&expected, head, j);
                    EXPECT(!memcmp(row_of(&target.t, head, j), wanted, row), "head %d, row %d", (int)head, (int)j);
                    EXPECT(!memcmp(row_of(&packed.t, 0, i), wanted, row), "packed, row %d", (int)i);
                    EXPECT(!memcmp(row_of(&source.t, head, j), wanted, row), "in place, head %d, row %d", (int)head, (int)j);
                }
            free(expected.data);
            free(source.memory);
            free(target.memory);
            free(packed.memory);
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
    harness_case("");
}

/* -- what is refused -------------------------------------------------------------------------------------------------- */

static const float nan_among[DIM / 2] = { 1, 1, NAN, 1, 1, 1, 1, 1 }, last_infinite[DIM / 2] = { 1, 1, 1, 1, 1, 1, 1, INFINITY };

struct fault {
    kvsieve_rope rope;
    kvsieve_status status;
    const char *words;
};

static kvsieve_status with_rope(kvsieve_plan *plan, sequence *s, const void *context) {
    kvsieve_tensor target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_F32);
    const uint64_t before = bytes_hash(target.data, (size_t)(HEADS * target.head_stride), 0);
    kvsieve_status status = kvsieve_plan_gather_rotated(plan, 1, &s->keys[1], &target, context);
    EXPECT(bytes_hash(target.data, (size_t)(HEADS * target.head_stride), 0) == before, "the target was written");
    free(target.data);
    return status;
}

static void every_field_of_a_rope_is_checked(void) {
    const uint32_t size = sizeof(kvsieve_rope);
    const struct fault faults[] = {
        { { 0, 0, DIM, 0, frequencies, 0, 0 }, KVSIEVE_ERR_PARAMETER, "rope.struct_size|0|32" },
        { { size - 1, 0, DIM, 0, frequencies, 0, 0 }, KVSIEVE_ERR_PARAMETER, "rope.struct_size|31" },
        { { size + 8, 0, DIM, 0, frequencies, 0, 0 }, KVSIEVE_ERR_PARAMETER, "rope.struct_size|40" },
        { { UINT32_MAX, 0, DIM, 0, frequencies, 0, 0 }, KVSIEVE_ERR_PARAMETER, "rope.struct_size" },
        { { size, -1, DIM, 0, frequencies, 0, 0 }, KVSIEVE_ERR_PARAMETER, "rope.pairing|-1|HALVES|NEIGHBOURS" },
        { { size, 2, DIM, 0, frequencies, 0, 0 }, KVSIEVE_ERR_PARAMETER, "rope.pairing|2" },
        { { size, 0, 0, 0, frequencies, 0, 0 }, KVSIEVE_ERR_SHAPE, "rope.dims|0|even|16" },
        { { size, 0, -2, 0, frequencies, 0, 0 }, KVSIEVE_ERR_SHAPE, "rope.dims|-2" },
        { { size, 0, 3, 0, frequencies, 0, 0 }, KVSIEVE_ERR_SHAPE, "rope.dims|3" },
        { { size, 0, DIM + 2, 0, frequencies, 0, 0 }, KVSIEVE_ERR_SHAPE, "rope.dims|18" },
        { { size, 0, INT32_MIN, 0, frequencies, 0, 0 }, KVSIEVE_ERR_SHAPE, "rope.dims|-2147483648" },
        { { size, 0, DIM, -1, frequencies, 0, 0 }, KVSIEVE_ERR_SHAPE, "rope.first|-1" },
        { { size, 0, DIM, 1, frequencies, 0, 0 }, KVSIEVE_ERR_SHAPE, "rope.first|1|0 ... 0" },
        { { size, 0, 4, INT32_MAX, frequencies, 0, 0 }, KVSIEVE_ERR_SHAPE, "rope.first|2147483647" },
        { { size, 0, DIM, 0, NULL, 0, 0 }, KVSIEVE_ERR_NULL, "rope.frequencies|NULL" },
        { { size, 0, DIM, 0, nan_among, 0, 0 }, KVSIEVE_ERR_NONFINITE, "rope.frequencies[2]|nan" },
        { { size, 1, DIM, 0, last_infinite, 0, 0 }, KVSIEVE_ERR_NONFINITE, "rope.frequencies[7]|inf" },
        { { size, 0, DIM, 0, frequencies, 2, 0 }, KVSIEVE_ERR_PARAMETER, "rope.by_row|2" },
        { { size, 0, DIM, 0, frequencies, -1, 0 }, KVSIEVE_ERR_PARAMETER, "rope.by_row|-1" },
        { { size, 0, DIM, 0, frequencies, 0, 1 }, KVSIEVE_ERR_LAYOUT, "rope.reserved" },
    };
    kvsieve_rope right = rope_new(0);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
        harness_case("rope %d: %s", (int)i, faults[i].words);
        expect_refused(KVSIEVE_DYNAMICKV, FINISHED, with_rope, &faults[i].rope, faults[i].status, faults[i].words);
    }
    harness_case("no rope");
    expect_refused(KVSIEVE_DYNAMICKV, FINISHED, with_rope, NULL, KVSIEVE_ERR_NULL, "rope is NULL");
    for (int stage = BEFORE; stage <= AFTER_ALL; ++stage) {
        harness_case("gather_rotated at stage %d", stage);
        expect_refused(KVSIEVE_TASKKV, stage, with_rope, &right, KVSIEVE_ERR_STATE, "gather|finish");
    }
    harness_case("");
}

struct call {
    char what;
    int32_t layer;
};

static kvsieve_status wrong_call(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct call *call = context;
    kvsieve_rope rope = rope_new(0);
    kvsieve_tensor source = s->keys[1], target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_F32);
    void *memory = target.data;
    const size_t bytes = (size_t)(HEADS * target.head_stride);
    const uint64_t before = bytes_hash(memory, bytes, 0);
    kvsieve_status status;
    if (call->what == 'D') source.data = NULL;
    if (call->what == 'd') target.dtype = KVSIEVE_F16;
    if (call->what == 'T') target.tokens = 1;
    if (call->what == 'o') target = source, target.data = (char *)source.data + source.token_stride, target.tokens -= 1;
    status = kvsieve_plan_gather_rotated(call->what == 'p' ? NULL : plan, call->layer, call->what == 's' ? NULL : &source,
                                         call->what == 't' ? NULL : &target, &rope);
    EXPECT(bytes_hash(memory, bytes, 0) == before, "the target was written");
    free(memory);
    return status;
}

static void the_rest_is_refused_as_by_gather(void) {
    static const struct {
        struct call call;
        kvsieve_status status;
        const char *words;
    } faults[] = {
        { { 'p', 1 }, KVSIEVE_ERR_NULL, "plan" },          { { 's', 1 }, KVSIEVE_ERR_NULL, "source" },
        { { 't', 1 }, KVSIEVE_ERR_NULL, "target" },        { { 'D', 1 }, KVSIEVE_ERR_NULL, "source.data" },
        { { 'd', 1 }, KVSIEVE_ERR_DTYPE, "target.dtype" }, { { 'T', 1 }, KVSIEVE_ERR_SHAPE, "target.tokens" },
        { { 'o', 1 }, KVSIEVE_ERR_LAYOUT, "overlap" },     { { ' ', -1 }, KVSIEVE_ERR_SHAPE, "layer|-1" },
        { { ' ', LAYERS }, KVSIEVE_ERR_SHAPE, "layer|4" },
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
        harness_case("gather_rotated, '%c'", faults[i].call.what);
        expect_refused(KVSIEVE_H2O, FINISHED, wrong_call, &faults[i].call, faults[i].status, faults[i].words);
    }
    harness_case("");
}

/* -- several threads on one plan -------------------------------------------------------------------------------------- */

enum { CREW = 4 };
static kvsieve_plan *shared_plan;
static sequence *shared_sequence;
static uint64_t shared_expected;

static uint64_t all_layers(void) {
    uint64_t hash = 1;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        const kvsieve_kept kept = kept_of(shared_plan, layer);
        kvsieve_tensor packed = tensor_new(1, kept.total, DIM, KVSIEVE_F32);
        kvsieve_rope rope = rope_new(layer % 2);
        EXPECT_OK(kvsieve_plan_gather_rotated(shared_plan, layer, &shared_sequence->keys[layer], &packed, &rope));
        hash = bytes_hash(packed.data, (size_t)(kept.total * packed.token_stride), hash);
        free(packed.data);
    }
    return hash;
}

static void *rounds(void *wrong) {
    for (int round = 0; round < (slow() ? 2 : 40); ++round) *(int *)wrong += all_layers() != shared_expected;
    return NULL;
}

/* "If two calls on one plan come at the same time, one waits." */
static void calls_at_the_same_time_and_any_number_of_threads(void) {
    shared_sequence = sequence_new(TOKENS, KVSIEVE_F32, 3);
    for (int threads = 1; threads <= 4; ++threads) {
        pthread_t crew[CREW];
        int wrong[CREW] = { 0 };
        shared_plan = finished_plan(KVSIEVE_DYNAMICKV, threads, shared_sequence);
        if (threads == 1) shared_expected = all_layers();
        for (int i = 0; i < CREW; ++i)
            if (!EXPECT(pthread_create(&crew[i], NULL, rounds, &wrong[i]) == 0, "no thread")) exit(2);
        for (int i = 0; i < CREW; ++i) {
            pthread_join(crew[i], NULL);
            EXPECT(wrong[i] == 0, "KVSIEVE_THREADS %d, thread %d: %d wrong", threads, i, wrong[i]);
        }
        kvsieve_plan_destroy(shared_plan);
    }
    sequence_free(shared_sequence);
}

int main(void) {
    RUN(rows_are_turned_to_their_index);
    rows_in_blocks_are_turned_as_others();
    RUN(every_field_of_a_rope_is_checked);
    RUN(the_rest_is_refused_as_by_gather);
    RUN(calls_at_the_same_time_and_any_number_of_threads);
    return harness_end();
}
