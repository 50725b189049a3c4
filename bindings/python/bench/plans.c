/* Plans on threads, from C: PLANS plans of one sequence each, one after the other on this thread, then shared by CREW threads.
 * A line a sample: processor time and wall time of both, in seconds. threads.py compiles it, runs it, and does the same. */
#define _POSIX_C_SOURCE 200809L
#include "example.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { PLANS = 64, CREW = 8, LAYERS = 2, QUERY_HEADS = 32, HEADS = 8, DIM = 128, TOKENS = 4096, WINDOW = 32, BUDGET = 1024 };

struct prompt {
    kvsieve_tensor queries[LAYERS], keys[LAYERS], values[LAYERS];
};

static struct prompt prompts[CREW];
static kvsieve_plan *plans[PLANS];
static kvsieve_tensor rooms[PLANS]; /* for what a plan gathers */
static atomic_int taken;

static kvsieve_tensor drawn(int64_t heads, int64_t tokens, uint64_t *seed) {
    float *rows = example_allocate(sizeof(float) * (size_t)(heads * tokens * DIM));
    example_fill(rows, heads * tokens * DIM, seed);
    return example_tensor(rows, heads, tokens, DIM);
}

static void compress(int number) {
    const struct prompt *prompt = &prompts[number % CREW];
    const kvsieve_tensor *room = &rooms[number];
    kvsieve_plan *plan = plans[number];
    CHECK(kvsieve_plan_reset(plan));
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        CHECK(kvsieve_plan_observe(plan, layer, &prompt->queries[layer], &prompt->keys[layer], NULL));
    CHECK(kvsieve_plan_finish(plan));
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        CHECK(kvsieve_plan_gather(plan, layer, &prompt->keys[layer], room));
        CHECK(kvsieve_plan_gather(plan, layer, &prompt->values[layer], room));
    }
}

static void *take_plans(void *argument) {
    for (int number = atomic_fetch_add(&taken, 1); number < PLANS; number = atomic_fetch_add(&taken, 1)) compress(number);
    return argument;
}

static void in_sequence(void) {
    atomic_store(&taken, 0);
    take_plans(NULL);
}

static void on_threads(void) {
    pthread_t crew[CREW];
    atomic_store(&taken, 0);
    for (int i = 0; i < CREW; ++i)
        if (pthread_create(&crew[i], NULL, take_plans, NULL) != 0) exit(1);
    for (int i = 0; i < CREW; ++i) pthread_join(crew[i], NULL);
}

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void time_it(void (*work)(void)) {
    const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    work();
    printf("%.6f %.6f ", seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, seconds(CLOCK_MONOTONIC) - wall);
}

int main(int count, char **arguments) {
    const int samples = count > 1 ? atoi(arguments[1]) : 7;
    const kvsieve_model model = { LAYERS, QUERY_HEADS, HEADS, DIM, 0, { 0 } };
    uint64_t seed = 1;
    for (int i = 0; i < CREW; ++i)
        for (int layer = 0; layer < LAYERS; ++layer) {
            prompts[i].queries[layer] = drawn(QUERY_HEADS, WINDOW, &seed);
            prompts[i].keys[layer] = drawn(HEADS, TOKENS, &seed);
            prompts[i].values[layer] = drawn(HEADS, TOKENS, &seed);
        }
    for (int i = 0; i < PLANS; ++i) {
        rooms[i] = drawn(HEADS, BUDGET, &seed);
        CHECK(kvsieve_plan_create(KVSIEVE_SNAPKV, &model, &plans[i]));
        CHECK(kvsieve_plan_set(plans[i], KVSIEVE_BUDGET, BUDGET));
        CHECK(kvsieve_plan_set(plans[i], KVSIEVE_WINDOW, WINDOW));
    }
    in_sequence(); /* a plan takes its memory from the system once */
    for (int i = 0; i < samples; ++i) {
        time_it(in_sequence);
        time_it(on_threads);
        printf("\n");
        fflush(stdout);
    }
    return 0; /* the system takes the memory */
}
