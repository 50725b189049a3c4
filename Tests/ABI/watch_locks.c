/* Preloaded into a test program (run.sh): "no call takes a lock of the process" after the first plan of a method, so that a fork at any
 * time leaves none closed in the child. Every mutex inside the library's image counts, but those that fork() itself waits for, and
 * what is locked under them. The program ends with status 9 if there was one; backtraces are on stderr. Under glibc alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 16, FRAMES = 16 };

static uintptr_t first, end; /* of the library's image */
static const void *waited_for[MOST];
static int watching, forking, known, seen;
static __thread int held, reporting;

static int is_waited_for(const void *mutex) {
    for (int i = 0; i < known; ++i)
        if (waited_for[i] == mutex) return 1;
    return 0;
}

static void report(void) {
    void *frames[FRAMES];
    if (reporting) return;
    reporting = 1;
    __atomic_fetch_add(&seen, 1, __ATOMIC_RELAXED);
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), 2);
    reporting = 0;
}

int pthread_mutex_lock(pthread_mutex_t *mutex) {
    static int (*real)(pthread_mutex_t *);
    const uintptr_t place = (uintptr_t)mutex;
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    if (place >= first && place < end) {
        if (forking && known < MOST) waited_for[known++] = mutex;
        else if (is_waited_for(mutex)) ++held;
        else if (watching && held == 0) report();
    }
    return real(mutex);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex) {
    static int (*real)(pthread_mutex_t *);
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    if (!forking && is_waited_for(mutex)) --held;
    return real(mutex);
}

/* From the image's first mapping to the end of its last, and of the zeros behind it. */
static void find_image(const void *inside) {
    char line[512];
    Dl_info info;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL || dladdr(inside, &info) == 0) exit(8);
    first = (uintptr_t)info.dli_fbase;
    for (end = first; fgets(line, sizeof line, maps) != NULL;) {
        uintptr_t from, to;
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from == end) end = to;
    }
    fclose(maps);
}

static void start(void) {
    void *frames[FRAMES];
    pid_t child;
    find_image(dlsym(RTLD_NEXT, "kvsieve_plan_create"));
    backtrace(frames, FRAMES);
    forking = 1;
    child = fork();
    if (child == 0) _exit(0);
    forking = 0;
    waitpid(child, NULL, 0);
    watching = 1;
}

int32_t kvsieve_plan_create(int32_t method, const void *model, void **plan);
int32_t kvsieve_plan_create(int32_t method, const void *model, void **plan) {
    static int32_t (*real)(int32_t, const void *, void **);
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "kvsieve_plan_create");
    pthread_once(&once, start);
    return real(method, model, plan);
}

/* Before the library's own end. */
__attribute__((destructor)) static void stop(void) {
    const int status = known == 0 ? 8 : seen > 0 ? 9 : 0;
    if (watching && status != 0) {
        fflush(NULL);
        fprintf(stderr, "%d locks of the process, %d that fork waits for\n", seen, known);
        _exit(status);
    }
    watching = 0;
}
