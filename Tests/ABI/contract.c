/* One case for each sentence of the header's Contract, named after it. (Misuse has its own programs; Threads: threads.c.) */
#define _GNU_SOURCE
#include "fixture.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* -- Errors -------------------------------------------------------------------------------------------------------- */

static void errors_ok_is_0_and_failures_are_negative_pinned_codes(void) {
    static const struct {
        kvsieve_status status, pinned;
        const char *name;
    } codes[] = {
        { KVSIEVE_OK, 0, "KVSIEVE_OK" },
        { KVSIEVE_ERR_NULL, -1, "KVSIEVE_ERR_NULL" },
        { KVSIEVE_ERR_SHAPE, -2, "KVSIEVE_ERR_SHAPE" },
        { KVSIEVE_ERR_LAYOUT, -3, "KVSIEVE_ERR_LAYOUT" },
        { KVSIEVE_ERR_DTYPE, -4, "KVSIEVE_ERR_DTYPE" },
        { KVSIEVE_ERR_METHOD, -5, "KVSIEVE_ERR_METHOD" },
        { KVSIEVE_ERR_PARAMETER, -6, "KVSIEVE_ERR_PARAMETER" },
        { KVSIEVE_ERR_STATE, -7, "KVSIEVE_ERR_STATE" },
        { KVSIEVE_ERR_BUDGET, -8, "KVSIEVE_ERR_BUDGET" },
        { KVSIEVE_ERR_NONFINITE, -9, "KVSIEVE_ERR_NONFINITE" },
        { KVSIEVE_ERR_MEMORY, -10, "KVSIEVE_ERR_MEMORY" },
        { KVSIEVE_ERR_GROUP, -11, "KVSIEVE_ERR_GROUP" },
        { KVSIEVE_ERR_BROKEN, -12, "KVSIEVE_ERR_BROKEN" },
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; ++i) {
        EXPECT(codes[i].status == codes[i].pinned, "%s is %d", codes[i].name, (int)codes[i].status);
        EXPECT(strcmp(kvsieve_status_name(codes[i].status), codes[i].name) == 0, "%s", kvsieve_status_name(codes[i].status));
    }
}

static void errors_last_error_has_the_sentence_of_the_last_failed_call(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(KVSIEVE_DYNAMICKV);
    EXPECT(kvsieve_last_error() != NULL && kvsieve_last_error()[0] == 0, "before any failure: \"%s\"", kvsieve_last_error());
    EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 0), KVSIEVE_ERR_PARAMETER);
    EXPECT(error_names("budget|0|1"), "\"%s\"", kvsieve_last_error());
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, 40));
    EXPECT(error_names("budget|0|1"), "a call that succeeded changed it: \"%s\"", kvsieve_last_error());
    EXPECT_STATUS(observe(plan, 3, s), KVSIEVE_ERR_STATE);
    EXPECT(error_names("layer 3"), "\"%s\"", kvsieve_last_error());
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

/* -- Memory -------------------------------------------------------------------------------------------------------- */

/* Tensors in pages of their own, which may be made unreadable. */
static void *pages(size_t bytes) { return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static void memory_the_library_reads_a_tensor_during_the_call_only_and_never_writes(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        uint64_t expected = reference_hash(method, s);
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            kvsieve_tensor t[3] = { s->queries[layer], s->keys[layer], s->values[layer] };
            size_t bytes[3];
            for (int i = 0; i < 3; ++i) {
                bytes[i] = (size_t)(t[i].heads * t[i].head_stride);
                t[i].data = memcpy(pages(bytes[i]), t[i].data, bytes[i]);
                mprotect(t[i].data, bytes[i], PROT_READ);
            }
            EXPECT_OK(kvsieve_plan_observe(plan, layer, &t[0], &t[1], &t[2]));
            for (int i = 0; i < 3; ++i) munmap(t[i].data, bytes[i]);
        }
        EXPECT_OK(kvsieve_plan_finish(plan));
        EXPECT(plan_hash(plan, s, 1) == expected, "%s decided otherwise", method_name(method));
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
}

