/* What a coverage-guided fuzzer calls: one sequence of calls, as the bytes have it. */
#include "choices.h"
#include "pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    choices_of_bytes(bytes, count);
    play();
    return 0;
}
