/* The library is a guest: of the host's environment it reads KVSIEVE_* and nothing else.
 * Linked with --wrap=getenv, so that this also holds for the BLAS and the Swift runtime inside it. */
#include <string.h>

char *__real_getenv(const char *name);
char *__wrap_getenv(const char *name);

char *__wrap_getenv(const char *name) {
    return strncmp(name, "KVSIEVE_", 8) == 0 ? __real_getenv(name) : NULL;
}
