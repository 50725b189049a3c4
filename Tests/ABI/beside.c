/* "A child may be forked at any time, and may use the library and its plans." "They block all signals." "A thread that is cancelled
 * inside a call finishes the call first." */
#define _GNU_SOURCE
#include "fixture.h"
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 3000, COLD = 300, WARM = 400, AMID = 300, CREW = 3 };

static sequence *s, *small;
static __thread int32_t method; /* of this thread's plans */
static int32_t threads;
static int begun;

static kvsieve_plan *observing(const sequence *prompt) {
    kvsieve_plan *plan = NULL;
    const kvsieve_model model = small_model();
    if (kvsieve_plan_create(method, &model, &plan) != KVSIEVE_OK) return NULL;
    int bad = kvsieve_plan_set(plan, KVSIEVE_THREADS, threads) != KVSIEVE_OK;
    for (int32_t layer = 0; layer < LAYERS && prompt; ++layer) bad += observe(plan, layer, prompt) != KVSIEVE_OK;
    if (bad == 0) return plan;
    kvsieve_plan_destroy(plan);
    return NULL;
}

/* 1 if all went well. */
static int whole_sequence(void) {
    kvsieve_plan *plan = observing(small);
    const int well = plan != NULL && kvsieve_plan_finish(plan) == KVSIEVE_OK;
    kvsieve_plan_destroy(plan);
    return well;
}

static int some_sequences(void) {
    static const int32_t methods[] = { KVSIEVE_SNAPKV, KVSIEVE_DYNAMICKV, KVSIEVE_H2O, KVSIEVE_AHAKV };
    int well = 1;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; ++i) {
        method = methods[i];
        well &= whole_sequence();
    }
    return well;
}

static void *others(void *rounds) {
    __atomic_store_n(&begun, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < *(int *)rounds; ++i)
        if (!some_sequences()) return (void *)1;
    return NULL;
}

/* A process whose other thread makes calls; it forks after some microseconds, and the child makes the same calls. */
static int forks_beside(int warm, int rounds, int microseconds) {
    pthread_t thread;
    int status = 0;
    pid_t child;
    void *bad = NULL;
    threads = 1;
    if (warm && !some_sequences()) return 3;
    begun = 0;
    if (pthread_create(&thread, NULL, others, &rounds) != 0) return 4;
    while (!__atomic_load_n(&begun, __ATOMIC_ACQUIRE)) continue;
    usleep((useconds_t)microseconds);
    child = fork();
    if (child == 0) {
        alarm(10);
        threads = 2;
        _exit(!some_sequences());
    }
    waitpid(child, &status, 0);
    pthread_join(thread, &bad);
    if (WIFSIGNALED(status)) return 100 + WTERMSIG(status);
    return WEXITSTATUS(status) + (bad != NULL);
}

/* Each in a process of its own, as the first calls of a process are made but once. */
static void forks(const char *name, int count, int warm, int rounds, int within) {
    int hung = 0, wrong = 0;
    harness_case("%d forks beside %s", count, name);
    for (int i = 0; i < count; ++i) {
        int status = 0;
        const pid_t process = fork();
        if (process == 0) _exit(forks_beside(warm, rounds, i * 37 % within));
        waitpid(process, &status, 0);
        hung += WIFEXITED(status) && WEXITSTATUS(status) == 100 + SIGALRM;
        wrong += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
    EXPECT(wrong == 0, "%d children hung, %d were wrong", hung, wrong);
}

/* -- a plan that is in a call ------------------------------------------------------------------------------------------ */

static kvsieve_plan *shared;

static void *observe_shared(void *unused) {
    __atomic_store_n(&begun, 1, __ATOMIC_RELEASE);
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        if (observe(shared, layer, s) != KVSIEVE_OK) return (void *)1;
    return unused;
}

static int uses_shared(void) {
    kvsieve_kept kept = { 0 };
    kept.struct_size = sizeof kept;
    alarm(10);
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        const kvsieve_status status = kvsieve_plan_kept(shared, layer, &kept);
        if (status == KVSIEVE_OK || (status == KVSIEVE_ERR_STATE && error_names("was not observed yet"))) continue;
        if (status != KVSIEVE_ERR_STATE || !error_names("another thread when this process was forked")) return 2;
        if (kvsieve_plan_reset(shared) != KVSIEVE_ERR_STATE) return 3;
        kvsieve_plan_destroy(shared);
        return whole_sequence() ? 1 : 4;
    }
    if (kvsieve_plan_reset(shared) != KVSIEVE_OK) return 5;
    kvsieve_plan_destroy(shared);
    return 0;
}

