/* Two plans of one sequence in lockstep. A gets wrong calls in between, inputs whose unread parts are NaN or cannot be touched,
 * and queries in chunks; B gets none of these, other layouts and another number of threads, and may have joined a group of one.
 * Both must always answer the same.
 * The model of the caches is a list of positions for each head: a row's content follows from its position. */
#ifndef PAIR_H
#define PAIR_H

#include "faults.h"
#include "tensors.h"

enum { A, B, MOST_LAYERS = 5, MOST_HEADS = 4, MOST_ROWS = 2048, MOST_NEW = 8 };
enum kind { QUERY_ROWS, KEY_ROWS, VALUE_ROWS, OTHER_ROWS, LOGIT_ROWS };

typedef struct pair {
    sizes sizes; /* method, layers, key/value heads */
    int32_t group, dim, value_dim, dtype[3];
    float scale;
    enum numbers numbers;
    uint64_t seed;
    kvsieve_plan *plan[2];
    int chunked;                       /* has A queries of the layer that is next? */
    int joined, decodes, align, looks; /* looks: are plans asked for what may still change? */
    int64_t seen, fresh;               /* tokens; those of this round */
    int32_t cache[MOST_LAYERS][MOST_HEADS][MOST_ROWS];
    int64_t length[MOST_LAYERS][MOST_HEADS];
    unsigned char protected[MOST_ROWS];
    int64_t bound[MOST_LAYERS]; /* of a prompt; 0: not known */
    int32_t observed;
    int finished;
    /* Decoding: layers that have stepped in this round, and tokens of it. */
    int32_t stepped;
    int64_t step_tokens[2], undoable;
    int32_t moves[MOST_LAYERS][MOST_HEADS][MOST_NEW];
} pair;

/* Draws method and sizes, makes both plans. */
void pair_begin(pair *p);
void pair_end(pair *p);
/* Draws parameters for both. */
void pair_settle(pair *p);
/* As they were in a new plan, with a budget in tokens. */
void pair_settle_plainly(pair *p);
double parameter_of(const pair *p, int32_t parameter, double otherwise);

/* Makes wrong calls on A: the right one with a fault, and others that this is not the time for. */
void pair_disturb(pair *p, const call *right);
/* Makes a call on A, after wrong ones, and the like on B. Both succeed, or fail alike. */
kvsieve_status pair_make(pair *p, const call *a, const call *b);
/* Both say the same of themselves. */
void pair_compare(const pair *p);
void wrong_times(pair *p);
/* A finish of B in which the engine's collective fails, if B has joined. */
void pair_fail_to_gather(const pair *p);

uint64_t pair_key(const pair *p, enum kind kind, int32_t layer, int64_t head, int64_t position);
int64_t longest_of(const pair *p, int32_t layer);
/* The row of a tensor with which a head begins. */
int64_t first_row(const pair *p, int32_t layer, int64_t head, int64_t rows);
/* Keys, values or another tensor of the caches, with all rows or as many as `rows`. */
kvsieve_tensor cache_tensor(const pair *p, enum kind kind, int32_t layer, int64_t rows, enum layout layout);
/* Queries of tokens that end before `end`; those before the last `read` are NaN. */
kvsieve_tensor query_tensor(const pair *p, int32_t layer, int64_t end, int64_t rows, int64_t read, enum layout layout);
int32_t needs_of(const pair *p, int32_t layer);

/* A prompt or further tokens: observed, finished, gathered. 0 if the plan refused it for good. */
int pair_observe(pair *p);
call observe_call(pair *p, int who, int32_t layer);
call attention_call(pair *p, int who, int32_t layer, int32_t kind, uint64_t drawn);
int pair_queries(pair *p, int32_t layer);
void pair_gather(pair *p);
/* Steps of all layers, then a trim. 0 if the plan takes no more. */
int pair_step(pair *p);

/* Of one file or one seed: everything. */
void play(void);

#endif
