/* Types that only some calls take: KVSIEVE_BYTES is moved by kvsieve_plan_gather() alone; attention and rows that are rotated are
 * floats of 16 or 32 bits. (What narrow types are worth: PagedTests.swift.) */
#include "blocks.h"
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <stdlib.h>
#include <string.h>

static kvsieve_status observe_bytes(kvsieve_plan *plan, sequence *s, const void *context) {
    const char which = *(const char *)context;
    kvsieve_tensor t[3] = { s->queries[1], s->keys[1], s->values[1] };
    t[strchr("qkv", which) - "qkv"].dtype = KVSIEVE_BYTES;
    return kvsieve_plan_observe(plan, 1, &t[0], &t[1], &t[2]);
}

/* "kvsieve_plan_gather() only" */
static void bytes_are_moved_only(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 3);
    EVERY_METHOD (method)
        for (const char *which = "qkv"; *which; ++which) {
            if (reads(method, 1, *which) != READ) continue;
            harness_case("%s: '%c' of bytes", method_name(method), *which);
            expect_refused(method, 1, observe_bytes, which, KVSIEVE_ERR_DTYPE, "3|BYTES|kvsieve_plan_gather");
        }
    EVERY_METHOD (method) {
        kvsieve_plan *plan = plan_new(method);
        kvsieve_tensor source = s->keys[2], target = tensor_new(HEADS, TOKENS, DIM, KVSIEVE_F32), other = target;
        kvsieve_kept kept;
        harness_case("%s: rows of bytes", method_name(method));
        observe_range(plan, 0, LAYERS, s);
        EXPECT_OK(kvsieve_plan_finish(plan));
        kept = kept_of(plan, 2);
        source.dtype = target.dtype = KVSIEVE_BYTES;
        source.dim = target.dim = DIM * 4;
        EXPECT_STATUS(kvsieve_plan_gather(plan, 2, &source, &other), KVSIEVE_ERR_DTYPE);
        EXPECT(error_names("target.dtype|F32|BYTES"), "\"%s\"", kvsieve_last_error());
        EXPECT_OK(kvsieve_plan_gather(plan, 2, &source, &target));
        for (int32_t head = 0; head < HEADS; ++head)
            for (int64_t i = kept.offsets[head]; i < kept.offsets[head + 1]; ++i)
                EXPECT(!memcmp(row_of(&target, head, i - kept.offsets[head]), row_of(&s->keys[2], head, kept.rows[i]), DIM * 4),
                       "head %d, row %d", (int)head, (int)i);
        free(target.data);
        kvsieve_plan_destroy(plan);
    }
    harness_case("");
    sequence_free(s);
}

static kvsieve_status queries_of_bytes(kvsieve_plan *plan, sequence *s, const void *context) {
    kvsieve_tensor queries = s->queries[1];
    (void)context;
    queries.dtype = KVSIEVE_BYTES;
    return kvsieve_plan_queries(plan, 1, &queries);
}

static kvsieve_status attention_of_type(kvsieve_plan *plan, sequence *s, const void *context) {
    kvsieve_tensor attention = tensor_new(QUERY_HEADS, TOKENS, TOKENS, KVSIEVE_F32);
    kvsieve_status status;
    attention.dtype = *(const int32_t *)context;
    status = kvsieve_plan_observe_attention(plan, 1, KVSIEVE_PROBABILITIES, &attention, &s->values[1]);
    free(attention.data);
    return status;
}

