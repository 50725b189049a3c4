#define _GNU_SOURCE
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int passed, failed, case_failed, in_case;
static char case_name[256];

static void end_case(void) {
    if (!in_case) return;
    if (case_failed) {
        ++failed;
        printf("FAILED %s\n", case_name);
    } else {
        ++passed;
    }
    in_case = 0;
}

static void begin_case(const char *name) {
    end_case();
    snprintf(case_name, sizeof case_name, "%s", name);
    case_failed = 0;
    in_case = 1;
}

int harness_expect(int holds, const char *file, int line, const char *text, const char *format, ...) {
    va_list arguments;
    if (holds) return 1;
    case_failed = 1;
    printf("%s:%d: %s: expected %s; ", file, line, case_name, text);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    return 0;
}

int harness_status(kvsieve_status found, kvsieve_status expected, const char *file, int line, const char *call) {
    if (found == expected) return 1;
    return harness_expect(0, file, line, kvsieve_status_name(expected), "%s is %s (%d): \"%s\"", call, kvsieve_status_name(found),
                          (int)found, found ? kvsieve_last_error() : "");
}

void harness_run(const char *name, void (*function)(void)) {
    begin_case(name);
    function();
    end_case();
}

void harness_case(const char *format, ...) {
    char name[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    if (name[0] == 0) end_case();
    else begin_case(name);
}

int harness_end(void) {
    end_case();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

int error_names(const char *words) {
    char copy[256];
    const char *sentence = kvsieve_last_error();
    char *rest = copy, *word;
    snprintf(copy, sizeof copy, "%s", words);
    while ((word = strsep(&rest, "|")) != NULL)
        if (strstr(sentence, word) == NULL) return 0;
    return 1;
}

void *take(size_t bytes) {
    void *memory = calloc(1, bytes ? bytes : 1);
    if (memory == NULL) {
        printf("the test itself is out of memory\n");
        exit(2);
    }
    return memory;
}

int slow(void) { return getenv("KVSIEVE_TEST_SLOW") != NULL; }

int left_out(int number) { return slow() && number % 4 != 0; }

int in_child(int (*function)(void), char *output, size_t size) {
    int ends[2], status = 0;
    size_t length = 0;
    pid_t child;
    fflush(NULL);
    if (pipe(ends) != 0 || (child = fork()) < 0) exit(2);
    if (child == 0) {
        int result;
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        alarm(slow() ? 600 : 30); /* a call that never returns ends here */
        result = function();
        fflush(NULL);
        _exit(result);
    }
    close(ends[1]);
    for (;;) {
        char drain[256];
        ssize_t count = read(ends[0], drain, sizeof drain);
        if (count <= 0) break;
        for (ssize_t i = 0; i < count && length + 1 < size; ++i) output[length++] = drain[i];
    }
    if (size) output[length] = 0;
    close(ends[0]);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
