/* The sentence of a thread's last failure. */
#include "csupport.h"

#include <string.h>

static _Thread_local char message[1024];

void support_set_last_error(const char *text, size_t length) {
    if (length > sizeof message - 1) length = sizeof message - 1;
    memcpy(message, text, length);
    message[length] = 0;
}

const char *support_last_error(void) { return message; }
