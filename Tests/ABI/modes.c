/* "Floats": whatever mode the caller has set, the same is kept, for any number of threads, no signal is raised, and the caller's mode
 * and flags are as before. Modes: each rounding, small numbers flushed to zero, every trap; on threads made before and after. */
#define _GNU_SOURCE
#include "decoder.h"
#include "harness.h"

#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the processor holds: control and flags. */
static uint64_t mode_now(void) {
#if defined(__x86_64__)
    return __builtin_ia32_stmxcsr();
#else
    uint64_t control, status;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(status));
    return control << 32 | (status & 0xffffffffu);
#endif
}

/* FTZ and DAZ; of arm64 FZ and FZ16. */
static void flush_to_zero(void) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#else
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | 1u << 24 | 1u << 19));
#endif
}
static void upward(void) { fesetround(FE_UPWARD); }
static void downward(void) { fesetround(FE_DOWNWARD); }
static void toward_zero(void) { fesetround(FE_TOWARDZERO); }
static void trapped(void) { feenableexcept(FE_ALL_EXCEPT); }
static void flags_raised(void) { feraiseexcept(FE_OVERFLOW | FE_UNDERFLOW); }
static void all_at_once(void) { flush_to_zero(), fesetround(FE_UPWARD), feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW); }

static const struct mode {
    const char *name;
    void (*set)(void);
} modes[] = {
    { "flushed to zero", flush_to_zero }, { "rounded up", upward },  { "rounded down", downward },
    { "rounded to zero", toward_zero },   { "every trap", trapped }, { "flags raised", flags_raised },
    { "all at once", all_at_once },
};
enum { MODES = sizeof modes / sizeof *modes };

/* Numbers of 1e-20, whose products are subnormal; others of 1e17, whose logits are beyond exp(); and ordinary ones. */
static sequence *scaled(double factor) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 11);
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        for (int32_t head = 0; head < QUERY_HEADS; ++head)
            for (int32_t token = 0; token < TOKENS; ++token)
                for (int32_t d = 0; d < DIM; ++d) {
                    float *q = (float *)s->queries[layer].data + (head * TOKENS + token) * DIM + d;
                    float *k = (float *)s->keys[layer].data + (head % HEADS * TOKENS + token) * DIM + d;
                    *q = (float)(*q * factor);
                    if (head < HEADS) *k = (float)(*k * factor);
                }
    return s;
}

static int wrong; /* no EXPECT while a mode is set: printing is not for it */

static uint64_t asked(kvsieve_plan *plan, const sequence *s, int round) {
    static const float frequencies[DIM / 2] = { 1, 0.5f, 0.25f, 0.125f };
    kvsieve_rope rope = { sizeof rope, KVSIEVE_ROPE_NEIGHBOURS, DIM, 0, frequencies, 0, 0 };
    kvsieve_report report = { 0 };
    uint64_t hash = 1;
    const uint64_t before = mode_now();
    kvsieve_tensor target = tensor_new(HEADS, TOKENS, DIM, s->dtype);
    report.struct_size = sizeof report;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept kept = { 0 };
        kept.struct_size = sizeof kept;
        wrong += round == 0 && observe(plan, layer, s) != KVSIEVE_OK;
        if (layer == LAYERS - 1) wrong += kvsieve_plan_finish(plan) != KVSIEVE_OK;
        wrong += kvsieve_plan_kept(plan, layer, &kept) != KVSIEVE_OK;
        if (kept.positions) hash = bytes_hash(kept.positions, (size_t)kept.total * 4, hash);
    }
    wrong += kvsieve_plan_gather_rotated(plan, 1, &s->keys[1], &target, &rope) != KVSIEVE_OK;
    wrong += kvsieve_plan_report(plan, 1, &report) != KVSIEVE_OK;
    hash = bytes_hash(target.data, (size_t)(HEADS * target.head_stride), hash);
    if (report.mass) hash = bytes_hash(report.mass, HEADS * sizeof *report.mass, hash);
    free(target.data);
    wrong += kvsieve_plan_reset(plan) != KVSIEVE_OK;
    wrong += mode_now() != before;
    return hash;
}

static kvsieve_plan *made(int32_t method, int threads) {
    kvsieve_plan *plan = plan_new(method);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
    if (method_has(method, KVSIEVE_REPORT)) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_REPORT, 1));
    return plan;
}

