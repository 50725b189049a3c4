/* Macros of the header = functions of the library. With an argument: the constants that the library knows, one a line, which
 * run.sh compares with the enums of the header. */
#include "fixture.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void the_running_version_is_the_headers(void) {
    EXPECT(kvsieve_version() == KVSIEVE_VERSION, "%d is not %d", (int)kvsieve_version(), (int)KVSIEVE_VERSION);
}

static void the_version_is_composed_of_its_parts(void) {
    EXPECT(kvsieve_version() / 10000 == KVSIEVE_VERSION_MAJOR, "%d", (int)kvsieve_version());
    EXPECT(kvsieve_version() / 100 % 100 == KVSIEVE_VERSION_MINOR, "%d", (int)kvsieve_version());
    EXPECT(kvsieve_version() % 100 == KVSIEVE_VERSION_PATCH, "%d", (int)kvsieve_version());
}

static void build_info_is_one_line_with_the_version(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", KVSIEVE_VERSION_MAJOR, KVSIEVE_VERSION_MINOR, KVSIEVE_VERSION_PATCH);
    EXPECT(strstr(kvsieve_build_info(), version) != NULL, "\"%s\"", kvsieve_build_info());
    EXPECT(strchr(kvsieve_build_info(), '\n') == NULL, "\"%s\"", kvsieve_build_info());
    EXPECT(kvsieve_build_info() == kvsieve_build_info(), "another text each time");
}

static void infos_are_complete(void) {
    for (int32_t index = 0; index < kvsieve_method_count(); ++index) {
        kvsieve_method_info method = { 0 };
        method.struct_size = sizeof method;
        EXPECT_OK(kvsieve_method_at(index, &method));
        EXPECT(method.name[0] && method.summary[0] && method.paper[0] && method.choose[0], "method %d", (int)method.id);
        EXPECT(method.parameters > 0 && (method.decodes == 0 || method.decodes == 1), "method %d", (int)method.id);
        for (int32_t i = 0; i < method.parameters; ++i) {
            kvsieve_parameter_info p = { 0 };
            p.struct_size = sizeof p;
            EXPECT_OK(kvsieve_parameter_at(method.id, i, &p));
            EXPECT(p.name[0] && p.summary[0] && p.reserved == 0, "parameter %d", (int)p.id);
            EXPECT(p.lowest <= p.initial && p.initial <= p.highest, "%s: %g of %g .. %g", p.name, p.initial, p.lowest, p.highest);
            EXPECT(p.integral >= 0 && p.integral <= 2, "%s: %d", p.name, (int)p.integral);
        }
    }
}

/* plan_create is the defaults function: plan_get reads what parameter_at documents. */
static void a_new_plan_has_the_documented_defaults(void) {
    kvsieve_model model = { 2, 4, 2, 16, 0, { 0 } };
    for (int32_t index = 0; index < kvsieve_method_count(); ++index) {
        kvsieve_method_info method = { 0 };
        kvsieve_plan *plan = NULL;
        method.struct_size = sizeof method;
        EXPECT_OK(kvsieve_method_at(index, &method));
        EXPECT_OK(kvsieve_plan_create(method.id, &model, &plan));
        for (int32_t i = 0; i < method.parameters; ++i) {
            kvsieve_parameter_info p = { 0 };
            double value = -7;
            p.struct_size = sizeof p;
            EXPECT_OK(kvsieve_parameter_at(method.id, i, &p));
            EXPECT_OK(kvsieve_plan_get(plan, p.id, &value));
            EXPECT(value == p.initial, "%s %s is %g, not %g", method.name, p.name, value, p.initial);
            EXPECT_OK(kvsieve_plan_set(plan, p.id, p.lowest));
            EXPECT_OK(kvsieve_plan_set(plan, p.id, p.highest));
            EXPECT_OK(kvsieve_plan_get(plan, p.id, &value));
            EXPECT(value == p.highest, "%s %s is %g, not %g", method.name, p.name, value, p.highest);
        }
        kvsieve_plan_destroy(plan);
    }
}

