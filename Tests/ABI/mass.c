/* The parameter mass: its sentences in the header. What is kept to the row is in Tests/Mass. */
#include "fixture.h"
#include "harness.h"

static kvsieve_report report_of(const kvsieve_plan *plan, int32_t layer) {
    kvsieve_report report = { 0 };
    report.struct_size = sizeof report;
    EXPECT_OK(kvsieve_plan_report(plan, layer, &report));
    return report;
}

static kvsieve_plan *reporting(int32_t method) {
    kvsieve_plan *plan = plan_new(method);
    if (method_has(method, KVSIEVE_REPORT)) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_REPORT, 1));
    return plan;
}

static int64_t rows_of(const kvsieve_plan *plan, int32_t layer, int32_t head) {
    const kvsieve_kept kept = kept_of(plan, layer);
    return kept.offsets[head + 1] - kept.offsets[head];
}

/* Does `plan` keep what `fewer` keeps, in every head of a layer? */
static int contains(const kvsieve_plan *plan, const kvsieve_plan *fewer, int32_t layer) {
    const kvsieve_kept all = kept_of(plan, layer), part = kept_of(fewer, layer);
    for (int32_t head = 0; head < HEADS; ++head) {
        int64_t i = all.offsets[head];
        for (int64_t j = part.offsets[head]; j < part.offsets[head + 1]; ++j, ++i) {
            while (i < all.offsets[head + 1] && all.positions[i] < part.positions[j]) ++i;
            if (i == all.offsets[head + 1] || all.positions[i] != part.positions[j]) return 0;
        }
    }
    return 1;
}

/* "a head keeps the fewest of its best units [...] with which its rows hold at least the share m of the attention looked at, as
 * kvsieve_report.mass counts it; and no more than its budget gives it"; "Heads that make one choice (share 1; tova; windowkv, for
 * the layers of a group) keep as many: the mean of their shares is at least m." */
static void heads_keep_what_a_share_needs(void) {
    EVERY_METHOD (method) {
        sequence *s;
        if (!method_has(method, KVSIEVE_MASS)) continue;
        s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        for (int share = 0; share <= method_has(method, KVSIEVE_SHARE); ++share) {
            kvsieve_plan *all = reporting(method);
            int fewer = 0;
            if (share) EXPECT_OK(kvsieve_plan_set(all, KVSIEVE_SHARE, 1));
            observe_range(all, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(all));
            for (int tenths = 1; tenths <= 10; tenths += 3) {
                const double m = tenths / 10.0;
                kvsieve_plan *plan = reporting(method);
                int one_choice = share || method == KVSIEVE_TOVA || method == KVSIEVE_WINDOWKV;
                harness_case("%s: mass %g, share %d", method_name(method), m, share);
                if (share) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_SHARE, 1));
                EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_MASS, m));
                observe_range(plan, 0, LAYERS, s);
                EXPECT_OK(kvsieve_plan_finish(plan));
                for (int32_t layer = 0; layer < LAYERS; ++layer) {
                    const kvsieve_report report = report_of(plan, layer);
                    EXPECT(contains(all, plan, layer), "layer %d keeps others than the best", (int)layer);
                    for (int32_t head = 0; head < HEADS; ++head) {
                        const int64_t rows = rows_of(plan, layer, head), most = rows_of(all, layer, head);
                        const double held = report.mass == NULL ? 1 : one_choice ? report.mass_mean : report.mass[head];
                        EXPECT(rows > 0 && rows <= most, "layer %d, head %d: %d rows of %d", (int)layer, (int)head, (int)rows,
                               (int)most);
                        /* A share is rounded to float. */
                        EXPECT(held >= m - 1e-6 || rows == most, "layer %d, head %d: %g", (int)layer, (int)head, held);
                        EXPECT(!one_choice || rows == rows_of(plan, layer, 0), "layer %d: heads differ", (int)layer);
                        fewer += rows < most;
                    }
                }
                kvsieve_plan_destroy(plan);
            }
            EXPECT(fewer > 0, "no head keeps fewer");
            kvsieve_plan_destroy(all);
        }
        sequence_free(s);
    }
    harness_case("");
}

/* "Not with share 2, even 1 or decoding 1, where heads or layers keep as many rows (KVSIEVE_ERR_PARAMETER by the first observe)." */
static void mass_is_refused_beside_what_it_is_not_for(void) {
    static const struct {
        int32_t parameter, value;
        const char *words;
    } others[] = { { KVSIEVE_SHARE, 2, "mass is 0.9|share 2" },
                   { KVSIEVE_EVEN, 1, "mass is 0.9|even 1" },
                   { KVSIEVE_DECODING, 1, "mass is 0.9|decoding 1" } };
    EVERY_METHOD (method)
        for (size_t i = 0; i < sizeof others / sizeof *others; ++i) {
            sequence *s;
            kvsieve_plan *plan;
            int32_t needs = -7;
            if (!method_has(method, KVSIEVE_MASS) || !method_has(method, others[i].parameter)) continue;
            harness_case("%s: %s", method_name(method), others[i].words);
            s = sequence_new(TOKENS, KVSIEVE_F32, 1);
            plan = plan_new(method);
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_MASS, 0.9));
            EXPECT_OK(kvsieve_plan_set(plan, others[i].parameter, others[i].value));
            EXPECT_STATUS(observe(plan, 0, s), KVSIEVE_ERR_PARAMETER);
            EXPECT(error_names(others[i].words), "\"%s\"", kvsieve_last_error());
            EXPECT_STATUS(kvsieve_plan_needs(plan, 0, &needs), KVSIEVE_ERR_PARAMETER);
            EXPECT(needs == -7, "needs was written");
            EXPECT_OK(kvsieve_plan_set(plan, others[i].parameter, 0));
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            kvsieve_plan_destroy(plan);
            sequence_free(s);
        }
    harness_case("");
}

int main(void) {
    RUN(heads_keep_what_a_share_needs);
    RUN(mass_is_refused_beside_what_it_is_not_for);
    return harness_end();
}
