/* A program of an earlier release. It is compiled against kvsieve.h of this folder alone and runs with today's library; compiled
 * against today's header it must print the same, and each line of expected.txt (../previous.sh). It includes nothing else of the
 * tests: those grow with the header. answers.c is its other half. It calls every function and uses every struct; each thing that it is told must be what the header of its time says.
 * L layers, HQ query heads, H key/value heads, D head size, T tokens, M new ones, C budget, W window. */
#include <kvsieve.h>
#include <stdio.h>
#include <string.h>

enum { L = 2, HQ = 4, H = 2, D = 64, T = 96, M = 8, C = 24, W = 8, BLOCK = 16 };

static float queries_of[HQ * T * D], keys_of[H * (T + M) * D], values_of[H * (T + M) * D], logits_of[H * T];
static int failed, lines;
static uint64_t digest;

void answers(void);

static void expect(int holds, const char *what, const char *of) {
    if (!holds) printf("FAILED %s: %s (%s)\n", of, what, kvsieve_last_error()), failed = 1;
}
#define OK(call) expect((call) == KVSIEVE_OK, #call, name)

static void note(const void *bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) digest = (digest ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
}

/* Integers and bytes since the last line, as one number. The number of the line makes it another than the others. */
static unsigned long long noted(void) {
    unsigned long long since = digest;
    digest = 0, ++lines;
    return since;
}

static double number(double value) { return value == value ? value : -9; } /* NaN has no one spelling */

