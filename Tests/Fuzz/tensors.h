/* Tensors of rows that are known by their keys, in every layout that kvsieve_tensor has. */
#ifndef TENSORS_H
#define TENSORS_H

#include "numbers.h"

/* The key of a row's content; 0 for a row that nobody may read, which is NaN then. */
typedef uint64_t (*row_key)(const void *context, int64_t head, int64_t token);

typedef struct rows {
    int64_t heads, tokens;
    int32_t dim, dtype;
    row_key key;
    const void *context;
    enum numbers numbers;
} rows;

/* BESIDE: another tensor's rows would fit between these. The rest are in blocks. */
enum layout { BY_HEAD, BY_TOKEN, WIDE_HEADS, WIDE_TOKENS, BESIDE, BLOCKS_BY_TOKEN, BLOCKS_BY_HEAD, BLOCKS_APART, LAYOUTS };

/* With memory of its own (guarded.h), filled with the rows. */
kvsieve_tensor tensor_of(const rows *rows, enum layout layout);
/* Likewise, of FILLER alone: a target. */
kvsieve_tensor tensor_empty(int64_t heads, int64_t tokens, int32_t dim, int32_t dtype, enum layout layout);
/* Strides of dimensions of size 1, which are ignored, become something that no stride may be. */
void tensor_odd_strides(kvsieve_tensor *tensor);
enum layout layout_drawn(void);
char *row_of(const kvsieve_tensor *tensor, int64_t head, int64_t token);

#endif
