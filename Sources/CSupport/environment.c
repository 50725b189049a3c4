/* Calls of the OpenBLAS inside the library to its surroundings, answered here (ld --wrap; Package.swift).
 *
 * Threads and environment: asked once when the library is loaded. With one thread OpenBLAS starts none of its own. Of the host's
 * environment only KVSIEVE_* is read.
 * Kernels: those for processors with FMA do not sum equal columns alike (MatrixProduct.swift). If OpenBLAS makes the products,
 * it does so with Prescott's, which need SSE3; the library has no others (COpenBLAS/one-kernel.sh).
 * Memory: the allocator of OpenBLAS maps a buffer for every thread that calls, and keeps it. Without memory it tries again for
 * ever; with too many buffers it ends the process. Instead, a call works in the buffer that its caller has given. */
#include "csupport.h"

#include <string.h>

char *__real_getenv(const char *name);
char *__wrap_getenv(const char *name);
void support_no_kernel(void);
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
    static char prescott[] = "Prescott";
    if (support_isa_level() == 0) return prescott;
#endif
    return NULL;
}

char *__wrap_getenv(const char *name) {
    if (strcmp(name, "OPENBLAS_CORETYPE") == 0) return kernels_of_blas();
    return strncmp(name, "KVSIEVE_", 8) == 0 ? __real_getenv(name) : NULL;
}

/* In the place of kernels that sgemm does not call. */
void support_no_kernel(void) { __builtin_trap(); }

int __wrap_openblas_num_threads_env(void) { return 1; }
void __wrap_openblas_read_env(void) {}

void *__wrap_blas_memory_alloc(int position) { return brought ? brought : __real_blas_memory_alloc(position); }

void __wrap_blas_memory_free(void *buffer) {
    if (buffer != brought) __real_blas_memory_free(buffer);
}
