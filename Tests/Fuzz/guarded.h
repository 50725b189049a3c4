/* Memory of the caller's, as the library sees it: each piece ends at a page that nobody may touch, or begins behind one. All
 * pieces are of the call that is being made. */
#ifndef GUARDED_H
#define GUARDED_H

#include <stddef.h>
#include <stdint.h>

enum { FILLER = 0xff }; /* NaN in every floating-point dtype */

/* The pieces are free again. */
void guarded_clear(void);
/* A piece whose bytes are FILLER; `bytes` is a multiple of what it is to be aligned to. */
void *guarded_take(size_t bytes, int at_end);
/* An address that ends the process if it is read or written. */
void *guarded_nowhere(void);
/* Of all bytes of all pieces. */
uint64_t guarded_hash(void);
uint64_t bytes_hashed(const void *bytes, size_t count, uint64_t hash);

#endif
