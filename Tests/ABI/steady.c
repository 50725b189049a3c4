/* What the header says of memory once a plan is warm: a decoding step makes no call of malloc. The allocator of
 * this program is glibc's with a count before it, for the library as well. */
#include "decoder.h"
#include "harness.h"

#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static unsigned long calls;

static void counted(void) { __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED); }

void *malloc(size_t size) { return counted(), __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return counted(), __libc_calloc(count, size); }
void *realloc(void *memory, size_t size) { return counted(), __libc_realloc(memory, size); }
void *memalign(size_t alignment, size_t size) { return counted(), __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return counted(), __libc_memalign(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) {
    counted();
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : 12;
}

/* A round of all layers, whose last `rejected` tokens are taken back: calls of malloc inside the library. */
static unsigned long round_of(decoder *d, int tokens, int rejected) {
    int32_t evict[HEADS * MOST];
    unsigned long inside = 0;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        step_call call;
        unsigned long before;
        d->layer = layer;
        call = decoder_call(d, tokens, evict);
        before = calls;
        EXPECT_OK(make_call(d, &call));
        inside += calls - before;
    }
    if (rejected > 0) {
        const unsigned long before = calls;
        EXPECT_OK(kvsieve_plan_trim(d->plan, rejected));
        inside += calls - before;
    }
    ++d->round;
    return inside;
}

static void steps_call_malloc_not_once(void) {
    EVERY_WAY(method, by_logits) {
        decoder *d = decoder_new(method, by_logits);
        unsigned long warm = round_of(d, 3, 2), inside = 0;
        EXPECT(warm > 0, "%s: nothing is counted", decoder_name(method));
        round_of(d, 1, 0);
        for (int round = 0; round < 500; ++round) inside += round % 10 == 0 ? round_of(d, 3, 2) : round_of(d, 1, 0);
        EXPECT(inside == 0, "%s%s: %lu calls of malloc in 500 tokens", decoder_name(method), by_logits ? ", logits" : "", inside);
        decoder_free(d);
    }
}

int main(void) {
    RUN(steps_call_malloc_not_once);
    return harness_end();
}
