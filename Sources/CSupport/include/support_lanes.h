/* Loops over the lanes of a vector that Swift cannot say, compiled with each instruction set's kernels. */
#ifndef SUPPORT_LANES_H
#define SUPPORT_LANES_H

#include <stdint.h>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#pragma clang assume_nonnull begin

/** Asks for the cache line at `address` before it is needed; never faults. */
static inline void support_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/** The same long before it is needed: it gets to the second-level cache. */
static inline void support_prefetch_early(const void *address) { __builtin_prefetch(address, 0, 2); }

#if defined(__AVX512BF16__)
typedef float support_lanes __attribute__((__vector_size__(64)));
/** sum + the products of the two bfloat16 numbers that each lane of a and b holds. */
static inline support_lanes support_dot_pairs(support_lanes sum, support_lanes a, support_lanes b) {
    return (support_lanes)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
#endif

/* Bytes become lanes: Swift would call its own conversion, which the linker keeps once for all compiles of the kernels. */
#if defined(__AVX512F__)
#define SUPPORT_LANES 16
#elif defined(__AVX2__)
#define SUPPORT_LANES 8
#else
#define SUPPORT_LANES 4
#endif
typedef float support_lane_floats __attribute__((__vector_size__(4 * SUPPORT_LANES)));
typedef int32_t support_lane_bits __attribute__((__vector_size__(4 * SUPPORT_LANES)));
typedef uint32_t support_lane_words __attribute__((__vector_size__(4 * SUPPORT_LANES)));

static inline support_lane_words support_bytes(const uint8_t *source) {
    typedef uint8_t bytes __attribute__((__vector_size__(SUPPORT_LANES)));
    bytes lanes;
    __builtin_memcpy(&lanes, source, sizeof lanes);
    return __builtin_convertvector(lanes, support_lane_words);
}

static inline support_lane_floats support_signed_bytes_as_floats(const uint8_t *source) {
    typedef int8_t bytes __attribute__((__vector_size__(SUPPORT_LANES)));
    bytes lanes;
    __builtin_memcpy(&lanes, source, sizeof lanes);
    return __builtin_convertvector(lanes, support_lane_floats);
}

static inline support_lane_floats support_words_as_floats(support_lane_words words) {
    return __builtin_convertvector((support_lane_bits)words, support_lane_floats);
}

static inline support_lane_floats support_lanes_at(const float *source) {
    support_lane_floats lanes;
    __builtin_memcpy(&lanes, source, sizeof lanes);
    return lanes;
}

/** The whole vectors of KVSieveKernels/PoolSeven.swift; two or more are in the row. A vector of sums needs the numbers at seven places.
 *  Those before what is written next move there in registers; of the others some are loaded, although nearly every such load crosses a
 *  line of the cache: six shuffles are slower. (Of loads that overlap Swift makes shuffles.) The sums are added in order.
 *
 *  Returns j: all windows that begin in row[0 ..< j] are done, and row[3 ..< j + 3] is written. before: row[j ..< j + 3] as it was. */
static inline int64_t support_pool_seven(float *row, int64_t count, float share, float *before) {
    support_lane_floats a = support_lanes_at(row);
    int64_t j = 0;
    /* The last of the windows needs six numbers more than a vector, which may be more than two vectors have. */
    const int64_t needed = SUPPORT_LANES < 6 ? SUPPORT_LANES + 6 : 2 * SUPPORT_LANES;
    for (; j + needed <= count; j += SUPPORT_LANES) {
        support_prefetch(row + j + 256);
        const support_lane_floats b = support_lanes_at(row + j + SUPPORT_LANES), four = support_lanes_at(row + j + 4);
#if SUPPORT_LANES == 16
        support_lane_floats sums = a + __builtin_shufflevector(a, b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
        sums += __builtin_shufflevector(a, b, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17);
        sums += __builtin_shufflevector(a, b, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18);
#elif SUPPORT_LANES == 8
        /* Of a and what is four places on: the halves of a vector exchange nothing. */
        support_lane_floats sums = a + __builtin_shufflevector(a, four, 1, 2, 3, 8, 5, 6, 7, 12);
        sums += __builtin_shufflevector(a, four, 2, 3, 8, 9, 6, 7, 12, 13);
        sums += support_lanes_at(row + j + 3);
#else
        support_lane_floats sums = a + __builtin_shufflevector(a, b, 1, 2, 3, 4);
        sums += __builtin_shufflevector(a, b, 2, 3, 4, 5);
        sums += support_lanes_at(row + j + 3);
#endif
        sums += four;
        sums += support_lanes_at(row + j + 5);
        sums += support_lanes_at(row + j + 6);
        sums *= share;
        __builtin_memcpy(row + j + 3, &sums, sizeof sums);
        a = b;
    }
    for (int place = 0; place < 3; ++place) before[place] = a[place];
    return j;
}

#pragma clang assume_nonnull end

#endif
