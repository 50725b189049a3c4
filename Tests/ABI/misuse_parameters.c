/* Parameters out of their bounds, of another method, at the wrong time; models and budgets that cannot be. */
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct setting {
    int32_t parameter;
    double value;
};

static kvsieve_status set(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct setting *setting = context;
    double before = -7, after = -7;
    kvsieve_status known = kvsieve_plan_get(plan, setting->parameter, &before);
    kvsieve_status status = kvsieve_plan_set(plan, setting->parameter, setting->value);
    char sentence[1024];
    (void)s;
    snprintf(sentence, sizeof sentence, "%s", kvsieve_last_error());
    if (known == KVSIEVE_OK && status != KVSIEVE_OK) {
        EXPECT_OK(kvsieve_plan_get(plan, setting->parameter, &after));
        EXPECT(before == after, "%g became %g", before, after);
        EXPECT(strcmp(sentence, kvsieve_last_error()) == 0, "a call that succeeds changed the sentence");
    }
    return status;
}

static kvsieve_status get(kvsieve_plan *plan, sequence *s, const void *context) {
    double value = -7;
    kvsieve_status status = kvsieve_plan_get(plan, ((const struct setting *)context)->parameter, &value);
    (void)s;
    EXPECT(value == -7, "value was written");
    return status;
}

static void values_out_of_bounds(void) {
    EVERY_METHOD (method) {
        kvsieve_parameter_info info = { 0 };
        info.struct_size = sizeof info;
        for (int32_t i = 0; kvsieve_parameter_at(method, i, &info) == KVSIEVE_OK; ++i) {
            const double bad[] = { info.lowest - 1,
                                   nextafter(info.lowest, -INFINITY),
                                   info.highest + 1,
                                   nextafter(info.highest, INFINITY),
                                   NAN,
                                   INFINITY,
                                   -INFINITY,
                                   1e300,
                                   -1e300 };
            harness_case("%s: %s out of bounds, NaN, infinite", method_name(method), info.name);
            for (size_t b = 0; b < sizeof bad / sizeof *bad; ++b) {
                struct setting setting = { info.id, bad[b] };
                if (!left_out((int)b + i + method_index(method)))
                    expect_refused(method, BEFORE, set, &setting, KVSIEVE_ERR_PARAMETER, info.name);
            }
            if (info.integral) {
                struct setting setting = { info.id, info.lowest + 0.5 };
                harness_case("%s: %s not a whole number", method_name(method), info.name);
                expect_refused(method, BEFORE, set, &setting, KVSIEVE_ERR_PARAMETER, info.name);
            }
            if (info.integral == 2) {
                struct setting setting = { info.id, 4 };
                harness_case("%s: %s even", method_name(method), info.name);
                expect_refused(method, BEFORE, set, &setting, KVSIEVE_ERR_PARAMETER, info.name);
            }
            harness_case("%s: %s set after the first observe", method_name(method), info.name);
            for (int stage = 1; stage <= FINISHED; ++stage) {
                struct setting setting = { info.id, info.initial };
                char words[64];
                snprintf(words, sizeof words, "observe|%s (%d", info.name, (int)info.id);
                expect_refused(method, stage, set, &setting, KVSIEVE_ERR_STATE, words);
            }
        }
    }
    harness_case("");
}

static void the_sentence_names_name_value_and_bounds(void) {
    struct setting setting = { KVSIEVE_POOL_KERNEL, 64 };
    expect_refused(KVSIEVE_DYNAMICKV, BEFORE, set, &setting, KVSIEVE_ERR_PARAMETER, "pool_kernel|64|1|63");
}

/* Shared parameters are tried once. */
static int is_first_with(int32_t method, int32_t parameter) {
    EVERY_METHOD (before) {
        if (before == method) break;
        if (method_has(before, parameter)) return 0;
    }
    return 1;
}

static void parameters_of_no_or_another_method(void) {
    static const int32_t unknown[] = { 0, -1, 1, 99, 199, 999, INT32_MAX, INT32_MIN };
    EVERY_METHOD (method) {
        harness_case("%s: unknown parameters", method_name(method));
        for (size_t i = 0; i < sizeof unknown / sizeof *unknown; ++i) {
            struct setting setting = { unknown[i], 1 };
            char word[16];
            snprintf(word, sizeof word, "%d", (int)unknown[i]);
            expect_refused(method, BEFORE, set, &setting, KVSIEVE_ERR_PARAMETER, word);
            expect_refused(method, 1, get, &setting, KVSIEVE_ERR_PARAMETER, word);
        }
        harness_case("%s: parameters of other methods", method_name(method));
        EVERY_METHOD (other) {
            kvsieve_parameter_info info = { 0 };
            info.struct_size = sizeof info;
            for (int32_t i = 0; kvsieve_parameter_at(other, i, &info) == KVSIEVE_OK; ++i) {
                struct setting setting = { info.id, info.initial };
                if (method_has(method, info.id) || !is_first_with(other, info.id)) continue;
                char words[96]; /* by name: "beta (300, of taskkv)" */
                if (left_out(i + method_index(method) + method_index(other))) continue;
                snprintf(words, sizeof words, "%s has no parameter %s (%d|%s", method_name(method), info.name, (int)info.id,
                         info.id < 200 ? "" : method_name(other));
                expect_refused(method, BEFORE, set, &setting, KVSIEVE_ERR_PARAMETER, words);
                expect_refused(method, FINISHED, get, &setting, KVSIEVE_ERR_PARAMETER, words);
            }
        }
    }
    harness_case("");
}

