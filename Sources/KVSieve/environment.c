/* The library is a guest: of the host's environment it reads KVSIEVE_* and nothing else (CSupport/environment.c answers
 * getenv). The Swift runtime reads SWIFT_* past getenv, all at once: linked with --wrap, it keeps its defaults. */
void __wrap__ZN5swift7runtime11environment10initializeEPv(void *context);

void __wrap__ZN5swift7runtime11environment10initializeEPv(void *context) { (void)context; }