/* Pages end where the tensor ends: one element further is a signal. */
static void memory_nothing_beside_a_tensor_is_read_or_written(void) {
    EVERY_METHOD (method)
        for (int at_end = 0; at_end < 2; ++at_end) {
            sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
            kvsieve_plan *plan = plan_new(method);
            kvsieve_tensor source = s->keys[0], target;
            const size_t page = 4096, room = 64 * page;
            char *blocks[4];
            for (int i = 0; i < 4; ++i) {
                blocks[i] = pages(room + 2 * page);
                mprotect(blocks[i], page, PROT_NONE);
                mprotect(blocks[i] + page + room, page, PROT_NONE);
            }
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                kvsieve_tensor t[3] = { s->queries[layer], s->keys[layer], s->values[layer] };
                for (int i = 0; i < 3; ++i) {
                    size_t bytes = (size_t)(t[i].heads * t[i].head_stride);
                    t[i].data = memcpy(blocks[i] + page + (at_end ? room - bytes : 0), t[i].data, bytes);
                }
                if (layer == 0) source = t[1];
                EXPECT_OK(kvsieve_plan_observe(plan, layer, &t[0], &t[1], &t[2]));
            }
            EXPECT_OK(kvsieve_plan_finish(plan));
            target = tensor_new(1, kept_of(plan, 0).total, DIM, KVSIEVE_F32);
            free(target.data);
            target.data = blocks[3] + page + (at_end ? room - (size_t)target.head_stride : 0);
            EXPECT_OK(kvsieve_plan_gather(plan, 0, &source, &target));
            kvsieve_plan_destroy(plan);
            for (int i = 0; i < 4; ++i) munmap(blocks[i], room + 2 * page);
            sequence_free(s);
        }
}

static void memory_kept_is_the_plans_until_the_next_observe_finish_reset_or_destroy(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method), *other = plan_new(method);
        kvsieve_kept kept;
        uint64_t before;
        double value;
        int32_t needs;
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        kept = kept_of(plan, 1);
        before = bytes_hash(kept.positions, sizeof(int32_t) * (size_t)kept.total, bytes_hash(kept.offsets, 8 * (HEADS + 1), 0));
        observe_range(other, 0, 3, s);
        plan_hash(plan, s, 1);
        EXPECT_OK(kvsieve_plan_get(plan, KVSIEVE_THREADS, &value));
        EXPECT_OK(kvsieve_plan_needs(plan, 0, &needs));
        EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_THREADS, 3), KVSIEVE_ERR_STATE); /* nothing changes */
        kvsieve_plan_destroy(other);
        EXPECT(bytes_hash(kept.positions, sizeof(int32_t) * (size_t)kept.total, bytes_hash(kept.offsets, 8 * (HEADS + 1), 0))
                   == before,
               "what kept points to has changed (%s)", method_name(method));
        EXPECT(kept_of(plan, 1).positions == kept.positions, "it has moved");
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
}

/* -- Numbers ------------------------------------------------------------------------------------------------------- */

static void numbers_scores_are_computed_in_float_whatever_the_tensors_hold(void) {
    EVERY_METHOD (method)
        for (int32_t dtype = KVSIEVE_F16; dtype <= KVSIEVE_BF16; ++dtype) {
            sequence *half = sequence_new(TOKENS, dtype, 3), *wide = sequence_new(TOKENS, KVSIEVE_F32, 3);
            kvsieve_plan *a = plan_new(method), *b = plan_new(method);
            for (int layer = 0; layer < LAYERS; ++layer) {
                const kvsieve_tensor *from[] = { &half->queries[layer], &half->keys[layer], &half->values[layer] };
                const kvsieve_tensor *to[] = { &wide->queries[layer], &wide->keys[layer], &wide->values[layer] };
                for (int i = 0; i < 3; ++i)
                    for (int64_t n = 0; n < from[i]->heads * from[i]->tokens * DIM; ++n)
                        element_set(to[i], n / DIM / from[i]->tokens, n / DIM % from[i]->tokens, (int32_t)(n % DIM),
                                    element(from[i], n / DIM / from[i]->tokens, n / DIM % from[i]->tokens, (int32_t)(n % DIM)));
            }
            observe_range(a, 0, LAYERS, half);
            observe_range(b, 0, LAYERS, wide);
            EXPECT(plan_hash(a, half, 0) == plan_hash(b, wide, 0), "%s, dtype %d", method_name(method), (int)dtype);
            kvsieve_plan_destroy(a);
            kvsieve_plan_destroy(b);
            sequence_free(half);
            sequence_free(wide);
        }
}

/* All tokens alike, all layers and heads alike: of equal scores the lower position is kept. Pooling would lower the borders. If a
 * method reads no numbers, they cannot make its scores equal. */
