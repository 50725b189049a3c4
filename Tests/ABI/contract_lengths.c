/* The header's Contract, second part: Abort, Nesting, Short, Reserved, and what it says of kept rows and their positions. */
#define _GNU_SOURCE
#include "fixture.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- Abort: no argument makes the library abort, print, or call exit() ------------------------------------------------- */

static uint64_t seed = 42;

static uint64_t chance(uint64_t below) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % below;
}

static int64_t odd_number(void) {
    /* clang-format off */
    static const int64_t numbers[] = { 0, 1, -1, 2, 3, 7, 16, 64, 95, 96, 97, 6144, 65536, 65537, 16777216, INT32_MAX,
        INT32_MIN, INT64_MAX, INT64_MIN, INT64_MAX / 2, INT64_C(1) << 40, -64, 63, 66 };
    /* clang-format on */
    return chance(4) ? numbers[chance(sizeof numbers / sizeof *numbers)] : (int64_t)(seed * 2654435761u);
}

/* Spoils a field or two, so that the tensor is refused or still lies within its memory: more heads, tokens or a wider row
 * than there are only together with what is refused before (a dtype, a reserved field). */
static void spoil(kvsieve_tensor *t) {
    int64_t number = odd_number();
    switch (chance(9)) {
    case 0: t->heads = number > t->heads ? -number : number; break;
    case 1: t->tokens = number > t->tokens ? -number : number; break;
    case 2: t->dim = (int32_t)(number > t->dim || number < INT32_MIN ? -3 : number); break;
    case 3: t->head_stride = number > t->head_stride && number < INT64_C(1) << 57 ? number | 1 : number; break;
    case 4: t->token_stride = number > t->token_stride && number < INT64_C(1) << 57 ? number | 1 : number; break;
    case 5:
        t->dtype = (int32_t)number | 8;
        t->heads = odd_number();
        t->tokens = odd_number();
        break;
    case 6:
        t->reserved[chance(2)] = (int32_t)number | 1;
        t->dim = (int32_t)odd_number();
        break;
    case 7:
        t->data = NULL;
        t->head_stride = odd_number();
        break;
    default:
        t->data = (char *)t->data + 1 + 2 * chance(4);
        t->token_stride = odd_number();
        break;
    }
}

/* One that some method has; at times one beside it. */
static int32_t any_parameter(void) {
    kvsieve_parameter_info info = { 0 };
    const int32_t method = method_at((int)chance((uint64_t)method_count()));
    info.struct_size = sizeof info;
    ANY_STATUS(kvsieve_parameter_at(method, (int32_t)chance(12), &info));
    return info.id + (chance(8) == 0);
}

static int any_arguments(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_tensor target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_F32);
    const int rounds = slow() ? 300 : 20000;
    for (int round = 0; round < rounds; ++round) {
        kvsieve_model model = small_model();
        kvsieve_plan *plan = NULL;
        kvsieve_kept kept;
        double value;
        int64_t rows;
        int32_t needs, method = chance(8) ? method_at((int)chance((uint64_t)method_count())) : (int32_t)odd_number();
        if (chance(16) == 0) ((int32_t *)(void *)&model)[chance(8)] = (int32_t)odd_number();
        ANY_STATUS(kvsieve_plan_create(method, &model, chance(64) ? &plan : NULL));
        if (model.query_heads != QUERY_HEADS || model.kv_heads != HEADS || model.head_dim != DIM) {
            kvsieve_plan_destroy(plan); /* its tensors would need other memory */
            continue;
        }
        for (uint64_t i = chance(12); i > 0; --i) {
            int32_t parameter = any_parameter(), layer = (int32_t)(chance(8) ? 0 : odd_number());
            union {
                double value;
                uint64_t bits;
            } any = { .value = (double)odd_number() };
            if (chance(8) == 0) any.bits = seed;
            if (parameter == KVSIEVE_THREADS) any.value = 2;
            ANY_STATUS(kvsieve_plan_set(plan, parameter, any.value));
            ANY_STATUS(kvsieve_plan_get(plan, parameter, &value));
            ANY_STATUS(kvsieve_plan_needs(plan, layer, &needs));
            ANY_STATUS(kvsieve_plan_bound(plan, layer, chance(2) ? (int64_t)chance(1 << 24) : (int64_t)odd_number(), &rows));
        }
        for (int32_t call = 0, next = 0; call < 6; ++call) {
            int32_t layer = chance(8) ? next : (int32_t)odd_number(), known = layer >= 0 && layer < LAYERS ? layer : 0;
            kvsieve_tensor t[3] = { s->queries[known], s->keys[known], s->values[known] }, to = target;
            if (chance(2)) spoil(&t[chance(3)]);
            next += kvsieve_plan_observe(plan, layer, chance(32) ? &t[0] : NULL, chance(32) ? &t[1] : NULL, &t[2]) == KVSIEVE_OK;
            memset(&kept, 0, sizeof kept);
            kept.struct_size = chance(8) ? sizeof kept : (uint32_t)odd_number();
            if (kept.struct_size > sizeof kept) kept.struct_size = sizeof kept;
            ANY_STATUS(kvsieve_plan_kept(plan, layer, &kept));
            if (chance(2)) spoil(&to);
            if (call > 3) ANY_STATUS(kvsieve_plan_finish(plan));
            ANY_STATUS(kvsieve_plan_gather(plan, layer, &s->keys[known], &to));
            if (chance(16) == 0) next = kvsieve_plan_reset(plan); /* KVSIEVE_OK, 0 */
        }
        kvsieve_plan_destroy(plan);
    }
    free(target.data);
    sequence_free(s);
    return 0;
}

