/* What can be wrong with a tensor: each field, and what it points to. */
#include "choices.h"
#include "faults.h"
#include "guarded.h"
#include "numbers.h"

#include <string.h>

enum { KINDS = 22 };

/* The same table in memory of its own, to be changed. */
static int32_t *table_copied(kvsieve_tensor *t, int64_t entries) {
    int32_t *table = guarded_take((size_t)entries * sizeof *table, 1);
    memcpy(table, t->blocks, (size_t)entries * sizeof *table);
    t->blocks = table;
    return table;
}

static int wrong_table(kvsieve_tensor *t, int kind, int written, const char *name, fault *f) {
    const int64_t row = row_bytes(t->dtype, t->dim), unit = alignment_of(t->dtype);
    const int64_t entries = (t->tokens - 1) / t->block_tokens + 1;
    int32_t *table;
    switch (kind) {
    case 16: t->block_tokens = chance(2) ? INT32_MIN : (int32_t)-choice(3); break;
    case 17:
        table = table_copied(t, entries);
        table[choice((uint64_t)entries)] = t->block_count && chance(2) ? t->block_count : chance(2) ? INT32_MIN : -1;
        break;
    case 18: t->block_count = chance(2) ? -1 : INT32_MIN; break;
    case 19: {
        /* Far away are only blocks from the second on. */
        int32_t last = 0;
        for (int64_t i = 0; i < entries; ++i) last = t->blocks[i] > last ? t->blocks[i] : last;
        t->block_stride =
            (const int64_t[]){ 0, -row, row - unit, INT64_MIN, INT64_MAX, (int64_t)1 << 60 }[choice(last > 0 ? 6 : 4)];
        break;
    }
    case 20:
        if (!written || entries < 2) return 0;
        table = table_copied(t, entries);
        table[entries - 1] = table[choice((uint64_t)entries - 1)];
        break;
    default: /* Blocks lie over each other. */
        if (entries < 2 || (t->heads == 1 && (t->block_tokens == 1 || t->tokens == 1))) return 0;
        t->block_stride = row;
    }
    return fault_is(f, KVSIEVE_ERR_LAYOUT, name, "a table of %s, fault %d", name, kind);
}

static int wrong_stride(kvsieve_tensor *t, int of_heads, const char *name, fault *f) {
    const int64_t row = row_bytes(t->dtype, t->dim), unit = alignment_of(t->dtype);
    const int64_t strides[] = { 0, -row, row - unit, INT64_MIN, INT64_MAX, INT64_MAX - 3, (int64_t)1 << 58, row + 1 };
    const int64_t stride = strides[choice(unit > 1 ? 8 : 7)];
    const int64_t inner = t->blocks && t->block_tokens < t->tokens ? t->block_tokens : t->tokens;
    if ((of_heads ? t->heads : inner) == 1) return 0;
    *(of_heads ? &t->head_stride : &t->token_stride) = stride;
    return fault_is(f, KVSIEVE_ERR_LAYOUT, name, "%s stride of %s %lld", of_heads ? "head" : "token", name, (long long)stride);
}

