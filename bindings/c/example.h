/* What the examples share, so that they show the library and nothing else: a check of every status, and a seeded cache
 * of a small model in which the last queries really look at some tokens. T tokens, H key/value heads, D head size. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <kvsieve.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the example with the library's own sentence when a call fails. */
#define CHECK(call) example_check((call), #call, __LINE__)

static inline void example_check(kvsieve_status status, const char *call, int line) {
    if (status == KVSIEVE_OK) return;
    fprintf(stderr, "line %d: %s\n  %s: %s\n", line, call, kvsieve_status_name(status), kvsieve_last_error());
    exit(1);
}

static inline void *example_allocate(size_t bytes) {
    void *memory = malloc(bytes);
    if (memory == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return memory;
}

/* Uniform in [-1, 1); the same numbers on every machine (xorshift). */
static inline float example_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (float)(*seed >> 40) / 8388608.0f - 1.0f;
}

/* A float tensor (heads, tokens, dim), head after head, over `data`. */
static inline kvsieve_tensor example_tensor(float *data, int64_t heads, int64_t tokens, int32_t dim) {
    kvsieve_tensor tensor = { 0 };
    tensor.data = data;
    tensor.heads = heads;
    tensor.tokens = tokens;
    tensor.dim = dim;
    tensor.dtype = KVSIEVE_F32;
    tensor.token_stride = (int64_t)dim * (int64_t)sizeof(float);
    tensor.head_stride = tokens * tensor.token_stride;
    return tensor;
}

static inline void example_fill(float *data, int64_t count, uint64_t *seed) {
    for (int64_t i = 0; i < count; ++i) data[i] = example_random(seed);
}

/* Makes head `head` of `keys` answer the window: token `position` gets a key along the last query of its group. */
static inline void example_plant(const kvsieve_tensor *keys, int64_t head, int64_t position, const kvsieve_tensor *queries) {
    int64_t group = queries->heads / keys->heads;
    const float *query = (const float *)(const void *)((const char *)queries->data + head * group * queries->head_stride
                                                       + (queries->tokens - 1) * queries->token_stride);
    float *key = (float *)(void *)((char *)keys->data + head * keys->head_stride + position * keys->token_stride);
    for (int32_t d = 0; d < keys->dim; ++d) key[d] = 2.0f * query[d];
}

#endif
