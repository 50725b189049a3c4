#define _GNU_SOURCE
#include "scenes.h"

#include "decoder.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

enum { NEW = 8, LONG = 3 * TOKENS };

int32_t scene_method, scene_threads;
kvsieve_plan *plan;
#define method scene_method
#define threads scene_threads

static sequence *s;
static decoder *d;
static step_call step;
static int32_t slot[HEADS * MOST];
static kvsieve_tensor target, logits;
static kvsieve_kept kept;
static kvsieve_report report;
static kvsieve_ranges ranges;
static kvsieve_slots slots;
static kvsieve_method_info method_info;
static kvsieve_parameter_info parameter_info;
static int32_t number;
static int64_t rows;
static double value;

/* -- stages ------------------------------------------------------------------------------------------------------------ */

static void none(void) {}

static void made(void) {
    plan = plan_new(method);
    if (threads > 1) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
    if (method_has(method, KVSIEVE_REPORT)) EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_REPORT, 1));
}

static void observed(int32_t layers) {
    made();
    observe_range(plan, 0, layers, s);
}
static void one_observed(void) { observed(1); }
static void all_but_one(void) { observed(LAYERS - 1); }
static void all_observed(void) { observed(LAYERS); }

static void finished(void) {
    all_observed();
    EXPECT_OK(kvsieve_plan_finish(plan));
}

static void extended(void) {
    finished();
    EXPECT_OK(kvsieve_plan_extend(plan, NEW));
}

static int32_t alone(void *context, const void *send, int64_t bytes, void *receive) {
    (void)context;
    memcpy(receive, send, (size_t)bytes);
    return 0;
}

static kvsieve_status join(void) {
    const kvsieve_group group = { sizeof group, 0, 1, 0, LAYERS, 0, HEADS, 0, NULL, alone };
    return kvsieve_plan_join(plan, &group);
}

static void joined(void) {
    made();
    EXPECT_OK(join());
}

static void joined_and_observed(void) {
    joined();
    observe_range(plan, 0, LAYERS, s);
}

static void stepping(int by_logits) {
    d = decoder_on(threads, method, by_logits);
    plan = d->plan;
    decoder_until(d, 0, 1, NULL, NULL);
    step = decoder_call(d, 1, slot);
}
static void stepping_by_queries(void) { stepping(0); }
static void stepping_by_logits(void) { stepping(1); }

static void stepped(void) {
    stepping(0);
    decoder_until(d, 0, LAYERS, NULL, NULL);
}

static void decoding(void) {
    plan = decoding_plan(method);
    EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
}

/* -- calls ------------------------------------------------------------------------------------------------------------- */

kvsieve_status create(void) {
    const kvsieve_model model = small_model();
    return kvsieve_plan_create(method, &model, &plan);
}
static kvsieve_status set(void) { return kvsieve_plan_set(plan, KVSIEVE_THREADS, 2); }
static kvsieve_status get(void) { return kvsieve_plan_get(plan, KVSIEVE_THREADS, &value); }
static kvsieve_status needs(void) { return kvsieve_plan_needs(plan, 1, &number); }
static kvsieve_status bound(void) { return kvsieve_plan_bound(plan, 1, TOKENS, &rows); }
static kvsieve_status protect(void) { return kvsieve_plan_protect(plan, 7, 2); }
static kvsieve_status chunk(void) { return kvsieve_plan_queries(plan, 0, &s->queries[0]); }
static kvsieve_status observe_first(void) { return observe(plan, 0, s); }
static kvsieve_status observe_second(void) { return observe(plan, 1, s); }
static kvsieve_status observe_last(void) { return observe(plan, LAYERS - 1, s); }
static kvsieve_status observe_given(void) {
    return kvsieve_plan_observe_attention(plan, 0, KVSIEVE_LOGITS, &logits, &s->values[0]);
}
static kvsieve_status finish(void) { return kvsieve_plan_finish(plan); }
static kvsieve_status extend(void) { return kvsieve_plan_extend(plan, NEW); }
static kvsieve_status reset(void) { return kvsieve_plan_reset(plan); }
static kvsieve_status destroy(void) {
    kvsieve_plan_destroy(plan);
    plan = NULL;
    return KVSIEVE_OK;
}
static kvsieve_status tell_kept(void) { return kvsieve_plan_kept(plan, 0, &kept); }
static kvsieve_status tell_report(void) { return kvsieve_plan_report(plan, 0, &report); }
static kvsieve_status tell_ranges(void) { return kvsieve_plan_ranges(plan, 0, 1, 1, &ranges); }
static kvsieve_status tell_slots(void) { return kvsieve_plan_slots(plan, 0, 1, &slots); }
static kvsieve_status gather(void) { return kvsieve_plan_gather(plan, 0, &s->keys[0], &target); }
static kvsieve_status gather_rotated(void) {
    static const float frequencies[DIM / 2] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    const kvsieve_rope rope = { sizeof rope, KVSIEVE_ROPE_HALVES, DIM, 0, frequencies, 0, 0 };
    return kvsieve_plan_gather_rotated(plan, 0, &s->keys[0], &target, &rope);
}
static kvsieve_status observe_again(int32_t layer) {
    kvsieve_tensor queries = s->queries[layer], keys = s->keys[layer], values = s->values[layer];
    kvsieve_kept now = { 0 };
    now.struct_size = sizeof now;
    queries.tokens = NEW;
    for (keys.tokens = TOKENS / 4; keys.tokens < LONG; ++keys.tokens) {
        kvsieve_status status;
        values.tokens = keys.tokens;
        status = kvsieve_plan_observe(plan, layer, &queries, &keys, &values);
        if (status != KVSIEVE_ERR_SHAPE) return status;
    }
    return KVSIEVE_ERR_SHAPE;
}
static kvsieve_status observe_extended(void) { return observe_again(0); }
static kvsieve_status make_step(void) {
    return d->by_logits ? kvsieve_plan_step_logits(plan, step.layer, &step.logits, &step.values, slot)
                        : kvsieve_plan_step(plan, step.layer, &step.queries, &step.keys, &step.values, slot);
}
static kvsieve_status trim(void) { return kvsieve_plan_trim(plan, 1); }

