#include "choices.h"

static uint64_t state;
static const uint8_t *next, *end;
static int endless;
static uint64_t began;

uint64_t mixed(uint64_t value) {
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

void choices_of_seed(uint64_t seed) {
    state = began = seed;
    endless = 1;
}

void choices_of_bytes(const uint8_t *bytes, size_t count) {
    next = bytes;
    end = bytes + count;
    endless = 0;
}

int choices_left(void) { return endless || next < end; }

static uint8_t byte_at(uint64_t place) { return (uint8_t)(mixed(place) >> 56); }

size_t choices_written(uint8_t *bytes, size_t room) {
    size_t count = 0;
    for (; count < room && began + count != state; ++count) bytes[count] = byte_at(began + count);
    return count;
}

static uint8_t byte(void) {
    if (endless) return byte_at(state++);
    return next < end ? *next++ : 0;
}

uint64_t choice(uint64_t below) {
    uint64_t value = byte();
    if (below <= 1) return 0;
    for (uint64_t most = 256; most < below && most < (uint64_t)1 << 56; most *= 256) value = value * 256 + byte();
    return value % below;
}

int64_t choice_between(int64_t from, int64_t to) { return to <= from ? from : from + (int64_t)choice((uint64_t)(to - from) + 1); }

int chance(int of) { return choice((uint64_t)of) == (uint64_t)of - 1; }
