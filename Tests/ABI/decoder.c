#define _GNU_SOURCE
#include "decoder.h"

#include "harness.h"
#include "snapshot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(kvsieve_status status, const char *what) {
    if (status == KVSIEVE_OK) return;
    printf("FATAL %s: %s: %s\n0 passed, 1 failed\n", what, kvsieve_status_name(status), kvsieve_last_error());
    fflush(NULL);
    exit(2);
}

/* Numbers that depend on what they are for, and on nothing that happened. */
static void fill_rows(const kvsieve_tensor *t, int64_t first, uint64_t what) {
    uint64_t seed = what * 2654435761u + 88172645463325252u;
    for (int64_t head = 0; head < t->heads; ++head)
        for (int64_t token = first; token < t->tokens; ++token)
            for (int32_t d = 0; d < t->dim; ++d) {
                seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                element_set(t, head, token, d, (float)(seed >> 40) / 4194304.0f - 2.0f);
            }
}

kvsieve_plan *decoding_plan(int32_t method) {
    kvsieve_plan *plan = plan_new(method);
    must(kvsieve_plan_set(plan, KVSIEVE_BUDGET, SLOTS), "budget");
    must(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1), "decoding");
    return plan;
}

enum reading step_reads(int32_t method, int by_logits, char which) {
    /* Logits take the place of queries and keys, and of keys whose shape alone counts. */
    if (which != 'v' && by_logits != (which == 'z')) return UNREAD;
    return reads(method, 0, which == 'z' ? 'k' : which);
}

int most_tokens(int32_t method) {
    static int known[MOST_METHODS];
    int *most = &known[method_index(method)];
    if (*most == 0) {
        decoder *d = decoder_new(method, 0);
        int32_t evict[HEADS * MOST];
        step_call call;
        for (*most = MOST; *most > 1; --*most) {
            call = decoder_call(d, *most, evict);
            if (make_call(d, &call) == KVSIEVE_OK) break;
        }
        decoder_free(d);
    }
    return *most;
}

int round_tokens(int32_t method, int round) {
    static const int tokens[ROUNDS] = { 1, 3, 1, 2 };
    return tokens[round] < most_tokens(method) ? tokens[round] : most_tokens(method);
}

int round_rejected(int32_t method, int round) {
    static const int rejected[ROUNDS] = { 0, 2, 0, 0 };
    return rejected[round] < round_tokens(method, round) ? rejected[round] : round_tokens(method, round);
}

decoder *decoder_new(int32_t method, int by_logits) { return decoder_on(1, method, by_logits); }

decoder *decoder_on(int threads, int32_t method, int by_logits) { return decoder_protecting(threads, method, by_logits, 0); }

decoder *decoder_protecting(int threads, int32_t method, int by_logits, int64_t tokens) {
    decoder *d = take(sizeof *d);
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    d->method = method;
    d->by_logits = by_logits;
    d->plan = decoding_plan(method);
    must(kvsieve_plan_set(d->plan, KVSIEVE_THREADS, threads), "threads");
    if (tokens > 0) must(kvsieve_plan_protect(d->plan, 5, tokens), "protect");
    d->queries = tensor_new(QUERY_HEADS, MOST, DIM, KVSIEVE_F32);
    d->logits = tensor_new(QUERY_HEADS, MOST, SLOTS + MOST, KVSIEVE_F32);
    for (int32_t layer = 0; layer < LAYERS; ++layer) must(observe(d->plan, layer, s), "observe");
    must(kvsieve_plan_finish(d->plan), "finish");
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        d->keys[layer] = tensor_new(HEADS, SLOTS + MOST, DIM, KVSIEVE_F32);
        d->values[layer] = tensor_new(HEADS, SLOTS + MOST, DIM, KVSIEVE_F32);
        must(kvsieve_plan_gather(d->plan, layer, &s->keys[layer], &d->keys[layer]), "gather");
        must(kvsieve_plan_gather(d->plan, layer, &s->values[layer], &d->values[layer]), "gather");
    }
    d->living = SLOTS;
    d->tokens = TOKENS;
    d->trace = slots_hash(d->plan);
    sequence_free(s);
    return d;
}

