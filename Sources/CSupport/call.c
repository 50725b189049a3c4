/* What holds around every call of the library.
 *
 * Memory: it begins if there is spare memory for it (spare.c). Cancelling: a thread is not cancelled inside, where it holds locks.
 * Forks: nothing that is done once a process is half done in a child (support_once()), and a plan that another thread was working on
 * when the process was forked is known: nobody will ever end that call. */
#define _GNU_SOURCE
#include "csupport.h"

#include <pthread.h>

static pthread_mutex_t first_calls = PTHREAD_MUTEX_INITIALIZER;
static uint64_t done;       /* what is done once a process: a bit each */
static uint32_t generation; /* how many forks this process is away from the one that loaded the library */
static _Thread_local size_t own;
static _Thread_local int in_first; /* this thread makes what the others wait for */

int32_t support_call_begin(support_call *call, size_t need) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &call->cancel_state);
    call->outer = own;
    call->need = need;
    if (support_spare_want(need)) {
        own += need;
        return 1;
    }
    pthread_setcancelstate(call->cancel_state, NULL);
    return 0;
}

void support_call_end(support_call *call) {
    own = call->outer;
    support_spare_done(call->need);
    pthread_setcancelstate(call->cancel_state, NULL);
}

/* Does the work of a number if it was not done. */
static int32_t once(int32_t number, size_t need, void (*work)(int32_t)) {
    const uint64_t bit = UINT64_C(1) << number;
    if ((__atomic_load_n(&done, __ATOMIC_ACQUIRE) & bit) || in_first) return 1;
    pthread_mutex_lock(&first_calls);
    if (!(done & bit) && support_spare_want(need)) {
        in_first = 1;
        work(number);
        in_first = 0;
        support_spare_done(need);
        __atomic_fetch_or(&done, bit, __ATOMIC_RELEASE);
    }
    const int32_t made = (done & bit) != 0;
    pthread_mutex_unlock(&first_calls);
    return made;
}

enum { FIRST_CALL = SUPPORT_MOST_REHEARSALS };

int32_t support_once(size_t need, void (*first)(int32_t)) { return once(FIRST_CALL, need, first); }
int32_t support_rehearse(size_t need, int32_t number, void (*rehearsal)(int32_t)) {
    return number < 0 || number >= FIRST_CALL || once(number, need, rehearsal);
}
int32_t support_is_first(void) { return in_first; }

/* -- plans --------------------------------------------------------------------------------------------------------------- */

/* The generation of the process in the upper half, the calls that are inside in the lower. */
int32_t support_plan_enter(uint64_t *calls) {
    const uint64_t here = (uint64_t)__atomic_load_n(&generation, __ATOMIC_RELAXED) << 32;
    uint64_t now = __atomic_load_n(calls, __ATOMIC_RELAXED);
    do {
        if ((uint32_t)now != 0 && now >> 32 != here >> 32) return 0;
    } while (!__atomic_compare_exchange_n(calls, &now, here + (uint32_t)now + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    return 1;
}

void support_plan_leave(uint64_t *calls) { __atomic_fetch_sub(calls, 1, __ATOMIC_RELEASE); }

/* -- forks --------------------------------------------------------------------------------------------------------------- */

static void fork_begins(void) {
    pthread_mutex_lock(&first_calls);
    support_spare_fork_begins();
}

static void fork_is_over(void) {
    support_spare_fork_is_over();
    pthread_mutex_unlock(&first_calls);
}

static void child_begins(void) {
    __atomic_add_fetch(&generation, 1, __ATOMIC_RELAXED);
    support_spare_only(own);
    fork_is_over();
}

/* When the library is loaded. Without memory for it a child is as it would be without this. */
__attribute__((constructor)) static void watch_forks(void) { (void)pthread_atfork(fork_begins, fork_is_over, child_begins); }
