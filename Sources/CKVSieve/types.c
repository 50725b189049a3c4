/* Only includes: the types are in include/kvsieve.h.in. */
#include "kvsieve.h.in"
