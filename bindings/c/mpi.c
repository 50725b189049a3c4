/* A tensor-parallel engine over MPI: the heads of a model are on several ranks, each with a plan of its own, and MPI_Allgather is the
 * collective that joins them. What the ranks keep is gathered on rank 0, where one plan of the whole model must keep the same.
 *
 *     make check-mpi      builds it with mpicc, and runs it with 2 and 4 processes
 *
 * Layers of DynamicKV compete for one budget, and the windows of WindowKV are chosen by all heads: without a collective ranks would
 * choose other rows. Heads are dealt unevenly if the ranks do not divide them. */
#include "example.h"

#include <limits.h>
#include <mpi.h>
#include <string.h>

enum { LAYERS = 6, GROUP = 2, HEADS = 6, DIM = 32, TOKENS = 700, WINDOW = 16, BUDGET = 80 };

/* The whole model's cache: a rank looks at its own heads alone. All ranks draw the same numbers. */
static float queries[LAYERS][GROUP * HEADS][WINDOW][DIM], keys[LAYERS][HEADS][TOKENS][DIM];

/* The collective: `context` is the communicator. Whatever MPI says but success is a failure, of which finish() tells. */
static int32_t all_gather(void *context, const void *send, int64_t bytes, void *receive) {
    if (bytes > INT_MAX) return MPI_ERR_COUNT;
    return MPI_Allgather(send, (int)bytes, MPI_BYTE, receive, (int)bytes, MPI_BYTE, *(MPI_Comm *)context);
}

static void draw(void) {
    uint64_t seed = 11;
    example_fill(&queries[0][0][0][0], (int64_t)sizeof queries / (int64_t)sizeof(float), &seed);
    example_fill(&keys[0][0][0][0], (int64_t)sizeof keys / (int64_t)sizeof(float), &seed);
    for (int32_t l = 0; l < LAYERS; ++l) { /* later layers look at more tokens */
        kvsieve_tensor q = example_tensor(&queries[l][0][0][0], GROUP * HEADS, WINDOW, DIM);
        kvsieve_tensor k = example_tensor(&keys[l][0][0][0], HEADS, TOKENS, DIM);
        for (int h = 0; h < HEADS; ++h)
            for (int i = 0; i < 8 * (l + 1); ++i) example_plant(&k, h, (37 * i + 101 * h) % (TOKENS - WINDOW), &q);
    }
}

/* A plan of heads first ... first + heads - 1, that has not finished: every layer is observed. Heads of a layer are neighbours. */
static kvsieve_plan *observed(int32_t method, int32_t first, int32_t heads, const kvsieve_group *group) {
    const kvsieve_model model = { LAYERS, GROUP * heads, heads, DIM, 0, { 0 } };
    kvsieve_plan *plan = NULL;
    CHECK(kvsieve_plan_create(method, &model, &plan));
    CHECK(kvsieve_plan_set(plan, KVSIEVE_BUDGET, BUDGET));
    CHECK(kvsieve_plan_set(plan, KVSIEVE_WINDOW, WINDOW));
    if (group != NULL) CHECK(kvsieve_plan_join(plan, group));
    for (int32_t l = 0; l < LAYERS; ++l) {
        kvsieve_tensor q = example_tensor(&queries[l][GROUP * first][0][0], GROUP * heads, WINDOW, DIM);
        kvsieve_tensor k = example_tensor(&keys[l][first][0][0], heads, TOKENS, DIM);
        int32_t needs = 0;
        CHECK(kvsieve_plan_needs(plan, l, &needs));
        CHECK(kvsieve_plan_observe(plan, l, needs & KVSIEVE_NEEDS_QUERIES ? &q : NULL, needs ? &k : NULL, NULL));
    }
    return plan;
}

/* Writes a head's number of rows and their positions, for each layer and head of the plan. Returns how many numbers that are. */
static int list(const kvsieve_plan *plan, int32_t heads, int32_t *out) {
    int count = 0;
    for (int32_t l = 0; l < LAYERS; ++l) {
        kvsieve_kept kept = { 0 };
        kept.struct_size = sizeof kept;
        CHECK(kvsieve_plan_kept(plan, l, &kept));
        for (int32_t h = 0; h < heads; ++h) {
            const int64_t rows = kept.offsets[h + 1] - kept.offsets[h];
            out[count++] = (int32_t)rows;
            memcpy(out + count, kept.positions + kept.offsets[h], (size_t)rows * sizeof(int32_t));
            count += (int)rows;
        }
    }
    return count;
}

