#include "refusal.h"

#include "harness.h"
#include "snapshot.h"

#include <string.h>

/* What an undisturbed plan decides; computed once a method. */
static uint64_t undisturbed_hash(int32_t method, const sequence *s) {
    static struct {
        int known;
        uint64_t hash;
    } results[MOST_METHODS];
    const int index = method_index(method);
    if (!results[index].known) results[index].hash = reference_hash(method, s), results[index].known = 1;
    return results[index].hash;
}

void expect_refused(int32_t method, int stage, misuse call, const void *context, kvsieve_status status, const char *words) {
    static int number;
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = plan_new(method);
    int32_t seen = stage < LAYERS ? stage : LAYERS;
    const uint64_t undisturbed = undisturbed_hash(method, s);
    observe_range(plan, 0, seen, s);
    if (stage == FINISHED) EXPECT_OK(kvsieve_plan_finish(plan));
    sequence_remember(s);
    if (EXPECT_STATUS(call(plan, s, context), status))
        EXPECT(error_names(words), "looked for \"%s\" in \"%s\"", words, kvsieve_last_error());
    EXPECT(snapshot_holds(), "a tensor of the caller was written");
    if (!left_out(number++)) {
        observe_range(plan, seen, LAYERS, s);
        if (stage != FINISHED) EXPECT_OK(kvsieve_plan_finish(plan));
        EXPECT(plan_hash(plan, s, 1) == undisturbed, "another result than an undisturbed plan of %s", method_name(method));
    }
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

void expect_each_refused(const char *what, misuse call, const struct refusal *all, size_t count) {
    EVERY_METHOD (method)
        for (size_t i = 0; i < count; ++i) {
            if (left_out(method + (int)i)) continue;
            harness_case("%s: %s, %s", method_name(method), what, all[i].words);
            expect_refused(method, all[i].stage, call, all[i].context, all[i].status, all[i].words);
        }
    harness_case("%s", "");
}

kvsieve_status refused_kept(kvsieve_plan *plan, sequence *s, const void *context) {
    kvsieve_kept kept, before;
    kvsieve_status status;
    (void)s;
    memset(&kept, 0x5a, sizeof kept);
    kept.struct_size = sizeof kept;
    before = kept;
    status = kvsieve_plan_kept(plan, *(const int32_t *)context, &kept);
    EXPECT(memcmp(&kept, &before, sizeof kept) == 0, "kept was written");
    return status;
}
