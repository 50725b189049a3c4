/* Tensors in blocks of a table, as vLLM and others hold a cache: (blocks, block, H, D), (blocks, H, block, D), and the second half
 * of (blocks, 2, block, H, D). The blocks are drawn, in no order. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "fixture.h"

enum { BY_TOKEN, BY_HEAD, INTERLEAVED, LAYOUTS, MOST_ENTRIES = TOKENS };

/* A tensor in blocks, and what it lies in. */
typedef struct paged {
    kvsieve_tensor t;
    void *memory;
    int32_t table[MOST_ENTRIES];
} paged;

/* (heads, tokens, dim) in blocks of a pool that has twice as many; the rows are 0x5a. */
void paged_new(paged *p, int layout, int32_t block, int64_t heads, int64_t tokens, int32_t dim, int32_t dtype);
/* With the rows of another tensor. */
void paged_copy(paged *p, int layout, int32_t block, const kvsieve_tensor *from);
/* Where a row begins, with a table or without. */
char *row_of(const kvsieve_tensor *t, int64_t head, int64_t token);

/* What blocks are drawn by: a number below `below`, and the state, for a message. */
uint64_t blocks_chance(uint64_t below);
extern uint64_t blocks_seed;

#endif
