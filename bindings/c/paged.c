/* A paged cache, as vLLM keeps one: (blocks, 2, block, H, D), the keys of a block before its values, and a table that names the
 * blocks of a sequence in the order of its tokens. The library reads the blocks where they are, and gathers what it keeps into
 * blocks that were free; then the sequence's old blocks are free. SnapKV keeps as many rows in each head, so one table does for
 * all of them. Every row begins with its token's position and its head, by which the new blocks are checked. */
#include "example.h"

enum { QUERY_HEADS = 8, HEADS = 4, DIM = 32, TOKENS = 600, WINDOW = 16, BUDGET = 120 };
enum { BLOCK = 16, BLOCKS = 64, ENTRIES = (TOKENS + BLOCK - 1) / BLOCK };

static float pool[BLOCKS][2][BLOCK][HEADS][DIM];
static int32_t free_blocks[BLOCKS];
static int available = 0;

static int32_t take_block(void) {
    if (available == 0) {
        fprintf(stderr, "no block is free\n");
        exit(1);
    }
    return free_blocks[--available];
}

/* `which`: 0 keys, 1 values. */
static kvsieve_tensor view(int which, const int32_t *table, int64_t tokens) {
    kvsieve_tensor tensor = { 0 };
    tensor.data = pool[0][which];
    tensor.heads = HEADS;
    tensor.tokens = tokens;
    tensor.dim = DIM;
    tensor.dtype = KVSIEVE_F32;
    tensor.head_stride = sizeof pool[0][0][0][0];
    tensor.token_stride = sizeof pool[0][0][0];
    tensor.blocks = table;
    tensor.block_stride = sizeof pool[0];
    tensor.block_tokens = BLOCK;
    tensor.block_count = BLOCKS;
    return tensor;
}

/* Random rows: here an engine would run the layer. */
static void prefill(const int32_t *table, uint64_t *seed) {
    for (int32_t t = 0; t < TOKENS; ++t)
        for (int which = 0; which < 2; ++which)
            for (int head = 0; head < HEADS; ++head) {
                float *row = pool[table[t / BLOCK]][which][t % BLOCK][head];
                example_fill(row, DIM, seed);
                row[0] = (float)t;
                row[1] = (float)head;
            }
}

static int misplaced(const kvsieve_kept *kept, const int32_t *table) {
    int wrong = 0;
    for (int head = 0; head < HEADS; ++head)
        for (int64_t i = 0, begin = kept->offsets[head]; begin + i < kept->offsets[head + 1]; ++i)
            for (int which = 0; which < 2; ++which) {
                const float *row = pool[table[i / BLOCK]][which][i % BLOCK][head];
                wrong += row[0] != (float)kept->positions[begin + i] || row[1] != (float)head;
            }
    return wrong;
}

int main(void) {
    const kvsieve_model model = { 1, QUERY_HEADS, HEADS, DIM, 0, { 0 } };
    float memory[QUERY_HEADS * WINDOW * DIM];
    int32_t old[ENTRIES], new[ENTRIES];
    kvsieve_tensor queries = example_tensor(memory, QUERY_HEADS, WINDOW, DIM), keys, values, to;
    kvsieve_kept kept = { 0 };
    kvsieve_plan *plan = NULL;
    uint64_t seed = 11;
    int entries, wrong;

    for (int32_t i = 0; i < BLOCKS; ++i) free_blocks[available++] = i * 29 % BLOCKS; /* in no order */
    for (int i = 0; i < ENTRIES; ++i) old[i] = take_block();
    prefill(old, &seed);
    example_fill(memory, QUERY_HEADS * WINDOW * DIM, &seed);

    CHECK(kvsieve_plan_create(KVSIEVE_SNAPKV, &model, &plan));
    CHECK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, BUDGET));
    CHECK(kvsieve_plan_set(plan, KVSIEVE_WINDOW, WINDOW));
    keys = view(0, old, TOKENS);
    values = view(1, old, TOKENS);
    CHECK(kvsieve_plan_observe(plan, 0, &queries, &keys, &values));
    CHECK(kvsieve_plan_finish(plan));

    kept.struct_size = sizeof kept;
    CHECK(kvsieve_plan_kept(plan, 0, &kept));
    entries = (int)((kept.longest + BLOCK - 1) / BLOCK);
    for (int i = 0; i < entries; ++i) new[i] = take_block();
    to = view(0, new, kept.longest);
    CHECK(kvsieve_plan_gather(plan, 0, &keys, &to));
    to = view(1, new, kept.longest);
    CHECK(kvsieve_plan_gather(plan, 0, &values, &to));
    for (int i = 0; i < ENTRIES; ++i) free_blocks[available++] = old[i];

    wrong = misplaced(&kept, new);
    printf("%d tokens in %d blocks, then %d rows a head in %d; %d blocks are free; %s\n", TOKENS, ENTRIES, (int)kept.longest,
           entries, available, wrong ? "MISPLACED ROWS" : "every row is in its place");
    kvsieve_plan_destroy(plan);
    return wrong == 0 && kept.longest == BUDGET && available == BLOCKS - entries ? 0 : 1;
}
