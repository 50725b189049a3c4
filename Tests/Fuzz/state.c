#include "state.h"

#include "calls.h"
#include "guarded.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 3 };

static struct {
    int32_t method, layers, heads;
} of;

void state_begin(int32_t method, int32_t layers, int32_t heads) {
    of.method = method;
    of.layers = layers;
    of.heads = heads;
}

static uint64_t with(uint64_t hash, const void *bytes, size_t count) { return count ? bytes_hashed(bytes, count, hash) : hash; }

#define ADD(hash, number) (hash = with(hash, &(number), sizeof(number)))

static call asking(enum function function, const kvsieve_plan *plan, int32_t layer, int32_t head, void *out, size_t bytes) {
    call c = call_new(function, (kvsieve_plan *)(uintptr_t)plan);
    c.layer = layer;
    c.head = head;
    c.out = out;
    c.out_bytes = bytes;
    memset(out, 0, bytes);
    memcpy(out, &(uint32_t){ (uint32_t)bytes }, 4);
    return c;
}

/* Positions ascend, in each head, and are of tokens that were seen. */
static void check_kept(const kvsieve_kept *kept) {
    HOLDS(kept->heads == of.heads && kept->offsets[0] == 0 && kept->offsets[of.heads] == kept->total, "kept of %d heads, %lld rows",
          (int)kept->heads, (long long)kept->total);
    for (int32_t head = 0; head < of.heads; ++head) {
        const int64_t begin = kept->offsets[head], end = kept->offsets[head + 1];
        HOLDS(end > begin && end - begin <= kept->longest, "head %d has %lld rows", (int)head, (long long)(end - begin));
        for (int64_t i = begin; i < end; ++i) {
            HOLDS(kept->positions[i] >= 0 && kept->positions[i] < kept->tokens, "position %d of %lld", (int)kept->positions[i],
                  (long long)kept->tokens);
            HOLDS(i == begin || (kept->positions[i] > kept->positions[i - 1] && kept->rows[i] > kept->rows[i - 1]),
                  "positions or rows do not ascend");
        }
    }
}

static uint64_t add_kept(uint64_t hash, const kvsieve_plan *plan, int32_t layer) {
    kvsieve_kept kept;
    const call c = asking(KEPT, plan, layer, 0, &kept, sizeof kept);
    const kvsieve_status status = call_make(&c);
    ADD(hash, status);
    if (status != KVSIEVE_OK) return hash;
    check_kept(&kept);
    hash = with(hash, kept.offsets, sizeof *kept.offsets * (size_t)(kept.heads + 1));
    hash = with(hash, kept.positions, sizeof *kept.positions * (size_t)kept.total);
    hash = with(hash, kept.rows, sizeof *kept.rows * (size_t)kept.total);
    ADD(hash, kept.longest);
    ADD(hash, kept.tokens);
    return hash;
}

static uint64_t add_slots(uint64_t hash, const kvsieve_plan *plan, int32_t layer, int32_t head) {
    kvsieve_slots slots;
    const call c = asking(SLOTS, plan, layer, head, &slots, sizeof slots);
    const kvsieve_status status = call_make(&c);
    ADD(hash, status);
    if (status != KVSIEVE_OK) return hash;
    ADD(hash, slots.tokens);
    return with(hash, slots.positions, sizeof *slots.positions * (size_t)slots.length);
}

static uint64_t add_ranges(uint64_t hash, const kvsieve_plan *plan, int32_t layer, int32_t head) {
    for (int32_t dropped = 0; dropped < 2; ++dropped) {
        kvsieve_ranges ranges;
        call c = asking(RANGES, plan, layer, head, &ranges, sizeof ranges);
        kvsieve_status status;
        c.dropped = dropped;
        status = call_make(&c);
        ADD(hash, status);
        if (status != KVSIEVE_OK) continue;
        for (int32_t i = 1; i < 2 * ranges.count; ++i)
            HOLDS(ranges.bounds[i] > ranges.bounds[i - 1], "ranges of layer %d do not ascend", (int)layer);
        hash = with(hash, ranges.bounds, sizeof *ranges.bounds * 2 * (size_t)ranges.count);
    }
    return hash;
}

static uint64_t add_report(uint64_t hash, const kvsieve_plan *plan, int32_t layer) {
    kvsieve_report report;
    const call c = asking(REPORT, plan, layer, 0, &report, sizeof report);
    const kvsieve_status status = call_make(&c);
    ADD(hash, status);
    if (status != KVSIEVE_OK) return hash;
    ADD(hash, report.kept);
    ADD(hash, report.dropped);
    ADD(hash, report.intact);
    for (int32_t head = 0; report.mass != NULL && head < of.heads; ++head)
        HOLDS(report.mass[head] >= 0 && report.mass[head] <= 1, "mass %g of head %d", (double)report.mass[head], (int)head);
    return report.mass ? with(hash, report.mass, sizeof *report.mass * (size_t)of.heads) : hash;
}

uint64_t choice_of_plan(const kvsieve_plan *plan) {
    uint64_t hash = 7;
    for (int32_t layer = 0; layer < of.layers; ++layer) {
        hash = add_report(add_kept(hash, plan, layer), plan, layer);
        for (int32_t head = 0; head < of.heads; ++head) hash = add_ranges(add_slots(hash, plan, layer, head), plan, layer, head);
    }
    return hash;
}

uint64_t state_of(const kvsieve_plan *plan) {
    uint64_t hash = choice_of_plan(plan);
    kvsieve_parameter_info info = { .struct_size = sizeof info };
    for (int32_t layer = 0; layer < of.layers; ++layer) {
        int32_t needs = 0;
        const call c = asking(NEEDS, plan, layer, 0, &needs, sizeof needs);
        const kvsieve_status status = call_make(&c);
        ADD(hash, status);
        ADD(hash, needs);
    }
    for (int32_t index = 0; kvsieve_parameter_at(of.method, index, &info) == KVSIEVE_OK; ++index) {
        double value = 0;
        call c = asking(GET, plan, 0, 0, &value, sizeof value);
        if (info.id == KVSIEVE_THREADS) continue;
        c.parameter = info.id;
        call_succeeds(&c);
        ADD(hash, value);
    }
    return hash;
}

static void *ask(void *plan) {
    static __thread uint64_t found;
    found = choice_of_plan(plan);
    return (void *)(uintptr_t)found;
}

void state_asked_by_threads(const kvsieve_plan *plan) {
    pthread_t threads[THREADS];
    void *found[THREADS], *own;
    for (int i = 0; i < THREADS; ++i)
        HOLDS(pthread_create(&threads[i], NULL, ask, (void *)(uintptr_t)plan) == 0, "the fuzzer has no thread");
    own = ask((void *)(uintptr_t)plan);
    for (int i = 0; i < THREADS; ++i) {
        pthread_join(threads[i], &found[i]);
        HOLDS(found[i] == own, "threads that ask at the same time are told different things");
    }
}
