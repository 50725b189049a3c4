/* Calls of the OpenBLAS inside the library to its surroundings, answered here (ld --wrap; Package.swift).
 *
 * Begin: OpenBLAS has a constructor, which counts the system's processors. It is left out of the library (KVSieve/sections.lds), and
 * is called here where BLAS makes the products; elsewhere no line of OpenBLAS is run but for its version.
 * Threads and environment: asked then. With one thread OpenBLAS starts none of its own. Of the host's environment only KVSIEVE_* is
 * read.
 * Kernels: those for processors with FMA do not sum equal columns alike (MatrixProduct.swift). If OpenBLAS makes the products,
 * it does so with Prescott's, which need SSE3; the library has no others (COpenBLAS/one-kernel.sh).
 * Memory: the allocator of OpenBLAS maps a buffer for every thread that calls, and keeps it. Without memory it tries again for
 * ever; with too many buffers it ends the process. Instead, a call works in the buffer that its caller has given. */
#include "csupport.h"

#include <string.h>

char *__real_getenv(const char *name);
char *__wrap_getenv(const char *name);
void support_no_kernel(void);
void gotoblas_init(void);
int __wrap_openblas_num_threads_env(void);
void __wrap_openblas_read_env(void);
void *__wrap_blas_memory_alloc(int position);
void __wrap_blas_memory_free(void *buffer);
void *__real_blas_memory_alloc(int position);
void __real_blas_memory_free(void *buffer);

static _Thread_local void *brought;

void support_blas_buffer(void *buffer) { brought = buffer; }

/* Again does nothing. */
void support_begin_blas(void) { gotoblas_init(); }

static char *kernels_of_blas(void) {
#if defined(__x86_64__)
    static char prescott[] = "Prescott";
    return prescott;
#else
    return NULL;
#endif
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
