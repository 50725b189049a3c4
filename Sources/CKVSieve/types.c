/* Only includes: the types are in include/kvsieve_types.h. */
#include "kvsieve_types.h"