static void the_same_is_kept_in_every_mode(void) {
    static const double factors[] = { 1, 1e-20, 1e17 };
    for (size_t f = 0; f < sizeof factors / sizeof *factors; ++f) {
        sequence *s = scaled(factors[f]);
        EVERY_METHOD (method)
            for (int threads = 1; threads <= 3; threads += 2) {
                kvsieve_plan *early = made(method, threads); /* its threads begin before the mode is set */
                const uint64_t expected = asked(early, s, 0);
                harness_case("%s, numbers of %g, %d threads", method_name(method), factors[f], threads);
                EXPECT(wrong == 0, "in the default mode: %s", kvsieve_last_error());
                for (int m = 0; m < MODES; ++m) {
                    fenv_t before;
                    kvsieve_plan *late = made(method, threads);
                    uint64_t found[2];
                    fegetenv(&before);
                    modes[m].set();
                    found[0] = asked(early, s, 0);
                    found[1] = asked(late, s, 0);
                    fesetenv(&before);
                    EXPECT(wrong == 0, "%s: %d wrong: %s", modes[m].name, wrong, kvsieve_last_error());
                    EXPECT(found[0] == expected && found[1] == expected, "%s: another choice", modes[m].name);
                    kvsieve_plan_destroy(late);
                    wrong = 0;
                }
                kvsieve_plan_destroy(early);
            }
        sequence_free(s);
    }
    harness_case("%s", "");
}

/* Makes the right call in a mode. */
static kvsieve_status in_mode(decoder *d, step_call *call, const void *context) {
    const struct mode *mode = context;
    fenv_t before;
    uint64_t set;
    kvsieve_status status;
    fegetenv(&before);
    mode->set();
    set = mode_now();
    status = d->by_logits ? kvsieve_plan_step_logits(d->plan, call->layer, &call->logits, &call->values, call->evict)
                          : kvsieve_plan_step(d->plan, call->layer, &call->queries, &call->keys, &call->values, call->evict);
    wrong += mode_now() != set;
    fesetenv(&before);
    return status;
}

static void the_same_slots_are_freed_in_every_mode(void) {
    EVERY_WAY (method, by_logits)
        for (int m = 0; m < MODES; ++m) {
            decoder *d = decoder_on(1 + m % 3, method, by_logits);
            harness_case("%s%s, %s", method_name(method), by_logits ? ", by logits" : "", modes[m].name);
            decoder_until(d, ROUNDS, 0, in_mode, &modes[m]);
            EXPECT(d->trace == undisturbed(method, by_logits), "other slots");
            EXPECT(wrong == 0, "the mode has changed");
            decoder_free(d);
            wrong = 0;
        }
    harness_case("%s", "");
}

/* A call that fails, too. NaN is no signal either. */
static void failures_leave_the_mode(void) {
    sequence *s = scaled(1);
    EVERY_METHOD (method) {
        kvsieve_plan *plan = made(method, 2);
        kvsieve_tensor *read = reads(method, 0, 'k') == READ ? &s->keys[0] : &s->values[0];
        kvsieve_status status[2];
        fenv_t before;
        uint64_t set;
        const float number = *(float *)read->data;
        *(float *)read->data = NAN;
        fegetenv(&before);
        all_at_once();
        set = mode_now();
        status[0] = kvsieve_plan_set(plan, -1, 0);
        status[1] = observe(plan, 0, s);
        wrong = mode_now() != set;
        fesetenv(&before);
        EXPECT(wrong == 0, "%s: the mode has changed", method_name(method));
        EXPECT(status[0] == KVSIEVE_ERR_PARAMETER, "%d", (int)status[0]);
        EXPECT(status[1] == KVSIEVE_ERR_NONFINITE || status[1] == KVSIEVE_OK, "%d", (int)status[1]);
        *(float *)read->data = number;
        kvsieve_plan_destroy(plan);
    }
    sequence_free(s);
}

/* "all_gather (kvsieve_group) is called in the caller's" */
static uint64_t seen;
static int32_t gathered(void *context, const void *send, int64_t bytes, void *receive) {
    (void)context;
    seen = mode_now();
    memcpy(receive, send, (size_t)bytes);
    return 0;
}

static void all_gather_is_called_in_the_callers_mode(void) {
    sequence *s = scaled(1);
    kvsieve_group group = { sizeof group, 0, 1, 0, LAYERS, 0, HEADS, 0, NULL, gathered };
    kvsieve_plan *plan = made(KVSIEVE_DYNAMICKV, 1);
    fenv_t before;
    uint64_t set, after;
    EXPECT_OK(kvsieve_plan_join(plan, &group));
    observe_range(plan, 0, LAYERS, s);
    fegetenv(&before);
    flush_to_zero();
    set = mode_now();
    wrong = kvsieve_plan_finish(plan) != KVSIEVE_OK;
    after = mode_now();
    fesetenv(&before);
    EXPECT(wrong == 0, "%s", kvsieve_last_error());
    EXPECT(seen == set && after == set, "%llx in all_gather, not %llx", (unsigned long long)seen, (unsigned long long)set);
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

int main(void) {
    RUN(the_same_is_kept_in_every_mode);
    RUN(the_same_slots_are_freed_in_every_mode);
    RUN(failures_leave_the_mode);
    RUN(all_gather_is_called_in_the_callers_mode);
    return harness_end();
}
