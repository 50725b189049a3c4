/* glibc's allocator with a count before it, for the library and all its threads as well. */
#ifndef ALLOCATIONS_H
#define ALLOCATIONS_H

/* Calls of malloc, calloc, realloc, memalign, aligned_alloc and posix_memalign so far. */
unsigned long allocations(void);

#endif
