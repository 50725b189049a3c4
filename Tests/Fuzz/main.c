/* Sequences of calls of seeds, or of files.
 *     fuzz SEED [CALLS [PROCESSES]]   sequences of SEED, SEED + 1, ... until CALLS calls were made (1: the one of SEED)
 *     fuzz --files FILE ...           the corpus
 *     fuzz --write SEED FILE          the bytes of one seed, for a coverage-guided fuzzer to begin with
 * A process that ends before its time fails the sequence that it was at, and another goes on. The last line is
 * "N passed, N failed", of sequences and of functions, which must all have been called. */
#define _GNU_SOURCE
#include "calls.h"
#include "choices.h"
#include "pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_PROCESSES = 64, MOST_FAILURES = 10, SECONDS = 120 };

static struct shared {
    struct call_counts calls;
    unsigned long next, ended;
    unsigned long at[MOST_PROCESSES];
} *shared;
static unsigned long seed, most_calls, failed;
static char **files;
static int file_count;

static unsigned long calls_of(const unsigned long *counts) {
    unsigned long all = 0;
    for (int function = 0; function < FUNCTIONS; ++function) all += counts[function];
    return all;
}

static int over(unsigned long number) {
    if (files != NULL) return number >= (unsigned long)file_count;
    return number > 0 && calls_of(shared->calls.good) + calls_of(shared->calls.bad) >= most_calls;
}

static void play_file(const char *name) {
    static uint8_t bytes[1 << 16];
    FILE *file = fopen(name, "rb");
    size_t count;
    if (file == NULL) wrong("%s cannot be read", name);
    count = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    choices_of_bytes(bytes, count);
    play();
}

static void work(int process) {
    for (;;) {
        const unsigned long number = __atomic_fetch_add(&shared->next, 1, __ATOMIC_SEQ_CST);
        if (over(number)) exit(0);
        shared->at[process] = number;
        alarm(SECONDS); /* a call that never returns ends here */
        if (files != NULL) {
            play_file(files[number]);
        } else {
            choices_of_seed(mixed(seed + number));
            play();
        }
        __atomic_fetch_add(&shared->ended, 1, __ATOMIC_SEQ_CST);
    }
}

static int write_seed(const char *name) {
    static uint8_t bytes[1 << 13];
    FILE *file = fopen(name, "wb");
    size_t count;
    choices_of_seed(mixed(seed));
    play();
    count = choices_written(bytes, sizeof bytes);
    return file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0;
}

static pid_t start(int process) {
    pid_t child;
    fflush(NULL);
    child = fork();
    if (child < 0) exit(2);
    if (child == 0) work(process);
    return child;
}

static void report_failure(int process, int status) {
    const unsigned long number = shared->at[process];
    ++failed;
    if (files != NULL) printf("FAILED %s", files[number]);
    else printf("FAILED seed %lu (again: fuzz %lu)", seed + number, seed + number);
    if (WIFSIGNALED(status)) printf(", signal %d\n", WTERMSIG(status));
    else printf(", exit status %d\n", WEXITSTATUS(status));
    fflush(stdout);
}

static void run(int processes) {
    pid_t children[MOST_PROCESSES];
    int living = processes, status;
    for (int process = 0; process < processes; ++process) children[process] = start(process);
    while (living > 0) {
        const pid_t child = wait(&status);
        int process = 0;
        while (children[process] != child) ++process;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            --living;
        } else {
            report_failure(process, status);
            if (failed < MOST_FAILURES) children[process] = start(process);
            else --living;
        }
    }
}

/* Each function was called, and each that can refuse a call has refused one. Said of long runs: a seed alone reaches some. */
static unsigned long functions_missed(int all) {
    unsigned long missed = 0;
    for (int function = 0; function < FUNCTIONS; ++function) {
        const unsigned long good = shared->calls.good[function], bad = shared->calls.bad[function];
        printf("%-18s %9lu done %9lu refused\n", function_name((enum function)function), good, bad);
        if (!all || (good > 0 && bad > 0)) continue;
        printf("FAILED %s was not called, or never refused\n", function_name((enum function)function));
        ++missed;
    }
    return missed;
}

int main(int count, char **arguments) {
    int processes = 1;
    unsigned long missed;
    if (count < 2) {
        printf("fuzz SEED [CALLS [PROCESSES]], fuzz --files FILE ..., fuzz --write SEED FILE\n");
        return 2;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 2;
    calls_counted = &shared->calls;
    if (strcmp(arguments[1], "--write") == 0 && count == 4) {
        seed = strtoul(arguments[2], NULL, 10);
        return write_seed(arguments[3]);
    }
    if (strcmp(arguments[1], "--files") == 0) {
        files = arguments + 2;
        file_count = count - 2;
    } else {
        seed = strtoul(arguments[1], NULL, 10);
        most_calls = count > 2 ? strtoul(arguments[2], NULL, 10) : 1;
        processes = count > 3 ? atoi(arguments[3]) : 1;
        if (processes < 1 || processes > MOST_PROCESSES) processes = 1;
        printf("seed %lu, version %d, %s\n", seed, (int)kvsieve_version(), kvsieve_build_info());
    }
    run(processes);
    missed = functions_missed(files == NULL && most_calls >= 50000);
    printf("%lu sequences, %lu calls, of them %lu refused\n", shared->ended,
           calls_of(shared->calls.good) + calls_of(shared->calls.bad), calls_of(shared->calls.bad));
    printf("%lu passed, %lu failed\n", shared->ended + (missed ? 0 : 1), failed + missed);
    return failed + missed > 0;
}