/* Fields that are sizes, and are looked at also where nothing is read. */
static int wrong_size(call *c, int which, int kind, fault *f) {
    static const int64_t sizes[] = { 0, -1, INT64_MIN, INT64_MAX, ((int64_t)1 << 24) + 1, (int64_t)1 << 32 };
    static const int32_t dims[] = { 0, -16, INT32_MIN, INT32_MAX };
    kvsieve_tensor *t = &c->tensor[which];
    const char *name = c->name[which];
    switch (kind) {
    case 2: t->heads = sizes[choice(6)]; return fault_is(f, KVSIEVE_ERR_SHAPE, name, "heads of %s %lld", name, (long long)t->heads);
    case 3:
        if (t->heads == 1 || (c->use[which] == WRITTEN && t->heads == 2)) return 0;
        --t->heads;
        return fault_is(f, KVSIEVE_ERR_SHAPE, name, "one head of %s less", name);
    case 4:
        t->tokens = sizes[choice(6)];
        return fault_is(f, KVSIEVE_ERR_SHAPE, name, "tokens of %s %lld", name, (long long)t->tokens);
    case 5:
        if (c->least[which] < 2) return 0;
        t->tokens = c->least[which] - 1;
        return fault_is(f, KVSIEVE_ERR_SHAPE, "", "tokens of %s %lld", name, (long long)t->tokens);
    case 6:
        if (c->use[which] == ITS_SHAPE) return 0;
        t->dim = dims[choice(4)];
        return fault_is(f, KVSIEVE_ERR_SHAPE, name, "dim of %s %d", name, (int)t->dim);
    default:
        if (c->use[which] == ITS_SHAPE || !c->width[which] || t->dim <= block_of(t->dtype)) return 0;
        t->dim -= block_of(t->dtype);
        return fault_is(f, KVSIEVE_ERR_SHAPE, "", "dim of %s less", name);
    }
}

int fault_of_tensor(call *c, int which, fault *f) {
    static const int32_t dtypes[] = { 8, -1, INT32_MAX, INT32_MIN };
    kvsieve_tensor *t = &c->tensor[which];
    const char *name = c->name[which];
    const enum use use = c->use[which];
    const int kind = (int)choice(KINDS);
    if (use == IGNORED || c->given[which] != GIVEN) return 0;
    if (kind == 0) {
        c->given[which] = ABSENT;
        return fault_is(f, KVSIEVE_ERR_NULL, name, "%s NULL", name);
    }
    if (kind >= 2 && kind <= 7) return wrong_size(c, which, kind, f);
    if (kind == 8) {
        t->reserved[choice(2)] = chance(2) ? 1 : INT32_MIN;
        return fault_is(f, KVSIEVE_ERR_LAYOUT, "reserved", "reserved of %s", name);
    }
    if (use == ITS_SHAPE) return 0;
    if (kind == 1) {
        t->data = NULL;
        return fault_is(f, KVSIEVE_ERR_NULL, name, "data of %s NULL", name);
    }
    if (kind == 9 || kind == 10) return wrong_stride(t, kind == 9, name, f);
    if (kind == 11) {
        const int64_t inner = t->blocks && t->block_tokens < t->tokens ? t->block_tokens : t->tokens;
        if (t->heads == 1 || inner == 1) return 0;
        t->head_stride = t->token_stride = row_bytes(t->dtype, t->dim) * (1 + (int64_t)choice(3));
        return fault_is(f, KVSIEVE_ERR_LAYOUT, name, "rows of %s over each other", name);
    }
    if (kind == 12) {
        t->dtype = dtypes[choice(4)];
        return fault_is(f, KVSIEVE_ERR_DTYPE, "dtype", "dtype of %s %d", name, (int)t->dtype);
    }
    if (kind == 13) {
        if (c->function == GATHER && (which == 0 || t->dtype == KVSIEVE_Q4_0 || t->dtype == KVSIEVE_BYTES)) return 0;
        t->dtype = KVSIEVE_BYTES; /* whose rows are at most as long */
        return fault_is(f, KVSIEVE_ERR_DTYPE, "dtype", "dtype of %s BYTES", name);
    }
    if (kind == 14) {
        if (alignment_of(t->dtype) == 1) return 0;
        t->data = (char *)t->data + 1;
        return fault_is(f, KVSIEVE_ERR_LAYOUT, name, "data of %s moved by a byte", name);
    }
    if (kind == 15) {
        if (t->blocks != NULL) return 0;
        if (chance(3)) t->block_stride = 64;
        else if (chance(2)) t->block_tokens = 16;
        else t->block_count = -1;
        return fault_is(f, KVSIEVE_ERR_LAYOUT, name, "%s with the fields of a table but none", name);
    }
    return t->blocks == NULL ? 0 : wrong_table(t, kind, use == WRITTEN, name, f);
}