static void noise(float *numbers, size_t count) {
    static uint32_t seed = 1;
    for (size_t i = 0; i < count; ++i) seed = seed * 1664525u + 1013904223u, numbers[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
}

static kvsieve_tensor view(void *data, int64_t heads, int64_t tokens, int32_t dim) {
    kvsieve_tensor t;
    memset(&t, 0, sizeof t);
    t.data = data, t.heads = heads, t.tokens = tokens, t.dim = dim, t.dtype = KVSIEVE_F32;
    t.token_stride = dim * 4, t.head_stride = tokens * t.token_stride;
    return t;
}

static kvsieve_method_info method_of(int32_t id) {
    kvsieve_method_info info;
    for (int32_t i = 0; i < kvsieve_method_count(); ++i) {
        memset(&info, 0, sizeof info);
        info.struct_size = sizeof info;
        if (kvsieve_method_at(i, &info) == KVSIEVE_OK && info.id == id) return info;
    }
    memset(&info, 0, sizeof info);
    info.name = info.summary = info.paper = info.choose = "";
    expect(0, "no such method", "method_at");
    return info;
}

static kvsieve_parameter_info parameter_of(int32_t method, int32_t id) {
    kvsieve_parameter_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    for (int32_t i = 0; kvsieve_parameter_at(method, i, &info) == KVSIEVE_OK; ++i)
        if (info.id == id) return info;
    memset(&info, 0, sizeof info);
    return info;
}

static kvsieve_kept kept_of(const char *name, const kvsieve_plan *plan, int32_t layer) {
    kvsieve_kept kept;
    memset(&kept, 0, sizeof kept);
    kept.struct_size = sizeof kept;
    OK(kvsieve_plan_kept(plan, layer, &kept));
    return kept;
}

static kvsieve_slots slots_of(const char *name, const kvsieve_plan *plan, int32_t layer, int32_t head) {
    kvsieve_slots slots;
    memset(&slots, 0, sizeof slots);
    slots.struct_size = sizeof slots;
    OK(kvsieve_plan_slots(plan, layer, head, &slots));
    return slots;
}

/* The rows that are kept, by each of the ways to ask. */
static void told(const char *name, const kvsieve_plan *plan, int32_t layer, int64_t seen) {
    kvsieve_kept kept = kept_of(name, plan, layer);
    kvsieve_report report;
    memset(&report, 0, sizeof report);
    report.struct_size = sizeof report;
    OK(kvsieve_plan_report(plan, layer, &report));
    if (failed) return;
    expect(kept.heads == H && kept.tokens == seen && kept.offsets[H] == kept.total, "kvsieve_kept", name);
    expect(report.heads == H && report.kept == kept.total && report.dropped == H * seen - kept.total, "kvsieve_report", name);
    for (int32_t h = 0; h < H; ++h) {
        const int32_t *own = kept.positions + kept.offsets[h];
        int64_t count = kept.offsets[h + 1] - kept.offsets[h], i = 0;
        kvsieve_slots slots = slots_of(name, plan, layer, h);
        kvsieve_ranges ranges;
        memset(&ranges, 0, sizeof ranges);
        ranges.struct_size = sizeof ranges;
        OK(kvsieve_plan_ranges(plan, layer, h, 0, &ranges));
        for (int32_t r = 0; r < ranges.count; ++r)
            for (int32_t p = ranges.bounds[2 * r]; p < ranges.bounds[2 * r + 1]; ++p, ++i)
                expect(i < count && own[i] == p, "kvsieve_ranges", name);
        expect(i == count && slots.length == count && slots.tokens == seen, "kvsieve_slots", name);
        expect(memcmp(slots.positions, own, (size_t)count * 4) == 0 && own[count - 1] < seen, "positions", name);
        if (report.mass != NULL) printf("%s, %d: mass of head %d %.4f\n", name, lines, (int)h, report.mass[h]);
        expect(report.mass == NULL || (report.mass[h] >= report.mass_least && report.mass_mean <= 1), "mass", name);
    }
    note(kept.positions, (size_t)kept.total * 4), note(kept.rows, (size_t)kept.total * 4), note(kept.offsets, (H + 1) * 8);
    printf("%s, %d: layer %d keeps %d of %d, longest %d, intact %d, mass %s %.4f %.4f, rows %016llx\n", name, lines, (int)layer,
           (int)report.kept, (int)(report.kept + report.dropped), (int)kept.longest, (int)report.intact,
           report.mass == NULL ? "none" : "by head", number(report.mass_mean), number(report.mass_least), noted());
}

/* Where the header says that a row is. */
static const float *row_at(const kvsieve_tensor *t, int64_t head, int64_t token) {
    const char *row = (const char *)t->data + head * t->head_stride;
    if (t->blocks == NULL) return (const float *)(row + token * t->token_stride);
    row += t->blocks[token / t->block_tokens] * t->block_stride;
    return (const float *)(row + token % t->block_tokens * t->token_stride);
}

static void gathered(const char *name, kvsieve_plan *plan, int32_t layer, const kvsieve_tensor *source) {
    static float rows[H * (T + M) * D];
    static const float still[D / 2]; /* frequencies of 0: nothing turns */
    kvsieve_rope rope;
    kvsieve_kept kept = kept_of(name, plan, layer);
    memset(&rope, 0, sizeof rope);
    rope.struct_size = sizeof rope, rope.pairing = KVSIEVE_ROPE_NEIGHBOURS, rope.dims = D, rope.frequencies = still;
    kvsieve_tensor target = view(rows, 1, kept.total, D);
    for (int turned = 0; turned < 2 && !failed; ++turned) {
        memset(rows, 0, sizeof rows);
        if (turned) OK(kvsieve_plan_gather_rotated(plan, layer, source, &target, &rope));
        else OK(kvsieve_plan_gather(plan, layer, source, &target));
        for (int32_t h = 0; h < H; ++h)
            for (int64_t i = kept.offsets[h]; i < kept.offsets[h + 1]; ++i)
                for (int d = 0; d < D; ++d)
                    expect(rows[i * D + d] == row_at(source, h, kept.rows[i])[d], turned ? "gather_rotated" : "gather", name);
    }
}

/* One token a step, by keys and by logits; then `last` at once, which are taken back. */
static void decoded(const char *name, kvsieve_plan *plan, int64_t last) {
    int32_t slot[H * 2];
    for (int step = 0; step < 4; ++step) {
        int64_t m = step == 3 ? last : 1;
        for (int32_t layer = 0; layer < L; ++layer) {
            int64_t n = slots_of(name, plan, layer, 0).length + m;
            kvsieve_tensor q = view(queries_of, HQ, m, D), k = view(keys_of, H, n, D), v = view(values_of, H, n, D);
            kvsieve_tensor logits = view(queries_of, HQ, m, (int32_t)n);
            if (step == 1) OK(kvsieve_plan_step_logits(plan, layer, &logits, &v, slot));
            else OK(kvsieve_plan_step(plan, layer, &q, &k, &v, slot));
            for (int i = 0; i < H * m; ++i) expect(slot[i] >= -1 && slot[i] < n, "a slot", name);
            note(slot, (size_t)(H * m) * 4);
        }
        printf("%s, %d: step %d, slots %016llx\n", name, lines, step, noted());
    }
    OK(kvsieve_plan_trim(plan, last));
    kvsieve_slots slots = slots_of(name, plan, L - 1, H - 1);
    expect(slots.tokens == T + 3, "trim", name);
    note(slots.positions, (size_t)slots.length * 4);
    printf("%s, %d: after trim, slots %016llx\n", name, lines, noted());
}

static kvsieve_tensor in_blocks(void *data, int32_t *table) {
    kvsieve_tensor t = view(data, H, T, D);
    for (int i = 0; i < T / BLOCK; ++i) table[i] = T / BLOCK - 1 - i;
    t.blocks = table, t.block_tokens = BLOCK, t.block_count = T / BLOCK;
    t.token_stride = H * D * 4, t.head_stride = D * 4, t.block_stride = BLOCK * t.token_stride;
    return t;
}

/* A prompt and, unless it will be decoded, a round after it. */
static void sequence(const char *name, kvsieve_plan *plan, int rounds, int paged) {
    int64_t rows[L] = { T, T }, bound[L] = { 0 };
    for (int round = 0; round < rounds; ++round) {
        int32_t table[T / BLOCK], needs = 0;
        kvsieve_tensor keys[L], queries = view(queries_of, HQ, round ? M : T, D);
        for (int32_t layer = 0; layer < L; ++layer) {
            kvsieve_tensor values = view(values_of, H, rows[layer], D);
            int in_chunks = 0;
            keys[layer] = paged && round == 0 ? in_blocks(keys_of, table) : view(keys_of, H, rows[layer], D);
            OK(kvsieve_plan_needs(plan, layer, &needs));
            in_chunks = (needs & KVSIEVE_NEEDS_QUERIES) && !(needs & KVSIEVE_NEEDS_ALL_QUERIES);
            if (in_chunks) OK(kvsieve_plan_queries(plan, layer, &queries));
            if (round == 0) OK(kvsieve_plan_bound(plan, layer, T, &bound[layer]));
            OK(kvsieve_plan_observe(plan, layer, in_chunks ? NULL : &queries, &keys[layer], &values));
        }
        OK(kvsieve_plan_finish(plan));
        for (int32_t layer = 0; layer < L && !failed; ++layer) {
            kvsieve_kept kept = kept_of(name, plan, layer);
            told(name, plan, layer, T + round * M);
            gathered(name, plan, layer, &keys[layer]);
            expect(round || kept.longest <= bound[layer], "bound", name);
            if (round == 0) printf("%s, %d: layer %d keeps at most %lld\n", name, lines, (int)layer, (long long)bound[layer]);
            expect(kept.longest < rows[layer], "something is dropped", name);
            rows[layer] = kept.longest + M;
        }
        if (round + 1 < rounds) OK(kvsieve_plan_extend(plan, M));
    }
}

/* Probabilities, each row alike, in the place of keys. */
static void attention_given(const char *name, kvsieve_plan *plan) {
    kvsieve_tensor values = view(values_of, H, T, D), sums = view(logits_of, H, 1, T);
    for (int i = 0; i < H * T; ++i) logits_of[i] = (float)((i * 37) % T) / T;
    for (int32_t layer = 0; layer < L; ++layer)
        OK(kvsieve_plan_observe_attention(plan, layer, KVSIEVE_COLUMN_SUMS, &sums, &values));
    OK(kvsieve_plan_finish(plan));
    for (int32_t layer = 0; layer < L && !failed; ++layer) told(name, plan, layer, T);
}

static void with(const char *name, kvsieve_plan *plan, int32_t method, int32_t parameter, double value) {
    kvsieve_parameter_info info = parameter_of(method, parameter);
    if (info.id != parameter) return;
    expect(value >= info.lowest && value <= info.highest && info.name[0] && info.summary[0], "kvsieve_parameter_info", name);
    OK(kvsieve_plan_set(plan, parameter, value));
    OK(kvsieve_plan_get(plan, parameter, &info.initial));
    expect(info.initial == value, "plan_get", name);
}

static void every_way(int32_t method, const char *called) {
    kvsieve_method_info info = method_of(method);
    const char *name = called;
    kvsieve_model model;
    kvsieve_plan *plan = NULL;
    memset(&model, 0, sizeof model);
    model.layers = L, model.query_heads = HQ, model.kv_heads = H, model.head_dim = D;
    expect(strcmp(info.name, called) == 0 && info.summary[0] && info.paper[0] && info.choose[0], "kvsieve_method_info", name);
    OK(kvsieve_plan_create(method, &model, &plan));
    expect(kvsieve_plan_set(plan, KVSIEVE_BUDGET, -1) == KVSIEVE_ERR_PARAMETER, "an error", name);
    expect(strcmp(kvsieve_plan_error(plan), kvsieve_last_error()) == 0 && kvsieve_last_error()[0], "its sentence", name);
    with(name, plan, method, KVSIEVE_BUDGET, method == KVSIEVE_TASKKV ? 0 : C);
    with(name, plan, method, KVSIEVE_WINDOW, W);
    with(name, plan, method, KVSIEVE_REPORT, 1);
    with(name, plan, method, KVSIEVE_TASKKV_SINKS, 2);
    with(name, plan, method, KVSIEVE_TASKKV_RECENT, W);
    with(name, plan, method, KVSIEVE_KEYDIFF_RECENT, W);
    with(name, plan, method, KVSIEVE_RANDOM_RECENT, W);
    for (int paged = 0; paged < 2 && !failed; ++paged) {
        OK(kvsieve_plan_protect(plan, 3, 2));
        sequence(name, plan, 2, paged);
        OK(kvsieve_plan_reset(plan));
    }
    if (method == KVSIEVE_SNAPKV) {
        attention_given(name, plan);
        OK(kvsieve_plan_reset(plan));
    }
    if (info.decodes && !failed) {
        with(name, plan, method, KVSIEVE_DECODING, 1);
        sequence(name, plan, 1, 0);
        if (!failed) decoded(name, plan, method == KVSIEVE_TOVA ? 1 : 2); /* tova: only the newest never leaves */
    }
    kvsieve_plan_destroy(plan);
}

int main(void) {
    answers();
    noise(queries_of, HQ * T * D), noise(keys_of, H * (T + M) * D), noise(values_of, H * (T + M) * D);
    expect(kvsieve_version() >= KVSIEVE_VERSION && kvsieve_version() / 10000 == KVSIEVE_VERSION_MAJOR, "version", "library");
    expect(strncmp(kvsieve_build_info(), "kvsieve ", 8) == 0, "build_info", "library");
    expect(strcmp(kvsieve_status_name(KVSIEVE_ERR_NONFINITE), "KVSIEVE_ERR_NONFINITE") == 0, "status_name", "library");
    every_way(KVSIEVE_AHAKV, "ahakv");
    every_way(KVSIEVE_TASKKV, "taskkv");
    every_way(KVSIEVE_WINDOWKV, "windowkv");
    every_way(KVSIEVE_DYNAMICKV, "dynamickv");
    every_way(KVSIEVE_H2O, "h2o");
    every_way(KVSIEVE_SNAPKV, "snapkv");
    every_way(KVSIEVE_PYRAMIDKV, "pyramidkv");
    every_way(KVSIEVE_ADAKV, "adakv");
    every_way(KVSIEVE_STREAMINGLLM, "streamingllm");
    every_way(KVSIEVE_TOVA, "tova");
    every_way(KVSIEVE_KEYDIFF, "keydiff");
    every_way(KVSIEVE_RANDOM, "random");
    return failed;
}
