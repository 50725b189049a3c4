#include "numbers.h"

#include "choices.h"

#include <math.h>
#include <string.h>

int32_t block_of(int32_t dtype) { return dtype == KVSIEVE_Q8_0 || dtype == KVSIEVE_Q4_0 ? 32 : 1; }

int64_t row_bytes(int32_t dtype, int32_t dim) {
    switch (dtype) {
    case KVSIEVE_F32: return 4 * (int64_t)dim;
    case KVSIEVE_F16:
    case KVSIEVE_BF16: return 2 * (int64_t)dim;
    case KVSIEVE_Q8_0: return dim / 32 * 34;
    case KVSIEVE_Q4_0: return dim / 32 * 18;
    default: return dim;
    }
}

int64_t alignment_of(int32_t dtype) {
    if (dtype == KVSIEVE_F32) return 4;
    return dtype == KVSIEVE_BYTES || dtype == KVSIEVE_F8_E4M3 || dtype == KVSIEVE_F8_E5M2 ? 1 : 2;
}

/* The next number of a row: less is looked at if rows are to have few different ones. */
static uint64_t drawn(uint64_t *key, enum numbers numbers) {
    *key ^= *key << 13;
    *key ^= *key >> 7;
    *key ^= *key << 17;
    if (numbers == EQUAL) return (uint64_t)5 << 60;
    if (numbers == FEW) return *key & (uint64_t)3 << 62;
    if (numbers == SPARSE) return *key >> 60 == 3 ? *key : (uint64_t)1 << 63;
    return *key;
}

static float number(uint64_t *key, enum numbers numbers) {
    const float value = (float)(drawn(key, numbers) >> 40) / 4194304.0f - 2.0f;
    return numbers == LARGE ? value * 3e19f : value;
}

float number_of(uint64_t key, enum numbers numbers) {
    key |= 1;
    return number(&key, numbers);
}

/* Rounded towards zero; too large becomes the largest. */
static uint16_t half_of(float value) {
    int exponent;
    const float fraction = frexpf(fabsf(value), &exponent);
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    if (value == 0 || exponent < -13) return sign;
    if (exponent > 16) return sign | 0x7bff;
    return (uint16_t)(sign | ((exponent + 14) << 10) | ((int)(fraction * 2048.0f) & 1023));
}

void number_put(void *row, int32_t dtype, int64_t index, float value) {
    uint32_t wide;
    uint16_t narrow;
    memcpy(&wide, &value, 4);
    if (dtype == KVSIEVE_F32) {
        memcpy((char *)row + 4 * index, &wide, 4);
        return;
    }
    narrow = dtype == KVSIEVE_F16 ? half_of(value) : (uint16_t)(wide >> 16);
    memcpy((char *)row + 2 * index, &narrow, 2);
}

/* A scale of 1/16 ... 1, then bytes. */
static void fill_blocks(unsigned char *row, int64_t bytes, int64_t block, uint64_t *key, enum numbers numbers) {
    for (int64_t i = 0; i < bytes; ++i) {
        const uint64_t bits = drawn(key, numbers);
        if (i % block == 0) row[i] = 0;
        else if (i % block == 1) row[i] = (unsigned char)(0x2c + 4 * (bits >> 62));
        else row[i] = (unsigned char)(bits >> 56);
    }
}

void row_fill(void *row, int32_t dtype, int32_t dim, uint64_t key, enum numbers numbers) {
    unsigned char *bytes = row;
    key |= 1;
    switch (dtype) {
    case KVSIEVE_F32:
    case KVSIEVE_F16:
    case KVSIEVE_BF16:
        for (int32_t d = 0; d < dim; ++d) number_put(row, dtype, d, number(&key, numbers));
        return;
    case KVSIEVE_Q8_0: fill_blocks(bytes, row_bytes(dtype, dim), 34, &key, numbers); return;
    case KVSIEVE_Q4_0: fill_blocks(bytes, row_bytes(dtype, dim), 18, &key, numbers); return;
    default:
        for (int32_t d = 0; d < dim; ++d) {
            const unsigned char value = (unsigned char)(drawn(&key, numbers) >> 56);
            /* Exponents that are neither NaN nor infinity in any of the two. */
            bytes[d] = dtype == KVSIEVE_BYTES ? value : (value & 0x78) == 0x78 ? value & 0xbf : value;
        }
    }
}

void number_spoil(void *row, int32_t dtype, int32_t d, int infinite) {
    unsigned char *bytes = row;
    const uint32_t wide = infinite ? 0x7f800000 : 0x7fc00000;
    const uint16_t half = infinite ? 0x7c00 : 0x7e00, brain = (uint16_t)(wide >> 16);
    switch (dtype) {
    case KVSIEVE_F32: memcpy(bytes + 4 * d, &wide, 4); return;
    case KVSIEVE_F16: memcpy(bytes + 2 * d, &half, 2); return;
    case KVSIEVE_BF16: memcpy(bytes + 2 * d, &brain, 2); return;
    case KVSIEVE_Q8_0: memcpy(bytes + d / 32 * 34, &half, 2); return;
    case KVSIEVE_Q4_0: memcpy(bytes + d / 32 * 18, &half, 2); return;
    case KVSIEVE_F8_E5M2: bytes[d] = infinite ? 0x7c : 0x7f; return;
    default: bytes[d] = 0x7f;
    }
}
