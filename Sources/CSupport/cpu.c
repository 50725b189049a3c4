/* Which of the compiled instruction sets this processor runs. */
#include "csupport.h"

#include <stdlib.h>
#include <string.h>

int32_t support_isa_level(void) {
    int32_t level = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")
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
    if (cap && strcmp(cap, "v3") == 0 && level > 3) return 3;
    if (cap && strcmp(cap, "v4") == 0 && level > 4) return 4;
    return level;
}