static void abort_no_argument_makes_the_library_abort_print_or_exit(void) {
    char output[4096];
    for (seed = 1; seed < (slow() ? 2 : 5); ++seed) {
        uint64_t start = seed;
        int result = in_child(any_arguments, output, sizeof output);
        EXPECT(result == 0, "seed %d: %s %d", (int)start, result < 0 ? "signal" : "exit", result < 0 ? -result : result);
        EXPECT(output[0] == 0, "it printed: %s", output);
        seed = start;
    }
}

/* -- Nesting: what a layer keeps only ever shrinks between its observe and finish ---------------------------------------- */

static void nesting_what_a_layer_keeps_only_ever_shrinks(void) {
    EVERY_METHOD (method)
        for (uint64_t number = 1; number < 6; ++number) {
            static int8_t held[LAYERS][HEADS][TOKENS];
            sequence *s = sequence_new(TOKENS, KVSIEVE_F32, number);
            kvsieve_plan *plan = plan_new(method);
            for (int32_t stage = 0; stage <= LAYERS; ++stage) {
                if (stage < LAYERS) EXPECT_OK(observe(plan, stage, s));
                if (stage < LAYERS) memset(held[stage], 1, sizeof held[stage]);
                if (stage == LAYERS) EXPECT_OK(kvsieve_plan_finish(plan));
                for (int32_t layer = 0; layer <= stage && layer < LAYERS; ++layer) {
                    kvsieve_kept kept = kept_of(plan, layer);
                    static int8_t now[HEADS][TOKENS];
                    memset(now, 0, sizeof now);
                    for (int head = 0; head < HEADS; ++head)
                        for (int64_t i = kept.offsets[head]; i < kept.offsets[head + 1]; ++i) {
                            now[head][kept.positions[i]] = 1;
                            EXPECT(held[layer][head][kept.positions[i]], "%s: layer %d takes back position %d", method_name(method),
                                   (int)layer, (int)kept.positions[i]);
                        }
                    memcpy(held[layer], now, sizeof now);
                }
            }
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
}

static void kept_is_ascending_offsets_begin_with_0_and_totals_agree(void) {
    EVERY_METHOD (method)
        for (uint64_t number = 1; number < 6; ++number) {
            sequence *s = sequence_new(TOKENS, KVSIEVE_F32, number);
            kvsieve_plan *plan = plan_new(method);
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                kvsieve_kept kept = kept_of(plan, layer);
                int64_t longest = 0;
                EXPECT(kept.struct_size == sizeof kept && kept.heads == HEADS && kept.tokens == TOKENS, "%s: %u %d %d",
                       method_name(method), kept.struct_size, (int)kept.heads, (int)kept.tokens);
                EXPECT(kept.offsets[0] == 0 && kept.offsets[HEADS] == kept.total, "%d", (int)kept.total);
                for (int head = 0; head < HEADS; ++head) {
                    int64_t count = kept.offsets[head + 1] - kept.offsets[head];
                    longest = count > longest ? count : longest;
                    EXPECT(count >= (method_has(method, KVSIEVE_WINDOW) ? WINDOW : 1) && count <= TOKENS, "%d", (int)count);
                    for (int64_t i = kept.offsets[head]; i < kept.offsets[head + 1]; ++i) {
                        int32_t before = i > kept.offsets[head] ? kept.positions[i - 1] : -1;
                        EXPECT(kept.positions[i] > before && kept.positions[i] < TOKENS, "%d", (int)kept.positions[i]);
                    }
                }
                EXPECT(longest == kept.longest, "%d is the longest, not %d", (int)longest, (int)kept.longest);
            }
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
}

/* -- Short: kept whole and in order; nothing is scored -------------------------------------------------------------------- */

static void short_prompts_are_kept_whole(void) {
    static const int32_t lengths[] = { 1, 2, WINDOW - 1, WINDOW, WINDOW + 1, 16, 20, BUDGET - 1, BUDGET };
    EVERY_METHOD (method)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i) {
            sequence *s = sequence_new(lengths[i], KVSIEVE_F32, 1);
            kvsieve_plan *plan = plan_new(method);
            /* the most that the method keeps of a longer prompt; Task-KV: sinks and recent, WindowKV: its last layer */
            int32_t whole = method == KVSIEVE_TASKKV ? 20 : method == KVSIEVE_WINDOWKV ? WINDOW + 4 : BUDGET;
            for (int32_t layer = 0; layer < LAYERS; ++layer) EXPECT_OK(observe(plan, layer, s));
            EXPECT_OK(kvsieve_plan_finish(plan));
            for (int32_t layer = 0; layer < LAYERS && lengths[i] <= whole; ++layer) {
                kvsieve_kept kept = kept_of(plan, layer);
                EXPECT(kept.total == HEADS * lengths[i] && kept.tokens == lengths[i], "%s keeps %d of 2 x %d", method_name(method),
                       (int)kept.total, (int)lengths[i]);
                for (int64_t j = 0; j < kept.total; ++j) EXPECT(kept.positions[j] == j % lengths[i], "%d", (int)kept.positions[j]);
            }
            plan_hash(plan, s, 1);
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
}

/* -- Query rows: more than the last W are taken, the last W are read ------------------------------------------------------ */

static void more_query_rows_than_the_window_change_nothing(void) {
    static const int32_t lengths[] = { 5, 50, TOKENS };
    EVERY_METHOD (method)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i) {
            sequence *s = sequence_new(lengths[i], KVSIEVE_F32, 1);
            const int64_t fewest = fewest_queries(method, lengths[i]), rows[] = { lengths[i], fewest, fewest + 1, lengths[i] - 1 };
            uint64_t all = 0;
            for (size_t r = 0; r < sizeof rows / sizeof *rows; ++r) {
                kvsieve_plan *plan;
                if (rows[r] < 1 || rows[r] < fewest || rows[r] > lengths[i]) continue;
                plan = plan_new(method);
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    kvsieve_tensor queries = s->queries[layer]; /* the last of them */
                    queries.data = (char *)queries.data + (lengths[i] - rows[r]) * queries.token_stride;
                    queries.tokens = rows[r];
                    EXPECT_OK(kvsieve_plan_observe(plan, layer, &queries, &s->keys[layer], &s->values[layer]));
                }
                EXPECT_OK(kvsieve_plan_finish(plan));
                if (r == 0) all = plan_hash(plan, s, 1);
                EXPECT(plan_hash(plan, s, 1) == all, "%s: %d query rows of %d tokens", method_name(method), (int)rows[r],
                       (int)lengths[i]);
                kvsieve_plan_destroy(plan);
            }
            sequence_free(s);
        }
}

