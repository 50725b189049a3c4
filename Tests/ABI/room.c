#define _GNU_SOURCE
#include "room.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

void limit_room(int64_t room) {
    struct rlimit limit;
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld", &pages) != 1) _exit(90);
    fclose(file);
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = room < 0 ? limit.rlim_max : (rlim_t)(pages * sysconf(_SC_PAGESIZE) + room);
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(91);
}

void prepare_heap(int holes) {
    static void *small[4096];
    const int pieces = holes ? 4096 : 256;
    mallopt(M_MMAP_THRESHOLD, holes ? 1 << 13 : 1 << 16);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    for (int i = 0; i < pieces; ++i) small[i] = malloc(1024);
    for (int i = 0; i < pieces; i += 1 + holes) free(small[i]);
}
