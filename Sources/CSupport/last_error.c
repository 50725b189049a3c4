/* The sentence of a thread's last failure. */
#include "csupport.h"

#include <string.h>

static _Thread_local char message[SUPPORT_MESSAGE_BYTES];

void support_copy_message(char *target, const char *text, size_t length) {
    if (length > SUPPORT_MESSAGE_BYTES - 1) length = SUPPORT_MESSAGE_BYTES - 1;
    memcpy(target, text, length);
    target[length] = 0;
}

void support_set_last_error(const char *text, size_t length) { support_copy_message(message, text, length); }

const char *support_last_error(void) { return message; }
