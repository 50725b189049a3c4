/* malloc and the others as the Swift runtime and the BLAS inside the library call them (ld --wrap; Package.swift).
 *
 * The runtime ends the process if it is refused memory. So what the host's allocator refuses comes from the spare memory
 * (CSupport/spare.c), of which there is enough before a call begins (CSupport/call.c). What the library can do without it asks for by
 * support_allocate(), which may be refused: it calls memalign(), which stays what it is. The host's own calls do not come here, and
 * a host that counts or replaces malloc sees the library's. Without this file and --wrap (as the Swift tests are linked) the library
 * works too, but what the runtime is refused ends the process. */
#include <csupport.h>

#include <errno.h>
#include <string.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void __real_free(void *memory);
int __real_posix_memalign(void **memory, size_t alignment, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
size_t __real_malloc_usable_size(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void __wrap_free(void *memory);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
size_t __wrap_malloc_usable_size(void *memory);

void *__wrap_malloc(size_t bytes) {
    void *memory = __real_malloc(bytes);
    return memory ? memory : support_spare_take(0, bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    void *memory = __real_calloc(count, bytes);
    size_t all = 0;
    if (memory || __builtin_mul_overflow(count, bytes, &all)) return memory;
    memory = support_spare_take(0, all);
    return memory ? memset(memory, 0, all) : NULL;
}

void *__wrap_realloc(void *memory, size_t bytes) {
    const size_t spare = support_spare_size(memory);
    if (spare >= bytes && spare > 0) return memory;
    void *moved = spare ? __wrap_malloc(bytes) : __real_realloc(memory, bytes);
    if (moved && spare) {
        memcpy(moved, memory, spare);
        support_spare_give(memory);
    }
    if (moved || spare || bytes == 0) return moved;
    /* Refused: what was there stays until it has moved. */
    const size_t length = memory ? __real_malloc_usable_size(memory) : 0;
    moved = support_spare_take(0, bytes);
    if (moved && memory) {
        memcpy(moved, memory, length < bytes ? length : bytes);
        __real_free(memory);
    }
    return moved;
}

void __wrap_free(void *memory) {
    if (!support_spare_give(memory)) __real_free(memory);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes) {
    const int refused = __real_posix_memalign(memory, alignment, bytes);
    if (refused != ENOMEM) return refused;
    *memory = support_spare_take(alignment, bytes);
    return *memory ? 0 : ENOMEM;
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    void *memory = __real_aligned_alloc(alignment, bytes);
    return memory ? memory : support_spare_take(alignment, bytes);
}

size_t __wrap_malloc_usable_size(void *memory) {
    const size_t spare = support_spare_size(memory);
    return spare ? spare : __real_malloc_usable_size(memory);
}

/* -- C++'s, of the runtime: they throw, which nothing in it catches ---------------------------------------------------------- */

void *_ZnwmRKSt9nothrow_t(size_t bytes, const char *tag);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t bytes, size_t alignment, const char *tag);
extern const char _ZSt7nothrow;
void __real__ZdlPvm(void *memory, size_t bytes);
void __real__ZdlPvmSt11align_val_t(void *memory, size_t bytes, size_t alignment);
void *__wrap__Znwm(size_t bytes);
void *__wrap__ZnwmSt11align_val_t(size_t bytes, size_t alignment);
void __wrap__ZdlPvm(void *memory, size_t bytes);
void __wrap__ZdlPvmSt11align_val_t(void *memory, size_t bytes, size_t alignment);

void *__wrap__Znwm(size_t bytes) {
    void *memory = _ZnwmRKSt9nothrow_t(bytes, &_ZSt7nothrow);
    return memory ? memory : support_spare_take(0, bytes);
}

void *__wrap__ZnwmSt11align_val_t(size_t bytes, size_t alignment) {
    void *memory = _ZnwmSt11align_val_tRKSt9nothrow_t(bytes, alignment, &_ZSt7nothrow);
    return memory ? memory : support_spare_take(alignment, bytes);
}

void __wrap__ZdlPvm(void *memory, size_t bytes) {
    if (!support_spare_give(memory)) __real__ZdlPvm(memory, bytes);
}

void __wrap__ZdlPvmSt11align_val_t(void *memory, size_t bytes, size_t alignment) {
    if (!support_spare_give(memory)) __real__ZdlPvmSt11align_val_t(memory, bytes, alignment);
}