/* -- models ------------------------------------------------------------------------------------------------------ */

static void refuses_model(kvsieve_model model, kvsieve_status status, const char *words) {
    kvsieve_plan *const untouched = (kvsieve_plan *)(void *)&model, *plan = untouched;
    if (EXPECT_STATUS(kvsieve_plan_create(KVSIEVE_DYNAMICKV, &model, &plan), status))
        EXPECT(error_names(words), "looked for \"%s\" in \"%s\"", words, kvsieve_last_error());
    EXPECT(plan == untouched, "out was written");
}

static void models_that_cannot_be(void) {
    static const int32_t sizes[] = { 0, -1, INT32_MIN, INT32_MAX, 65537 };
    kvsieve_model model;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        char words[4][48];
        static const char *const names[] = { "layers", "query_heads", "kv_heads", "head_dim" };
        for (int n = 0; n < 4; ++n) snprintf(words[n], sizeof words[n], "%s|%d", names[n], (int)sizes[i]);
        model = small_model(), model.layers = sizes[i], refuses_model(model, KVSIEVE_ERR_SHAPE, words[0]);
        model = small_model(), model.query_heads = sizes[i], refuses_model(model, KVSIEVE_ERR_SHAPE, words[1]);
        model = small_model(), model.kv_heads = sizes[i], refuses_model(model, KVSIEVE_ERR_SHAPE, words[2]);
        model = small_model(), model.head_dim = sizes[i], refuses_model(model, KVSIEVE_ERR_SHAPE, words[3]);
    }
    model = small_model(), model.layers = 1025, refuses_model(model, KVSIEVE_ERR_SHAPE, "layers|1025|1024");
    model = small_model(), model.query_heads = 1026, refuses_model(model, KVSIEVE_ERR_SHAPE, "query_heads|1026|1024");
    model = small_model(), model.query_heads = 5, refuses_model(model, KVSIEVE_ERR_SHAPE, "query_heads|5|kv_heads|2");
    model = small_model(), model.kv_heads = 8, refuses_model(model, KVSIEVE_ERR_SHAPE, "query_heads|4|kv_heads|8");
}

static void scales_that_cannot_be(void) {
    static const float scales[] = { NAN, INFINITY, -INFINITY, -1, -1e-30f };
    for (size_t i = 0; i < sizeof scales / sizeof *scales; ++i) {
        kvsieve_model model = small_model();
        model.scale = scales[i];
        refuses_model(model, KVSIEVE_ERR_PARAMETER, "scale");
    }
}

static void reserved_fields_of_a_model(void) {
    for (int i = 0; i < 3; ++i) {
        kvsieve_model model = small_model();
        model.reserved[i] = 1;
        refuses_model(model, KVSIEVE_ERR_LAYOUT, "reserved");
    }
}

/* -- budgets: the sentence has the smallest that would do ----------------------------------------------------------- */

/* After a refused observe the plan is as before: parameters can be set. `change` is tried, must be refused with `status`,
 * and undone by `undo`; the rest of the sequence is as if nothing had happened. */
struct change {
    struct setting change[2], undo[2];
};

static kvsieve_status observe_changed(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct change *c = context;
    kvsieve_status status;
    char sentence[1024];
    for (int i = 0; i < 2; ++i)
        if (c->change[i].parameter) EXPECT_OK(kvsieve_plan_set(plan, c->change[i].parameter, c->change[i].value));
    status = observe(plan, 0, s);
    snprintf(sentence, sizeof sentence, "%s", kvsieve_last_error());
    for (int i = 0; i < 2; ++i)
        if (c->undo[i].parameter) EXPECT_OK(kvsieve_plan_set(plan, c->undo[i].parameter, c->undo[i].value));
    EXPECT(strcmp(sentence, kvsieve_last_error()) == 0, "a call that succeeds changed the sentence");
    return status;
}

