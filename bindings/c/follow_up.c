/* A conversation in a cache of bounded size: a prompt, then several questions. The new tokens of a question follow the kept rows:
 * kvsieve_plan_extend(), every layer observed again, finish, and a gather in place, so that the cache is never moved. Heads of
 * Task-KV keep different numbers of rows; the new rows of each head follow its own. Every value row begins with its token's
 * position, by which the cache is checked. */
#include "example.h"

enum { LAYERS = 2, QUERY_HEADS = 8, HEADS = 4, DIM = 32, ROOM = 800, PROMPT = 600, QUESTIONS = 5 };

struct engine {
    kvsieve_plan *plan;
    float *keys[LAYERS], *values[LAYERS]; /* (HEADS, ROOM, DIM) each */
    int64_t living[LAYERS][HEADS], tokens;
    uint64_t seed;
};

/* The first `rows` rows of every head. */
static kvsieve_tensor view(float *data, int64_t rows) {
    kvsieve_tensor tensor = example_tensor(data, HEADS, ROOM, DIM);
    tensor.tokens = rows;
    return tensor;
}

/* Appends the rows of `count` new tokens to each head's rows. Random rows: here an engine would run the layer. */
static void append(struct engine *e, int32_t layer, int64_t count) {
    for (int head = 0; head < HEADS; ++head)
        for (int64_t i = 0; i < count; ++i) {
            int64_t slot = head * ROOM + e->living[layer][head]++;
            if (e->living[layer][head] > ROOM) {
                fprintf(stderr, "no room for token %d\n", (int)(e->tokens + i));
                exit(1);
            }
            example_fill(e->keys[layer] + slot * DIM, DIM, &e->seed);
            example_fill(e->values[layer] + slot * DIM, DIM, &e->seed);
            e->values[layer][slot * DIM] = (float)(e->tokens + i);
        }
}

static int64_t longest(const struct engine *e, int32_t layer) {
    int64_t most = 0;
    for (int head = 0; head < HEADS; ++head) most = e->living[layer][head] > most ? e->living[layer][head] : most;
    return most;
}

/* A prompt's or a question's tokens through all layers; the caches are at their budget afterwards. */
static void take(struct engine *e, int64_t count) {
    float memory[QUERY_HEADS * 32 * DIM];
    kvsieve_tensor q = example_tensor(memory, QUERY_HEADS, count < 32 ? count : 32, DIM); /* the last of the new ones */
    if (e->tokens > 0) CHECK(kvsieve_plan_extend(e->plan, count));
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_tensor k, v;
        append(e, layer, count);
        k = view(e->keys[layer], longest(e, layer));
        v = view(e->values[layer], longest(e, layer));
        example_fill(memory, QUERY_HEADS * q.tokens * DIM, &e->seed);
        CHECK(kvsieve_plan_observe(e->plan, layer, &q, &k, &v));
    }
    CHECK(kvsieve_plan_finish(e->plan));
    e->tokens += count;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        kvsieve_tensor k = view(e->keys[layer], longest(e, layer)), v = view(e->values[layer], longest(e, layer));
        kvsieve_kept kept = { 0 };
        kept.struct_size = sizeof kept;
        CHECK(kvsieve_plan_gather(e->plan, layer, &k, &k)); /* in place */
        CHECK(kvsieve_plan_gather(e->plan, layer, &v, &v));
        CHECK(kvsieve_plan_kept(e->plan, layer, &kept));
        for (int head = 0; head < HEADS; ++head) {
            const int32_t *positions = kept.positions + kept.offsets[head];
            e->living[layer][head] = kept.offsets[head + 1] - kept.offsets[head];
            for (int64_t slot = 0; slot < e->living[layer][head]; ++slot)
                if (e->values[layer][(head * ROOM + slot) * DIM] != (float)positions[slot]) {
                    fprintf(stderr, "slot %d holds another token than %d\n", (int)slot, (int)positions[slot]);
                    exit(1);
                }
        }
    }
}

static void run(const char *name, int32_t method, int32_t parameter, double value) {
    struct engine e = { 0 };
    kvsieve_model model = { LAYERS, QUERY_HEADS, HEADS, DIM, 0, { 0 } };
    e.seed = 5;
    CHECK(kvsieve_plan_create(method, &model, &e.plan));
    CHECK(kvsieve_plan_set(e.plan, KVSIEVE_WINDOW, 32));
    CHECK(kvsieve_plan_set(e.plan, parameter, value));
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        e.keys[layer] = example_allocate(sizeof(float) * 2 * HEADS * ROOM * DIM);
        e.values[layer] = e.keys[layer] + HEADS * ROOM * DIM;
    }
    take(&e, PROMPT);
    printf("%s: %d tokens", name, (int)e.tokens);
    for (int question = 0; question <= QUESTIONS; ++question) {
        printf(question ? ", %d:" : ":", (int)e.tokens);
        for (int head = 0; head < HEADS; ++head) printf(" %d", (int)e.living[0][head]);
        if (question < QUESTIONS) take(&e, 20 + 3 * question);
    }
    printf(" rows a head\n");
    for (int32_t layer = 0; layer < LAYERS; ++layer) free(e.keys[layer]);
    kvsieve_plan_destroy(e.plan);
}

int main(void) {
    run("taskkv", KVSIEVE_TASKKV, KVSIEVE_RATIO, 0.6);
    run("windowkv", KVSIEVE_WINDOWKV, KVSIEVE_BUDGET, 128);
    run("dynamickv", KVSIEVE_DYNAMICKV, KVSIEVE_BUDGET, 128);
    run("ahakv", KVSIEVE_AHAKV, KVSIEVE_BUDGET, 128);
    return 0;
}
