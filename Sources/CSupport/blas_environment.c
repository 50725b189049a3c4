/* What the OpenBLAS inside the library asks of its surroundings, answered here (ld --wrap; Package.swift).
 *
 * Threads and environment: asked once when the library is loaded. One thread means that it starts none of its own; nothing
 * of the host's environment is read.
 * Memory: its own allocator maps a buffer for every thread that calls, keeps it, tries again for ever when there is none to
 * be had, and ends the process when there are too many. Instead a call works in the buffer that its caller brought. */
#include "csupport.h"

int __wrap_openblas_num_threads_env(void);
void __wrap_openblas_read_env(void);
void *__wrap_blas_memory_alloc(int position);
void __wrap_blas_memory_free(void *buffer);
void *__real_blas_memory_alloc(int position);
void __real_blas_memory_free(void *buffer);

static _Thread_local void *brought;

void support_blas_buffer(void *buffer) { brought = buffer; }

int __wrap_openblas_num_threads_env(void) { return 1; }
void __wrap_openblas_read_env(void) {}

void *__wrap_blas_memory_alloc(int position) { return brought ? brought : __real_blas_memory_alloc(position); }

void __wrap_blas_memory_free(void *buffer) {
    if (buffer != brought) __real_blas_memory_free(buffer);
}
