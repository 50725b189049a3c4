/* How much memory a process may still take, for tests of what happens without. Only in a child: in_child(). */
#ifndef ROOM_H
#define ROOM_H

#include <stdint.h>

/* So many bytes of addresses more than now; any number for -1. */
void limit_room(int64_t room);
/* A little heap for small things, which malloc does not give back: in one piece, or in holes of 1 KiB. */
void prepare_heap(int holes);

#endif
