/* A forked child uses the library as any process does. Its parent has made calls, but none that needed the tables; the child's
 * threads then need them all at once. */
#define _GNU_SOURCE
#include "fixture.h"
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { FORKS = 24, CREW = 4, MANY = 1500 };

static const sequence *s;
static uint64_t expected[MOST_METHODS];
static int32_t method;
static pthread_barrier_t together;

static void *whole_sequence(void *wrong) {
    kvsieve_plan *plan;
    if (wrong != NULL) pthread_barrier_wait(&together);
    plan = plan_new(method);
    int bad = kvsieve_plan_set(plan, KVSIEVE_THREADS, CREW) != KVSIEVE_OK;
    for (int32_t layer = 0; layer < LAYERS; ++layer) bad += observe(plan, layer, s) != KVSIEVE_OK;
    bad += kvsieve_plan_finish(plan) != KVSIEVE_OK || plan_hash(plan, s, 1) != expected[method_index(method)];
    kvsieve_plan_destroy(plan);
    if (wrong != NULL) *(int *)wrong = bad;
    return bad ? (void *)1 : NULL;
}

static int one_plan(void) { return whole_sequence(NULL) != NULL; }

static int plans_beside_each_other(void) {
    pthread_t crew[CREW];
    int wrong[CREW] = { 0 }, sum = 0;
    pthread_barrier_init(&together, NULL, CREW);
    for (int i = 0; i < CREW; ++i)
        if (pthread_create(&crew[i], NULL, whole_sequence, &wrong[i]) != 0) return 90;
    for (int i = 0; i < CREW; ++i) pthread_join(crew[i], NULL), sum += wrong[i];
    return sum;
}

static int first_hash(void) {
    /* In a child, so that this process never makes the tables. */
    const uint64_t hash = reference_hash(method, s);
    return fwrite(&hash, sizeof hash, 1, stdout) != 1;
}

static void children(const char *of, int (*function)(void)) {
    char output[256];
    EVERY_METHOD (each) {
        method = each;
        harness_case("%s: %s", method_name(method), of);
        for (int i = 0; i < FORKS; ++i) {
            const int result = in_child(function, output, sizeof output);
            if (!EXPECT(result == 0, "child %d: %s %d", i, result < 0 ? "signal" : "exit", result < 0 ? -result : result)) break;
        }
    }
}

int main(void) {
    char output[256];
    s = sequence_new(MANY, KVSIEVE_F32, 7);
    EVERY_METHOD (each) {
        method = each;
        if (!EXPECT(in_child(first_hash, output, sizeof output) == 0, "no result to compare with")) return harness_end();
        memcpy(&expected[method_index(each)], output, sizeof expected[0]);
    }
    children("a plan with threads, the parent has none", one_plan);
    children("plans in threads, the parent has none", plans_beside_each_other);
    EVERY_METHOD (each) {
        method = each;
        EXPECT(one_plan() == 0, "in the parent");
    }
    children("plans in threads, after the parent's", plans_beside_each_other);
    return harness_end();
}
