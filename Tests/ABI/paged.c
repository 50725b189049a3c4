/* The header's paragraph "Paged" of kvsieve_tensor: the same sequence in blocks, as vLLM has them, gives the same result; targets
 * in blocks take the rows; whatever a table says that cannot be is refused. */
#include "blocks.h"
#include "fixture.h"
#include "harness.h"
#include "refusal.h"

#include <stdlib.h>
#include <string.h>

/* Under valgrind one of twelve cases is tried: each meets some method. The methods do not know of tables. */
static int rarely(int number) { return slow() && number % 12 != 0; }

/* "Results are the same, bit for bit, as without a table." */
static void the_same_sequence_in_blocks(void) {
    static const int32_t blocks[] = { 16, 7, 1, 200 };
    static paged queries[LAYERS], keys[LAYERS], values[LAYERS];
    EVERY_METHOD (method)
        for (int32_t dtype = KVSIEVE_F32; dtype <= KVSIEVE_BF16; ++dtype)
            for (int layout = 0; layout < LAYOUTS; ++layout) {
                const int32_t block = blocks[(layout + dtype + method_index(method)) % 4];
                sequence *s = sequence_new(TOKENS, dtype, 3), in_blocks;
                kvsieve_plan *plan;
                uint64_t expected;
                if (rarely(layout + LAYOUTS * dtype + method_index(method))) {
                    sequence_free(s);
                    continue;
                }
                harness_case("%s: dtype %d in layout %d of blocks of %d", method_name(method), (int)dtype, layout, (int)block);
                expected = reference_hash(method, s);
                in_blocks = *s;
                for (int l = 0; l < LAYERS; ++l) {
                    paged_copy(&queries[l], layout, block, &s->queries[l]);
                    paged_copy(&keys[l], layout, block, &s->keys[l]);
                    paged_copy(&values[l], layout, block, &s->values[l]);
                    in_blocks.queries[l] = queries[l].t, in_blocks.keys[l] = keys[l].t, in_blocks.values[l] = values[l].t;
                }
                plan = plan_new(method);
                observe_range(plan, 0, LAYERS, &in_blocks);
                EXPECT_OK(kvsieve_plan_finish(plan));
                EXPECT(plan_hash(plan, &in_blocks, 1) == expected, "another result");
                kvsieve_plan_destroy(plan);
                for (int l = 0; l < LAYERS; ++l) free(queries[l].memory), free(keys[l].memory), free(values[l].memory);
                sequence_free(s);
            }
    harness_case("");
}

/* A target in blocks: packed and a head a row, in each layout; rows that are not its own stay as they were. */
static void gathers_into_blocks(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 3);
    EVERY_METHOD (method)
        for (int layout = 0; layout < LAYOUTS; ++layout)
            for (int packed = 0; packed < 2; ++packed) {
                kvsieve_plan *plan;
                kvsieve_kept kept;
                paged to;
                if (left_out(2 * layout + packed + method_index(method))) continue;
                plan = plan_new(method);
                harness_case("%s: into layout %d%s", method_name(method), layout, packed ? ", packed" : "");
                observe_range(plan, 0, LAYERS, s);
                EXPECT_OK(kvsieve_plan_finish(plan));
                kept = kept_of(plan, 1);
                if (packed && kept.total > MOST_ENTRIES) {
                    kvsieve_plan_destroy(plan);
                    continue;
                }
                paged_new(&to, layout, 5, packed ? 1 : HEADS, packed ? kept.total : kept.longest, DIM, KVSIEVE_F32);
                EXPECT_OK(kvsieve_plan_gather(plan, 1, &s->keys[1], &to.t));
                for (int32_t head = 0; head < HEADS; ++head)
                    for (int64_t i = kept.offsets[head]; i < kept.offsets[head + 1]; ++i)
                        EXPECT(!memcmp(row_of(&to.t, packed ? 0 : head, packed ? i : i - kept.offsets[head]),
                                       row_of(&s->keys[1], head, kept.rows[i]), DIM * 4),
                               "head %d, row %d", (int)head, (int)i);
                free(to.memory);
                kvsieve_plan_destroy(plan);
            }
    harness_case("");
    sequence_free(s);
}

/* -- tables that cannot be ------------------------------------------------------------------------------------------- */

enum field { ENTRY, BLOCK_TOKENS, BLOCK_STRIDE, BLOCK_COUNT, TWICE, NO_TABLE };

/* `which`: q k v of observe, s t of gather. */
struct fault {
    char which;
    enum field field;
    int64_t value;
    const char *words;
};

static void spoil(paged *p, const struct fault *fault) {
    switch (fault->field) {
    case ENTRY: p->table[1] = (int32_t)fault->value; break;
    case BLOCK_TOKENS: p->t.block_tokens = (int32_t)fault->value; break;
    case BLOCK_STRIDE: p->t.block_stride = fault->value; break;
    case BLOCK_COUNT: p->t.block_count = (int32_t)fault->value; break;
    case TWICE: p->table[1] = p->table[0]; break;
    case NO_TABLE: p->t.blocks = NULL; break;
    }
}

static kvsieve_status observe_spoiled(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct fault *fault = context;
    kvsieve_tensor t[3] = { s->queries[1], s->keys[1], s->values[1] };
    const int place = (int)(strchr("qkv", fault->which) - "qkv");
    kvsieve_status status;
    paged p;
    paged_copy(&p, BY_TOKEN, 16, &t[place]);
    spoil(&p, fault);
    t[place] = p.t;
    status = kvsieve_plan_observe(plan, 1, &t[0], &t[1], &t[2]);
    free(p.memory);
    return status;
}