static kvsieve_status tell_method(void) { return kvsieve_method_at(0, &method_info); }
static kvsieve_status tell_parameter(void) { return kvsieve_parameter_at(method, 0, &parameter_info); }
kvsieve_status tell_texts(void) {
    number = (int32_t)strlen(kvsieve_build_info()) + kvsieve_method_count() + kvsieve_version();
    number += (int32_t)strlen(kvsieve_status_name(-3)) + (int32_t)strlen(kvsieve_last_error());
    return KVSIEVE_OK;
}
static kvsieve_status check_itself(void) { return kvsieve_self_check(); }
static kvsieve_status tell_error(void) {
    number = (int32_t)strlen(kvsieve_plan_error(plan));
    return KVSIEVE_OK;
}

/* Calls that fail: the sentence needs memory, too. */
static kvsieve_status wrongly(kvsieve_status status, const char *words) {
    if (status == KVSIEVE_ERR_MEMORY || status == KVSIEVE_OK) return status == KVSIEVE_OK ? KVSIEVE_ERR_STATE : status;
    return error_names(words) ? KVSIEVE_OK : KVSIEVE_ERR_STATE;
}
static kvsieve_status wrong_method(void) { return wrongly(kvsieve_method_at(999, &method_info), "index is 999"); }
static kvsieve_status wrong_create(void) {
    const kvsieve_model model = small_model();
    return wrongly(kvsieve_plan_create(999, &model, &plan), "999");
}
static kvsieve_status wrong_parameter(void) { return wrongly(kvsieve_plan_set(plan, 999, 1), "999|budget"); }
static kvsieve_status wrong_value(void) { return wrongly(kvsieve_plan_set(plan, KVSIEVE_THREADS, 0.5), "threads is 0.5"); }
static kvsieve_status wrong_layer(void) { return wrongly(kvsieve_plan_observe(plan, 77, NULL, NULL, NULL), "layer is 77"); }
static kvsieve_status wrong_tokens(void) { return wrongly(kvsieve_plan_extend(plan, -4), "tokens is -4"); }
static kvsieve_status wrong_dtype(void) {
    kvsieve_tensor wrong = s->keys[0];
    wrong.dtype = 77;
    return wrongly(kvsieve_plan_gather(plan, 0, &wrong, &target), "dtype is 77");
}
static kvsieve_status wrong_kept(void) { return wrongly(kvsieve_plan_kept(plan, 77, &kept), "layer is 77"); }
static kvsieve_status too_early(void) { return wrongly(kvsieve_plan_finish(plan), "0 of 4 layers"); }

/* -- what becomes of the plan -------------------------------------------------------------------------------------- */

uint64_t results_hash(void) {
    uint64_t hash = 1;
    hash = bytes_hash(&number, sizeof number, hash);
    hash = bytes_hash(&rows, sizeof rows, hash);
    hash = bytes_hash(&value, sizeof value, hash);
    hash = bytes_hash(slot, sizeof slot, hash);
    hash = bytes_hash(&kept.total, sizeof kept.total, hash);
    hash = bytes_hash(&report.kept, sizeof report.kept, hash);
    hash = bytes_hash(&ranges.count, sizeof ranges.count, hash);
    hash = bytes_hash(&slots.length, sizeof slots.length, hash);
    hash = bytes_hash(&method_info, sizeof method_info, hash);
    hash = bytes_hash(&parameter_info, sizeof parameter_info, hash);
    return bytes_hash(target.data, (size_t)(target.heads * target.head_stride), hash);
}

