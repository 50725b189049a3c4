/* What the tests of KVSIEVE_ALIGN share: plans, where a head's first row is, and gathers that are looked at byte by byte. */
#ifndef ALIGNED_H
#define ALIGNED_H

#include "blocks.h"
#include "fixture.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

enum { ROW = DIM * 4 };

static inline kvsieve_plan *aligned(int32_t method, int align) {
    kvsieve_plan *plan = plan_new(method);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_ALIGN, align));
    return plan;
}

static inline kvsieve_plan *finished(int32_t method, int align, const sequence *s) {
    kvsieve_plan *plan = aligned(method, align);
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    return plan;
}

static inline int64_t count_of(const kvsieve_kept *kept, int32_t head) { return kept->offsets[head + 1] - kept->offsets[head]; }

/* The row of a padded target that has a head's first. */
static inline int64_t first_of(const kvsieve_kept *kept, int32_t head, int align) {
    return align ? kept->longest - count_of(kept, head) : 0;
}

/* Has the target each head's kept rows of the source from its first row on, and beside them what it had before? */
static inline void expect_rows(const kvsieve_kept *kept, int align, const kvsieve_tensor *source, const kvsieve_tensor *target,
                               const char *before, size_t row) {
    for (int32_t head = 0; head < HEADS; ++head) {
        const int64_t first = first_of(kept, head, align), end = first + count_of(kept, head);
        for (int64_t i = 0; i < target->tokens; ++i) {
            const char *found = row_of(target, head, i);
            const char *wanted = i >= first && i < end ? row_of(source, head, kept->rows[kept->offsets[head] + i - first])
                                                       : before + (found - (const char *)target->data);
            EXPECT(memcmp(found, wanted, row) == 0, "align %d, head %d, row %d of %d", align, (int)head, (int)i,
                   (int)target->tokens);
        }
    }
}

/* Any tensor's gather into a padded target of `longest + more` rows, and the same in place. */
static inline void gathers(const kvsieve_plan *plan, int32_t layer, int align, const kvsieve_tensor *source, size_t row, int more) {
    const kvsieve_kept kept = kept_of(plan, layer);
    const int64_t stride = source->head_stride + more * source->token_stride;
    const size_t bytes = (size_t)(HEADS * stride);
    kvsieve_tensor target = *source, place = *source;
    char *memory = take(bytes), *whole = take(bytes), *before = take(bytes);
    memset(memory, 0x5a, bytes), memset(before, 0x5a, bytes);
    target.tokens = kept.longest + more, target.data = memory, target.head_stride = stride;
    EXPECT_OK(kvsieve_plan_gather(plan, layer, source, &target));
    expect_rows(&kept, align, source, &target, before, row);
    memcpy(whole, source->data, (size_t)(HEADS * source->head_stride));
    place.data = whole;
    EXPECT_OK(kvsieve_plan_gather(plan, layer, &place, &place));
    expect_rows(&kept, align, source, &place, source->data, row);
    free(memory), free(whole), free(before);
}

#endif
