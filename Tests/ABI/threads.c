/* The header's Contract on threads: plans are independent, const functions run beside each other, the last error is the
 * thread's own, and a plan's threads change nothing but the time. */
#define _GNU_SOURCE
#include "fixture.h"
#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CREW = 8 };

struct job {
    int number, wrong;
    uint64_t expected, of_method[MOST_METHODS]; /* the same for each method */
    const kvsieve_plan *plan;
    const sequence *s;
    char sentence[256];
};

static pthread_barrier_t together;

static void run_crew(void *(*function)(void *), struct job *jobs) {
    pthread_t crew[CREW];
    pthread_barrier_init(&together, NULL, CREW);
    for (int i = 0; i < CREW; ++i)
        if (!EXPECT(pthread_create(&crew[i], NULL, function, &jobs[i]) == 0, "no thread")) exit(2);
    for (int i = 0; i < CREW; ++i) pthread_join(crew[i], NULL);
    pthread_barrier_destroy(&together);
}

/* -- plans of their own ---------------------------------------------------------------------------------------------- */

static int rounds_of_methods(void) { return slow() ? 2 : 3 * method_count(); }

static void *whole_sequences(void *argument) {
    struct job *job = argument;
    const int rounds = rounds_of_methods(); /* each begins with another method */
    pthread_barrier_wait(&together);
    for (int round = 0; round < rounds; ++round) {
        const int index = (job->number + round) % method_count();
        kvsieve_plan *plan = plan_new(method_at(index));
        if (kvsieve_plan_set(plan, KVSIEVE_THREADS, 1 + round % 3) != KVSIEVE_OK) ++job->wrong;
        for (int32_t layer = 0; layer < LAYERS; ++layer) job->wrong += observe(plan, layer, job->s) != KVSIEVE_OK;
        job->wrong += kvsieve_plan_finish(plan) != KVSIEVE_OK;
        job->wrong += plan_hash(plan, job->s, 1) != job->of_method[index];
        kvsieve_plan_destroy(plan);
    }
    return NULL;
}

static void different_plans_are_independent(void) {
    struct job jobs[CREW];
    memset(jobs, 0, sizeof jobs);
    for (int i = 0; i < CREW; ++i) {
        jobs[i].number = i;
        jobs[i].s = sequence_new(TOKENS + i, KVSIEVE_F32 + i % 3, (uint64_t)i + 1);
        for (int round = 0; round < rounds_of_methods() && round < method_count(); ++round) {
            const int index = (i + round) % method_count();
            jobs[i].of_method[index] = reference_hash(method_at(index), jobs[i].s);
        }
    }
    run_crew(whole_sequences, jobs);
    for (int i = 0; i < CREW; ++i) {
        EXPECT(jobs[i].wrong == 0, "thread %d: %d wrong", i, jobs[i].wrong);
        sequence_free((sequence *)(uintptr_t)jobs[i].s);
    }
}

/* -- one plan, functions that take it as const ------------------------------------------------------------------------ */

static void *const_functions(void *argument) {
    struct job *job = argument;
    const int rounds = slow() ? 2 : 60;
    pthread_barrier_wait(&together);
    for (int round = 0; round < rounds; ++round) {
        double value = 0;
        int32_t needs = -1;
        job->wrong += plan_hash(job->plan, job->s, 1) != job->expected; /* kept and gather */
        job->wrong += kvsieve_plan_get(job->plan, KVSIEVE_THREADS, &value) != KVSIEVE_OK || value != 1;
        job->wrong += kvsieve_plan_needs(job->plan, round % LAYERS, &needs) != KVSIEVE_OK || needs < 0;
        job->wrong += kvsieve_plan_needs(job->plan, LAYERS, &needs) != KVSIEVE_ERR_SHAPE;
    }
    return NULL;
}

static void const_functions_run_beside_each_other(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        struct job jobs[CREW];
        memset(jobs, 0, sizeof jobs);
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        for (int i = 0; i < CREW; ++i) {
            jobs[i].plan = plan;
            jobs[i].s = s;
            jobs[i].expected = i == 0 ? reference_hash(method, s) : jobs[0].expected;
        }
        run_crew(const_functions, jobs);
        for (int i = 0; i < CREW; ++i) EXPECT(jobs[i].wrong == 0, "%s, thread %d: %d wrong", method_name(method), i, jobs[i].wrong);
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
}

/* -- last error --------------------------------------------------------------------------------------------------------- */

