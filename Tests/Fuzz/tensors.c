#include "tensors.h"

#include "choices.h"
#include "guarded.h"

#include <string.h>

enum layout layout_drawn(void) { return (enum layout)choice(LAYOUTS); }

char *row_of(const kvsieve_tensor *t, int64_t head, int64_t token) {
    char *start = (char *)t->data + head * t->head_stride;
    if (t->blocks == NULL) return start + token * t->token_stride;
    return start + t->blocks[token / t->block_tokens] * t->block_stride + token % t->block_tokens * t->token_stride;
}

/* In blocks, of which there are more than the table names, in any order. */
static void put_in_blocks(kvsieve_tensor *t, enum layout layout, int64_t row) {
    const int64_t block = choice_between(1, chance(4) ? 40 : 9), entries = (t->tokens + block - 1) / block;
    const int64_t blocks = entries + (int64_t)choice(4), gap = chance(2) ? alignment_of(t->dtype) : 0;
    int32_t *table = guarded_take((size_t)entries * sizeof *table, 1);
    t->block_tokens = (int32_t)block;
    t->block_count = chance(2) ? (int32_t)blocks : 0;
    t->token_stride = layout == BLOCKS_BY_HEAD ? row : t->heads * row;
    t->head_stride = layout == BLOCKS_BY_HEAD ? block * row : row;
    t->block_stride = block * t->heads * row * (layout == BLOCKS_APART ? 2 : 1) + gap;
    for (int64_t i = 0; i < entries; ++i) table[i] = (int32_t)(i + (blocks - entries) / 2);
    for (int64_t i = entries - 1; i > 0; --i) {
        const int64_t other = (int64_t)choice((uint64_t)i + 1);
        const int32_t entry = table[i];
        table[i] = table[other];
        table[other] = entry;
    }
    t->blocks = table;
    t->data = guarded_take((size_t)(blocks * t->block_stride), chance(5) ? 0 : 1);
}

kvsieve_tensor tensor_empty(int64_t heads, int64_t tokens, int32_t dim, int32_t dtype, enum layout layout) {
    const int64_t row = row_bytes(dtype, dim), unit = alignment_of(dtype);
    kvsieve_tensor t;
    memset(&t, 0, sizeof t);
    t.heads = heads;
    t.tokens = tokens;
    t.dim = dim;
    t.dtype = dtype;
    switch (layout) {
    case BY_HEAD: t.token_stride = row, t.head_stride = tokens * row; break;
    case BY_TOKEN: t.head_stride = row, t.token_stride = heads * row; break;
    case WIDE_HEADS: t.token_stride = row + unit, t.head_stride = tokens * t.token_stride + 3 * unit; break;
    case WIDE_TOKENS: t.head_stride = row + unit, t.token_stride = heads * t.head_stride + 2 * unit; break;
    case BESIDE: t.token_stride = 2 * row, t.head_stride = tokens * 2 * row; break;
    default: put_in_blocks(&t, layout, row); return t;
    }
    t.data = guarded_take((size_t)((heads - 1) * t.head_stride + (tokens - 1) * t.token_stride + row), chance(5) ? 0 : 1);
    return t;
}

kvsieve_tensor tensor_of(const rows *rows, enum layout layout) {
    kvsieve_tensor t = tensor_empty(rows->heads, rows->tokens, rows->dim, rows->dtype, layout);
    for (int64_t head = 0; head < rows->heads; ++head)
        for (int64_t token = 0; token < rows->tokens; ++token) {
            const uint64_t key = rows->key(rows->context, head, token);
            if (key != 0) row_fill(row_of(&t, head, token), rows->dtype, rows->dim, key, rows->numbers);
        }
    return t;
}

void tensor_odd_strides(kvsieve_tensor *t) {
    if (t->heads == 1) t->head_stride = -7;
    if (t->tokens == 1 || (t->blocks != NULL && t->block_tokens == 1)) t->token_stride = INT64_MIN;
}
