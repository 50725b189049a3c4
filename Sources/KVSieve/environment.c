/* The library is a guest: of the host's environment it reads KVSIEVE_* and nothing else. The Swift runtime reads SWIFT_* past getenv,
 * all at once. Both are linked with --wrap (Package.swift): the runtime keeps its defaults. */
#include <stddef.h>
#include <string.h>

char *__real_getenv(const char *name);
char *__wrap_getenv(const char *name);
void __wrap__ZN5swift7runtime11environment10initializeEPv(void *context);

char *__wrap_getenv(const char *name) { return strncmp(name, "KVSIEVE_", 8) == 0 ? __real_getenv(name) : NULL; }

void __wrap__ZN5swift7runtime11environment10initializeEPv(void *context) { (void)context; }
