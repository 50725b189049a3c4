/* A good guest: what the library does to a process that loads it by dlopen. Nothing here is linked to the library:
 * forward.c has its functions instead.
 *     guest LIBRARY            the cases
 *     guest LIBRARY --hash     prints what all methods decide (started again with another environment) */
#define _GNU_SOURCE
#include "fixture.h"
#include "harness.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *library, *program;
extern void *handle; /* forward.c: where its functions are looked up */

/* The host has a BLAS of its own by this name (exported, see run.sh): the library must not take it for its own. */
void cblas_sgemm(void);
void cblas_sgemm(void) { abort(); }

static int opened(void) {
    handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    return EXPECT(handle != NULL, "%s", dlerror());
}

static void closed(void) {
    dlclose(handle);
    handle = NULL;
}

/* Something of everything: each method, failures, threads. */
static uint64_t use(int threads) {
    uint64_t hash = 1;
    sequence *s = sequence_new(700, KVSIEVE_F32, 1);
    EVERY_METHOD (method) {
        kvsieve_plan *plan = plan_new(method);
        uint64_t decided;
        EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_THREADS, threads));
        EXPECT_STATUS(kvsieve_plan_set(plan, -1, 1), KVSIEVE_ERR_PARAMETER);
        observe(plan, 3, s);
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        decided = plan_hash(plan, s, 1);
        hash = bytes_hash(&decided, sizeof decided, hash);
        kvsieve_plan_destroy(plan);
    }
    sequence_free(s);
    return hash;
}

static int entries(const char *folder) {
    int count = 0;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
    if (directory) closedir(directory);
    return count;
}

/* -- cases ------------------------------------------------------------------------------------------------------------- */

static void no_signal_handler_mask_or_stack_is_changed(void) {
    static struct sigaction before[65], after[65];
    sigset_t mask_before, mask_after;
    stack_t stack_before, stack_after;
    memset(&mask_before, 0, sizeof mask_before);
    memset(&mask_after, 0, sizeof mask_after);
    for (int s = 1; s < 65; ++s) sigaction(s, NULL, &before[s]);
    sigprocmask(SIG_SETMASK, NULL, &mask_before);
    sigaltstack(NULL, &stack_before);
    if (!opened()) return;
    use(1), use(4);
    for (int s = 1; s < 65; ++s) {
        sigaction(s, NULL, &after[s]);
        EXPECT(before[s].sa_handler == after[s].sa_handler && before[s].sa_flags == after[s].sa_flags, "signal %d", s);
    }
    sigprocmask(SIG_SETMASK, NULL, &mask_after);
    sigaltstack(NULL, &stack_after);
    EXPECT(memcmp(&mask_before, &mask_after, sizeof mask_before) == 0, "signals are blocked");
    EXPECT(stack_before.ss_sp == stack_after.ss_sp, "another signal stack");
    closed();
}

static void no_thread_and_no_file_is_left(void) {
    int threads = entries("/proc/self/task"), files = entries("/proc/self/fd");
    if (!opened()) return;
    EXPECT(entries("/proc/self/task") == threads, "loading started %d threads", entries("/proc/self/task") - threads);
    use(1);
    EXPECT(entries("/proc/self/task") == threads, "a call with one thread left %d", entries("/proc/self/task") - threads);
    use(4);
    for (int wait = 0; wait < 100 && entries("/proc/self/task") != threads; ++wait) usleep(1000);
    EXPECT(entries("/proc/self/task") == threads, "threads outlive their plan: %d", entries("/proc/self/task") - threads);
    EXPECT(entries("/proc/self/fd") == files, "%d files more", entries("/proc/self/fd") - files);
    closed();
}

static int load_and_use(void) {
    if (!opened()) return 1;
    use(1), use(3);
    closed();
    return 0;
}

static void nothing_is_printed(void) {
    char output[1024];
    int result = in_child(load_and_use, output, sizeof output);
    EXPECT(result == 0, "%d", result);
    EXPECT(output[0] == 0, "\"%s\"", output);
}

static int print_hash(void) {
    if (!opened()) return 1;
    printf("%016llx\n", (unsigned long long)use(2));
    return 0; /* and ends without closing anything */
}

static char **other_environment;

static int started_again(void) {
    char *arguments[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)library, "--hash", NULL };
    execve(program, arguments, other_environment);
    return 3;
}

static void it_works_with_any_environment(void) {
    static char *const empty[] = { NULL };
    static char *const loud[] = { "OPENBLAS_NUM_THREADS=7",
                                  "OMP_NUM_THREADS=5",
                                  "OPENBLAS_VERBOSE=5",
                                  "GOTO_NUM_THREADS=3",
                                  "OPENBLAS_CORETYPE=Prescott",
                                  "SWIFT_DEBUG_ENABLE_METADATA_ALLOCATION_ITERATION=1",
                                  "SWIFT_BACKTRACE=enable=yes",
                                  "LANG=de_DE.UTF-8",
                                  "LC_ALL=C",
                                  NULL };
    char expected[64], found[64];
    int result;
    other_environment = environ;
    result = in_child(started_again, expected, sizeof expected);
    EXPECT(result == 0 && strlen(expected) == 17, "%d: %s", result, expected);
    other_environment = (char **)(uintptr_t)empty;
    result = in_child(started_again, found, sizeof found);
    EXPECT(result == 0 && strcmp(found, expected) == 0, "without environment, %d: %s", result, found);
    other_environment = (char **)(uintptr_t)loud;
    result = in_child(started_again, found, sizeof found);
    EXPECT(result == 0 && strcmp(found, expected) == 0, "with the host's variables, %d: %s", result, found);
}

