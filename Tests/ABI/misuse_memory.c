/* Out of memory: with less and less room (RLIMIT_AS, after a warm-up) every observe and step succeeds or is KVSIEVE_ERR_MEMORY, never
 * an abort; with room again the plan has the same result. Each method runs in a child, so that an abort is a failure of
 * one case. Big blocks are allocated by mmap and small ones in a heap with some room, as in any host that is short of memory. */
#define _GNU_SOURCE
#include "decoder.h"
#include "harness.h"
#include "room.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Products too big for a BLAS's small ones; of all queries with all keys, fewer tokens do. Without products, or of one query, only
 * long prompts need more than the first plan leaves free. */
enum { MANY = 9600, MANY_IF_ALL = 700, MANY_IF_FEW = 30000, WIDE = 128, ROWS = 32, MANY_QUERY_HEADS = 8 };

static int32_t method, threads;
static kvsieve_tensor queries, keys, values;

/* A method that reads no numbers needs no memory for them: it may succeed without any room. */
static int has_scores(void) { return reads(method, 0, 'k') == READ; }

static kvsieve_plan *plan_for_many(void) {
    kvsieve_model model = { LAYERS, MANY_QUERY_HEADS, HEADS, WIDE, 0, { 0 } };
    kvsieve_plan *plan = NULL;
    if (kvsieve_plan_create(method, &model, &plan) != KVSIEVE_OK) _exit(92);
    if (settle(plan, method, 256) != KVSIEVE_OK) _exit(93);
    if (method_has(method, KVSIEVE_WINDOW) && kvsieve_plan_set(plan, KVSIEVE_WINDOW, ROWS) != KVSIEVE_OK) _exit(94);
    if (threads > 1 && kvsieve_plan_set(plan, KVSIEVE_THREADS, threads) != KVSIEVE_OK) _exit(95);
    return plan;
}

static void fill_tensor(const kvsieve_tensor *tensor, uint64_t seed) {
    seed += 88172645463325252u;
    for (int64_t head = 0; head < tensor->heads; ++head) {
        float *data = (float *)(void *)((char *)tensor->data + head * tensor->head_stride);
        for (int64_t n = 0; n < tensor->tokens * tensor->dim; ++n) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            data[n] = (float)(seed >> 40) / 8388608.0f - 1.0f;
        }
    }
}

static void make_tensors(void) {
    const int all = fewest_queries(method, TOKENS) == TOKENS;
    const int few = reads(method, 0, 'q') != READ || fewest_queries(method, TOKENS) == 1;
    kvsieve_tensor last;
    queries = tensor_new(MANY_QUERY_HEADS, all ? MANY_IF_ALL : few ? MANY_IF_FEW : MANY, WIDE, KVSIEVE_F32);
    keys = tensor_new(HEADS, queries.tokens, WIDE, KVSIEVE_F32);
    values = tensor_new(HEADS, queries.tokens, WIDE, KVSIEVE_F32);
    last = queries; /* rows that are never read are zero, and take no memory */
    if (!all) last.data = (char *)last.data + (queries.tokens - ROWS) * last.token_stride, last.tokens = ROWS;
    fill_tensor(&last, 0);
    fill_tensor(&keys, 1);
    fill_tensor(&values, 2);
}

static uint64_t decided(const kvsieve_plan *plan) {
    uint64_t hash = 1;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept kept = kept_of(plan, layer);
        hash = bytes_hash(kept.offsets, sizeof *kept.offsets * (HEADS + 1), hash);
        hash = bytes_hash(kept.positions, sizeof *kept.positions * (size_t)kept.total, hash);
    }
    return hash;
}

