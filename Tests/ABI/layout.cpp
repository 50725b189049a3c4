// The same table in C++.
#include "layout.c"
