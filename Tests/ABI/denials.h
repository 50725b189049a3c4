/* glibc's allocator and pthread_create, which refuse when they are told to, for the library and all its threads as well. Under
 * glibc alone. */
#ifndef DENIALS_H
#define DENIALS_H

#include <stddef.h>

/* From now on the n-th request (0 the first) is refused, and with `all` every later one too; n < 0: none is. Requests are calls of
 * malloc, calloc, realloc, memalign, aligned_alloc, posix_memalign, mmap without a file, and pthread_create. */
void deny(long n, int all);
/* No more; how many requests there were since deny(). */
long allow(void);
/* How many of them were refused. */
long denied(void);
/* Bytes that malloc, calloc and realloc were asked for since deny(): what the library allocates itself is aligned. */
size_t asked(void);

#endif
