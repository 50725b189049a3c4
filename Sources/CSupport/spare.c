/* Memory in reserve, for what malloc has refused to the Swift runtime (KVSieve/allocators.c): the runtime would end the process.
 *
 * A call of the library says how much it may need (call.c), and does not begin unless the spare memory has as much for each of the
 * calls that are running. What is taken is freed like any memory, and serves the next. Blocks lie one after another in a piece;
 * the first that is large enough is taken, and free neighbours become one. There are few, and only if memory is short. */
#include "csupport.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum { UNIT = 16, FIRST = 192 << 10 };

struct block {
    size_t bytes; /* behind this header, a multiple of UNIT */
    size_t taken;
};

struct piece {
    struct piece *next;
    size_t bytes; /* of its blocks, with their headers */
};

/* Zeros until something is taken: they have no room in the library's file, and no page of memory. */
static struct {
    struct piece piece;
    _Alignas(UNIT) unsigned char blocks[FIRST];
} first;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct piece *pieces = &first.piece; /* the newest first; none is ever given back */
static size_t capacity = FIRST;             /* of all pieces */
static size_t wanted;                       /* by the calls that are running */
static long taken;                          /* blocks */

static struct block *begin_of(struct piece *piece) { return (struct block *)(void *)(piece + 1); }
static char *memory_of(struct block *block) { return (char *)(block + 1); }
static struct block *after(struct block *block) { return (struct block *)(void *)(memory_of(block) + block->bytes); }
static struct block *end_of(struct piece *piece) { return (struct block *)(void *)((char *)(piece + 1) + piece->bytes); }

/* The lock is held. */
static void prepare(struct piece *piece) {
    struct block *block = begin_of(piece);
    if (piece->bytes == 0) piece->bytes = FIRST;
    if (block->bytes == 0) block->bytes = piece->bytes - sizeof *block;
}

/* Makes one block of a free one and the free ones behind it. */
static void join(struct piece *piece, struct block *block) {
    for (struct block *next = after(block); next < end_of(piece) && !next->taken; next = after(block))
        block->bytes += sizeof *next + next->bytes;
}

static void cut(struct block *block, size_t bytes) {
    if (block->bytes < bytes + sizeof *block + UNIT) return;
    struct block rest = { block->bytes - bytes - sizeof *block, 0 };
    block->bytes = bytes;
    *after(block) = rest;
}

void *support_spare_take(size_t alignment, size_t bytes) {
    void *found = NULL;
    if (alignment < UNIT) alignment = UNIT;
    if (bytes > SIZE_MAX / 4 || alignment > 4096) return NULL;
    const size_t whole = (bytes + 2 * UNIT - 1) / UNIT * UNIT + alignment - UNIT;
    pthread_mutex_lock(&lock);
    for (struct piece *piece = pieces; piece && !found; piece = piece->next) {
        prepare(piece);
        for (struct block *block = begin_of(piece); block < end_of(piece); block = after(block)) {
            if (block->taken) continue;
            join(piece, block);
            if (block->bytes < whole) continue;
            cut(block, whole);
            block->taken = 1;
            const uintptr_t start = (uintptr_t)memory_of(block);
            found = memory_of(block) + (alignment - start % alignment) % alignment;
            __atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST);
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static struct piece *piece_of(const void *memory) {
    if (__atomic_load_n(&taken, __ATOMIC_ACQUIRE) == 0) return NULL;
    struct piece *piece = __atomic_load_n(&pieces, __ATOMIC_ACQUIRE);
    while (piece && ((const char *)memory < (char *)(piece + 1) || (const char *)memory >= (char *)end_of(piece)))
        piece = piece->next;
    return piece;
}

/* The lock is held. */
static struct block *block_of(struct piece *piece, const void *memory) {
    struct block *block = begin_of(piece);
    while ((const char *)after(block) <= (const char *)memory) block = after(block);
    return block;
}

size_t support_spare_size(const void *memory) {
    struct piece *piece = memory ? piece_of(memory) : NULL;
    if (!piece) return 0;
    pthread_mutex_lock(&lock);
    struct block *block = block_of(piece, memory);
    const size_t size = (size_t)((char *)after(block) - (const char *)memory);
    pthread_mutex_unlock(&lock);
    return size;
}

int support_spare_give(void *memory) {
    struct piece *piece = memory ? piece_of(memory) : NULL;
    if (!piece) return 0;
    pthread_mutex_lock(&lock);
    block_of(piece, memory)->taken = 0;
    __atomic_fetch_sub(&taken, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&lock);
    return 1;
}

/* Free bytes, in blocks that are as large as one call may need. The lock is held. */
static size_t there(size_t need) {
    size_t sum = 0;
    if (taken == 0) return capacity;
    for (struct piece *piece = pieces; piece; piece = piece->next) {
        prepare(piece);
        for (struct block *block = begin_of(piece); block < end_of(piece); block = after(block)) {
            if (block->taken) continue;
            join(piece, block);
            if (block->bytes >= need) sum += block->bytes;
        }
    }
    return sum;
}

int support_spare_want(size_t need) {
    const size_t all = __atomic_add_fetch(&wanted, need, __ATOMIC_SEQ_CST);
    if (all <= __atomic_load_n(&capacity, __ATOMIC_ACQUIRE) && __atomic_load_n(&taken, __ATOMIC_SEQ_CST) == 0) return 1;
    pthread_mutex_lock(&lock);
    const size_t free = there(need);
    int enough = all <= free;
    if (!enough) {
        const size_t more = all - free > need ? all - free : need, bytes = (more + 2 * UNIT - 1) / UNIT * UNIT;
        struct piece *piece = memalign(UNIT, sizeof *piece + bytes);
        if (piece) {
            const struct block block = { bytes - sizeof block, 0 };
            *begin_of(piece) = block;
            piece->next = pieces;
            piece->bytes = bytes;
            __atomic_store_n(&pieces, piece, __ATOMIC_RELEASE);
            __atomic_store_n(&capacity, capacity + bytes, __ATOMIC_RELEASE);
            enough = 1;
        }
    }
    pthread_mutex_unlock(&lock);
    if (!enough) support_spare_done(need);
    return enough;
}

void support_spare_done(size_t need) { __atomic_fetch_sub(&wanted, need, __ATOMIC_SEQ_CST); }

void support_spare_fork_begins(void) { pthread_mutex_lock(&lock); }
void support_spare_fork_is_over(void) { pthread_mutex_unlock(&lock); }

void support_spare_only(size_t need) { wanted = need; }
