/* What a sequence of calls does is decided by numbers, and these come from bytes: of a seed, without end, or of a file, as a
 * coverage-guided fuzzer writes it. When the bytes of a file end, every further number is 0, the plainest choice. */
#ifndef CHOICES_H
#define CHOICES_H

#include <stddef.h>
#include <stdint.h>

void choices_of_seed(uint64_t seed);
void choices_of_bytes(const uint8_t *bytes, size_t count);
/* The bytes of the seed so far, at most as many as `room`. */
size_t choices_written(uint8_t *bytes, size_t room);
/* 0 ... below - 1. */
uint64_t choice(uint64_t below);
/* from ... to. */
int64_t choice_between(int64_t from, int64_t to);
/* True once in so many times; never when the bytes have ended. */
int chance(int of);
/* Is there another byte? */
int choices_left(void);

/* A number of 64 bits that depends on all of `value`. */
uint64_t mixed(uint64_t value);

#endif
