/* The C interface of BLAS, as Debian's libopenblas-dev installs it. */
#include <cblas.h>
