/* Memory that may be refused (KVSieve/allocators.c), aligned for the widest vectors; and addresses whose pages become memory when
 * they are written to. */
#define _DEFAULT_SOURCE
#include "csupport.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *support_allocate(size_t bytes) { return memalign(64, bytes); }

void support_free(void *memory) { free(memory); }

void *support_reserve_addresses(size_t bytes) {
    void *addresses = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (addresses == MAP_FAILED) return NULL;
#ifdef MADV_NOHUGEPAGE
    /* Small pages: what is written to is a small part, here and there. Refused where there are no others. */
    (void)madvise(addresses, bytes, MADV_NOHUGEPAGE);
#endif
    return addresses;
}

void support_release_addresses(void *addresses, size_t bytes) { munmap(addresses, bytes); }

size_t support_resident(void *addresses, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), resident = 0;
    unsigned char there[256];
    for (size_t offset = 0; offset < bytes; offset += sizeof there * page) {
        size_t left = bytes - offset, length = left < sizeof there * page ? left : sizeof there * page;
        if (mincore((char *)addresses + offset, length, (void *)there) != 0) return bytes;
        for (size_t i = 0; i * page < length; i++) resident += (there[i] & 1) ? page : 0;
    }
    return resident;
}