/* A dim of 32: Q8_0 and Q4_0 need it. */
static kvsieve_status rotated_of_type(kvsieve_plan *plan, sequence *s, const void *context) {
    static const float frequencies[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    const kvsieve_rope rope = { sizeof rope, KVSIEVE_ROPE_HALVES, DIM, 0, frequencies, 0, 0 };
    kvsieve_tensor source = tensor_new(HEADS, TOKENS, 32, KVSIEVE_F32), target = tensor_new(HEADS, TOKENS, 32, KVSIEVE_F32);
    const size_t bytes = (size_t)(HEADS * target.head_stride);
    kvsieve_status status;
    uint64_t before;
    (void)s;
    memset(source.data, 1, bytes);
    before = bytes_hash(target.data, bytes, 0);
    source.dtype = target.dtype = *(const int32_t *)context;
    status = kvsieve_plan_gather_rotated(plan, 1, &source, &target, &rope);
    EXPECT(bytes_hash(target.data, bytes, 0) == before, "the target was written");
    free(source.data);
    free(target.data);
    return status;
}

/* "The attention of kvsieve_plan_observe_attention() and the rows of kvsieve_plan_gather_rotated() are KVSIEVE_F32, _F16 or _BF16." */
static void attention_and_rotated_rows_are_floats(void) {
    static const struct {
        int32_t dtype;
        const char *attention, *source;
    } types[] = {
        { KVSIEVE_BYTES, "attention.dtype|BYTES|numbers", "source.dtype|BYTES|numbers" },
        { KVSIEVE_F8_E4M3, "attention.dtype|F8_E4M3|F32, F16 or BF16", "source.dtype|F8_E4M3|F32, F16 or BF16" },
        { KVSIEVE_F8_E5M2, "attention.dtype|F8_E5M2|F32, F16 or BF16", "source.dtype|F8_E5M2|F32, F16 or BF16" },
        { KVSIEVE_Q8_0, "attention.dtype|Q8_0|F32, F16 or BF16", "source.dtype|Q8_0|F32, F16 or BF16" },
        { KVSIEVE_Q4_0, "attention.dtype|Q4_0|F32, F16 or BF16", "source.dtype|Q4_0|F32, F16 or BF16" },
    };
    harness_case("chunks of bytes");
    expect_refused(KVSIEVE_SNAPKV, 0, queries_of_bytes, NULL, KVSIEVE_ERR_DTYPE, "queries.dtype|3|BYTES");
    for (size_t i = 0; i < sizeof types / sizeof *types; ++i) {
        harness_case("type %d", (int)types[i].dtype);
        expect_refused(KVSIEVE_SNAPKV, 1, attention_of_type, &types[i].dtype, KVSIEVE_ERR_DTYPE, types[i].attention);
        expect_refused(KVSIEVE_SNAPKV, FINISHED, rotated_of_type, &types[i].dtype, KVSIEVE_ERR_DTYPE, types[i].source);
    }
    harness_case("");
}

/* "With another dtype of the keys [...] 1 changes nothing." "Methods that read no queries do not have it." And (HEADS, TOKENS, 32) keys
 * in Q8_0 are taken. */
static void coarse_is_for_keys_in_q8_0(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 5);
    const kvsieve_model model = { 1, QUERY_HEADS, HEADS, 32, 0, { 0 } };
    kvsieve_tensor queries = tensor_new(QUERY_HEADS, TOKENS, 32, KVSIEVE_F32), values = tensor_new(HEADS, TOKENS, 32, KVSIEVE_F32);
    kvsieve_tensor keys = tensor_new(HEADS, TOKENS, 34, KVSIEVE_BYTES);
    for (int64_t row = 0; row < HEADS * TOKENS; ++row) {
        uint8_t *block = (uint8_t *)keys.data + row * 34;
        block[0] = 0, block[1] = 0x20;
        for (int d = 0; d < 32; ++d) block[2 + d] = (uint8_t)(row * 37 + d * d * 11 + row * d);
    }
    keys.dtype = KVSIEVE_Q8_0, keys.dim = 32;
    for (int64_t head = 0; head < QUERY_HEADS; ++head)
        for (int64_t token = 0; token < TOKENS; ++token)
            for (int32_t d = 0; d < 32; ++d)
                element_set(&queries, head, token, d, (float)((token * 31 + d * 17 + head) % 23) / 8 - 1);
    EVERY_METHOD (method) {
        kvsieve_plan *plan = plan_new(method), *small = plan_for(method, model, BUDGET);
        double value = -1;
        harness_case("%s: coarse", method_name(method));
        if (!method_has(method, KVSIEVE_COARSE)) {
            EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_COARSE, 1), KVSIEVE_ERR_PARAMETER);
            EXPECT(error_names("coarse (113)|reads no queries"), "\"%s\"", kvsieve_last_error());
        } else {
            EXPECT_OK(kvsieve_plan_get(plan, KVSIEVE_COARSE, &value));
            EXPECT(value == 0, "the default is %g", value);
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_COARSE, 1));
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            EXPECT(plan_hash(plan, s, 1) == reference_hash(method, s), "other rows of float keys");
            EXPECT_OK(kvsieve_plan_set(small, KVSIEVE_COARSE, 1));
            EXPECT_OK(kvsieve_plan_observe(small, 0, &queries, &keys, &values));
            EXPECT_OK(kvsieve_plan_finish(small));
            EXPECT(kept_of(small, 0).total < HEADS * TOKENS, "everything is kept");
        }
        kvsieve_plan_destroy(plan);
        kvsieve_plan_destroy(small);
    }
    harness_case("");
    free(queries.data);
    free(keys.data);
    free(values.data);
    sequence_free(s);
}

int main(void) {
    bytes_are_moved_only();
    coarse_is_for_keys_in_q8_0();
    attention_and_rotated_rows_are_floats();
    return harness_end();
}
