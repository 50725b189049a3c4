/* What can be wrong with what is no tensor: pointers, numbers, ids, structs that say their size. */
#include "choices.h"
#include "faults.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const float spoilt[1] = { NAN };

int fault_is(fault *f, kvsieve_status status, const char *words, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->what, sizeof f->what, format, arguments);
    va_end(arguments);
    f->status = status;
    f->words = words;
    return 1;
}

/* A number that is none of 0 ... count - 1. */
static int32_t outside(int32_t count) {
    const int32_t numbers[] = { -1, count, INT32_MIN, INT32_MAX, -count - 1 };
    return numbers[choice(5)];
}

static int asks_of_layer(enum function function) {
    return function == NEEDS || function == BOUND || function == QUERIES || function == OBSERVE || function == ATTENTION
           || function == KEPT || function == RANGES || function == REPORT || function == GATHER || function == ROTATED
           || function == STEP || function == STEP_LOGITS || function == SLOTS;
}

static int wrong_model(call *c, fault *f) {
    static const int32_t sizes[] = { 0, -1, INT32_MIN, INT32_MAX, 1 << 20 };
    kvsieve_model *m = &c->model;
    switch (choice(8)) {
    case 0: m->layers = sizes[choice(5)]; return fault_is(f, KVSIEVE_ERR_SHAPE, "layers", "layers %d", (int)m->layers);
    case 1:
        m->query_heads = sizes[choice(5)];
        return fault_is(f, KVSIEVE_ERR_SHAPE, "heads", "query_heads %d", (int)m->query_heads);
    case 2: m->kv_heads = sizes[choice(5)]; return fault_is(f, KVSIEVE_ERR_SHAPE, "heads", "kv_heads %d", (int)m->kv_heads);
    case 3: m->head_dim = sizes[choice(5)]; return fault_is(f, KVSIEVE_ERR_SHAPE, "head_dim", "head_dim %d", (int)m->head_dim);
    case 4:
        if (m->kv_heads == 1) return 0;
        ++m->query_heads;
        return fault_is(f, KVSIEVE_ERR_SHAPE, "heads", "query_heads %d of %d", (int)m->query_heads, (int)m->kv_heads);
    case 5:
        m->scale = (const float[]){ -1, NAN, INFINITY, -INFINITY }[choice(4)];
        return fault_is(f, KVSIEVE_ERR_PARAMETER, "scale", "scale %g", (double)m->scale);
    case 6: m->reserved[choice(3)] = INT32_MIN; return fault_is(f, KVSIEVE_ERR_LAYOUT, "reserved", "reserved of model");
    default: c->method = chance(2) ? 0 : outside(4096); return fault_is(f, KVSIEVE_ERR_METHOD, "", "method %d", (int)c->method);
    }
}

static int wrong_rope(call *c, fault *f) {
    kvsieve_rope *r = &c->rope;
    const int32_t dim = c->tensor[0].dim;
    switch (choice(8)) {
    case 0: r->struct_size = (uint32_t)choice(32); break;
    case 1: r->struct_size = chance(2) ? UINT32_MAX : 40; break;
    case 2: r->pairing = outside(2); break;
    case 3: r->by_row = outside(2); break;
    case 4: r->reserved = 1; return fault_is(f, KVSIEVE_ERR_LAYOUT, "rope.reserved", "reserved of rope");
    case 5: r->frequencies = NULL; return fault_is(f, KVSIEVE_ERR_NULL, "rope.frequencies", "frequencies NULL");
    case 6:
        if (chance(3)) {
            r->frequencies = spoilt, r->dims = 2;
            return fault_is(f, KVSIEVE_ERR_NONFINITE, "rope.frequencies", "frequency NaN");
        }
        r->first = chance(2) ? -1 : dim - r->dims + 1;
        return fault_is(f, KVSIEVE_ERR_SHAPE, "rope.first", "first %d", (int)r->first);
    default:
        r->dims = (const int32_t[]){ 0, 1, -2, INT32_MIN, INT32_MAX, dim + 2 - dim % 2 }[choice(6)];
        return fault_is(f, KVSIEVE_ERR_SHAPE, "rope.dims", "dims %d", (int)r->dims);
    }
    return fault_is(f, KVSIEVE_ERR_PARAMETER, "rope.", "a field of rope");
}

static int wrong_group(call *c, fault *f) {
    kvsieve_group *g = &c->group;
    switch (choice(9)) {
    case 0:
        g->struct_size += chance(2) ? 8 : (uint32_t)-1;
        return fault_is(f, KVSIEVE_ERR_PARAMETER, "struct_size", "size of group");
    case 1: g->reserved = -1; return fault_is(f, KVSIEVE_ERR_LAYOUT, "group.reserved", "reserved of group");
    case 2: g->all_gather = NULL; return fault_is(f, KVSIEVE_ERR_NULL, "all_gather", "all_gather NULL");
    case 3: g->rank = outside(g->ranks); break;
    case 4: g->ranks = chance(2) ? 0 : outside(1025); break;
    case 5: g->layers = (const int32_t[]){ 0, -1, INT32_MIN, INT32_MAX, g->layers - 1 }[choice(5)]; break;
    case 6: g->heads = (const int32_t[]){ 0, -1, INT32_MIN, INT32_MAX, g->heads - 1 }[choice(5)]; break;
    case 7: g->first_layer = (const int32_t[]){ 1, -1, INT32_MIN, INT32_MAX }[choice(4)]; break;
    default: g->first_head = (const int32_t[]){ 1, -1, INT32_MIN, INT32_MAX }[choice(4)]; break;
    }
    return fault_is(f, KVSIEVE_ERR_SHAPE, "group.", "a number of group");
}

