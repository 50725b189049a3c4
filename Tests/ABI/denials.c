#define _GNU_SOURCE
#include "denials.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static int armed, all_later;
static long chosen, seen, refused;
static size_t bytes;

void deny(long n, int all) {
    chosen = n, all_later = all;
    seen = refused = 0;
    bytes = 0;
    __atomic_store_n(&armed, 1, __ATOMIC_SEQ_CST);
}

long allow(void) {
    __atomic_store_n(&armed, 0, __ATOMIC_SEQ_CST);
    return seen;
}

long denied(void) { return refused; }
size_t asked(void) { return bytes; }

static int refuse(void) {
    long number;
    if (!__atomic_load_n(&armed, __ATOMIC_SEQ_CST)) return 0;
    number = __atomic_fetch_add(&seen, 1, __ATOMIC_SEQ_CST);
    if (chosen < 0 || number < chosen || (number > chosen && !all_later)) return 0;
    __atomic_fetch_add(&refused, 1, __ATOMIC_SEQ_CST);
    errno = ENOMEM;
    return 1;
}

static size_t counted(size_t size) {
    if (__atomic_load_n(&armed, __ATOMIC_SEQ_CST)) __atomic_fetch_add(&bytes, size, __ATOMIC_SEQ_CST);
    return size;
}

void *malloc(size_t size) { return refuse() ? NULL : __libc_malloc(counted(size)); }
void *calloc(size_t count, size_t size) {
    return refuse() ? NULL : __libc_calloc(count, counted(count * size) / (count ? count : 1));
}
void *realloc(void *memory, size_t size) { return refuse() ? NULL : __libc_realloc(memory, counted(size)); }
void *memalign(size_t alignment, size_t size) { return refuse() ? NULL : __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return refuse() ? NULL : __libc_memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (refuse()) return ENOMEM;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    if (file < 0 && refuse()) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return refuse() ? EAGAIN : real(thread, attributes, start, argument);
}
