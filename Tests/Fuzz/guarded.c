#define _GNU_SOURCE
#include "guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PIECES = 192, PIECE = 1 << 23, PAGE = 4096 };

static char *memory; /* PIECES times PIECE bytes and a page, all behind a page */
static struct {
    char *start;
    size_t bytes;
} pieces[PIECES];
static int used;

static char *piece(int index) { return memory + PAGE + (size_t)index * (PIECE + PAGE); }

static void prepare(void) {
    const size_t all = PAGE + (size_t)PIECES * (PIECE + PAGE);
    memory = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        printf("the fuzzer itself is out of memory\n");
        _Exit(2);
    }
    for (int index = 0; index < PIECES; ++index)
        if (mprotect(piece(index), PIECE, PROT_READ | PROT_WRITE) != 0) _Exit(2);
}

void guarded_clear(void) { used = 0; }

void *guarded_take(size_t bytes, int at_end) {
    if (memory == NULL) prepare();
    if (used == PIECES || bytes > PIECE) {
        printf("the fuzzer has no piece of %zu bytes\n", bytes);
        abort();
    }
    pieces[used].start = piece(used) + (at_end ? PIECE - bytes : 0);
    pieces[used].bytes = bytes;
    memset(pieces[used].start, FILLER, bytes);
    return pieces[used++].start;
}

void *guarded_nowhere(void) {
    if (memory == NULL) prepare();
    return memory + PAGE / 2;
}

uint64_t bytes_hashed(const void *bytes, size_t count, uint64_t hash) {
    const unsigned char *byte = bytes;
    for (; count >= 8; byte += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, byte, 8);
        hash = (hash ^ word) * 1099511628211u;
        hash ^= hash >> 32;
    }
    for (; count > 0; ++byte, --count) hash = (hash ^ *byte) * 1099511628211u;
    return hash;
}

uint64_t guarded_hash(void) {
    uint64_t hash = 1;
    for (int index = 0; index < used; ++index) hash = bytes_hashed(pieces[index].start, pieces[index].bytes, hash);
    return hash;
}
