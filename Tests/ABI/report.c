/* kvsieve_plan_report: its sentences in the header, and what it refuses. What the numbers are is in Tests/Mass. */
#include "decoder.h"
#include "harness.h"
#include "refusal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static kvsieve_report report_of(const kvsieve_plan *plan, int32_t layer) {
    kvsieve_report report = { 0 };
    report.struct_size = sizeof report;
    EXPECT_OK(kvsieve_plan_report(plan, layer, &report));
    EXPECT(report.struct_size == sizeof report && report.heads == HEADS, "size %d, %d heads", (int)report.struct_size,
           (int)report.heads);
    return report;
}

static kvsieve_plan *reporting(int32_t method) {
    kvsieve_plan *plan = plan_new(method);
    if (method_has(method, KVSIEVE_REPORT)) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_REPORT, 1));
    return plan;
}

/* "kept: rows of all heads that are kept", "dropped: heads * tokens seen, less those", "0 ... intact - 1 are the first positions
 * that every head still has" */
static void expect_counts(const kvsieve_plan *plan, int32_t layer) {
    const kvsieve_report report = report_of(plan, layer);
    const kvsieve_kept kept = kept_of(plan, layer);
    int64_t intact = kept.tokens;
    for (int32_t head = 0; head < HEADS; ++head) {
        const int64_t first = kept.offsets[head], count = kept.offsets[head + 1] - first;
        int64_t own = 0;
        while (own < count && kept.positions[first + own] == own) ++own;
        if (own < intact) intact = own;
    }
    EXPECT(report.kept == kept.total && report.dropped == HEADS * kept.tokens - kept.total, "layer %d: %d kept, %d dropped",
           (int)layer, (int)report.kept, (int)report.dropped);
    EXPECT(report.intact == intact, "layer %d: %d intact, not %d", (int)layer, (int)report.intact, (int)intact);
}

/* "the mean over the heads", "the least of a head"; "NaN if mass is NULL" */
static void expect_mass(const kvsieve_plan *plan, int32_t layer, int known) {
    const kvsieve_report report = report_of(plan, layer);
    double sum = 0, least = 1;
    if (!EXPECT((report.mass != NULL) == known, "layer %d: mass is %sNULL", (int)layer, known ? "" : "not ")) return;
    if (!known) {
        EXPECT(isnan(report.mass_mean) && isnan(report.mass_least), "%g, %g", report.mass_mean, report.mass_least);
        return;
    }
    for (int32_t head = 0; head < HEADS; ++head) {
        const kvsieve_kept kept = kept_of(plan, layer);
        const double mass = report.mass[head];
        EXPECT(mass >= 0 && mass <= 1, "layer %d, head %d: %g", (int)layer, (int)head, mass);
        EXPECT(mass == 1 || kept.offsets[head + 1] - kept.offsets[head] < kept.tokens, "layer %d, head %d keeps all", (int)layer,
               (int)head);
        sum += mass;
        if (mass < least) least = mass;
    }
    EXPECT(report.mass_mean == sum / HEADS && report.mass_least == least, "layer %d: mean %g, least %g", (int)layer,
           report.mass_mean, report.mass_least);
}

/* "After observe() of the layer the selection may still shrink; after finish() it is final." "mass is NULL [...] if the layer reads
 * no queries (a method that reads none, a layer of windowkv that takes over another's choice)" */
static void reports_are_of_what_is_kept(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        for (int share = 0; share <= (method_has(method, KVSIEVE_SHARE) ? 2 : 0); ++share) {
            kvsieve_plan *plan = reporting(method);
            int lost = 0;
            harness_case("%s: report, share %d", method_name(method), share);
            if (share) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_SHARE, share));
            for (int sequences = 0; sequences < 2; ++sequences) {
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    EXPECT_OK(observe(plan, layer, s));
                    for (int32_t below = 0; below <= layer; ++below) {
                        expect_counts(plan, below);
                        expect_mass(plan, below, reads(method, below, 'q') == READ);
                    }
                }
                EXPECT_OK(kvsieve_plan_finish(plan));
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    expect_counts(plan, layer);
                    expect_mass(plan, layer, reads(method, layer, 'q') == READ);
                    lost += report_of(plan, layer).mass_mean < 1;
                }
                EXPECT_OK(kvsieve_plan_reset(plan));
            }
            EXPECT(lost > 0 || reads(method, 0, 'q') != READ, "no layer has lost anything");
            kvsieve_plan_destroy(plan);
        }
        sequence_free(s);
    }
    harness_case("");
}