static void the_environment_is_not_touched(void) {
    char **before = environ, *copy[256];
    int count = 0;
    setenv("OPENBLAS_NUM_THREADS", "7", 1);
    setenv("OMP_NUM_THREADS", "5", 1);
    before = environ;
    while (before[count] != NULL && count < 255) copy[count] = before[count], ++count;
    if (!opened()) return;
    use(2);
    EXPECT(environ == before, "another environ");
    for (int i = 0; i < count; ++i) EXPECT(environ[i] == copy[i], "%s", copy[i]);
    EXPECT(environ[count] == NULL, "%s", environ[count]);
    closed();
    unsetenv("OPENBLAS_NUM_THREADS");
    unsetenv("OMP_NUM_THREADS");
}

/* In a child: the system's OpenBLAS starts threads. 77: there is none. */
static int beside_another_openblas(void) {
    void *blas = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    int (*get)(void);
    void (*set)(int);
    if (blas == NULL) return 77;
    *(void **)(&get) = dlsym(blas, "openblas_get_num_threads");
    *(void **)(&set) = dlsym(blas, "openblas_set_num_threads");
    if (get == NULL || set == NULL) return 78;
    set(2);
    if (!opened()) return 1;
    use(1), use(4);
    return get() == 2 ? 0 : 2;
}

static void the_blas_of_the_process_keeps_its_threads(void) {
    char output[1024];
    int result = in_child(beside_another_openblas, output, sizeof output);
    EXPECT(result == 0 || result == 77, "%d: %s", result, output);
}

static void floating_point_modes_and_errno_stay(void) {
    fenv_t before, after;
    if (!opened()) return;
    feclearexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
    fegetenv(&before);
    use(3);
    feclearexcept(FE_ALL_EXCEPT);
    fegetenv(&after);
    EXPECT(memcmp(&before, &after, sizeof before) == 0, "rounding or traps have changed");
    closed();
}

static void dlopen_and_dlclose_again_and_again(void) {
    uint64_t first = 0;
    for (int i = 0; i < 20; ++i) {
        uint64_t hash;
        if (!opened()) return;
        hash = use(1 + i % 3);
        if (i == 0) first = hash;
        EXPECT(hash == first, "round %d", i);
        closed();
    }
}

static kvsieve_plan *parents_plan;
static sequence *parents_sequence;
static uint64_t parents_hash;

/* The plan had threads in the parent; the child has none of them. */
static int after_fork(void) {
    uint64_t found;
    observe_range(parents_plan, 2, LAYERS, parents_sequence);
    if (kvsieve_plan_finish(parents_plan) != KVSIEVE_OK) return 1;
    found = plan_hash(parents_plan, parents_sequence, 1);
    kvsieve_plan_destroy(parents_plan);
    if (found != parents_hash) return 2;
    return use(4) == use(1) ? 0 : 3;
}

static void fork_after_use_works_in_the_child(void) {
    EVERY_METHOD (method) {
        char output[1024];
        int result;
        if (!opened()) return;
        parents_sequence = sequence_new(5000, KVSIEVE_F32, 1);
        parents_hash = reference_hash(method, parents_sequence);
        parents_plan = plan_new(method);
        EXPECT_OK(kvsieve_plan_set(parents_plan, KVSIEVE_THREADS, 4));
        observe_range(parents_plan, 0, 2, parents_sequence);
        result = in_child(after_fork, output, sizeof output);
        EXPECT(result == 0, "%s: %d %s", method_name(method), result, output);
        observe_range(parents_plan, 2, LAYERS, parents_sequence); /* and the parent goes on */
        EXPECT_OK(kvsieve_plan_finish(parents_plan));
        EXPECT(plan_hash(parents_plan, parents_sequence, 1) == parents_hash, "the parent's plan decided otherwise");
        kvsieve_plan_destroy(parents_plan);
        sequence_free(parents_sequence);
        closed();
    }
}

int main(int count, char **arguments) {
    program = arguments[0];
    library = count > 1 ? arguments[1] : "";
    if (count > 2) return print_hash();
    RUN(nothing_is_printed); /* in children, before this process has loaded anything */
    RUN(it_works_with_any_environment);
    RUN(the_blas_of_the_process_keeps_its_threads);
    RUN(no_signal_handler_mask_or_stack_is_changed);
    RUN(no_thread_and_no_file_is_left);
    RUN(the_environment_is_not_touched);
    RUN(floating_point_modes_and_errno_stay);
    RUN(dlopen_and_dlclose_again_and_again);
    RUN(fork_after_use_works_in_the_child);
    return harness_end();
}