static void numbers_of_equal_scores_the_lower_layer_head_position_is_kept(void) {
    EVERY_METHOD (method) {
        if (reads(method, 0, 'k') != READ) continue;
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        for (int layer = 0; layer < LAYERS; ++layer) {
            const kvsieve_tensor *tensors[] = { &s->queries[layer], &s->keys[layer], &s->values[layer] };
            for (int i = 0; i < 3; ++i)
                for (int64_t n = 0; n < tensors[i]->heads * tensors[i]->tokens * DIM; ++n) ((float *)tensors[i]->data)[n] = 0.5f;
        }
        if (method_has(method, KVSIEVE_POOL_KERNEL)) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_POOL_KERNEL, 1));
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            kvsieve_kept kept = kept_of(plan, layer);
            if (layer) EXPECT(kept.total <= kept_of(plan, layer - 1).total, "layer %d has more than the one below", (int)layer);
            for (int head = 0; head < HEADS; ++head) {
                const int32_t *p = kept.positions + kept.offsets[head];
                int64_t count = kept.offsets[head + 1] - kept.offsets[head], first = 0;
                while (first < count && p[first] == first) ++first; /* the lowest candidates, without a gap */
                for (int64_t i = first; i < count; ++i)             /* then what is kept for certain, at the end */
                    EXPECT(p[i] == TOKENS - (count - i), "%s, layer %d, head %d keeps position %d", method_name(method), (int)layer,
                           head, (int)p[i]);
            }
        }
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
}

static void numbers_same_input_same_selection_whatever_the_threads_and_strides(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 4);
        const uint64_t expected = reference_hash(method, s);
        for (int threads = 1; threads <= 4; ++threads)
            for (int token_major = 0; token_major < 2; ++token_major) {
                kvsieve_plan *plan = plan_new(method);
                EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    kvsieve_tensor t[3] = { s->queries[layer], s->keys[layer], s->values[layer] };
                    for (int i = 0; i < 3 && token_major; ++i) {
                        kvsieve_tensor from = t[i];
                        t[i] = tensor_new(from.heads, from.tokens, DIM, KVSIEVE_F32);
                        t[i].token_stride = from.heads * DIM * 4 + 16 * (i == 1);
                        t[i].head_stride = DIM * 4;
                        t[i].data = realloc(t[i].data, (size_t)(from.tokens * t[i].token_stride));
                        for (int64_t n = 0; n < from.heads * from.tokens; ++n)
                            memcpy((char *)t[i].data + n / from.tokens * t[i].head_stride + n % from.tokens * t[i].token_stride,
                                   (char *)from.data + n * DIM * 4, DIM * 4);
                    }
                    EXPECT_OK(kvsieve_plan_observe(plan, layer, &t[0], &t[1], &t[2]));
                    for (int i = 0; i < 3 && token_major; ++i) free(t[i].data);
                }
                EXPECT_OK(kvsieve_plan_finish(plan));
                EXPECT(plan_hash(plan, s, 1) == expected, "%s, %d threads, token-major %d", method_name(method), threads,
                       token_major);
                kvsieve_plan_destroy(plan);
            }
        sequence_free(s);
    }
}

/* What all other cases rely on: a plan that keeps everything would agree with any other. */
static void every_method_drops_something_of_the_fixture(void) {
    EXPECT(method_count() > 0, "the library has no methods");
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        for (int32_t layer = 0; layer < LAYERS; ++layer)
            EXPECT(kept_of(plan, layer).total < HEADS * TOKENS, "%s keeps all of layer %d", method_name(method), (int)layer);
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
}

int main(void) {
    RUN(errors_last_error_has_the_sentence_of_the_last_failed_call); /* first: no call has failed yet */
    RUN(every_method_drops_something_of_the_fixture);
    RUN(errors_ok_is_0_and_failures_are_negative_pinned_codes);
    RUN(memory_the_library_reads_a_tensor_during_the_call_only_and_never_writes);
    RUN(memory_nothing_beside_a_tensor_is_read_or_written);
    RUN(memory_kept_is_the_plans_until_the_next_observe_finish_reset_or_destroy);
    RUN(numbers_scores_are_computed_in_float_whatever_the_tensors_hold);
    RUN(numbers_of_equal_scores_the_lower_layer_head_position_is_kept);
    RUN(numbers_same_input_same_selection_whatever_the_threads_and_strides);
    return harness_end();
}
