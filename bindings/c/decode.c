/* Generation as an engine runs it, with a cache that never grows: prompt -> finish -> gather, then for every token and layer:
 * append its row, step, move it to the slot that `slot` names. Some rounds are a draft of 3 tokens, of which 2 are rejected
 * (kvsieve_plan_trim). Every value row begins with its token's position. After each round these positions are compared with
 * kvsieve_plan_slots(). */
#include "example.h"

#include <string.h>

enum { LAYERS = 2, QUERY_HEADS = 8, HEADS = 2, DIM = 32, PROMPT = 500, BUDGET = 128, DRAFT = 3 };
enum { ROOM = BUDGET + DRAFT }; /* a token alone needs BUDGET + 1 */

/* `recent`: how many of the last tokens are never evicted: the window of AhaKV, half the budget of H2O. */
struct engine {
    kvsieve_plan *plan;
    float *keys[LAYERS], *values[LAYERS]; /* (HEADS, room, DIM) each */
    int64_t room, living, tokens, recent, most, moved, rejected;
    uint64_t seed;
};

static float *row(const struct engine *e, float *data, int64_t head, int64_t slot) { return data + (head * e->room + slot) * DIM; }

static void fail(const char *what, int64_t found, int64_t expected) {
    fprintf(stderr, "%s: %d, expected %d\n", what, (int)found, (int)expected);
    exit(1);
}

/* (heads, rows, DIM) in memory that has room for more rows a head. */
static kvsieve_tensor view(const struct engine *e, float *data, int64_t rows) {
    kvsieve_tensor tensor = example_tensor(data, HEADS, e->room, DIM);
    tensor.tokens = rows;
    return tensor;
}

/* Random rows: here an engine would run the layer. */
static void make_rows(struct engine *e, kvsieve_tensor *tensor, int64_t first, int64_t position, int tagged) {
    for (int64_t head = 0; head < tensor->heads; ++head)
        for (int64_t t = first; t < tensor->tokens; ++t) {
            float *data = (float *)tensor->data + (head * tensor->head_stride + t * tensor->token_stride) / 4;
            example_fill(data, DIM, &e->seed);
            for (int d = 0; d < DIM && !tagged; ++d) data[d] *= 2; /* logits of some size */
            if (tagged) data[0] = (float)(position + t - first);
        }
}

static void prefill(struct engine *e, int32_t method) {
    kvsieve_model model = { LAYERS, QUERY_HEADS, HEADS, DIM, 0, { 0 } };
    float *whole = example_allocate(sizeof(float) * (QUERY_HEADS + 2 * HEADS) * PROMPT * DIM);
    kvsieve_tensor k = example_tensor(whole, HEADS, PROMPT, DIM), v, q;
    int64_t window = e->recent;
    int32_t needs = 0;
    v = example_tensor(whole + HEADS * PROMPT * DIM, HEADS, PROMPT, DIM);
    CHECK(kvsieve_plan_create(method, &model, &e->plan));
    CHECK(kvsieve_plan_set(e->plan, KVSIEVE_BUDGET, BUDGET));
    CHECK(kvsieve_plan_set(e->plan, KVSIEVE_DECODING, 1));
    if (method == KVSIEVE_AHAKV) CHECK(kvsieve_plan_set(e->plan, KVSIEVE_WINDOW, (double)window));
    CHECK(kvsieve_plan_needs(e->plan, 0, &needs));
    if (needs & KVSIEVE_NEEDS_ALL_QUERIES) window = PROMPT;
    q = example_tensor(whole + 2 * HEADS * PROMPT * DIM, QUERY_HEADS, window, DIM);
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        make_rows(e, &q, 0, 0, 0);
        make_rows(e, &k, 0, 0, 0);
        make_rows(e, &v, 0, 0, 1);
        CHECK(kvsieve_plan_observe(e->plan, layer, &q, &k, &v));
        /* The whole prompt is held until finish(); prefill.c compacts earlier. */
        e->keys[layer] = example_allocate(sizeof(float) * 2 * HEADS * PROMPT * DIM);
        memcpy(e->keys[layer], whole, sizeof(float) * 2 * HEADS * PROMPT * DIM);
    }
    CHECK(kvsieve_plan_finish(e->plan));
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        float *prompt = e->keys[layer], *cache = example_allocate(sizeof(float) * 2 * HEADS * (size_t)e->room * DIM);
        kvsieve_kept kept = { 0 };
        kept.struct_size = sizeof kept;
        CHECK(kvsieve_plan_kept(e->plan, layer, &kept));
        if (kept.longest > BUDGET) fail("rows kept of the prompt", kept.longest, BUDGET);
        e->living = kept.longest;
        e->keys[layer] = cache;
        e->values[layer] = cache + HEADS * e->room * DIM;
        k = example_tensor(prompt, HEADS, PROMPT, DIM);
        v = example_tensor(prompt + HEADS * PROMPT * DIM, HEADS, PROMPT, DIM);
        for (int i = 0; i < 2; ++i) {
            kvsieve_tensor target = view(e, i ? e->values[layer] : e->keys[layer], e->room);
            CHECK(kvsieve_plan_gather(e->plan, layer, i ? &v : &k, &target));
        }
        free(prompt);
    }
    e->tokens = PROMPT;
    free(whole);
}

