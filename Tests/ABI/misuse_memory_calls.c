/* Out of memory in the calls that misuse_memory.c does not make: attention that is given, queries in chunks, ranges, rotated rows.
 * Each is refused with KVSIEVE_ERR_MEMORY, has written nothing, and succeeds when there is room again. */
#define _GNU_SOURCE
#include "fixture.h"
#include "harness.h"
#include "room.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONG = 1 << 20, WIDE = 1 << 16, UNTOUCHED = 0x5a };

static kvsieve_plan *made(int32_t method, int32_t query_heads, int32_t heads, int32_t dim) {
    const kvsieve_model model = { 1, query_heads, heads, dim, 0, { 0 } };
    kvsieve_plan *plan = NULL;
    if (kvsieve_plan_create(method, &model, &plan) != KVSIEVE_OK) _exit(92);
    return plan;
}

/* Makes the call without room, which must be refused, and then with room. Small things find room in holes: a big block that
 * found it in one piece would leave them none. Exit status of a child: the line of what was wrong. */
#define FIRST_WITHOUT_ROOM(call)                                                                      \
    do {                                                                                              \
        kvsieve_status status_;                                                                       \
        prepare_heap(1);                                                                              \
        limit_room(0);                                                                                \
        status_ = (call);                                                                             \
        limit_room(-1);                                                                               \
        if (status_ != KVSIEVE_ERR_MEMORY || !error_names("out of memory")) {                         \
            printf("without room: %s: \"%s\"\n", kvsieve_status_name(status_), kvsieve_last_error()); \
            return __LINE__ & 255;                                                                    \
        }                                                                                             \
        if (strcmp(kvsieve_plan_error(plan), kvsieve_last_error()) != 0) return __LINE__ & 255;       \
        if (nothing_was_written() != 0) return __LINE__ & 255;                                        \
        status_ = (call);                                                                             \
        if (status_ == KVSIEVE_OK) break;                                                             \
        printf("with room: %s: \"%s\"\n", kvsieve_status_name(status_), kvsieve_last_error());        \
        return __LINE__ & 255;                                                                        \
    } while (0)

/* What a call could write. */
static unsigned char *written;
static size_t bytes;

static int nothing_was_written(void) {
    for (size_t i = 0; i < bytes; ++i)
        if (written[i] != UNTOUCHED) return 1;
    return 0;
}

static int given_attention(void) {
    kvsieve_tensor sums = tensor_new(1, 1, LONG, KVSIEVE_F32);
    kvsieve_plan *plan = made(KVSIEVE_SNAPKV, 1, 1, DIM);
    for (int32_t j = 0; j < LONG; j += 1000) element_set(&sums, 0, 0, j, 1.0f);
    FIRST_WITHOUT_ROOM(kvsieve_plan_observe_attention(plan, 0, KVSIEVE_COLUMN_SUMS, &sums, NULL));
    if (kvsieve_plan_finish(plan) != KVSIEVE_OK) return __LINE__ & 255;
    if (kept_of(plan, 0).total != 1024) return __LINE__ & 255;
    kvsieve_plan_destroy(plan);
    return 0;
}

static int chunks(void) {
    kvsieve_tensor queries = tensor_new(4, 1, 1024, KVSIEVE_F32), keys = tensor_new(1, 40, 1024, KVSIEVE_F32);
    kvsieve_plan *plan = made(KVSIEVE_SNAPKV, 4, 1, 1024);
    if (kvsieve_plan_set(plan, KVSIEVE_WINDOW, 4096) != KVSIEVE_OK) return __LINE__ & 255; /* 64 MiB */
    if (kvsieve_plan_set(plan, KVSIEVE_BUDGET, 5000) != KVSIEVE_OK) return __LINE__ & 255;
    FIRST_WITHOUT_ROOM(kvsieve_plan_queries(plan, 0, &queries));
    for (int i = 1; i < 40; ++i) /* the refused one does not count: 40 tokens have 40 queries */
        if (kvsieve_plan_queries(plan, 0, &queries) != KVSIEVE_OK) return __LINE__ & 255;
    if (kvsieve_plan_observe(plan, 0, NULL, &keys, NULL) != KVSIEVE_OK) return __LINE__ & 255;
    kvsieve_plan_destroy(plan);
    return 0;
}

static int ranges(void) {
    kvsieve_tensor shape = { NULL, 1, LONG, 0, 0, DIM, KVSIEVE_F32, NULL, 0, 0, 0, { 0 } };
    kvsieve_plan *plan = made(KVSIEVE_RANDOM, 1, 1, DIM);
    kvsieve_ranges found;
    if (kvsieve_plan_set(plan, KVSIEVE_BUDGET, LONG / 2) != KVSIEVE_OK) return __LINE__ & 255;
    if (kvsieve_plan_observe(plan, 0, NULL, &shape, NULL) != KVSIEVE_OK) return __LINE__ & 255;
    if (kvsieve_plan_finish(plan) != KVSIEVE_OK) return __LINE__ & 255;
    memset(&found, UNTOUCHED, sizeof found);
    found.struct_size = sizeof found;
    written = (unsigned char *)&found + sizeof found.struct_size, bytes = sizeof found - sizeof found.struct_size;
    FIRST_WITHOUT_ROOM(kvsieve_plan_ranges(plan, 0, 0, 1, &found));
    if (found.count < LONG / 8) return __LINE__ & 255;
    kvsieve_plan_destroy(plan);
    return 0;
}

static int rotated_rows(void) {
    enum { T = 4 };
    kvsieve_tensor keys = tensor_new(1, T, WIDE, KVSIEVE_F32), target = tensor_new(1, 2, WIDE, KVSIEVE_F32);
    kvsieve_tensor shape = { NULL, 1, T, 0, 0, WIDE, KVSIEVE_F32, NULL, 0, 0, 0, { 0 } };
    float *frequencies = take(WIDE / 2 * sizeof *frequencies);
    const kvsieve_rope rope = { sizeof rope, KVSIEVE_ROPE_HALVES, WIDE, 0, frequencies, 0, 0 };
    kvsieve_plan *plan = made(KVSIEVE_STREAMINGLLM, 1, 1, WIDE);
    if (kvsieve_plan_set(plan, KVSIEVE_STREAMINGLLM_SINKS, 1) != KVSIEVE_OK) return __LINE__ & 255;
    if (kvsieve_plan_set(plan, KVSIEVE_BUDGET, 2) != KVSIEVE_OK) return __LINE__ & 255;
    if (kvsieve_plan_observe(plan, 0, NULL, &shape, NULL) != KVSIEVE_OK) return __LINE__ & 255;
    if (kvsieve_plan_finish(plan) != KVSIEVE_OK) return __LINE__ & 255;
    written = target.data, bytes = (size_t)target.head_stride;
    memset(written, UNTOUCHED, bytes);
    FIRST_WITHOUT_ROOM(kvsieve_plan_gather_rotated(plan, 0, &keys, &target, &rope));
    if (nothing_was_written() == 0) return __LINE__ & 255;
    kvsieve_plan_destroy(plan);
    return 0;
}

static void in_a_child(const char *name, int (*function)(void)) {
    char output[4096];
    int result;
    harness_case("%s without room", name);
    result = in_child(function, output, sizeof output);
    EXPECT(result == 0, "%s %d; it printed: %s", result < 0 ? "signal" : "line (modulo 256)", result < 0 ? -result : result,
           output);
}

int main(void) {
    in_a_child("attention", given_attention);
    in_a_child("chunks", chunks);
    in_a_child("ranges", ranges);
    in_a_child("rotated rows", rotated_rows);
    return harness_end();
}