/* "mass is NULL if KVSIEVE_REPORT is 0": the counts are there. Methods that read no queries have neither parameter, "A cache that is
 * kept whole has 1 without being looked at." */
static void what_was_not_asked_for_is_null(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1), *few = sequence_new(4, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        harness_case("%s: no report", method_name(method));
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            expect_counts(plan, layer);
            expect_mass(plan, layer, 0);
        }
        EXPECT_OK(kvsieve_plan_reset(plan));
        if (!method_has(method, KVSIEVE_REPORT)) {
            EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_REPORT, 1), KVSIEVE_ERR_PARAMETER);
            EXPECT(error_names("report (112)|reads no queries"), "\"%s\"", kvsieve_last_error());
            EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_MASS, 0.9), KVSIEVE_ERR_PARAMETER);
            EXPECT(error_names("mass (110)|reads no queries"), "\"%s\"", kvsieve_last_error());
        } else {
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_REPORT, 1));
            observe_range(plan, 0, LAYERS, few);
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const int known = reads(method, layer, 'q') == READ;
                expect_counts(plan, layer);
                expect_mass(plan, layer, known);
                EXPECT(!known || report_of(plan, layer).mass_least == 1, "layer %d has lost something", (int)layer);
            }
        }
        kvsieve_plan_destroy(plan);
        sequence_free(s);
        sequence_free(few);
    }
    harness_case("");
}

/* "once the layer has taken steps: then its slots are counted"; steps that are taken back were never made. */
static void expect_slots(const kvsieve_plan *plan, int32_t layer, int64_t seen, int known) {
    const kvsieve_report report = report_of(plan, layer);
    int64_t kept = 0, intact = seen;
    for (int32_t head = 0; head < HEADS; ++head) {
        kvsieve_slots slots = { 0 };
        char *marks = take((size_t)seen + 1);
        int64_t own = 0;
        slots.struct_size = sizeof slots;
        memset(marks, 0, (size_t)seen + 1);
        EXPECT_OK(kvsieve_plan_slots(plan, layer, head, &slots));
        EXPECT(slots.tokens == seen, "%d tokens, not %d", (int)slots.tokens, (int)seen);
        for (int64_t i = 0; i < slots.length; ++i) marks[slots.positions[i]] = 1;
        while (marks[own]) ++own;
        if (own < intact) intact = own;
        kept += slots.length;
        free(marks);
    }
    EXPECT(report.kept == kept && report.dropped == HEADS * seen - kept && report.intact == intact,
           "layer %d: %d kept, %d dropped, %d intact", (int)layer, (int)report.kept, (int)report.dropped, (int)report.intact);
    EXPECT((report.mass != NULL) == known, "layer %d: mass is %sNULL", (int)layer, known ? "" : "not ");
}

static void step(kvsieve_plan *plan, const sequence *s, int32_t layer) {
    kvsieve_tensor queries = s->queries[layer], keys = s->keys[layer], values = s->values[layer];
    kvsieve_slots slots = { 0 };
    int32_t slot[HEADS];
    slots.struct_size = sizeof slots;
    EXPECT_OK(kvsieve_plan_slots(plan, layer, 0, &slots));
    queries.tokens = 1, keys.tokens = values.tokens = slots.length + 1;
    EXPECT_OK(kvsieve_plan_step(plan, layer, &queries, &keys, &values, slot));
}

static void while_decoding_slots_are_counted(void) {
    EVERY_DECODER (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = reporting(method);
        const int known = reads(method, 0, 'q') == READ;
        harness_case("%s: report while decoding", method_name(method));
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            expect_mass(plan, layer, known);
            expect_slots(plan, layer, TOKENS, known);
        }
        for (int32_t layer = 0; layer < LAYERS; ++layer) step(plan, s, layer);
        EXPECT_OK(kvsieve_plan_trim(plan, 1));
        for (int32_t layer = 0; layer < LAYERS; ++layer) expect_slots(plan, layer, TOKENS, known);
        for (int32_t token = 0; token < 6; ++token)
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                step(plan, s, layer);
                for (int32_t other = 0; other < LAYERS; ++other) {
                    const int stepped = other <= layer;
                    expect_slots(plan, other, TOKENS + token + stepped, known && token == 0 && !stepped);
                }
            }
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
    harness_case("");
}

