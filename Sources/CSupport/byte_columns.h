/* byte_columns (csupport.h) for one width of vectors. byte_columns.c includes this once a width, with
 *
 *   NAME(x)   x with the width in its name          TARGET   the instruction set
 *   LANES     int32 numbers of a vector             DOT      sum + four products of an unsigned and a signed byte, in each lane
 *   FMA, MAX  of float vectors; MAX(a, b) is b where one is NaN
 *
 * A key's four bytes are broadcast and multiplied with the four bytes of the same dimensions of each row in the lanes; six keys go
 * with two vectors of rows, so that twelve sums are under way. Of 32 dimensions a sum is exact: it is less than 2^24. It is multiplied
 * with the key's scale, which cannot overflow, then with the row's, and added, dimension 0 first, whatever the block: a logit does not
 * depend on its neighbours. */

typedef int32_t NAME(ints) __attribute__((__vector_size__(4 * LANES)));
typedef float NAME(floats) __attribute__((__vector_size__(4 * LANES)));
#define INTS NAME(ints)
#define FLOATS NAME(floats)
#define INSIDE static inline __attribute__((__always_inline__)) TARGET

INSIDE INTS NAME(load_ints)(const int32_t *source) {
    INTS lanes;
    __builtin_memcpy(&lanes, source, sizeof lanes);
    return lanes;
}

INSIDE FLOATS NAME(load)(const float *source) {
    FLOATS lanes;
    __builtin_memcpy(&lanes, source, sizeof lanes);
    return lanes;
}

INSIDE void NAME(store)(FLOATS lanes, float *target) { __builtin_memcpy(target, &lanes, sizeof lanes); }

INSIDE INTS NAME(four_bytes)(const uint8_t *source) {
    int32_t word;
    __builtin_memcpy(&word, source, sizeof word);
    return (INTS){ 0 } + word;
}

/* `keys` columns from j on against `vectors` vectors of rows from `first` on; both numbers are known when this is compiled. */
INSIDE void NAME(columns)(const support_byte_rows *rows, int64_t first, const int vectors, const uint8_t *bytes,
                          const float *scales, const int keys, float *out, int64_t stride, float *maxima, FLOATS *poison) {
    const int64_t blocks = rows->blocks;
    FLOATS sums[2][6];
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++)
#pragma clang loop unroll(full)
        for (int k = 0; k < keys; k++) sums[v][k] = (FLOATS){ 0 };
    for (int64_t block = 0; block < blocks; block++) {
        INTS products[2][6];
        const int32_t *queries[2];
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
            const int64_t place = (first + v) * blocks + block;
            const INTS offsets = NAME(load_ints)(rows->offsets + place * LANES);
            queries[v] = rows->bytes + place * 8 * LANES;
#pragma clang loop unroll(full)
            for (int k = 0; k < keys; k++) products[v][k] = offsets;
        }
#pragma clang loop unroll(full)
        for (int four = 0; four < 8; four++) {
            INTS query[2];
#pragma clang loop unroll(full)
            for (int v = 0; v < vectors; v++) query[v] = NAME(load_ints)(queries[v] + four * LANES);
#pragma clang loop unroll(full)
            for (int k = 0; k < keys; k++) {
                const INTS key = NAME(four_bytes)(bytes + (k * blocks + block) * 32 + 4 * four);
#pragma clang loop unroll(full)
                for (int v = 0; v < vectors; v++) products[v][k] = (INTS)DOT(products[v][k], key, query[v]);
            }
        }
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
            const FLOATS factors = NAME(load)(rows->scales + ((first + v) * blocks + block) * LANES);
#pragma clang loop unroll(full)
            for (int k = 0; k < keys; k++) {
                const FLOATS scaled = __builtin_convertvector(products[v][k], FLOATS) * scales[k * blocks + block];
                sums[v][k] = (FLOATS)FMA(scaled, factors, sums[v][k]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
        const int64_t row = (first + v) * LANES;
        FLOATS highest = NAME(load)(maxima + row);
#pragma clang loop unroll(full)
        for (int k = 0; k < keys; k++) {
            NAME(store)(sums[v][k], out + k * stride + row);
            highest = (FLOATS)MAX(sums[v][k], highest);
            *poison += sums[v][k] * 0.0f;
        }
        NAME(store)(highest, maxima + row);
    }
}

TARGET static int32_t NAME(byte_columns)(const support_byte_rows *rows, const uint8_t *bytes, const float *scales, int64_t columns,
                                         float *out, int64_t stride, float *maxima) {
    const int64_t blocks = rows->blocks, vectors = rows->vectors;
    FLOATS poison = { 0 };
    for (int64_t j = 0; j < columns;) {
        const int keys = columns - j >= 6 ? 6 : 1;
        const uint8_t *key = bytes + j * blocks * 32;
        const float *scale = scales + j * blocks;
        float *target = out + j * stride;
        for (int64_t v = 0; v < vectors;) {
            const int count = vectors - v >= 2 ? 2 : 1;
            if (keys == 6 && count == 2) NAME(columns)(rows, v, 2, key, scale, 6, target, stride, maxima, &poison);
            if (keys == 6 && count == 1) NAME(columns)(rows, v, 1, key, scale, 6, target, stride, maxima, &poison);
            if (keys == 1 && count == 2) NAME(columns)(rows, v, 2, key, scale, 1, target, stride, maxima, &poison);
            if (keys == 1 && count == 1) NAME(columns)(rows, v, 1, key, scale, 1, target, stride, maxima, &poison);
            v += count;
        }
        j += keys;
    }
    float total = 0;
    for (int lane = 0; lane < LANES; lane++) total += poison[lane];
    return total == 0;
}

#undef INTS
#undef FLOATS
#undef INSIDE