static void *own_errors(void *argument) {
    struct job *job = argument;
    kvsieve_plan *plan = plan_new(KVSIEVE_DYNAMICKV);
    job->wrong += kvsieve_last_error()[0] != 0; /* a new thread has none */
    for (int round = 0; round < 200; ++round) {
        char value[16];
        snprintf(value, sizeof value, "%d", -(job->number * 1000 + round) - 1);
        job->wrong += kvsieve_plan_set(plan, KVSIEVE_BUDGET, atoi(value)) != KVSIEVE_ERR_PARAMETER;
        if (round % 50 == 0) pthread_barrier_wait(&together);
        job->wrong += !error_names(value);
    }
    snprintf(job->sentence, sizeof job->sentence, "%s", kvsieve_last_error());
    kvsieve_plan_destroy(plan);
    return NULL;
}

static void the_last_error_is_per_thread(void) {
    struct job jobs[CREW];
    memset(jobs, 0, sizeof jobs);
    EXPECT_STATUS(kvsieve_plan_set(NULL, 0, 0), KVSIEVE_ERR_NULL);
    for (int i = 0; i < CREW; ++i) jobs[i].number = i;
    run_crew(own_errors, jobs);
    for (int i = 0; i < CREW; ++i) EXPECT(jobs[i].wrong == 0, "thread %d: %d wrong: %s", i, jobs[i].wrong, jobs[i].sentence);
    EXPECT(error_names("plan|NULL"), "another thread's failure came here: \"%s\"", kvsieve_last_error());
}

/* -- KVSIEVE_THREADS ------------------------------------------------------------------------------------------------------ */

static int threads_of_this_process(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks)) != NULL;) count += entry->d_name[0] != '.';
    if (tasks) closedir(tasks);
    return count;
}

/* Long enough that work is shared. */
static void threads_change_nothing_but_the_time(void) {
    EVERY_METHOD (method)
        for (int i = 0; i < (slow() ? 2 : 3); ++i) {
            const int all = fewest_queries(method, TOKENS) == TOKENS;
            const int32_t lengths[] = { TOKENS, !slow() ? 3000 : all ? 500 : 1600, 9000 };
            sequence *s = sequence_new(lengths[i], KVSIEVE_F32 + i % 2, 5);
            const uint64_t expected = reference_hash(method, s);
            const int before = threads_of_this_process();
            for (int threads = slow() ? 2 : 1; threads <= 8; threads *= slow() ? 4 : 2) {
                kvsieve_plan *plan = plan_new(method);
                EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
                observe_range(plan, 0, LAYERS, s);
                EXPECT(threads_of_this_process() - before < threads, "%d threads more for KVSIEVE_THREADS %d",
                       threads_of_this_process() - before, threads);
                EXPECT_OK(kvsieve_plan_finish(plan));
                EXPECT(plan_hash(plan, s, 1) == expected, "%s, %d tokens, %d threads", method_name(method), (int)lengths[i],
                       threads);
                kvsieve_plan_destroy(plan);
            }
            for (int wait = 0; wait < 100 && threads_of_this_process() != before; ++wait) usleep(1000);
            EXPECT(threads_of_this_process() == before, "threads outlive their plan: %d, were %d", threads_of_this_process(),
                   before);
            sequence_free(s);
        }
}

/* A plan may go from thread to thread, one at a time. */
static void *next_layer(void *argument) {
    struct job *job = argument;
    job->wrong += observe((kvsieve_plan *)(uintptr_t)job->plan, job->number, job->s) != KVSIEVE_OK;
    return NULL;
}

static void a_plan_may_go_from_thread_to_thread(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = plan_new(method);
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, 2));
        for (int layer = 0; layer < LAYERS; ++layer) {
            struct job job = { .number = layer, .plan = plan, .s = s };
            pthread_t thread;
            if (!EXPECT(pthread_create(&thread, NULL, next_layer, &job) == 0, "no thread")) exit(2);
            pthread_join(thread, NULL);
            EXPECT(job.wrong == 0, "layer %d", layer);
        }
        EXPECT_OK(kvsieve_plan_finish(plan));
        EXPECT(plan_hash(plan, s, 1) == reference_hash(method, s), "%s", method_name(method));
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
}

int main(void) {
    RUN(different_plans_are_independent);
    RUN(const_functions_run_beside_each_other);
    RUN(the_last_error_is_per_thread);
    RUN(threads_change_nothing_but_the_time);
    RUN(a_plan_may_go_from_thread_to_thread);
    return harness_end();
}