/* The first `to` of `count` new tokens, whose rows follow the slots in use, move to the slots that `slot` names. */
static void move_rows(struct engine *e, int32_t layer, const int32_t *slot, int count, int to) {
    for (int head = 0; head < HEADS; ++head)
        for (int i = 0; i < to; ++i) {
            int32_t to_row = slot[head * count + i];
            if (to_row < 0) continue;
            if (to_row >= BUDGET) fail("slot", to_row, BUDGET - 1);
            memcpy(row(e, e->keys[layer], head, to_row), row(e, e->keys[layer], head, e->living + i), sizeof(float) * DIM);
            memcpy(row(e, e->values[layer], head, to_row), row(e, e->values[layer], head, e->living + i), sizeof(float) * DIM);
            ++e->moved;
        }
}

/* The cache against the plan's slots: every row is that of the slot's position, and all of the last tokens are there. */
static void check(const struct engine *e) {
    for (int32_t layer = 0; layer < LAYERS; ++layer)
        for (int32_t head = 0; head < HEADS; ++head) {
            kvsieve_slots slots = { 0 };
            int64_t recent = 0;
            slots.struct_size = sizeof slots;
            CHECK(kvsieve_plan_slots(e->plan, layer, head, &slots));
            if (slots.length != e->living) fail("slots that live", slots.length, e->living);
            if (slots.tokens != e->tokens) fail("tokens seen", slots.tokens, e->tokens);
            for (int64_t slot = 0; slot < slots.length; ++slot) {
                float tag = *row(e, e->values[layer], head, slot);
                if (tag != (float)slots.positions[slot]) fail("position in a slot", (int64_t)tag, slots.positions[slot]);
                recent += slots.positions[slot] >= e->tokens - e->recent;
            }
            if (recent != e->recent) fail("recent tokens in the cache", recent, e->recent);
        }
}

/* `count` tokens of one forward pass, of which the first `stay` are not rejected. */
static void generate(struct engine *e, int count, int stay) {
    int32_t slot[LAYERS][HEADS * DRAFT];
    float memory[QUERY_HEADS * DRAFT * DIM];
    kvsieve_tensor q = example_tensor(memory, QUERY_HEADS, count, DIM);
    int64_t rows = e->living + count;
    if (rows > e->room) fail("rows in the cache", rows, e->room);
    if (rows > e->most) e->most = rows;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_tensor k = view(e, e->keys[layer], rows), v = view(e, e->values[layer], rows);
        make_rows(e, &q, 0, 0, 0);
        make_rows(e, &k, e->living, 0, 0);
        make_rows(e, &v, e->living, e->tokens, 1);
        CHECK(kvsieve_plan_step(e->plan, layer, &q, &k, &v, slot[layer])); /* moved when the accepted tokens are known */
    }
    if (stay < count) CHECK(kvsieve_plan_trim(e->plan, count - stay));
    for (int32_t layer = 0; layer < LAYERS; ++layer) move_rows(e, layer, slot[layer], count, stay);
    e->living = e->living + stay < BUDGET ? e->living + stay : BUDGET;
    e->tokens += stay;
    e->rejected += count - stay;
    check(e);
}

/* With drafts the cache has room for one. */
static void run(const char *name, int32_t method, int64_t recent, int64_t room, int64_t generated) {
    struct engine e = { 0 };
    int drafts = room >= BUDGET + DRAFT;
    e.recent = recent;
    e.room = room;
    e.seed = 11;
    prefill(&e, method);
    check(&e);
    for (int round = 1; e.tokens < PROMPT + generated; ++round) generate(&e, drafts && round % 10 == 0 ? DRAFT : 1, 1);
    printf("%s: %d tokens after a prompt of %d, %d rejected; %d moves, at most %d rows a head, %d in the end\n", name,
           (int)generated, PROMPT, (int)e.rejected, (int)e.moved, (int)e.most, (int)e.living);
    for (int32_t layer = 0; layer < LAYERS; ++layer) free(e.keys[layer]);
    kvsieve_plan_destroy(e.plan);
}

int main(void) {
    run("ahakv", KVSIEVE_AHAKV, 16, ROOM, 2000);
    run("h2o", KVSIEVE_H2O, BUDGET / 2, BUDGET + 1, 300);
    return 0;
}
