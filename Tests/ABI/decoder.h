/* A sequence that is decoded over a cache as an engine keeps it: rounds of 1, 3 (2 of them taken back), 1 and 2 tokens
 * after the prompt of fixture.h, of fewer if a method does not take as many at once. All answers of the plan make one number,
 * `trace`; so a plan that was disturbed can be compared with one that was not.
 * C 32 slots. A step takes at most as many tokens as are never evicted: fewer than there are slots. */
#ifndef DECODER_H
#define DECODER_H

#include "fixture.h"

enum { SLOTS = BUDGET, MOST = SLOTS + 1, ROUNDS = 4 };
/* Tokens of a round, and how many of them are taken back at its end. */
int round_tokens(int32_t method, int round);
int round_rejected(int32_t method, int round);
/* The most tokens of a step; MOST is one too many for every method. */
int most_tokens(int32_t method);
/* What a step looks at: 'q', 'k' or 'v', or with `by_logits` 'z' (logits) or 'v'. */
enum reading step_reads(int32_t method, int by_logits, char which);

typedef struct decoder {
    int32_t method;
    int by_logits; /* kvsieve_plan_step_logits() */
    kvsieve_plan *plan;
    kvsieve_tensor keys[LAYERS], values[LAYERS]; /* (HEADS, SLOTS + MOST, DIM) */
    kvsieve_tensor queries, logits;              /* memory of the call that is made */
    int64_t living, tokens;
    int round;     /* the current one or the next */
    int32_t layer; /* the next to step; LAYERS: all have stepped, and nothing was trimmed or moved yet */
    int32_t evict[LAYERS][HEADS * MOST];
    uint64_t trace;
} decoder;

/* What one step is given; a pointer of the call is NULL where `missing` has its letter: p (plan), q, k, v, z (logits), e (slot). */
typedef struct step_call {
    int32_t layer, *evict;
    char missing;
    kvsieve_tensor queries, keys, values, logits;
} step_call;

/* A plan with DECODING 1, and one that is finished, its kept rows gathered. */
kvsieve_plan *decoding_plan(int32_t method);
decoder *decoder_new(int32_t method, int by_logits);
decoder *decoder_on(int threads, int32_t method, int by_logits);
/* The same with so many tokens protected, from position 5 on. */
decoder *decoder_protecting(int threads, int32_t method, int by_logits, int64_t tokens);
void decoder_free(decoder *d);
/* The right call of the next layer to step (of layer 0, if all have stepped), but with so many tokens. Its rows are written after
 * those in use. `evict` has room for MOST tokens. */
step_call decoder_call(decoder *d, int tokens, int32_t *evict);
kvsieve_status make_call(const decoder *d, const step_call *call);
/* Makes right calls, which must succeed, until that layer of that round is the next. `call` makes them if it is not NULL. */
typedef kvsieve_status (*step_maker)(decoder *d, step_call *call, const void *context);
void decoder_until(decoder *d, int round, int32_t layer, step_maker call, const void *context);
/* Of the slots of all layers and heads. */
uint64_t slots_hash(const kvsieve_plan *plan);

/* When a call is made: before `layer` of `round` steps; LAYERS: all have stepped, nothing was trimmed or moved yet. */
struct moment {
    int round;
    int32_t layer;
};
static const struct moment first = { 0, 0 }, amid = { 1, 2 }, before_trim = { 1, LAYERS }, last = { 3, LAYERS - 1 };

/* The trace of an undisturbed sequence. */
uint64_t undisturbed(int32_t method, int by_logits);
/* `wrong` is given the right call of that moment; expects `status`, a sentence with `words`, evict, slots and tensors untouched,
 * and a sequence that continues as an undisturbed one. */
void refused_at(struct moment when, int32_t method, int by_logits, step_maker wrong, const void *context, kvsieve_status status,
                const char *words);
/* Every call of a sequence is made by `make`, and all results are as before. */
void changes_nothing(int32_t method, int by_logits, step_maker make, const void *context);

#define EVERY_WAY(method, by_logits)                        \
    EVERY_DECODER (method)                                  \
        for (int by_logits = 0; by_logits < 2; ++by_logits)

#endif