/* A value that a parameter may not have. */
static int wrong_value(call *c, const sizes *sizes, fault *f) {
    kvsieve_parameter_info info = { .struct_size = sizeof info };
    double value;
    if (chance(3)) {
        c->parameter = (const int32_t[]){ 0, -1, 99, 5000, INT32_MIN, INT32_MAX }[choice(6)];
        return fault_is(f, KVSIEVE_ERR_PARAMETER, "parameter", "parameter %d", (int)c->parameter);
    }
    for (int32_t index = 0; kvsieve_parameter_at(sizes->method, index, &info) == KVSIEVE_OK && info.id != c->parameter; ++index) {
    }
    value = (const double[]){ NAN, INFINITY, -INFINITY, info.lowest - 1, info.highest + 1, 1e300, -1e-300 }[choice(7)];
    if (info.integral && chance(2)) value = info.lowest + 0.5;
    if (info.integral == 2 && chance(2)) value = info.lowest + 1;
    if (value == info.lowest - 1 && info.highest > 1e15) return 0;
    c->value = value;
    if (value == -1e-300 && info.lowest < 0) return 0;
    return fault_is(f, KVSIEVE_ERR_PARAMETER, info.name, "%s %g", info.name, value);
}

static int wrong_number(call *c, const sizes *sizes, fault *f) {
    static const int64_t counts[] = { 0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 32 };
    switch (c->function) {
    case METHOD_AT: c->index = outside(kvsieve_method_count()); return fault_is(f, KVSIEVE_ERR_METHOD, "", "index");
    case PARAMETER_AT:
        if (chance(2)) c->method = chance(2) ? 0 : outside(4096);
        else c->index = (const int32_t[]){ -1, 4096, INT32_MIN, INT32_MAX }[choice(4)];
        return fault_is(f, c->index == 0 ? KVSIEVE_ERR_METHOD : KVSIEVE_ERR_PARAMETER, "", "method or index");
    case CREATE: return wrong_model(c, f);
    case SET: return wrong_value(c, sizes, f);
    case GET: c->parameter = outside(99); return fault_is(f, KVSIEVE_ERR_PARAMETER, "parameter", "parameter");
    case JOIN: return wrong_group(c, f);
    case ROTATED: return wrong_rope(c, f);
    case BOUND:
    case EXTEND:
        c->tokens = counts[choice(5)];
        return fault_is(f, KVSIEVE_ERR_SHAPE, "tokens", "tokens %lld", (long long)c->tokens);
    case TRIM:
        c->tokens = chance(2) ? c->tokens + 1 : counts[1 + choice(4)];
        return fault_is(f, KVSIEVE_ERR_SHAPE, "tokens", "tokens %lld", (long long)c->tokens);
    case PROTECT:
        if (chance(2)) c->tokens = counts[choice(5)];
        else c->first = counts[1 + choice(4)];
        return fault_is(f, KVSIEVE_ERR_SHAPE, "is", "%lld from %lld", (long long)c->tokens, (long long)c->first);
    case RANGES: c->dropped = outside(2); return fault_is(f, KVSIEVE_ERR_PARAMETER, "dropped", "dropped %d", (int)c->dropped);
    case SLOTS: c->head = outside(sizes->heads); return fault_is(f, KVSIEVE_ERR_SHAPE, "head", "head %d", (int)c->head);
    case ATTENTION: c->kind = outside(3); return fault_is(f, KVSIEVE_ERR_PARAMETER, "kind", "kind %d", (int)c->kind);
    default: return 0;
    }
}

int fault_of_argument(call *c, const sizes *sizes, fault *f) {
    switch (choice(6)) {
    case 0:
        if (c->function <= CREATE) return 0;
        c->plan = NULL;
        return fault_is(f, KVSIEVE_ERR_NULL, "plan", "plan NULL");
    case 1:
        if (!asks_of_layer(c->function)) return 0;
        c->layer = outside(sizes->layers);
        return fault_is(f, KVSIEVE_ERR_SHAPE, "layer", "layer %d", (int)c->layer);
    case 2:
        if (c->out == NULL) return 0;
        c->result = ABSENT;
        return fault_is(f, KVSIEVE_ERR_NULL, "is NULL", "out NULL");
    case 3:
        if (c->function != CREATE && c->function != ROTATED && c->function != JOIN) return 0;
        c->argument = ABSENT;
        return fault_is(f, KVSIEVE_ERR_NULL, "is NULL", "struct NULL");
    case 4:
        if (c->least_size == 0) return 0;
        memcpy(c->out, &(uint32_t){ (uint32_t)choice(c->least_size) }, 4);
        return fault_is(f, KVSIEVE_ERR_PARAMETER, "struct_size", "struct_size");
    default: return wrong_number(c, sizes, f);
    }
}

int fault_drawn(call *c, const sizes *sizes, fault *f) {
    const call before = *c;
    int tensors = 0, done;
    for (int which = 0; which < 3; ++which) tensors += c->name[which] != NULL;
    if (tensors > 0 && choice(4) != 3) {
        const int which = (int)choice(3);
        done = c->name[which] != NULL && fault_of_tensor(c, which, f);
    } else done = fault_of_argument(c, sizes, f);
    if (!done) *c = before;
    return done;
}