/* All that is said of layers that were observed, then the sequence goes on to its end. */
uint64_t end_hash(void) {
    uint64_t hash = results_hash();
    if (plan == NULL) return hash;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept now = { 0 };
        now.struct_size = sizeof now;
        if (kvsieve_plan_kept(plan, layer, &now) != KVSIEVE_OK) continue;
        hash = bytes_hash(now.positions, sizeof *now.positions * (size_t)now.total, hash);
    }
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        int64_t length = kept.tokens;
        if (observe(plan, layer, s) == KVSIEVE_OK || observe_again(layer) == KVSIEVE_OK) hash ^= (uint64_t)length;
    }
    ANY_STATUS(kvsieve_plan_finish(plan));
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept now = { 0 };
        now.struct_size = sizeof now;
        if (kvsieve_plan_kept(plan, layer, &now) != KVSIEVE_OK) continue;
        hash = bytes_hash(now.positions, sizeof *now.positions * (size_t)now.total, hash);
    }
    kvsieve_plan_destroy(plan);
    return hash;
}

static int reads_queries(void) { return reads(method, 0, 'q') == READ; }
static int reads_a_window(void) { return reads_queries() && fewest_queries(method, TOKENS) < TOKENS; }
static int takes_logits(void) { return reads(method, 0, 'k') != READ || reads_queries(); }
/* It depends on neither. */
static int is_first(void) { return method_index(method) == 0 && threads == 1; }
static int decodes(void) { return method_decodes(method); }

const struct scene scenes[] = {
    { "kvsieve_plan_create", none, create, NULL },
    { "kvsieve_plan_set", made, set, NULL },
    { "kvsieve_plan_get", made, get, NULL },
    { "kvsieve_plan_needs", made, needs, NULL },
    { "kvsieve_plan_bound", made, bound, NULL },
    { "kvsieve_plan_protect", made, protect, NULL },
    { "kvsieve_plan_join", made, join, NULL },
    { "kvsieve_plan_queries", made, chunk, reads_a_window },
    { "kvsieve_plan_observe", made, observe_first, NULL },
    { "kvsieve_plan_observe", one_observed, observe_second, NULL },
    { "kvsieve_plan_observe", all_but_one, observe_last, NULL },
    { "kvsieve_plan_observe", extended, observe_extended, NULL },
    { "kvsieve_plan_observe", joined, observe_first, NULL },
    { "kvsieve_plan_observe", decoding, observe_first, decodes },
    { "kvsieve_plan_observe_attention", made, observe_given, takes_logits },
    { "kvsieve_plan_finish", all_observed, finish, NULL },
    { "kvsieve_plan_finish", joined_and_observed, finish, NULL },
    { "kvsieve_plan_kept", one_observed, tell_kept, NULL },
    { "kvsieve_plan_kept", finished, tell_kept, NULL },
    { "kvsieve_plan_report", finished, tell_report, NULL },
    { "kvsieve_plan_gather", finished, gather, NULL },
    { "kvsieve_plan_gather_rotated", finished, gather_rotated, NULL },
    { "kvsieve_plan_ranges", finished, tell_ranges, NULL },
    { "kvsieve_plan_slots", finished, tell_slots, NULL },
    { "kvsieve_plan_slots", stepped, tell_slots, decodes },
    { "kvsieve_plan_extend", finished, extend, NULL },
    { "kvsieve_plan_reset", finished, reset, NULL },
    { "kvsieve_plan_step", stepping_by_queries, make_step, decodes },
    { "kvsieve_plan_step_logits", stepping_by_logits, make_step, decodes },
    { "kvsieve_plan_trim", stepped, trim, decodes },
    { "kvsieve_plan_error", made, tell_error, NULL },
    { "kvsieve_plan_destroy", finished, destroy, NULL },
    { "kvsieve_method_at", none, tell_method, NULL },
    { "kvsieve_parameter_at", none, tell_parameter, NULL },
    { "kvsieve_build_info and others", none, tell_texts, NULL },
    { "kvsieve_self_check", none, check_itself, is_first },
    { "calls that fail", none, wrong_method, NULL },
    { "calls that fail", none, wrong_create, NULL },
    { "calls that fail", made, wrong_parameter, NULL },
    { "calls that fail", made, wrong_value, NULL },
    { "calls that fail", made, wrong_layer, NULL },
    { "calls that fail", made, too_early, NULL },
    { "calls that fail", finished, wrong_tokens, NULL },
    { "calls that fail", finished, wrong_dtype, NULL },
    { "calls that fail", finished, wrong_kept, NULL },
};
const size_t scene_count = sizeof scenes / sizeof *scenes;

void scenes_begin(void) {
    kept.struct_size = sizeof kept, report.struct_size = sizeof report, ranges.struct_size = sizeof ranges;
    slots.struct_size = sizeof slots, method_info.struct_size = sizeof method_info;
    parameter_info.struct_size = sizeof parameter_info;
    s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_F32);
    logits = tensor_new(QUERY_HEADS, TOKENS, TOKENS, KVSIEVE_F32);
}