void decoder_free(decoder *d) {
    for (int layer = 0; layer < LAYERS; ++layer) {
        free(d->keys[layer].data);
        free(d->values[layer].data);
    }
    free(d->queries.data);
    free(d->logits.data);
    kvsieve_plan_destroy(d->plan);
    free(d);
}

/* The same memory, of which fewer tokens are looked at. */
static kvsieve_tensor first_tokens(kvsieve_tensor t, int64_t tokens) {
    t.tokens = tokens;
    return t;
}

static void fill_logits(const step_call *call) {
    for (int64_t q = 0; q < QUERY_HEADS; ++q)
        for (int64_t i = 0; i < call->logits.tokens; ++i)
            for (int32_t row = 0; row < call->logits.dim; ++row) {
                double sum = 0;
                for (int32_t d = 0; d < DIM; ++d)
                    sum +=
                        (double)element(&call->queries, q, i, d) * (double)element(&call->keys, q / (QUERY_HEADS / HEADS), row, d);
                element_set(&call->logits, q, i, row, (float)(sum / sqrt(DIM)));
            }
}

step_call decoder_call(decoder *d, int tokens, int32_t *evict) {
    step_call call;
    const uint64_t seed = (uint64_t)d->round * 1000 + (uint64_t)(d->layer % LAYERS) * 10;
    memset(&call, 0, sizeof call);
    call.layer = d->layer % LAYERS;
    call.evict = evict;
    call.queries = first_tokens(d->queries, tokens);
    call.keys = first_tokens(d->keys[call.layer], d->living + tokens);
    call.values = first_tokens(d->values[call.layer], d->living + tokens);
    call.logits = first_tokens(d->logits, tokens);
    call.logits.dim = (int32_t)(d->living + tokens);
    fill_rows(&call.queries, 0, seed + 1);
    fill_rows(&call.keys, d->living, seed + 2);
    fill_rows(&call.values, d->living, seed + 3);
    fill_logits(&call);
    memset(evict, 0x5a, HEADS * MOST * sizeof *evict);
    return call;
}

/* All that a step is given. */
static void remember(const decoder *d) {
    snapshot_begin();
    snapshot_add(&d->queries);
    snapshot_add(&d->logits);
    for (int layer = 0; layer < LAYERS; ++layer) {
        snapshot_add(&d->keys[layer]);
        snapshot_add(&d->values[layer]);
    }
}

kvsieve_status make_call(const decoder *d, const step_call *call) {
    const kvsieve_tensor *queries = call->missing == 'q' ? NULL : &call->queries, *keys = call->missing == 'k' ? NULL : &call->keys;
    const kvsieve_tensor *values = call->missing == 'v' ? NULL : &call->values,
                         *logits = call->missing == 'z' ? NULL : &call->logits;
    int32_t *evict = call->missing == 'e' ? NULL : call->evict;
    kvsieve_plan *plan = call->missing == 'p' ? NULL : d->plan;
    kvsieve_status status;
    remember(d);
    status = d->by_logits ? kvsieve_plan_step_logits(plan, call->layer, logits, values, evict)
                          : kvsieve_plan_step(plan, call->layer, queries, keys, values, evict);
    EXPECT(snapshot_holds(), "a tensor of the caller was written");
    return status;
}