/* kvsieve_kept as it was before `rows`: 48 bytes. What a caller of that age owns ends there. */
static void expect_kept_of_old(const kvsieve_plan *plan, int32_t layer) {
    enum { OLD = 48 };
    const kvsieve_kept full = kept_of(plan, layer);
    unsigned char *alone = take(OLD), guarded[OLD + 64];
    const uint32_t size = OLD;
    EXPECT(full.struct_size == sizeof full && offsetof(kvsieve_kept, rows) == OLD, "rows at %d", (int)offsetof(kvsieve_kept, rows));
    memset(guarded, 0x5a, sizeof guarded);
    memcpy(guarded, &size, sizeof size);
    memcpy(alone, &size, sizeof size);
    EXPECT_OK(kvsieve_plan_kept(plan, layer, (kvsieve_kept *)(void *)alone));
    EXPECT_OK(kvsieve_plan_kept(plan, layer, (kvsieve_kept *)(void *)guarded));
    EXPECT(memcmp(alone, guarded, OLD) == 0 && memcmp(alone, &size, sizeof size) == 0, "layer %d: struct_size", (int)layer);
    EXPECT(memcmp(alone + 4, (const char *)&full + 4, OLD - 4) == 0, "layer %d: other fields", (int)layer);
    for (size_t i = OLD; i < sizeof guarded; ++i)
        if (!EXPECT(guarded[i] == 0x5a, "layer %d: byte %d was written", (int)layer, (int)i)) break;
    free(alone);
}

static void kept_of_a_caller_without_rows(void) {
    kvsieve_tensor queries = tensor_new(QUERY_HEADS, TOKENS, DIM, KVSIEVE_F32);
    EVERY_METHOD (method) {
        kvsieve_plan *plan = plan_new(method);
        kvsieve_tensor keys = tensor_new(HEADS, TOKENS + 2 * WINDOW, DIM, KVSIEVE_F32);
        int64_t rows[LAYERS] = { TOKENS, TOKENS, TOKENS, TOKENS };
        for (int round = 0; round < 3; ++round) {
            queries.tokens = round ? WINDOW : TOKENS;
            if (round) EXPECT_OK(kvsieve_plan_extend(plan, WINDOW));
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                keys.tokens = rows[layer];
                EXPECT_OK(kvsieve_plan_observe(plan, layer, &queries, &keys, &keys));
                expect_kept_of_old(plan, layer);
            }
            EXPECT_OK(kvsieve_plan_finish(plan));
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                expect_kept_of_old(plan, layer);
                rows[layer] = kept_of(plan, layer).longest + WINDOW;
            }
        }
        kvsieve_plan_destroy(plan);
        free(keys.data);
    }
    free(queries.data);
}

/* "pool_kernel" of every method: KVSIEVE_POOL_KERNEL; "size" of windowkv alone: KVSIEVE_WINDOWKV_SIZE. */
static void print_constant(const char *method, const char *parameter, int32_t id) {
    const char *parts[] = { method, parameter };
    printf("KVSIEVE");
    for (int i = 0; i < 2; ++i) {
        if (parts[i] == NULL) continue;
        putchar('_');
        for (const char *c = parts[i]; *c; ++c) putchar(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    }
    printf(" %d\n", (int)id);
}

static int print_constants(void) {
    for (int32_t index = 0; index < kvsieve_method_count(); ++index) {
        kvsieve_method_info method = { 0 };
        method.struct_size = sizeof method;
        if (kvsieve_method_at(index, &method) != KVSIEVE_OK) return 1;
        print_constant(method.name, NULL, method.id);
        for (int32_t i = 0; i < method.parameters; ++i) {
            kvsieve_parameter_info p = { 0 };
            p.struct_size = sizeof p;
            if (kvsieve_parameter_at(method.id, i, &p) != KVSIEVE_OK) return 1;
            print_constant(p.id < 200 ? NULL : method.name, p.name, p.id);
        }
    }
    return 0;
}

int main(int count, char **arguments) {
    (void)arguments;
    if (count > 1) return print_constants();
    RUN(the_running_version_is_the_headers);
    RUN(the_version_is_composed_of_its_parts);
    RUN(build_info_is_one_line_with_the_version);
    RUN(infos_are_complete);
    RUN(a_new_plan_has_the_documented_defaults);
    RUN(kept_of_a_caller_without_rows);
    return harness_end();
}
