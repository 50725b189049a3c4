/* malloc, aligned for the widest vectors. */
#define _DEFAULT_SOURCE
#include "csupport.h"

#include <stdlib.h>

void *support_allocate(size_t bytes) {
    void *memory = NULL;
    return posix_memalign(&memory, 64, bytes) == 0 ? memory : NULL;
}

void support_free(void *memory) { free(memory); }