/* Rejected tokens are taken back, the others move. */
static void end_round(decoder *d) {
    const int tokens = round_tokens(d->method, d->round), stay = tokens - round_rejected(d->method, d->round);
    must(kvsieve_plan_trim(d->plan, tokens - stay), "trim");
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        for (int head = 0; head < HEADS; ++head)
            for (int i = 0; i < stay; ++i) {
                const int32_t slot = d->evict[layer][head * tokens + i];
                kvsieve_tensor *tensors[] = { &d->keys[layer], &d->values[layer] };
                d->trace = bytes_hash(&slot, sizeof slot, d->trace);
                for (int k = 0; slot >= 0 && slot < SLOTS && k < 2; ++k) {
                    char *data = (char *)tensors[k]->data + head * tensors[k]->head_stride;
                    memcpy(data + slot * DIM * 4, data + (d->living + i) * DIM * 4, DIM * 4);
                }
            }
    d->living = d->living + stay < SLOTS ? d->living + stay : SLOTS;
    d->tokens += stay;
    d->trace ^= slots_hash(d->plan);
    d->layer = 0;
    ++d->round;
}

void decoder_until(decoder *d, int round, int32_t layer, step_maker make, const void *context) {
    while (d->round < round || (d->round == round && d->layer < layer)) {
        step_call call;
        if (d->layer == LAYERS) {
            end_round(d);
            continue;
        }
        call = decoder_call(d, round_tokens(d->method, d->round), d->evict[d->layer]);
        must(make ? make(d, &call, context) : make_call(d, &call), "step");
        ++d->layer;
    }
}

uint64_t slots_hash(const kvsieve_plan *plan) {
    uint64_t hash = 14695981039346656037u;
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        for (int32_t head = 0; head < HEADS; ++head) {
            kvsieve_slots slots = { 0 };
            slots.struct_size = sizeof slots;
            must(kvsieve_plan_slots(plan, layer, head, &slots), "slots");
            hash = bytes_hash(&slots.length, sizeof slots.length, hash);
            hash = bytes_hash(&slots.tokens, sizeof slots.tokens, hash);
            hash = bytes_hash(slots.positions, sizeof *slots.positions * (size_t)slots.length, hash);
        }
    return hash;
}

uint64_t undisturbed(int32_t method, int by_logits) {
    static uint64_t known[MOST_METHODS][2];
    uint64_t *trace = &known[method_index(method)][by_logits];
    if (*trace == 0) {
        decoder *d = decoder_new(method, by_logits);
        decoder_until(d, ROUNDS, 0, NULL, NULL);
        *trace = d->trace;
        decoder_free(d);
    }
    return *trace;
}

void refused_at(struct moment when, int32_t method, int by_logits, step_maker wrong, const void *context, kvsieve_status status,
                const char *words) {
    static int number;
    decoder *d = decoder_new(method, by_logits);
    int32_t evict[HEADS * MOST], before[HEADS * MOST];
    step_call call;
    uint64_t slots;
    decoder_until(d, when.round, when.layer, NULL, NULL);
    call = decoder_call(d, round_tokens(method, when.round), evict);
    memcpy(before, evict, sizeof evict);
    slots = slots_hash(d->plan);
    if (EXPECT_STATUS(wrong(d, &call, context), status))
        EXPECT(error_names(words), "looked for \"%s\" in \"%s\"", words, kvsieve_last_error());
    EXPECT(memcmp(evict, before, sizeof evict) == 0, "evict was written");
    EXPECT(slots_hash(d->plan) == slots, "the slots are others");
    if (!left_out(number++)) {
        decoder_call(d, round_tokens(method, when.round), evict); /* rows as they were */
        decoder_until(d, ROUNDS, 0, NULL, NULL);
        EXPECT(d->trace == undisturbed(method, by_logits), "%s goes on otherwise", method_name(method));
    }
    decoder_free(d);
}

void changes_nothing(int32_t method, int by_logits, step_maker make, const void *context) {
    decoder *d = decoder_new(method, by_logits);
    decoder_until(d, ROUNDS, 0, make, context);
    EXPECT(d->trace == undisturbed(method, by_logits), "%s decided otherwise", method_name(method));
    decoder_free(d);
}
