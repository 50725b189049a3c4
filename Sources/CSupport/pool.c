/* A few threads that belong to one plan: they wait on a condition, the caller takes part, nothing is shared between plans.
 * In every run an item has the same worker, whose cache may still hold its data. A worker that is done helps the others.
 * Threads block every signal, so that the host's handlers never run on them. A forked child has none of the threads; it
 * works through the items alone. */
#include "csupport.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* How many of a worker's items were begun: worker w has the items w, w + workers, w + 2 workers, ... */
struct begun {
    _Alignas(64) atomic_int count;
};

struct support_pool {
    pthread_mutex_t lock;
    pthread_cond_t begin, done;
    int32_t wanted; /* threads beside the caller */
    int32_t started;
    pid_t owner;    /* process that started the threads */
    uint64_t round; /* counts runs; a thread that sees a new one begins */
    int open;       /* the round has items left, as far as the caller knows */
    int32_t busy;   /* threads that are in the round: one that wakes up after it closed is not waited for */
    int stop;
    support_job job;
    void *context;
    int32_t items;
    struct begun *begun; /* of each worker */
    pthread_t threads[];
};

struct seat {
    support_pool *pool;
    int32_t worker;
};

static void work(support_pool *pool, int32_t worker) {
    const int64_t workers = (int64_t)pool->wanted + 1;
    for (int64_t turn = 0; turn < workers; turn++) {
        const int64_t owner = (worker + turn) % workers;
        for (;;) {
            int64_t item = owner + workers * atomic_fetch_add_explicit(&pool->begun[owner].count, 1, memory_order_relaxed);
            if (item >= pool->items) break;
            pool->job(pool->context, (int32_t)item, worker);
        }
    }
}

static void *serve(void *argument) {
    struct seat seat = *(struct seat *)argument;
    free(argument);
    support_pool *pool = seat.pool;
    support_exchange_mode(support_default_mode());
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->round == seen && !pool->stop) pthread_cond_wait(&pool->begin, &pool->lock);
        if (pool->stop) break;
        seen = pool->round;
        if (!pool->open) continue;
        pool->busy++;
        pthread_mutex_unlock(&pool->lock);
        work(pool, seat.worker);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

support_pool *support_pool_create(int32_t workers) {
    int32_t wanted = workers > 1 ? workers - 1 : 0;
    support_pool *pool = calloc(1, sizeof *pool + (size_t)wanted * sizeof(pthread_t));
    if (!pool) return NULL;
    pool->begun = aligned_alloc(_Alignof(struct begun), ((size_t)wanted + 1) * sizeof *pool->begun);
    if (!pool->begun) {
        free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->begin, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->wanted = wanted;
    return pool;
}

/* Starts what is missing before the first round, when no thread holds the lock. */
static void start(support_pool *pool) {
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return;
    while (pool->started < pool->wanted) {
        struct seat *seat = malloc(sizeof *seat);
        if (!seat) break;
        seat->pool = pool;
        seat->worker = pool->started + 1;
        if (pthread_create(&pool->threads[pool->started], NULL, serve, seat) != 0) {
            free(seat);
            break;
        }
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void support_pool_run(support_pool *pool, int32_t items, support_job job, void *context) {
    if (pool->wanted > 0 && pool->owner == 0 && items > 1 && !support_is_first()) {
        pool->owner = getpid();
        start(pool);
    }
    pool->job = job;
    pool->context = context;
    pool->items = items;
    for (int32_t worker = 0; worker <= pool->wanted; worker++) atomic_store(&pool->begun[worker].count, 0);
    if (items < 2 || pool->started == 0 || pool->owner != getpid()) {
        work(pool, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->open = 1;
    pool->round++;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    work(pool, 0);
    pthread_mutex_lock(&pool->lock);
    pool->open = 0;
    while (pool->busy > 0) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void support_pool_destroy(support_pool *pool) {
    if (!pool) return;
    if (pool->started > 0 && pool->owner == getpid()) {
        pthread_mutex_lock(&pool->lock);
        pool->stop = 1;
        pthread_cond_broadcast(&pool->begin);
        pthread_mutex_unlock(&pool->lock);
        for (int32_t i = 0; i < pool->started; i++) pthread_join(pool->threads[i], NULL);
        pthread_cond_destroy(&pool->done);
        pthread_cond_destroy(&pool->begin);
        pthread_mutex_destroy(&pool->lock);
    }
    free(pool->begun);
    free(pool);
}
