/* "Stack": a call touches at most 96 KiB of the stack of the thread that makes it. All functions, with all methods, on a stack of
 * that size that ends at a page which nothing may touch; the first call of a process too. */
#define _GNU_SOURCE
#include "decoder.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK = 96 * 1024, PAGE = 4096, FILL = 0xa5 };

static ucontext_t host, small;
static int32_t chosen;
static int threads, failed;
static const sequence *shared;

/* No EXPECT here: printing takes more than the calls. */
static void check(kvsieve_status status) { failed += status != KVSIEVE_OK; }

static int32_t gathered(void *context, const void *send, int64_t bytes, void *receive) {
    (void)context;
    memcpy(receive, send, (size_t)bytes);
    return 0;
}

static kvsieve_plan *fresh(void) {
    kvsieve_model model = small_model();
    kvsieve_plan *plan = NULL;
    check(kvsieve_plan_create(chosen, &model, &plan));
    check(settle(plan, chosen, BUDGET));
    check(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
    return plan;
}

static void asked(const kvsieve_plan *plan) {
    kvsieve_kept kept = { 0 };
    kvsieve_ranges ranges = { 0 };
    kvsieve_report report = { 0 };
    kvsieve_slots slots = { 0 };
    double value;
    int64_t rows;
    int32_t needs;
    kept.struct_size = sizeof kept, ranges.struct_size = sizeof ranges;
    report.struct_size = sizeof report, slots.struct_size = sizeof slots;
    check(kvsieve_plan_kept(plan, 0, &kept));
    check(kvsieve_plan_ranges(plan, 0, 1, 0, &ranges));
    check(kvsieve_plan_ranges(plan, 0, 1, 1, &ranges));
    check(kvsieve_plan_report(plan, 0, &report));
    check(kvsieve_plan_slots(plan, 0, 1, &slots));
    check(kvsieve_plan_get(plan, KVSIEVE_THREADS, &value));
    check(kvsieve_plan_needs(plan, 0, &needs));
    check(kvsieve_plan_bound(plan, 0, 1000, &rows));
}

static void copied(const kvsieve_plan *plan) {
    static const float frequencies[DIM / 2] = { 1, 0.5f, 0.25f, 0.125f };
    kvsieve_rope rope = { sizeof rope, KVSIEVE_ROPE_HALVES, DIM, 0, frequencies, 0, 0 };
    kvsieve_tensor target = tensor_new(HEADS, TOKENS, DIM, shared->dtype);
    check(kvsieve_plan_gather(plan, 0, &shared->values[0], &target));
    check(kvsieve_plan_gather_rotated(plan, 0, &shared->keys[0], &target, &rope));
    free(target.data);
}

/* One sequence by one plan, joined to a group of one rank. Then another, chunk by chunk, that goes on by one token. */
static void one_method(void) {
    kvsieve_group group = { sizeof group, 0, 1, 0, LAYERS, 0, HEADS, 0, NULL, gathered };
    kvsieve_plan *plan = fresh();
    if (parameter_named(chosen, "report").id) check(kvsieve_plan_set(plan, KVSIEVE_REPORT, 1));
    check(kvsieve_plan_join(plan, &group));
    for (int32_t layer = 0; layer < LAYERS; ++layer) check(observe(plan, layer, shared));
    check(kvsieve_plan_finish(plan));
    asked(plan);
    copied(plan);
    check(kvsieve_plan_reset(plan));
    check(kvsieve_plan_protect(plan, 7, 3));
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        const kvsieve_tensor *queries = &shared->queries[layer];
        if (fewest_queries(chosen, TOKENS) < TOKENS)
            check(kvsieve_plan_queries(plan, layer, &shared->queries[layer])), queries = NULL;
        check(kvsieve_plan_observe(plan, layer, queries, &shared->keys[layer], &shared->values[layer]));
    }
    check(kvsieve_plan_finish(plan));
    check(kvsieve_plan_extend(plan, 1));
    failed += kvsieve_plan_set(plan, -1, 0) == KVSIEVE_OK;
    failed += kvsieve_plan_error(plan)[0] == 0 || kvsieve_last_error()[0] == 0;
    kvsieve_plan_destroy(plan);
}

static void attention_given(void) {
    kvsieve_plan *plan = fresh();
    kvsieve_tensor logits = tensor_new(QUERY_HEADS, TOKENS, TOKENS, KVSIEVE_F32);
    int32_t needs = 0;
    check(kvsieve_plan_needs(plan, 0, &needs));
    if (needs & KVSIEVE_NEEDS_QUERIES)
        for (int32_t layer = 0; layer < LAYERS; ++layer)
            check(kvsieve_plan_observe_attention(plan, layer, KVSIEVE_LOGITS, &logits, &shared->values[layer]));
    free(logits.data);
    kvsieve_plan_destroy(plan);
}

static void decoded(void) {
    for (int by_logits = 0; by_logits < 2; ++by_logits) {
        decoder *d = decoder_on(threads, chosen, by_logits);
        decoder_until(d, ROUNDS, 0, NULL, NULL);
        decoder_free(d);
    }
}

static void everything(void) {
    kvsieve_method_info method = { 0 };
    kvsieve_parameter_info parameter = { 0 };
    method.struct_size = sizeof method, parameter.struct_size = sizeof parameter;
    failed += kvsieve_version() != KVSIEVE_VERSION || kvsieve_status_name(0)[0] != 'K' || kvsieve_build_info()[0] != 'k';
    check(kvsieve_method_at(0, &method));
    check(kvsieve_parameter_at(method.id, 0, &parameter));
    check(kvsieve_self_check());
    EVERY_METHOD (each) {
        chosen = each;
        one_method();
        attention_given();
        if (method_decodes(each)) decoded();
    }
}

/* Bytes that `function` has touched of a stack of STACK; it ends the process if it needs more. */
static int touched(void (*function)(void)) {
    unsigned char *memory = mmap(NULL, PAGE + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int untouched = 0;
    if (memory == MAP_FAILED || mprotect(memory, PAGE, PROT_NONE) != 0) return STACK;
    memset(memory + PAGE, FILL, STACK);
    getcontext(&small);
    small.uc_stack.ss_sp = memory + PAGE;
    small.uc_stack.ss_size = STACK;
    small.uc_link = &host;
    makecontext(&small, function, 0);
    swapcontext(&host, &small);
    while (untouched < STACK && memory[PAGE + untouched] == FILL) ++untouched;
    munmap(memory, PAGE + STACK);
    return STACK - untouched;
}

static int in_a_process_of_its_own(void) {
    shared = sequence_new(TOKENS, KVSIEVE_F32, 1);
    printf("%d bytes", touched(everything));
    return failed;
}

static void a_stack_of_96_kib_is_enough(void) {
    char output[1024];
    for (threads = 1; threads <= 3; threads += 2) {
        const int result = in_child(in_a_process_of_its_own, output, sizeof output);
        EXPECT(result == 0, "threads %d: %d %s", threads, result, output);
        printf("threads %d: a call touches %s of the stack\n", threads, output);
    }
}

int main(void) {
    RUN(a_stack_of_96_kib_is_enough);
    return harness_end();
}
