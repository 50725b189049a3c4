#define _GNU_SOURCE
#include "registry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copies: a guest may be unloaded. */
static struct {
    int32_t id, parameters, decodes;
    char name[32];
} methods[MOST_METHODS];
static int count;

static void ask(void) {
    count = kvsieve_method_count();
    for (int index = 0; index < count; ++index) {
        kvsieve_method_info info;
        memset(&info, 0, sizeof info);
        info.struct_size = sizeof info;
        if (index == MOST_METHODS || kvsieve_method_at(index, &info) != KVSIEVE_OK) {
            printf("FATAL method %d of %d: %s\n0 passed, 1 failed\n", index, count, kvsieve_last_error());
            fflush(NULL);
            exit(2);
        }
        methods[index].id = info.id;
        methods[index].parameters = info.parameters;
        methods[index].decodes = info.decodes;
        snprintf(methods[index].name, sizeof methods[index].name, "%s", info.name);
    }
}

int method_count(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask);
    return count;
}

int32_t method_at(int index) { return index >= 0 && index < method_count() ? methods[index].id : 0; }

/* -1 if there is none such. */
static int index_of(int32_t method) {
    for (int index = 0; index < method_count(); ++index)
        if (methods[index].id == method) return index;
    return -1;
}

int method_index(int32_t method) {
    const int index = index_of(method);
    if (index >= 0) return index;
    printf("FATAL %d is no method\n0 passed, 1 failed\n", (int)method);
    fflush(NULL);
    exit(2);
}

const char *method_name(int32_t method) {
    const int index = index_of(method);
    return index < 0 ? "no method" : methods[index].name;
}

int method_decodes(int32_t method) { return methods[method_index(method)].decodes; }

int32_t method_after(int32_t method, int decoders_only) {
    int index = method == 0 ? 0 : method_index(method) + 1;
    while (index < method_count() && decoders_only && !methods[index].decodes) ++index;
    return method_at(index);
}

/* -- parameters -------------------------------------------------------------------------------------------------- */

/* The first that has that name, or that id if `name` is NULL. No call of it fails: the last error does not change. */
static kvsieve_parameter_info find(int32_t method, const char *name, int32_t id) {
    const int32_t parameters = methods[method_index(method)].parameters;
    kvsieve_parameter_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    for (int32_t index = 0; index < parameters && kvsieve_parameter_at(method, index, &info) == KVSIEVE_OK; ++index)
        if (name ? strcmp(info.name, name) == 0 : info.id == id) return info;
    memset(&info, 0, sizeof info);
    return info;
}

kvsieve_parameter_info parameter_named(int32_t method, const char *name) { return find(method, name, 0); }

int method_has(int32_t method, int32_t parameter) { return find(method, NULL, parameter).id != 0; }

kvsieve_status settle(kvsieve_plan *plan, int32_t method, int32_t budget) {
    static const struct {
        const char *name;
        double value;
    } settings[] = {
        { "window", WINDOW }, { "sinks", 4 },  { "recent", 16 }, { "semantic", 8 },
        { "size", 4 },        { "shared", 2 }, { "every", 2 },   { "cap", 1.5 },
    };
    /* A method may have both: the one that counts in a new plan is not 0. */
    const int by_budget = parameter_named(method, "budget").initial > 0;
    kvsieve_status status = by_budget ? kvsieve_plan_set(plan, KVSIEVE_BUDGET, budget) : kvsieve_plan_set(plan, KVSIEVE_RATIO, 0.7);
    for (size_t i = 0; i < sizeof settings / sizeof *settings && status == KVSIEVE_OK; ++i) {
        const kvsieve_parameter_info info = parameter_named(method, settings[i].name);
        if (info.id != 0) status = kvsieve_plan_set(plan, info.id, settings[i].value);
    }
    return status;
}

int32_t proposal(int32_t method, double *number) {
    static const char words[] = "the smallest ";
    const char *found = strstr(kvsieve_last_error(), words);
    char name[64];
    if (found == NULL || sscanf(found + sizeof words - 1, "%63s is %lf", name, number) != 2) return 0;
    return parameter_named(method, name).id;
}
