/* kvsieve_self_check(): right on this processor, with every cap of KVSIEVE_ISA (run.sh), from many threads, in less than 100 ms, and
 * nothing of it stays. What it finds wrong is in Tests/CheckTests. */
#define _GNU_SOURCE
#include "fixture.h"
#include "harness.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { CREW = 4, TIMES = 5 };

static double processor_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* "Cost: less than 100 ms" of the processor's: other programs may run. */
static void it_takes_less_than_100_ms(void) {
    const double begin = processor_milliseconds();
    double took;
    EXPECT_OK(kvsieve_self_check());
    took = processor_milliseconds() - begin;
    EXPECT(slow() || took < 100, "%g ms", took);
}

/* "A call that succeeds does not change it" */
static void the_last_error_stays(void) {
    EXPECT_STATUS(kvsieve_method_at(-1, NULL), KVSIEVE_ERR_NULL);
    EXPECT_OK(kvsieve_self_check());
    EXPECT(error_names("info"), "%s", kvsieve_last_error());
}

static void *again_and_again(void *wrong) {
    for (int i = 0; i < TIMES; ++i) *(int *)wrong += kvsieve_self_check() != KVSIEVE_OK;
    return NULL;
}

/* It has plans of its own: others go on beside it. */
static void it_runs_beside_others(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    const uint64_t expected = reference_hash(KVSIEVE_DYNAMICKV, s);
    pthread_t crew[CREW];
    int wrong[CREW] = { 0 };
    for (int i = 0; i < CREW; ++i) EXPECT(pthread_create(&crew[i], NULL, again_and_again, &wrong[i]) == 0, "no thread");
    for (int i = 0; i < TIMES; ++i) EXPECT(reference_hash(KVSIEVE_DYNAMICKV, s) == expected, "another choice");
    for (int i = 0; i < CREW; ++i) {
        pthread_join(crew[i], NULL);
        EXPECT(wrong[i] == 0, "thread %d: %d wrong", i, wrong[i]);
    }
    sequence_free(s);
}

int main(void) {
    RUN(it_takes_less_than_100_ms);
    RUN(the_last_error_stays);
    RUN(it_runs_beside_others);
    return harness_end();
}
