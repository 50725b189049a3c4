/* How a processor rounds, which small numbers it takes for 0, and what it traps: of a thread, and its host's. The library computes in
 * the default mode, whatever the host has set, and leaves mode and flags as they were. A mode is the register of SSE, or on arm64
 * FPCR and FPSR. (The x87 unit has its own, which no code here uses.) */
#include "csupport.h"

#if defined(__x86_64__)
/* Nearest, nothing flushed, no trap, no flag. */
#define DEFAULT_MODE 0x1f80u

uint64_t support_exchange_mode(uint64_t mode) {
    const uint32_t before = __builtin_ia32_stmxcsr();
    if (before != mode) __builtin_ia32_ldmxcsr((uint32_t)mode);
    return before;
}
#elif defined(__aarch64__)
#define DEFAULT_MODE 0u

uint64_t support_exchange_mode(uint64_t mode) {
    uint64_t control, status;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(status));
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(mode >> 32), "r"(mode & 0xffffffffu) : "memory");
    return control << 32 | (status & 0xffffffffu);
}
#else
#error "how is the floating-point mode set?"
#endif

uint64_t support_default_mode(void) { return DEFAULT_MODE; }
