#include "blocks.h"

#include "harness.h"

#include <string.h>

uint64_t blocks_seed = 7;

uint64_t blocks_chance(uint64_t below) {
    blocks_seed ^= blocks_seed << 13;
    blocks_seed ^= blocks_seed >> 7;
    blocks_seed ^= blocks_seed << 17;
    return (blocks_seed >> 11) % below;
}

void paged_new(paged *p, int layout, int32_t block, int64_t heads, int64_t tokens, int32_t dim, int32_t dtype) {
    const int64_t row = dim * element_size(dtype), entries = (tokens + block - 1) / block, blocks = 2 * entries + 1;
    const size_t bytes = (size_t)(blocks * block * heads * row * (layout == INTERLEAVED ? 2 : 1));
    memset(p, 0, sizeof *p);
    p->memory = memset(take(bytes), 0x5a, bytes);
    p->t.data = (char *)p->memory + (layout == INTERLEAVED ? block * heads * row : 0);
    p->t.heads = heads, p->t.tokens = tokens, p->t.dim = dim, p->t.dtype = dtype;
    p->t.token_stride = layout == BY_HEAD ? row : heads * row;
    p->t.head_stride = layout == BY_HEAD ? block * row : row;
    p->t.block_stride = block * heads * row * (layout == INTERLEAVED ? 2 : 1);
    p->t.block_tokens = block;
    p->t.block_count = (int32_t)blocks;
    p->t.blocks = p->table;
    for (int64_t i = 0, next = 0; i < entries; ++i, ++next) p->table[i] = (int32_t)(next += (int64_t)blocks_chance(2));
    for (int64_t i = entries - 1; i > 0; --i) {
        const int64_t other = (int64_t)blocks_chance((uint64_t)i + 1);
        const int32_t entry = p->table[i];
        p->table[i] = p->table[other];
        p->table[other] = entry;
    }
}

char *row_of(const kvsieve_tensor *t, int64_t head, int64_t token) {
    char *start = (char *)t->data + head * t->head_stride;
    if (!t->blocks) return start + token * t->token_stride;
    return start + t->blocks[token / t->block_tokens] * t->block_stride + token % t->block_tokens * t->token_stride;
}

void paged_copy(paged *p, int layout, int32_t block, const kvsieve_tensor *from) {
    paged_new(p, layout, block, from->heads, from->tokens, from->dim, from->dtype);
    for (int64_t head = 0; head < from->heads; ++head)
        for (int64_t token = 0; token < from->tokens; ++token)
            memcpy(row_of(&p->t, head, token), row_of(from, head, token), (size_t)(from->dim * element_size(from->dtype)));
}
