/* Was memory written since? A copy of it answers: under valgrind, to hash it twice takes ten times as long. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <kvsieve.h>

/* Forgets what was remembered. */
void snapshot_begin(void);
/* Remembers the heads of a tensor, all bytes up to the end of the last one. */
void snapshot_add(const kvsieve_tensor *tensor);
/* Does all that is remembered hold the same bytes? */
int snapshot_holds(void);

#endif
