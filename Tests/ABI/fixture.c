#define _GNU_SOURCE
#include "fixture.h"

#include "harness.h"
#include "snapshot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kvsieve_model small_model(void) {
    kvsieve_model model = { LAYERS, QUERY_HEADS, HEADS, DIM, 0, { 0 } };
    return model;
}

/* -- elements ---------------------------------------------------------------------------------------------------- */

int64_t element_size(int32_t dtype) { return dtype == KVSIEVE_F32 ? 4 : 2; }

static void *element_at(const kvsieve_tensor *t, int64_t head, int64_t token, int32_t d) {
    return (char *)t->data + head * t->head_stride + token * t->token_stride + d * element_size(t->dtype);
}

/* Normal numbers, 0, infinities and NaN: all that the tests use. */
static uint16_t half_of(float value) {
    int exponent;
    float fraction = frexpf(fabsf(value), &exponent);
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    if (isnan(value)) return 0x7e00;
    if (isinf(value)) return (uint16_t)(sign | 0x7c00);
    if (value == 0 || exponent < -13) return sign;
    return (uint16_t)(sign | ((exponent + 14) << 10) | ((int)(fraction * 2048.0f) & 1023));
}

static float half_value(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent == 0 ? ldexpf((float)fraction, -24) : ldexpf((float)(1024 + fraction), exponent - 25);
    if (exponent == 31) value = fraction ? NAN : INFINITY;
    return bits & 0x8000 ? -value : value;
}

float element(const kvsieve_tensor *t, int64_t head, int64_t token, int32_t d) {
    float value;
    uint16_t half;
    uint32_t wide;
    if (t->dtype == KVSIEVE_F32) {
        memcpy(&value, element_at(t, head, token, d), 4);
        return value;
    }
    memcpy(&half, element_at(t, head, token, d), 2);
    if (t->dtype == KVSIEVE_F16) return half_value(half);
    wide = (uint32_t)half << 16;
    memcpy(&value, &wide, 4);
    return value;
}

void element_set(const kvsieve_tensor *t, int64_t head, int64_t token, int32_t d, float value) {
    uint16_t half;
    uint32_t wide;
    if (t->dtype == KVSIEVE_F32) {
        memcpy(element_at(t, head, token, d), &value, 4);
        return;
    }
    memcpy(&wide, &value, 4);
    half = t->dtype == KVSIEVE_F16 ? half_of(value) : (uint16_t)(wide >> 16);
    memcpy(element_at(t, head, token, d), &half, 2);
}

/* -- sequences --------------------------------------------------------------------------------------------------- */

kvsieve_tensor tensor_new(int64_t heads, int64_t tokens, int32_t dim, int32_t dtype) {
    kvsieve_tensor t;
    memset(&t, 0, sizeof t);
    t.heads = heads;
    t.tokens = tokens;
    t.dim = dim;
    t.dtype = dtype;
    t.token_stride = dim * element_size(dtype);
    t.head_stride = tokens * t.token_stride;
    t.data = take((size_t)(heads * t.head_stride));
    return t;
}

static void fill(const kvsieve_tensor *t, uint64_t *seed) {
    for (int64_t head = 0; head < t->heads; ++head)
        for (int64_t token = 0; token < t->tokens; ++token) {
            float *row = element_at(t, head, token, 0);
            for (int32_t d = 0; d < t->dim; ++d) {
                float value;
                *seed ^= *seed << 13;
                *seed ^= *seed >> 7;
                *seed ^= *seed << 17;
                value = (float)(*seed >> 40) / 4194304.0f - 2.0f;
                if (t->dtype == KVSIEVE_F32) row[d] = value; /* most are, and valgrind takes long over a call */
                else element_set(t, head, token, d, value);
            }
        }
}

static void make_tensors(sequence *s) {
    for (int layer = 0; layer < LAYERS; ++layer) {
        s->queries[layer] = tensor_new(QUERY_HEADS, s->tokens, DIM, s->dtype);
        s->keys[layer] = tensor_new(HEADS, s->tokens, DIM, s->dtype);
        s->values[layer] = tensor_new(HEADS, s->tokens, DIM, s->dtype);
    }
}

static void copy_tensor(const kvsieve_tensor *source, const kvsieve_tensor *target) {
    memcpy(target->data, source->data, (size_t)(source->heads * source->head_stride));
}

/* The last one's numbers are kept: most cases ask for the same again, and valgrind takes long to make them. One thread at a time. */
sequence *sequence_new(int32_t tokens, int32_t dtype, uint64_t seed) {
    static sequence *last;
    static uint64_t last_seed;
    sequence *s = take(sizeof *s);
    s->tokens = tokens;
    s->dtype = dtype;
    make_tensors(s);
    if (last == NULL || last->tokens != tokens || last->dtype != dtype || last_seed != seed) {
        uint64_t state = seed * 2654435761u + 88172645463325252u;
        if (last != NULL) sequence_free(last);
        last = take(sizeof *last);
        *last = *s;
        make_tensors(last);
        last_seed = seed;
        for (int layer = 0; layer < LAYERS; ++layer) {
            fill(&last->queries[layer], &state);
            fill(&last->keys[layer], &state);
            fill(&last->values[layer], &state);
        }
    }
    for (int layer = 0; layer < LAYERS; ++layer) {
        copy_tensor(&last->queries[layer], &s->queries[layer]);
        copy_tensor(&last->keys[layer], &s->keys[layer]);
        copy_tensor(&last->values[layer], &s->values[layer]);
    }
    return s;
}

