/* The library's own way to the C allocator, and the spare memory behind it. For the C files of CSupport. */
#ifndef CSUPPORT_ALLOCATORS_H
#define CSUPPORT_ALLOCATORS_H

#include <stddef.h>

/* -- allocators.c: what malloc is to the rest of the library is another function (ld --wrap; Package.swift) ---------------- */

/* The host's, which may refuse. */
void *support_real_malloc(size_t bytes);
int support_real_memalign(void **memory, size_t alignment, size_t bytes);

/* -- spare.c ------------------------------------------------------------------------------------------------------------- */

/* NULL if there is none. */
void *support_spare_take(size_t alignment, size_t bytes);
/* 1 if it was spare memory, which is free now. */
int support_spare_give(void *memory);
/* Bytes from there on; 0 if it is no spare memory. */
size_t support_spare_size(const void *memory);

/* From now on there are `need` bytes for one more call, until support_spare_done(). 0 if there are not. */
int support_spare_want(size_t need);
void support_spare_done(size_t need);

/* Nothing is taken or given between these two. */
void support_spare_fork_begins(void);
void support_spare_fork_is_over(void);
/* In the child: no call is running but one that may need this. */
void support_spare_only(size_t need);

#endif
