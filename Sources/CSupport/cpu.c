/* Which of the compiled instruction sets this processor runs. */
#include "csupport.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

int32_t support_isa_level(void) {
    int32_t level = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse3") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1")
        && __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"))
        level = 2;
    if (level == 2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")
        && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt")
        && __builtin_cpu_supports("movbe"))
        level = 3;
    if (level == 3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
        level = 4;
    if (level == 4 && __builtin_cpu_supports("avx512bf16")) level = 5;
#endif
    const char *cap = getenv("KVSIEVE_ISA");
    if (cap && strcmp(cap, "base") == 0) return 0;
    if (cap && strcmp(cap, "v2") == 0 && level > 2) return 2;
    if (cap && strcmp(cap, "v3") == 0 && level > 3) return 3;
    if (cap && strcmp(cap, "v4") == 0 && level > 4) return 4;
    return level;
}

int32_t support_products_are_of_blas(void) {
#if defined(__x86_64__)
    return support_isa_level() == 2;
#else
    return 1;
#endif
}

int32_t support_pairs_are_fast(void) {
#if defined(__x86_64__)
    const char *cap = getenv("KVSIEVE_ISA");
    if (cap && strcmp(cap, "v4bf16") == 0) return 1;
    unsigned most = 0, name[3] = { 0 };
    if (!__get_cpuid(0, &most, &name[0], &name[2], &name[1])) return 0;
    return memcmp(name, "GenuineIntel", sizeof name) != 0;
#else
    return 0;
#endif
}

int32_t support_byte_dots(void) {
#if defined(__x86_64__)
    const char *cap = getenv("KVSIEVE_ISA");
    static const char caps[][8] = { "base", "v2", "v3", "v4", "v4bf16" };
    for (size_t i = 0; cap && i < sizeof caps / sizeof *caps; ++i)
        if (strcmp(cap, caps[i]) == 0) return 0;
    const int32_t level = support_isa_level();
    unsigned a = 0, b = 0, c = 0, d = 0;
    const int narrow = level >= 3 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
    const int wide = level >= 4 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 11);
    return narrow + 2 * wide;
#else
    return 0;
#endif
}