/* Exit status: 0, or the line where something was wrong. */
static int less_and_less_room(void) {
    kvsieve_plan *plan;
    uint64_t expected;
    int refused = 0, whole = 0;
    mallopt(M_ARENA_MAX, 1);            /* the room of another thread's arena would help out */
    mallopt(M_MMAP_THRESHOLD, 1 << 16); /* and so would big blocks that the heap held back */
    make_tensors();
    plan = plan_for_many();
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        if (kvsieve_plan_observe(plan, layer, &queries, &keys, &values) != KVSIEVE_OK) return __LINE__ & 255;
    if (kvsieve_plan_finish(plan) != KVSIEVE_OK) return __LINE__ & 255;
    expected = decided(plan);
    kvsieve_plan_destroy(plan);
    prepare_heap(0);

    for (int64_t room = 0; room < INT64_C(1) << 31 && whole < 2; room = room ? room * 7 / 4 : 1 << 16) {
        kvsieve_status finished;
        int here = 0;
        plan = plan_for_many();
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            kvsieve_status status;
            limit_room(room);
            status = kvsieve_plan_observe(plan, layer, &queries, &keys, &values);
            limit_room(-1);
            if (status == KVSIEVE_OK) continue;
            ++here;
            if (status != KVSIEVE_ERR_MEMORY || !error_names("memory")) {
                printf("%s: \"%s\"\n", kvsieve_status_name(status), kvsieve_last_error());
                return __LINE__ & 255;
            }
            if (kvsieve_plan_observe(plan, layer, &queries, &keys, &values) != KVSIEVE_OK) return __LINE__ & 255;
        }
        limit_room(0); /* finish() needs little memory; if that is too much, it may be called again */
        finished = kvsieve_plan_finish(plan);
        limit_room(-1);
        if (finished == KVSIEVE_ERR_MEMORY) finished = kvsieve_plan_finish(plan);
        if (finished != KVSIEVE_OK) return __LINE__ & 255;
        limit_room(0);
        if (decided(plan) != expected) return __LINE__ & 255;
        limit_room(-1);
        refused += here;
        whole += here == 0;
        kvsieve_plan_destroy(plan);
    }
    printf("%d calls refused\n", refused);
    return (refused > 0 || !has_scores()) && whole > 0 ? 0 : __LINE__ & 255;
}

/* A gather needs no memory at all. */
static int gather_without_room(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(method);
    kvsieve_tensor target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_F32);
    observe_range(plan, 0, LAYERS, s);
    if (kvsieve_plan_finish(plan) != KVSIEVE_OK) return __LINE__ & 255;
    prepare_heap(0);
    limit_room(0);
    if (kvsieve_plan_gather(plan, 0, &s->keys[0], &target) != KVSIEVE_OK) return __LINE__ & 255;
    if (kvsieve_plan_gather(plan, 0, &s->keys[0], &s->keys[0]) != KVSIEVE_OK) return __LINE__ & 255;
    kvsieve_plan_destroy(plan);
    return 0;
}

/* In a fresh process, the very first call is made when memory is short. */
static int first_call_without_room(void) {
    make_tensors();
    for (int64_t room = 0; room < INT64_C(1) << 30; room = room ? room * 4 : 1 << 16) {
        kvsieve_plan *plan = plan_for_many();
        kvsieve_status status;
        prepare_heap(0);
        limit_room(room);
        status = kvsieve_plan_observe(plan, 0, &queries, &keys, &values);
        limit_room(-1);
        if (status != KVSIEVE_OK && status != KVSIEVE_ERR_MEMORY) return __LINE__ & 255;
        kvsieve_plan_destroy(plan);
        if (status == KVSIEVE_OK) return 0;
    }
    return __LINE__ & 255;
}

/* -- decoding ------------------------------------------------------------------------------------------------------ */

enum { LONG = 1100, BIG = 1024, DRAFT = 4 };

/* Makes a call that may be refused; a refused one again, with room. */
#define WITH_ROOM(room, refused, call)                                                  \
    do {                                                                                \
        kvsieve_status status_;                                                         \
        limit_room(room);                                                               \
        status_ = (call);                                                               \
        limit_room(-1);                                                                 \
        if (status_ == KVSIEVE_ERR_MEMORY) ++*(refused), status_ = (call);              \
        if (status_ != KVSIEVE_OK) {                                                    \
            printf("%s: \"%s\"\n", kvsieve_status_name(status_), kvsieve_last_error()); \
            fflush(stdout);                                                             \
            _exit(__LINE__ & 255);                                                      \
        }                                                                               \
    } while (0)

/* Prompt, a token, which is taken back after the draft that follows was refused, the draft again, of which two are taken
 * back, and a token. No row is moved: a plan does not mind. 0 when the draft was not refused. */
