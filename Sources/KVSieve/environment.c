/* The library is a guest: of the host's environment it reads KVSIEVE_* and nothing else.
 * Linked with --wrap, so that this also holds for the BLAS and the Swift runtime inside it; the runtime reads SWIFT_* past
 * getenv, all at once (swift::runtime::environment::initialize): here it keeps its defaults. */
#include <string.h>

char *__real_getenv(const char *name);
char *__wrap_getenv(const char *name);
void __wrap__ZN5swift7runtime11environment10initializeEPv(void *context);

char *__wrap_getenv(const char *name) {
    return strncmp(name, "KVSIEVE_", 8) == 0 ? __real_getenv(name) : NULL;
}

void __wrap__ZN5swift7runtime11environment10initializeEPv(void *context) { (void)context; }
