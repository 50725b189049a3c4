/* A small sequence, plans for it with every method, and what a plan has decided as one number to compare.
 * L 4 layers, Hq 4 query heads, H 2 key/value heads, D 16, T 96 tokens; all different, none special. All T tokens have a query
 * row, whatever the method's window. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "registry.h"

#include <stddef.h>

enum { LAYERS = 4, QUERY_HEADS = 4, HEADS = 2, DIM = 16, TOKENS = 96, BUDGET = TOKENS / 3 };

typedef struct sequence {
    int32_t tokens, dtype;
    kvsieve_tensor queries[LAYERS], keys[LAYERS], values[LAYERS];
} sequence;

kvsieve_model small_model(void);

/* Head-major tensors of seeded numbers; f16 and bf16 have the values of the float ones, rounded. */
sequence *sequence_new(int32_t tokens, int32_t dtype, uint64_t seed);
void sequence_free(sequence *s);
/* snapshot_holds() tells whether a tensor was written since. */
void sequence_remember(const sequence *s);
uint64_t bytes_hash(const void *bytes, size_t count, uint64_t hash);

/* A tensor (heads, tokens, DIM) of zeros that the caller frees by free(t.data). */
kvsieve_tensor tensor_new(int64_t heads, int64_t tokens, int32_t dim, int32_t dtype);
int64_t element_size(int32_t dtype);
/* Element d of a row as float, and the way back. */
float element(const kvsieve_tensor *t, int64_t head, int64_t token, int32_t d);
void element_set(const kvsieve_tensor *t, int64_t head, int64_t token, int32_t d, float value);

/* A plan whose parameters make TOKENS tokens too many for it (contract.c checks that). NULL never: a failure ends the program. */
kvsieve_plan *plan_new(int32_t method);
/* Likewise for another model and budget. */
kvsieve_plan *plan_for(int32_t method, kvsieve_model model, int32_t budget);

/* What a plan of plan_new() looks at of 'q', 'k' or 'v' in a layer, by kvsieve_plan_needs(). */
enum reading { UNREAD, SHAPE_ONLY, READ };
enum reading reads(int32_t method, int32_t layer, char which);
enum reading reading_of(int32_t needs, char which);
/* The fewest query rows that it takes of so many tokens; those that it reads are the last of all. 0 if it reads none. */
int64_t fewest_queries(int32_t method, int64_t tokens);

kvsieve_kept kept_of(const kvsieve_plan *plan, int32_t layer);
kvsieve_status observe(kvsieve_plan *plan, int32_t layer, const sequence *s);
/* Layers from ... to - 1, which must succeed. */
void observe_range(kvsieve_plan *plan, int32_t from, int32_t to, const sequence *s);
/* All that an observed or finished plan says: kept of every layer and, when finished, gathered keys and values. */
uint64_t plan_hash(const kvsieve_plan *plan, const sequence *s, int finished);
/* Of an undisturbed plan. */
uint64_t reference_hash(int32_t method, const sequence *s);

/* When a misuse is made: before the first layer, after that many layers were observed, or after finish. */
enum { BEFORE = 0, AFTER_ALL = LAYERS, FINISHED = LAYERS + 1 };

#endif