static uint64_t decoded(int64_t room, int *refused) {
    const int draft = most_tokens(method) < DRAFT ? most_tokens(method) : DRAFT;
    const int counts[] = { 1, draft, 1 }, rejected[] = { 1, draft / 2, 0 };
    kvsieve_tensor prompt = queries, steps = queries, rows = keys;
    kvsieve_model model = { 2, QUERY_HEADS, HEADS, DIM, 0, { 0 } };
    kvsieve_plan *plan = NULL;
    int32_t evict[HEADS * DRAFT];
    uint64_t hash = 1;
    if (kvsieve_plan_create(method, &model, &plan) != KVSIEVE_OK) _exit(92);
    if (settle(plan, method, BIG) != KVSIEVE_OK) _exit(93);
    if (kvsieve_plan_set(plan, KVSIEVE_DECODING, 1) != KVSIEVE_OK) _exit(94);
    if (kvsieve_plan_set(plan, KVSIEVE_THREADS, threads) != KVSIEVE_OK) _exit(95);
    for (int32_t layer = 0; layer < 2; ++layer) WITH_ROOM(room, refused, kvsieve_plan_observe(plan, layer, &prompt, &keys, &keys));
    WITH_ROOM(room, refused, kvsieve_plan_finish(plan));
    for (int round = 0; round < 3; ++round) {
        steps.tokens = counts[round];
        rows.tokens = BIG + counts[round];
        for (int32_t layer = 0; layer < 2; ++layer) {
            WITH_ROOM(room, refused, kvsieve_plan_step(plan, layer, &steps, &rows, &rows, evict));
            hash = bytes_hash(evict, sizeof *evict * (size_t)(HEADS * counts[round]), hash);
        }
        if (round == 0 && room >= 0) {
            kvsieve_status status;
            steps.tokens = draft;
            rows.tokens = BIG + draft;
            limit_room(room);
            status = kvsieve_plan_step(plan, 0, &steps, &rows, &rows, evict);
            limit_room(-1);
            if (status == KVSIEVE_OK) {
                kvsieve_plan_destroy(plan);
                return 0;
            }
            ++*refused;
        }
        limit_room(0); /* needs no memory */
        if (kvsieve_plan_trim(plan, rejected[round]) != KVSIEVE_OK) _exit(97);
        limit_room(-1);
        for (int32_t place = 0; place < 2 * HEADS; ++place) {
            kvsieve_slots slots = { 0 };
            slots.struct_size = sizeof slots;
            if (kvsieve_plan_slots(plan, place / HEADS, place % HEADS, &slots) != KVSIEVE_OK) _exit(98);
            hash = bytes_hash(slots.positions, sizeof *slots.positions * (size_t)slots.length, hash) ^ (uint64_t)slots.tokens;
        }
    }
    kvsieve_plan_destroy(plan);
    return hash;
}

static int decoding_with_less_and_less_room(void) {
    int refused = 0;
    uint64_t expected, found = 1;
    mallopt(M_ARENA_MAX, 1);
    queries = tensor_new(QUERY_HEADS, LONG, DIM, KVSIEVE_F32); /* of the prompt; the first of them step as well */
    keys = tensor_new(HEADS, LONG, DIM, KVSIEVE_F32);
    fill_tensor(&queries, 3);
    fill_tensor(&keys, 5);
    expected = decoded(-1, &refused);
    if (refused != 0) return __LINE__ & 255;
    prepare_heap(1);
    for (int64_t room = 0; found != 0 && room < 1 << 24; room += room < 1 << 19 ? 1 << 13 : room / 2) {
        found = decoded(room, &refused);
        if (found == expected || found == 0) continue;
        printf("with room for %d bytes another result\n", (int)room);
        return __LINE__ & 255;
    }
    printf("%d calls refused\n", refused);
    return (refused > 0 || !has_scores()) && found == 0 ? 0 : __LINE__ & 255;
}

static void in_a_child(const char *name, int (*function)(void)) {
    char output[4096];
    int result;
    harness_case("%s: %s, threads %d", method_name(method), name, (int)threads);
    result = in_child(function, output, sizeof output);
    EXPECT(result == 0, "%s %d; it printed: %s", result < 0 ? "signal" : "line (modulo 256)", result < 0 ? -result : result,
           output);
}

int main(void) {
    EVERY_METHOD (each) {
        method = each;
        threads = 1;
        in_a_child("the first call without room", first_call_without_room); /* before this process made any */
        in_a_child("gather without room", gather_without_room);
        in_a_child("less and less room", less_and_less_room);
        threads = 4;
        in_a_child("less and less room", less_and_less_room);
    }
    EVERY_DECODER (each)
        for (threads = 1; threads <= 4; threads += 3) {
            method = each;
            in_a_child("decoding with less and less room", decoding_with_less_and_less_room);
        }
    return harness_end();
}
