/* Faults of a library, planted between it and the fuzzer (LD_PRELOAD): each must be found. KVSIEVE_PLANTED is its number. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <kvsieve.h>
#include <stdlib.h>
#include <string.h>

static int planted(int number) {
    static int which = -1;
    if (which < 0) which = getenv("KVSIEVE_PLANTED") ? atoi(getenv("KVSIEVE_PLANTED")) : 0;
    return which == number;
}

/* The library's own function of that type. */
#define NEXT(type, function) ((type)dlsym(RTLD_NEXT, function))

typedef kvsieve_status (*gather)(const kvsieve_plan *, int32_t, const kvsieve_tensor *, const kvsieve_tensor *);

kvsieve_status kvsieve_plan_gather(const kvsieve_plan *plan, int32_t layer, const kvsieve_tensor *source,
                                   const kvsieve_tensor *target) {
    kvsieve_status status = NEXT(gather, "kvsieve_plan_gather")(plan, layer, source, target);
    kvsieve_kept kept = { .struct_size = sizeof kept };
    /* A row more than is kept; a row less. */
    if (status == 0 && target->blocks == NULL && kvsieve_plan_kept(plan, layer, &kept) == 0) {
        char *last = (char *)target->data + (target->tokens - 1) * target->token_stride;
        if (planted(1) && target->heads == 1 && kept.total < target->tokens) *last = 0;
        if (planted(2) && target->heads == 1 && kept.total == target->tokens) *last ^= 1;
    }
    if (planted(3) && status == KVSIEVE_ERR_LAYOUT) return KVSIEVE_ERR_SHAPE;
    /* Writes although it refuses. */
    if (planted(4) && status != 0 && target && target->data && target->tokens > 0 && target->dtype == KVSIEVE_F32)
        memset(target->data, 0, 4);
    return status;
}

typedef kvsieve_status (*step)(kvsieve_plan *, int32_t, const kvsieve_tensor *, const kvsieve_tensor *, const kvsieve_tensor *,
                               int32_t *);

kvsieve_status kvsieve_plan_step(kvsieve_plan *plan, int32_t layer, const kvsieve_tensor *queries, const kvsieve_tensor *keys,
                                 const kvsieve_tensor *values, int32_t *slot) {
    const kvsieve_status status = NEXT(step, "kvsieve_plan_step")(plan, layer, queries, keys, values, slot);
    double threads = 0;
    if (planted(5) && status != 0 && slot) *slot = 0;
    if (planted(6) && status == 0 && *slot > 0 && kvsieve_plan_get(plan, KVSIEVE_THREADS, &threads) == 0 && threads > 2) --*slot;
    return status;
}

typedef kvsieve_status (*trim)(kvsieve_plan *, int64_t);

kvsieve_status kvsieve_plan_trim(kvsieve_plan *plan, int64_t tokens) {
    if (planted(7) && tokens == 1) return 0;
    return NEXT(trim, "kvsieve_plan_trim")(plan, tokens);
}

typedef kvsieve_status (*protect)(kvsieve_plan *, int64_t, int64_t);

kvsieve_status kvsieve_plan_protect(kvsieve_plan *plan, int64_t first, int64_t count) {
    if (planted(8) && first > 0 && count > 1) return NEXT(protect, "kvsieve_plan_protect")(plan, first, count - 1);
    return NEXT(protect, "kvsieve_plan_protect")(plan, first, count);
}

typedef kvsieve_status (*observe)(kvsieve_plan *, int32_t, const kvsieve_tensor *, const kvsieve_tensor *, const kvsieve_tensor *);

kvsieve_status kvsieve_plan_observe(kvsieve_plan *plan, int32_t layer, const kvsieve_tensor *queries, const kvsieve_tensor *keys,
                                    const kvsieve_tensor *values) {
    kvsieve_status status = NEXT(observe, "kvsieve_plan_observe")(plan, layer, queries, keys, values);
    volatile char byte;
    int32_t needs = 0;
    if (planted(9) && status == KVSIEVE_ERR_STATE) (void)!kvsieve_plan_reset(plan);
    /* Reads past the end of the last row. */
    if (planted(10) && status == 0 && kvsieve_plan_needs(plan, layer, &needs) == 0 && needs & KVSIEVE_NEEDS_KEYS
        && keys->blocks == NULL && keys->heads > 1) {
        byte = *((char *)keys->data + keys->heads * keys->head_stride + keys->tokens * keys->token_stride);
        (void)byte;
    }
    return status;
}

typedef const char *(*sentence)(void);

const char *kvsieve_last_error(void) {
    const char *text = NEXT(sentence, "kvsieve_last_error")();
    return planted(11) && strstr(text, "protect came") ? "" : text;
}

typedef kvsieve_status (*get)(const kvsieve_plan *, int32_t, double *);

kvsieve_status kvsieve_plan_get(const kvsieve_plan *plan, int32_t parameter, double *value) {
    kvsieve_status status = NEXT(get, "kvsieve_plan_get")(plan, parameter, value);
    if (planted(12) && status == KVSIEVE_ERR_PARAMETER && value) *value = 0;
    return status;
}