/* "If a plan was in a call on another thread, the child cannot use that plan: KVSIEVE_ERR_STATE; destroy then frees nothing." */
static void a_plan_in_a_call_is_refused(void) {
    int refused = 0, taken = 0;
    method = KVSIEVE_SNAPKV;
    for (threads = 1; threads < 4; threads += 2)
        for (int i = 0; i < AMID; ++i) {
            pthread_t thread;
            int status = 0;
            pid_t child;
            void *bad = NULL;
            shared = observing(NULL);
            begun = 0;
            pthread_create(&thread, NULL, observe_shared, NULL);
            while (!__atomic_load_n(&begun, __ATOMIC_ACQUIRE)) continue;
            usleep((useconds_t)(i * 7 % 1500));
            child = fork();
            if (child == 0) _exit(uses_shared());
            waitpid(child, &status, 0);
            pthread_join(thread, &bad);
            if (!EXPECT(WIFEXITED(status) && WEXITSTATUS(status) < 2 && bad == NULL, "child %d: status %d", i, status)) break;
            refused += WEXITSTATUS(status) == 1, taken += WEXITSTATUS(status) == 0;
            EXPECT_OK(kvsieve_plan_finish(shared)); /* the parent's goes on */
            kvsieve_plan_destroy(shared);
        }
    EXPECT(refused > 0, "%d refused, %d not", refused, taken);
}

/* -- cancelling ------------------------------------------------------------------------------------------------------------ */

static void *observe_until_cancelled(void *context) {
    (void)context;
    __atomic_store_n(&begun, 1, __ATOMIC_RELEASE);
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        if (observe(shared, layer, s) != KVSIEVE_OK) return (void *)1;
    pthread_testcancel();
    return NULL;
}

static int cancel_often(void) {
    method = KVSIEVE_SNAPKV;
    for (threads = 1; threads < 4; ++threads)
        for (int i = 0; i < 100; ++i) {
            pthread_t thread;
            void *result = NULL;
            shared = observing(NULL);
            begun = 0;
            pthread_create(&thread, NULL, observe_until_cancelled, NULL);
            while (!__atomic_load_n(&begun, __ATOMIC_ACQUIRE)) continue;
            usleep((useconds_t)(i * 13 % 1000));
            pthread_cancel(thread);
            pthread_join(thread, &result);
            if (result == (void *)1) return 2;
            /* All layers were observed: no call was left half way. */
            if (kvsieve_plan_finish(shared) != KVSIEVE_OK) return 3;
            kvsieve_plan_destroy(shared);
        }
    return 0;
}

static void a_cancelled_thread_finishes_its_call(void) {
    char output[512];
    const int result = in_child(cancel_often, output, sizeof output);
    EXPECT(result == 0, "%d", result);
}

/* -- signals --------------------------------------------------------------------------------------------------------------- */

static pthread_t caller;
static int elsewhere, handled;

static void note(int signal) {
    (void)signal;
    ++handled;
    if (!pthread_equal(pthread_self(), caller)) ++elsewhere;
}

/* The caller blocks the signal: if a thread of the plan does not, it is the one that gets it. */
static void no_signal_is_handled_on_a_plans_thread(void) {
    struct sigaction action, before;
    sigset_t usr1, old;
    kvsieve_plan *plan;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    caller = pthread_self();
    sigaction(SIGUSR1, &action, &before);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    method = KVSIEVE_SNAPKV, threads = 4;
    plan = observing(NULL);
    EXPECT_OK(observe(plan, 0, s)); /* the threads begin with what the caller handles */
    pthread_sigmask(SIG_BLOCK, &usr1, &old);
    for (int32_t layer = 1; layer < LAYERS; ++layer) {
        kill(getpid(), SIGUSR1);
        EXPECT_OK(observe(plan, layer, s));
    }
    usleep(20000);
    EXPECT(handled == 0, "%d signals were handled, %d on another thread", handled, elsewhere);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    EXPECT(handled == 1 && elsewhere == 0, "%d, %d on another thread", handled, elsewhere);
    sigaction(SIGUSR1, &before, NULL);
    kvsieve_plan_destroy(plan);
}

int main(void) {
    /* Nothing of the library is called before the cold forks. */
    s = sequence_new(MANY, KVSIEVE_F32, 3);
    small = sequence_new(TOKENS, KVSIEVE_F32, 4);
    forks("the process's first calls", COLD, 0, 1, 12000);
    forks("first calls of more methods", COLD, 0, 3, 24000);
    forks("calls of a process that has made some", WARM, 1, 20, 4000);
    RUN(a_plan_in_a_call_is_refused);
    RUN(a_cancelled_thread_finishes_its_call);
    RUN(no_signal_is_handled_on_a_plans_thread);
    return harness_end();
}