/* "The plan owns mass; it is valid until the next observe, finish, extend, reset or destroy": calls for other layers move nothing. */
static void mass_is_the_plans_until_then(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = reporting(KVSIEVE_DYNAMICKV);
    const float *mass[LAYERS];
    float before[LAYERS][HEADS];
    observe_range(plan, 0, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(plan));
    for (int round = 0; round < 2; ++round)
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            const kvsieve_report report = report_of(plan, layer);
            if (round == 0) mass[layer] = report.mass, memcpy(before[layer], report.mass, sizeof before[layer]);
            EXPECT(report.mass == mass[layer], "it has moved");
            EXPECT(memcmp(mass[layer], before[layer], sizeof before[layer]) == 0, "what mass points to has changed");
        }
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

/* -- misuse ---------------------------------------------------------------------------------------------------------- */

struct request {
    int32_t layer, size;
};

static kvsieve_status refused_report(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct request *request = context;
    kvsieve_report report, before;
    kvsieve_status status;
    (void)s;
    memset(&report, 0x5a, sizeof report);
    report.struct_size = (uint32_t)request->size;
    memcpy(&before, &report, sizeof report);
    status = kvsieve_plan_report(plan, request->layer, request->size < 0 ? NULL : &report);
    EXPECT(memcmp(&report, &before, sizeof report) == 0, "report was written");
    return status;
}

static void what_report_refuses(void) {
    const int32_t size = sizeof(kvsieve_report);
    const struct refusal refusals[] = {
        { &(struct request){ 0, -1 }, FINISHED, KVSIEVE_ERR_NULL, "report is NULL" },
        { &(struct request){ 0, 0 }, FINISHED, KVSIEVE_ERR_PARAMETER, "report.struct_size|0" },
        { &(struct request){ 0, size - 1 }, FINISHED, KVSIEVE_ERR_PARAMETER, "report.struct_size" },
        { &(struct request){ -1, size }, FINISHED, KVSIEVE_ERR_SHAPE, "layer|-1" },
        { &(struct request){ LAYERS, size }, FINISHED, KVSIEVE_ERR_SHAPE, "layer|4" },
        { &(struct request){ 0, size }, BEFORE, KVSIEVE_ERR_STATE, "layer 0|observed" },
        { &(struct request){ 2, size }, 2, KVSIEVE_ERR_STATE, "layer 2|observed" },
    };
    expect_each_refused("report", refused_report, refusals, sizeof refusals / sizeof *refusals);
    EXPECT_STATUS(kvsieve_plan_report(NULL, 0, NULL), KVSIEVE_ERR_NULL);
}

/* "If the caller was compiled against an older header, the library writes only the fields that its struct has room for": and none
 * of a longer one's. */
static void a_later_struct_is_filled_as_far_as_it_is_known(void) {
    struct {
        kvsieve_report report;
        unsigned char later[8];
    } longer;
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    kvsieve_plan *plan = reporting(KVSIEVE_SNAPKV);
    observe_range(plan, 0, LAYERS, s);
    memset(&longer, 0x5a, sizeof longer);
    longer.report.struct_size = sizeof longer;
    EXPECT_OK(kvsieve_plan_report(plan, 0, &longer.report));
    EXPECT(longer.report.struct_size == sizeof longer.report, "%d", (int)longer.report.struct_size);
    for (int i = 0; i < 8; ++i) EXPECT(longer.later[i] == 0x5a, "byte %d was written", i);
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

int main(void) {
    RUN(reports_are_of_what_is_kept);
    RUN(what_was_not_asked_for_is_null);
    RUN(while_decoding_slots_are_counted);
    RUN(mass_is_the_plans_until_then);
    RUN(what_report_refuses);
    RUN(a_later_struct_is_filled_as_far_as_it_is_known);
    return harness_end();
}