static kvsieve_status gather_spoiled(kvsieve_plan *plan, sequence *s, const void *context) {
    const struct fault *fault = context;
    paged source, target;
    kvsieve_status status;
    uint64_t before;
    size_t size;
    paged_copy(&source, BY_TOKEN, 16, &s->keys[1]);
    paged_new(&target, BY_HEAD, 16, HEADS, TOKENS, DIM, s->dtype);
    size = (size_t)(target.t.block_count * target.t.block_stride);
    before = bytes_hash(target.memory, size, 0);
    spoil(fault->which == 's' ? &source : &target, fault);
    status = kvsieve_plan_gather(plan, 1, &source.t, &target.t);
    EXPECT(bytes_hash(target.memory, size, 0) == before, "the target was written");
    free(source.memory);
    free(target.memory);
    return status;
}

static void tables_that_cannot_be(void) {
    static const struct fault faults[] = {
        { 0, ENTRY, -1, "blocks[1]|-1" },
        { 0, ENTRY, INT32_MIN, "blocks[1]|-2147483648" },
        { 0, ENTRY, INT32_MAX, "blocks[1]|2147483647" },
        { 0, ENTRY, 13, "blocks[1]|13|0 ... 12" },
        { 0, BLOCK_TOKENS, 0, "block_tokens|0" },
        { 0, BLOCK_TOKENS, -16, "block_tokens|-16" },
        { 0, BLOCK_TOKENS, INT32_MIN, "block_tokens" },
        { 0, BLOCK_STRIDE, 0, "block_stride|0" },
        { 0, BLOCK_STRIDE, -2048, "block_stride|-2048" },
        { 0, BLOCK_STRIDE, DIM * 4, "block_stride|64" },
        { 0, BLOCK_STRIDE, DIM * 4 * 8 + 2, "block_stride" },
        { 0, BLOCK_STRIDE, INT64_MAX, "block_stride" },
        { 0, BLOCK_STRIDE, INT64_MAX - 3, "block_stride" },
        { 0, BLOCK_STRIDE, INT64_MIN, "block_stride" },
        { 0, BLOCK_STRIDE, INT64_C(1) << 61, "block_stride" },
        { 0, BLOCK_COUNT, -1, "block_count|-1" },
        { 0, BLOCK_COUNT, 1, "blocks[|0 ... 0" },
        { 0, NO_TABLE, 0, "blocks is NULL" },
        { 't', TWICE, 0, "target.blocks|twice" },
    };
    EVERY_METHOD (method)
        for (const char *which = "qkvst"; *which; ++which)
            for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
                struct fault fault = faults[i];
                const int gather = *which == 's' || *which == 't';
                if (fault.which && fault.which != *which) continue;
                if (rarely((int)i + method_index(method))) continue;
                if (!gather && (reads(method, 1, *which) != READ)) continue;
                fault.which = *which;
                harness_case("%s: '%c' with fault %d", method_name(method), *which, (int)i);
                if (gather) expect_refused(method, FINISHED, gather_spoiled, &fault, KVSIEVE_ERR_LAYOUT, fault.words);
                else expect_refused(method, 1, observe_spoiled, &fault, KVSIEVE_ERR_LAYOUT, fault.words);
            }
    harness_case("");
}

static int32_t any_entry(void) {
    const uint64_t size = blocks_chance(blocks_chance(3) ? 2 * TOKENS : INT32_MAX);
    return blocks_chance(4) ? (int32_t)size : -(int32_t)size;
}

/* Any table at all, drawn; what is taken lies within the pool. */
static void any_table(void) {
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 3);
    kvsieve_plan *plan = plan_new(KVSIEVE_KEYDIFF);
    int taken = 0, refused = 0;
    const uint64_t began = blocks_seed;
    for (int round = 0; round < (slow() ? 200 : 5000); ++round) {
        paged p;
        paged_copy(&p, (int)blocks_chance(LAYOUTS), (int32_t)(1 + blocks_chance(40)), &s->keys[0]);
        for (int i = (int)blocks_chance(3); i > 0; --i) p.table[blocks_chance(6)] = any_entry();
        /* Never more than there is: smaller blocks and strides lie within the pool, and the table has an entry a token. */
        if (blocks_chance(8) == 0) p.t.block_tokens = (int32_t)blocks_chance((uint64_t)p.t.block_tokens + 1);
        if (blocks_chance(8) == 0) p.t.block_stride = (int64_t)blocks_chance((uint64_t)p.t.block_stride + 1);
        if (blocks_chance(2) == 0) p.t.block_stride &= ~INT64_C(3);
        if (blocks_chance(16) == 0) p.t.block_count = -p.t.block_count;
        if (kvsieve_plan_observe(plan, 0, NULL, &p.t, NULL) == KVSIEVE_OK) ++taken;
        else ++refused;
        EXPECT_OK(kvsieve_plan_reset(plan));
        free(p.memory);
    }
    EXPECT(taken > 20 && refused > 20, "%d taken, %d refused, seed %llu", taken, refused, (unsigned long long)began);
    kvsieve_plan_destroy(plan);
    sequence_free(s);
}

int main(void) {
    the_same_sequence_in_blocks();
    gathers_into_blocks();
    tables_that_cannot_be();
    RUN(any_table);
    return harness_end();
}