void sequence_free(sequence *s) {
    for (int layer = 0; layer < LAYERS; ++layer) {
        free(s->queries[layer].data);
        free(s->keys[layer].data);
        free(s->values[layer].data);
    }
    free(s);
}

uint64_t bytes_hash(const void *bytes, size_t count, uint64_t hash) {
    const unsigned char *byte = bytes;
    for (; count >= 8; byte += 8, count -= 8) { /* eight at once: valgrind takes long over each */
        uint64_t word;
        memcpy(&word, byte, 8);
        hash = (hash ^ word) * 1099511628211u;
        hash ^= hash >> 32;
    }
    for (; count > 0; ++byte, --count) hash = (hash ^ *byte) * 1099511628211u;
    return hash;
}

void sequence_remember(const sequence *s) {
    snapshot_begin();
    for (int layer = 0; layer < LAYERS; ++layer) {
        snapshot_add(&s->queries[layer]);
        snapshot_add(&s->keys[layer]);
        snapshot_add(&s->values[layer]);
    }
}

/* -- plans ------------------------------------------------------------------------------------------------------- */

static void must(kvsieve_status status, const char *what) {
    if (status == KVSIEVE_OK) return;
    printf("FATAL %s: %s: %s\n", what, kvsieve_status_name(status), kvsieve_last_error());
    printf("0 passed, 1 failed\n");
    fflush(NULL);
    exit(2);
}

kvsieve_plan *plan_for(int32_t method, kvsieve_model model, int32_t budget) {
    kvsieve_plan *plan = NULL;
    must(kvsieve_plan_create(method, &model, &plan), "create");
    must(settle(plan, method, budget), method_name(method));
    return plan;
}

kvsieve_plan *plan_new(int32_t method) { return plan_for(method, small_model(), BUDGET); }

enum reading reading_of(int32_t needs, char which) {
    if (which == 'q') return needs & KVSIEVE_NEEDS_QUERIES ? READ : UNREAD;
    if (which == 'v') return needs & KVSIEVE_NEEDS_VALUES ? READ : UNREAD;
    return needs & KVSIEVE_NEEDS_KEYS ? READ : needs & KVSIEVE_NEEDS_LENGTH ? SHAPE_ONLY : UNREAD;
}

static int32_t needs_of(int32_t method, int32_t layer) {
    kvsieve_plan *plan = plan_new(method);
    int32_t needs = 0;
    must(kvsieve_plan_needs(plan, layer, &needs), "needs");
    kvsieve_plan_destroy(plan);
    return needs;
}

enum reading reads(int32_t method, int32_t layer, char which) { return reading_of(needs_of(method, layer), which); }

int64_t fewest_queries(int32_t method, int64_t tokens) {
    const int32_t needs = needs_of(method, 0);
    if (!(needs & KVSIEVE_NEEDS_QUERIES)) return 0;
    if (needs & KVSIEVE_NEEDS_ALL_QUERIES) return tokens;
    if (!method_has(method, KVSIEVE_WINDOW)) return 1;
    return tokens < WINDOW ? tokens : WINDOW;
}

kvsieve_kept kept_of(const kvsieve_plan *plan, int32_t layer) {
    kvsieve_kept kept;
    memset(&kept, 0, sizeof kept);
    kept.struct_size = sizeof kept;
    must(kvsieve_plan_kept(plan, layer, &kept), "kept");
    return kept;
}

kvsieve_status observe(kvsieve_plan *plan, int32_t layer, const sequence *s) {
    return kvsieve_plan_observe(plan, layer, &s->queries[layer], &s->keys[layer], &s->values[layer]);
}

void observe_range(kvsieve_plan *plan, int32_t from, int32_t to, const sequence *s) {
    for (int32_t layer = from; layer < to; ++layer) must(observe(plan, layer, s), "observe");
}

uint64_t plan_hash(const kvsieve_plan *plan, const sequence *s, int finished) {
    uint64_t hash = 14695981039346656037u;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept kept = kept_of(plan, layer);
        hash = bytes_hash(kept.offsets, sizeof *kept.offsets * (size_t)(kept.heads + 1), hash);
        hash = bytes_hash(kept.positions, sizeof *kept.positions * (size_t)kept.total, hash);
        hash = bytes_hash(&kept.longest, sizeof kept.longest, hash);
        for (int i = 0; finished && i < 2; ++i) {
            const kvsieve_tensor *source = i ? &s->values[layer] : &s->keys[layer];
            kvsieve_tensor packed = tensor_new(1, kept.total, source->dim, source->dtype);
            must(kvsieve_plan_gather(plan, layer, source, &packed), "gather");
            hash = bytes_hash(packed.data, (size_t)packed.head_stride, hash);
            free(packed.data);
        }
    }
    return hash;
}

uint64_t reference_hash(int32_t method, const sequence *s) {
    kvsieve_plan *plan = plan_new(method);
    uint64_t hash;
    observe_range(plan, 0, LAYERS, s);
    must(kvsieve_plan_finish(plan), "finish");
    hash = plan_hash(plan, s, 1);
    kvsieve_plan_destroy(plan);
    return hash;
}