/* Steps over the rows of one layer's `heads` heads in a list, and returns how many numbers that are. */
static int layer_of(const int32_t *from, int32_t heads) {
    int count = 0;
    for (int32_t h = 0; h < heads; ++h) count += 1 + from[count];
    return count;
}

static int32_t first_head(int rank, int ranks) { return (int32_t)(HEADS * rank / ranks); }

/* Rank 0: the lists of all ranks, layer by layer, against that of one plan. Returns the rows that are kept; -1 if they differ. */
static int compare(int32_t method, const int32_t *all, const int *begins, int ranks) {
    static int32_t whole[LAYERS * HEADS * (TOKENS + 1)];
    kvsieve_plan *plan = observed(method, 0, HEADS, NULL);
    int *at = example_allocate((size_t)ranks * sizeof(int)), place = 0, same = 1;
    CHECK(kvsieve_plan_finish(plan));
    list(plan, HEADS, whole);
    memcpy(at, begins, (size_t)ranks * sizeof(int));
    for (int32_t l = 0; l < LAYERS; ++l)
        for (int rank = 0; rank < ranks; ++rank) {
            const int32_t heads = first_head(rank + 1, ranks) - first_head(rank, ranks);
            const int numbers = layer_of(whole + place, heads);
            same = same && memcmp(whole + place, all + at[rank], (size_t)numbers * sizeof(int32_t)) == 0;
            at[rank] += layer_of(all + at[rank], heads);
            place += numbers;
        }
    kvsieve_plan_destroy(plan);
    free(at);
    return same ? place - LAYERS * HEADS : -1;
}

/* One method over all ranks. Rank 0 prints a line, and every rank returns whether the choice is that of one plan. */
static int run(const char *name, int32_t method, MPI_Comm world, int rank, int ranks) {
    static int32_t own[LAYERS * HEADS * (TOKENS + 1)], all[LAYERS * HEADS * (TOKENS + 1)];
    const int32_t first = first_head(rank, ranks), heads = first_head(rank + 1, ranks) - first;
    int *sizes = example_allocate(2 * (size_t)ranks * sizeof(int)), *begins = sizes + ranks, count, same = 0;
    kvsieve_group group = { 0 };
    kvsieve_plan *plan;
    group.struct_size = sizeof group;
    group.rank = rank;
    group.ranks = ranks;
    group.layers = LAYERS;
    group.first_head = first;
    group.heads = HEADS;
    group.context = &world;
    group.all_gather = all_gather;
    plan = observed(method, first, heads, &group);
    CHECK(kvsieve_plan_finish(plan)); /* on every rank */
    count = list(plan, heads, own);
    MPI_Allgather(&count, 1, MPI_INT, sizes, 1, MPI_INT, world);
    for (int i = 0; i < ranks; ++i) begins[i] = i == 0 ? 0 : begins[i - 1] + sizes[i - 1];
    MPI_Gatherv(own, count, MPI_INT32_T, all, sizes, begins, MPI_INT32_T, 0, world);
    if (rank == 0) {
        const int rows = compare(method, all, begins, ranks);
        same = rows > 0 && rows < LAYERS * HEADS * TOKENS;
        printf("%s on %d ranks: ", name, ranks);
        if (same) printf("%d of %d rows kept, those that one plan keeps\n", rows, LAYERS * HEADS * TOKENS);
        else printf("NOT the rows that one plan keeps\n");
    }
    MPI_Bcast(&same, 1, MPI_INT, 0, world);
    kvsieve_plan_destroy(plan);
    free(sizes);
    return same;
}

int main(int argc, char **argv) {
    MPI_Comm world;
    int rank, ranks, same;
    MPI_Init(&argc, &argv);
    MPI_Comm_dup(MPI_COMM_WORLD, &world); /* the library's messages meet no others */
    MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world, &rank);
    MPI_Comm_size(world, &ranks);
    if (ranks > HEADS) {
        if (rank == 0) fprintf(stderr, "%d ranks, and the model has %d heads; expected at most as many\n", ranks, (int)HEADS);
        MPI_Abort(world, 2);
    }
    draw();
    same = run("dynamickv", KVSIEVE_DYNAMICKV, world, rank, ranks);
    same = run("windowkv", KVSIEVE_WINDOWKV, world, rank, ranks) && same;
    same = run("adakv", KVSIEVE_ADAKV, world, rank, ranks) && same;
    MPI_Comm_free(&world);
    MPI_Finalize();
    return same ? 0 : 1;
}
