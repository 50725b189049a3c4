/* Calls of the OpenBLAS inside the library to its surroundings, answered here (ld --wrap; Package.swift).
 *
 * Threads and environment: asked once when the library is loaded. With one thread OpenBLAS starts none of its own. Of the host's
 * environment only KVSIEVE_* is read.
 * Kernels: those for processors with FMA do not sum equal columns alike (MatrixProduct.swift). If OpenBLAS makes the products of
 * such a processor, because KVSIEVE_ISA asks for the base, it does so with Nehalem's.
 * Memory: the allocator of OpenBLAS maps a buffer for every thread that calls, and keeps it. Without memory it tries again for
 * ever; with too many buffers it ends the process. Instead, a call works in the buffer that its caller has given. */
#include "csupport.h"

#include <string.h>

char *__real_getenv(const char *name);
char *__wrap_getenv(const char *name);
int __wrap_openblas_num_threads_env(void);
void __wrap_openblas_read_env(void);
void *__wrap_blas_memory_alloc(int position);
void __wrap_blas_memory_free(void *buffer);
void *__real_blas_memory_alloc(int position);
void __real_blas_memory_free(void *buffer);

static _Thread_local void *brought;

void support_blas_buffer(void *buffer) { brought = buffer; }

static char *kernels_of_blas(void) {
#if defined(__x86_64__)
    static char nehalem[] = "Nehalem";
    __builtin_cpu_init();
    if (support_isa_level() == 0 && (__builtin_cpu_supports("fma") || __builtin_cpu_supports("fma4"))) return nehalem;
#endif
    return NULL;
}

char *__wrap_getenv(const char *name) {
    if (strcmp(name, "OPENBLAS_CORETYPE") == 0) return kernels_of_blas();
    return strncmp(name, "KVSIEVE_", 8) == 0 ? __real_getenv(name) : NULL;
}

int __wrap_openblas_num_threads_env(void) { return 1; }
void __wrap_openblas_read_env(void) {}

void *__wrap_blas_memory_alloc(int position) { return brought ? brought : __real_blas_memory_alloc(position); }

void __wrap_blas_memory_free(void *buffer) {
    if (buffer != brought) __real_blas_memory_free(buffer);
}
