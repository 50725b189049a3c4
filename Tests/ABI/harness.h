/* A test program is a list of cases: functions that EXPECT something. Each failed EXPECT prints file, line and what was
 * found; a case passes when none failed. The program ends with "N passed, N failed", which run.sh adds up. */
#ifndef HARNESS_H
#define HARNESS_H

#include <kvsieve.h>
#include <stddef.h>

/* printf-like; the text of `condition` is in the message. */
#define EXPECT(condition, ...) harness_expect(!!(condition), __FILE__, __LINE__, #condition, __VA_ARGS__)
#define EXPECT_OK(call) EXPECT_STATUS(call, KVSIEVE_OK)
#define EXPECT_STATUS(call, expected) harness_status((call), (expected), __FILE__, __LINE__, #call)
/* A call that may succeed or fail. */
#define ANY_STATUS(call) ((void)((call) == KVSIEVE_OK))
#define RUN(function) harness_run(#function, (function))

int harness_expect(int holds, const char *file, int line, const char *text, const char *format, ...);
int harness_status(kvsieve_status found, kvsieve_status expected, const char *file, int line, const char *call);
void harness_run(const char *name, void (*function)(void));
/* Further cases of a table get their own name; "" ends it. */
void harness_case(const char *format, ...);
int harness_end(void);

/* Are all `words` (separated by '|') in this thread's last error? */
int error_names(const char *words);

/* Exits the program when there is no memory: a test is not about that. */
void *take(size_t bytes);

/* 1 under valgrind (run.sh sets KVSIEVE_TEST_SLOW): fewer repetitions. */
int slow(void);
/* Under valgrind one of four cases is tried, by their number: with the method's index in it every case meets some methods. */
int left_out(int number);

/* Runs `function` in a child process: its exit status, or -signal (-14 after 30 seconds). `output` gets what it printed, cut
 * to `size`. */
int in_child(int (*function)(void), char *output, size_t size);

#endif