/* -- Gather: packed, padded and in place hold the rows that kept names ------------------------------------------------------ */

static void gather_packed_padded_and_in_place(void) {
    EVERY_METHOD (method)
        for (int32_t dtype = KVSIEVE_F32; dtype <= KVSIEVE_BF16; ++dtype) {
            sequence *s = sequence_new(TOKENS, dtype, 1);
            kvsieve_plan *plan = plan_new(method);
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                kvsieve_kept kept = kept_of(plan, layer);
                kvsieve_tensor packed = tensor_new(1, kept.total, DIM, dtype),
                               padded = tensor_new(HEADS, kept.longest + 2, DIM, dtype);
                kvsieve_tensor place = tensor_new(HEADS, TOKENS, DIM, dtype);
                const size_t row = (size_t)place.token_stride;
                memset(padded.data, 0x5a, (size_t)(HEADS * padded.head_stride));
                memcpy(place.data, s->keys[layer].data, (size_t)(HEADS * place.head_stride));
                EXPECT_OK(kvsieve_plan_gather(plan, layer, &s->keys[layer], &packed));
                EXPECT_OK(kvsieve_plan_gather(plan, layer, &s->keys[layer], &padded));
                EXPECT_OK(kvsieve_plan_gather(plan, layer, &place, &place));
                for (int head = 0; head < HEADS; ++head) {
                    char *end = (char *)padded.data + head * padded.head_stride
                                + (kept.offsets[head + 1] - kept.offsets[head]) * (int64_t)row;
                    for (int64_t i = kept.offsets[head]; i < kept.offsets[head + 1]; ++i) {
                        int64_t slot = i - kept.offsets[head];
                        const char *from =
                            (const char *)s->keys[layer].data + head * place.head_stride + kept.positions[i] * (int64_t)row;
                        EXPECT(memcmp((char *)packed.data + i * (int64_t)row, from, row) == 0, "packed row %d", (int)i);
                        EXPECT(memcmp((char *)padded.data + head * padded.head_stride + slot * (int64_t)row, from, row) == 0,
                               "padded");
                        EXPECT(memcmp((char *)place.data + head * place.head_stride + slot * (int64_t)row, from, row) == 0,
                               "in place");
                    }
                    for (char *c = end; c < (char *)padded.data + (head + 1) * padded.head_stride; ++c)
                        if (!EXPECT(*c == 0x5a, "a row past the count of head %d was written", head)) break;
                }
                free(packed.data), free(padded.data), free(place.data);
            }
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
}

int main(void) {
    RUN(abort_no_argument_makes_the_library_abort_print_or_exit);
    RUN(nesting_what_a_layer_keeps_only_ever_shrinks);
    RUN(kept_is_ascending_offsets_begin_with_0_and_totals_agree);
    RUN(short_prompts_are_kept_whole);
    RUN(more_query_rows_than_the_window_change_nothing);
    RUN(gather_packed_padded_and_in_place);
    return harness_end();
}