static void budgets_below_what_must_be_kept(void) {
    static const struct change window = { { { KVSIEVE_BUDGET, 7 } }, { { KVSIEVE_BUDGET, BUDGET } } };
    static const struct change ahakv = { { { KVSIEVE_BUDGET, 7 }, { KVSIEVE_AHAKV_SINKS, 0 } },
                                         { { KVSIEVE_BUDGET, BUDGET }, { KVSIEVE_AHAKV_SINKS, 4 } } };
    static const struct change sinks = { { { KVSIEVE_BUDGET, 12 }, { KVSIEVE_AHAKV_SINKS, 5 } },
                                         { { KVSIEVE_BUDGET, BUDGET }, { KVSIEVE_AHAKV_SINKS, 4 } } };
    static const struct change pool = { { { KVSIEVE_POOL_KERNEL, 19 } }, { { KVSIEVE_POOL_KERNEL, 7 } } };
    static const struct change charge = { { { KVSIEVE_BUDGET, 7 }, { KVSIEVE_WINDOWKV_CHARGE, 1 } },
                                          { { KVSIEVE_BUDGET, BUDGET }, { KVSIEVE_WINDOWKV_CHARGE, 0 } } };
    static const struct change ratio = { { { KVSIEVE_RATIO, 0.1 } }, { { KVSIEVE_RATIO, 0.7 } } };
    expect_refused(KVSIEVE_AHAKV, BEFORE, observe_changed, &ahakv, KVSIEVE_ERR_BUDGET, "budget 7|smallest|8");
    expect_refused(KVSIEVE_AHAKV, BEFORE, observe_changed, &sinks, KVSIEVE_ERR_BUDGET, "budget 12|smallest|13");
    expect_refused(KVSIEVE_AHAKV, BEFORE, observe_changed, &pool, KVSIEVE_ERR_BUDGET, "window 8|pool_kernel 19|9");
    expect_refused(KVSIEVE_DYNAMICKV, BEFORE, observe_changed, &window, KVSIEVE_ERR_BUDGET, "budget 7|smallest|8");
    expect_refused(KVSIEVE_WINDOWKV, BEFORE, observe_changed, &charge, KVSIEVE_ERR_BUDGET, "budget 7|smallest|8");
    expect_refused(KVSIEVE_TASKKV, BEFORE, observe_changed, &ratio, KVSIEVE_ERR_BUDGET, "ratio|0.1|smallest");
}

/* What the sentence proposes is accepted, and what is a little less is refused. (Every method, tiny prompts: tiny.c.) */
static void the_smallest_that_the_sentence_names_will_do(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        const char *going_by = parameter_named(method, "budget").initial > 0 ? "budget" : "ratio";
        const int32_t parameter = parameter_named(method, going_by).id;
        kvsieve_status status;
        double smallest = 0;
        EXPECT_OK(kvsieve_plan_set(plan, parameter, parameter == KVSIEVE_BUDGET ? 1 : 0.01));
        status = observe(plan, 0, s);
        if (status == KVSIEVE_OK) /* it keeps as little as that */
            EXPECT(kept_of(plan, 0).total < HEADS * TOKENS, "%s keeps all", method_name(method));
        else if (EXPECT_STATUS(status, KVSIEVE_ERR_BUDGET)
                 && EXPECT(proposal(method, &smallest) == parameter, "\"%s\"", kvsieve_last_error())) {
            EXPECT_OK(kvsieve_plan_set(plan, parameter, smallest - (parameter == KVSIEVE_BUDGET ? 1 : 0.01)));
            EXPECT_STATUS(observe(plan, 0, s), KVSIEVE_ERR_BUDGET);
            EXPECT_OK(kvsieve_plan_set(plan, parameter, smallest));
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
        }
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
}

static kvsieve_status needs(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct change *c = context;
    int32_t needs = -7;
    kvsieve_status status;
    (void)s;
    EXPECT_OK(kvsieve_plan_set(plan, c->change[0].parameter, c->change[0].value));
    status = kvsieve_plan_needs(plan, 0, &needs);
    EXPECT(needs == -7, "needs was written");
    EXPECT_OK(kvsieve_plan_set(plan, c->undo[0].parameter, c->undo[0].value));
    return status;
}

static void windowkv_shared_above_pyramid(void) {
    static const struct change c = { { { KVSIEVE_WINDOWKV_SHARED, 15 } }, { { KVSIEVE_WINDOWKV_SHARED, 2 } } };
    expect_refused(KVSIEVE_WINDOWKV, BEFORE, observe_changed, &c, KVSIEVE_ERR_PARAMETER, "shared|15|pyramid|14");
    expect_refused(KVSIEVE_WINDOWKV, BEFORE, needs, &c, KVSIEVE_ERR_PARAMETER, "shared|15|pyramid|14");
}

int main(void) {
    values_out_of_bounds();
    RUN(the_sentence_names_name_value_and_bounds);
    parameters_of_no_or_another_method();
    RUN(models_that_cannot_be);
    RUN(scales_that_cannot_be);
    RUN(reserved_fields_of_a_model);
    RUN(budgets_below_what_must_be_kept);
    RUN(the_smallest_that_the_sentence_names_will_do);
    RUN(windowkv_shared_above_pyramid);
    return harness_end();
}
