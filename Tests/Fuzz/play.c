/* A sequence of calls from its beginning to its end, as the choices have it. */
#include "choices.h"
#include "guarded.h"
#include "pair.h"

#include <string.h>

static int both(pair *p, enum function function, int64_t first, int64_t tokens) {
    call a = call_new(function, p->plan[A]), b = call_new(function, p->plan[B]);
    a.first = b.first = first;
    a.tokens = b.tokens = tokens;
    return pair_make(p, &a, &b) == KVSIEVE_OK;
}

/* Ranges of the round's tokens. */
static void protect(pair *p) {
    for (int count = chance(4) ? (int)choice(4) : 0; count > 0; --count) {
        const int64_t first = p->seen - p->fresh + (int64_t)choice((uint64_t)p->fresh);
        const int64_t tokens = choice_between(1, p->seen - first < 6 ? p->seen - first : 6);
        HOLDS(both(p, PROTECT, first, tokens), "protect of %lld from %lld of %lld: %s", (long long)tokens, (long long)first,
              (long long)p->seen, kvsieve_last_error());
        memset(p->protected + first, 1, (size_t)tokens);
    }
}

static void begin_prompt(pair *p) {
    p->seen = p->fresh = chance(6) ? choice_between(1, 8) : chance(10) ? choice_between(120, 400) : choice_between(9, 90);
    p->observed = p->finished = 0;
    p->stepped = 0, p->undoable = 0;
    memset(p->protected, 0, sizeof p->protected);
    memset(p->bound, 0, sizeof p->bound);
    for (int32_t layer = 0; layer < p->sizes.layers; ++layer)
        for (int32_t head = 0; head < p->sizes.heads; ++head) {
            p->length[layer][head] = p->seen;
            for (int32_t i = 0; i < p->seen; ++i) p->cache[layer][head][i] = i;
        }
}

static int extend(pair *p) {
    const int64_t tokens = choice_between(1, chance(4) ? 60 : 12);
    guarded_clear();
    HOLDS(both(p, EXTEND, 0, tokens), "extend by %lld: %s", (long long)tokens, kvsieve_last_error());
    p->observed = p->finished = 0;
    for (int32_t layer = 0; layer < p->sizes.layers; ++layer)
        for (int32_t head = 0; head < p->sizes.heads; ++head)
            for (int64_t i = 0; i < tokens; ++i) p->cache[layer][head][p->length[layer][head]++] = (int32_t)(p->seen + i);
    p->seen += tokens;
    p->fresh = tokens;
    protect(p);
    if (!pair_observe(p)) return 0;
    pair_gather(p);
    return 1;
}

static void prompt(pair *p) {
    int rounds = (int)choice(5);
    begin_prompt(p);
    guarded_clear();
    protect(p);
    if (!pair_observe(p)) return;
    pair_gather(p);
    if (parameter_of(p, KVSIEVE_DECODING, 0) == 1)
        for (rounds *= 4; rounds > 0 && pair_step(p); --rounds) {
        }
    else
        for (; rounds > 0 && extend(p); --rounds) {
        }
}

void play(void) {
    static pair p;
    int sequences = (int)choice_between(1, 3);
    guarded_clear();
    pair_begin(&p);
    for (;;) {
        pair_settle(&p);
        prompt(&p);
        /* Now and then, by no choice of its own: it knows nothing of plans that are not its. */
        if (p.seen % 64 == 1) HOLDS(kvsieve_self_check() == KVSIEVE_OK, "self-check: %s", kvsieve_last_error());
        if (--sequences == 0 || !choices_left()) break;
        /* In any state. */
        for (int who = 0; who < 2; ++who) {
            const call reset = call_new(RESET, p.plan[who]);
            if (who == A) pair_disturb(&p, &reset);
            call_succeeds(&reset);
        }
        p.observed = p.finished = 0;
        p.seen = p.fresh = 0;
    }
    pair_end(&p);
}
