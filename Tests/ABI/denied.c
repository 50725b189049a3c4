/* "No call ends the process for want of memory": every request that a call makes of malloc, mmap and pthread_create is refused once,
 * then it and all later ones, each in a child. The call succeeds, or is KVSIEVE_ERR_MEMORY, has written nothing, and succeeds when
 * it is made again; either way the plan ends as one that was never refused. Each function of functions.txt, each method, calls
 * that fail too, and the process's first calls.
 *     denied [--table]: with a table by function. Of a call that makes hundreds of requests, as the first plan of a method does, every
 * 23rd is refused, from another one on for each method; all of them if KVSIEVE_TEST_ALL is set. */
#define _GNU_SOURCE
#include "denials.h"
#include "harness.h"
#include "registry.h"
#include "scenes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WITHIN = 20, MANY = 400 };

/* Of a child. */
static struct outcome {
    kvsieve_status status;
    long requests, refused;
    size_t asked;
    uint64_t hash;
    int wrong; /* the line */
} *outcome;

/* -- the loop ---------------------------------------------------------------------------------------------------------- */

/* In a child: the call with the n-th request refused, what came of it, and the call again if it was refused. */
static void attempt(kvsieve_status (*call)(void), long n, int all) {
    const uint64_t before = results_hash();
    deny(n, all);
    outcome->status = call();
    outcome->requests = allow();
    outcome->refused = denied();
    outcome->asked = asked();
    if (outcome->status == KVSIEVE_ERR_MEMORY) {
        if (!error_names("memory")) outcome->wrong = __LINE__;
        if (results_hash() != before) outcome->wrong = __LINE__;
        outcome->status = call();
        if (outcome->status == KVSIEVE_OK) outcome->status = KVSIEVE_ERR_MEMORY;
        else outcome->wrong = __LINE__;
    } else if (outcome->status != KVSIEVE_OK) outcome->wrong = __LINE__;
    outcome->hash = end_hash();
}

/* The signal that ended the child; 0 if none did. */
static int child(kvsieve_status (*call)(void), long n, int all) {
    int status = 0;
    pid_t pid;
    memset(outcome, 0, sizeof *outcome);
    fflush(NULL);
    pid = fork();
    if (pid < 0) exit(2);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        alarm(WITHIN);
        attempt(call, n, all);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* What came of the points of a function, over methods. */
static struct tally {
    const char *name;
    long points, ended, refused, all_ended;
    size_t most;
} tallies[64];
static int tallied;

static struct tally *tally_of(const char *name) {
    for (int i = 0; i < tallied; ++i)
        if (strcmp(tallies[i].name, name) == 0) return &tallies[i];
    tallies[tallied].name = name;
    return &tallies[tallied++];
}

static void every_point(const char *name, kvsieve_status (*call)(void)) {
    struct tally *tally = tally_of(name);
    long requests;
    uint64_t expected;
    size_t bytes;
    if (!EXPECT(child(call, -1, 0) == 0 && outcome->status == KVSIEVE_OK && outcome->wrong == 0,
                "%s: undisturbed: status %d, line %d", name, (int)outcome->status, outcome->wrong))
        return;
    requests = outcome->requests, expected = outcome->hash, bytes = outcome->asked;
    if (bytes > tally->most) tally->most = bytes;
    tally->points += requests;
    const long step = requests < MANY || getenv("KVSIEVE_TEST_ALL") != NULL ? 1 : 23;
    for (int all = 0; all < 2; ++all)
        for (long n = step > 1 ? scene_method * 5 % step : 0; n < requests; n += step) {
            const int ended = child(call, n, all);
            if (ended) {
                ++*(all ? &tally->all_ended : &tally->ended);
                EXPECT(!ended, "%s: request %ld of %ld%s: signal %d", name, n, requests, all ? " and all later ones" : "", ended);
                continue;
            }
            tally->refused += outcome->status == KVSIEVE_ERR_MEMORY && !all;
            EXPECT(outcome->wrong == 0, "%s: request %ld of %ld%s: status %d, line %d", name, n, requests, all ? " and later" : "",
                   (int)outcome->status, outcome->wrong);
            EXPECT(outcome->hash == expected, "%s: request %ld of %ld%s: another end", name, n, requests, all ? " and later" : "");
        }
}

static void first_calls(void) {
    for (int32_t method = 0; method < MOST_METHODS / 4; ++method) {
        scene_method = method;
        plan = NULL;
        if (child(create, -1, 0) != 0 || outcome->status != KVSIEVE_OK) continue;
        harness_case("method %d: the process's first call", (int)method);
        every_point("the first kvsieve_plan_create", create);
    }
    harness_case("the process's first call");
    every_point("the first kvsieve_build_info", tell_texts);
}

int main(int count, char **arguments) {
    outcome = mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    scenes_begin();
    first_calls();
    EVERY_METHOD (method)
        for (int32_t threads = 1; threads < 3; ++threads)
            for (const struct scene *scene = scenes; scene < scenes + scene_count; ++scene) {
                scene_method = method, scene_threads = threads;
                plan = NULL;
                if (scene->when && !scene->when()) continue;
                harness_case("%s: %s, threads %d", method_name(method), scene->name, (int)threads);
                scene->before();
                every_point(scene->name, scene->call);
                if (plan) kvsieve_plan_destroy(plan);
            }
    harness_case("%s", "");
    for (int i = 0; count > 1 && strcmp(arguments[1], "--table") == 0 && i < tallied; ++i)
        printf("%-32s %5ld requests, refused %4ld, ended %4ld, and if all later ones are refused %4ld; at most %zu bytes\n",
               tallies[i].name, tallies[i].points, tallies[i].refused, tallies[i].ended, tallies[i].all_ended, tallies[i].most);
    return harness_end();
}
