/* OpenBLAS, linked into the library, asks these two once when it is loaded (ld --wrap). One thread means that it starts
 * none of its own; nothing of the host's environment is read. */
int __wrap_openblas_num_threads_env(void);
void __wrap_openblas_read_env(void);

int __wrap_openblas_num_threads_env(void) { return 1; }
void __wrap_openblas_read_env(void) {}
