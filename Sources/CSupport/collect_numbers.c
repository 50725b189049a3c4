/* The loop of KVSieveKernels/CollectNumbers.swift where vectors are wide: Swift has no name for the instructions that move the chosen
 * numbers of a vector together. No branch depends on a single number.
 *
 * A row is looked at a piece of 1,024 numbers at a time. First a list is made of the vectors of which any number is not below the bound;
 * then the numbers of those are moved together, which takes longer than looking. A number never moves to a later place. */
#include "csupport.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Numbers of a piece; numbers between one that is looked at and the one that is fetched into the first-level cache. */
enum { PIECE = 1024, AHEAD = 256 };

__attribute__((__target__("avx512f,popcnt"))) static int64_t collect_512(const float *row, int64_t count, float bound, float end,
                                                                         int64_t room, float *values, int32_t *indices) {
    const __m512 least = _mm512_set1_ps(bound), ends = _mm512_set1_ps(end);
    const __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    int32_t vectors[PIECE / 16];
    int64_t written = 0, j = 0;
    while (j < count) {
        const int64_t last = count - j < PIECE ? count : j + PIECE;
        int listed = 0;
        for (; j + 16 <= last; j += 16) {
            support_prefetch(row + j + AHEAD);
            vectors[listed] = (int32_t)j;
            listed += _mm512_cmp_ps_mask(_mm512_loadu_ps(row + j), least, _CMP_GE_OQ) != 0;
        }
        for (int index = 0; index < listed; ++index) {
            if (written > room - 16) return -1;
            const __m512 numbers = _mm512_loadu_ps(row + vectors[index]);
            const __mmask16 above = _mm512_cmp_ps_mask(numbers, least, _CMP_GE_OQ);
            const __mmask16 chosen = _mm512_mask_cmp_ps_mask(above, numbers, ends, _CMP_NGE_UQ);
            const __m512i own = _mm512_add_epi32(places, _mm512_set1_epi32(vectors[index]));
            _mm512_storeu_ps(values + written, _mm512_maskz_compress_ps(chosen, numbers));
            _mm512_storeu_si512(indices + written, _mm512_maskz_compress_epi32(chosen, own));
            written += __builtin_popcount(chosen);
        }
        for (; j < last; ++j) {
            if (written >= room) return -1;
            values[written] = row[j];
            indices[written] = (int32_t)j;
            written += row[j] >= bound && !(row[j] >= end);
        }
    }
    return written;
}

/* ORDER(m): the places of the bits of m, the lowest first, a byte each. */
#define PLACE(m, b) ((uint64_t)((m) >> (b) & 1) * (b) << 8 * __builtin_popcount((m) & ((1 << (b)) - 1)))
#define ORDER(m) (PLACE(m, 1) | PLACE(m, 2) | PLACE(m, 3) | PLACE(m, 4) | PLACE(m, 5) | PLACE(m, 6) | PLACE(m, 7))
#define FOUR(m) ORDER(m), ORDER((m) + 1), ORDER((m) + 2), ORDER((m) + 3)
#define SIXTEEN(m) FOUR(m), FOUR((m) + 4), FOUR((m) + 8), FOUR((m) + 12)
#define SIXTY_FOUR(m) SIXTEEN(m), SIXTEEN((m) + 16), SIXTEEN((m) + 32), SIXTEEN((m) + 48)
static const uint64_t orders[256] = { SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128), SIXTY_FOUR(192) };

/* Vectors are listed two at a time. */
__attribute__((__target__("avx2,popcnt"))) static int64_t collect_256(const float *row, int64_t count, float bound, float end,
                                                                      int64_t room, float *values, int32_t *indices) {
    const __m256 least = _mm256_set1_ps(bound), ends = _mm256_set1_ps(end);
    int32_t pairs[PIECE / 16];
    int64_t written = 0, j = 0;
    while (j < count) {
        const int64_t last = count - j < PIECE ? count : j + PIECE;
        int listed = 0;
        for (; j + 16 <= last; j += 16) {
            support_prefetch(row + j + AHEAD);
            const __m256 one = _mm256_cmp_ps(_mm256_loadu_ps(row + j), least, _CMP_GE_OQ);
            const __m256 any = _mm256_or_ps(one, _mm256_cmp_ps(_mm256_loadu_ps(row + j + 8), least, _CMP_GE_OQ));
            pairs[listed] = (int32_t)j;
            listed += !_mm256_testz_ps(any, any);
        }
        for (int index = 0; index < 2 * listed; ++index) {
            if (written > room - 8) return -1;
            const int32_t place = pairs[index / 2] + 8 * (index & 1);
            const __m256 numbers = _mm256_loadu_ps(row + place);
            const __m256 above = _mm256_cmp_ps(numbers, least, _CMP_GE_OQ);
            const int chosen = _mm256_movemask_ps(_mm256_and_ps(above, _mm256_cmp_ps(numbers, ends, _CMP_NGE_UQ)));
            const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(orders + chosen)));
            _mm256_storeu_ps(values + written, _mm256_permutevar8x32_ps(numbers, order));
            _mm256_storeu_si256((__m256i *)(indices + written), _mm256_add_epi32(order, _mm256_set1_epi32(place)));
            written += __builtin_popcount((unsigned)chosen);
        }
        for (; j < last; ++j) {
            if (written >= room) return -1;
            values[written] = row[j];
            indices[written] = (int32_t)j;
            written += row[j] >= bound && !(row[j] >= end);
        }
    }
    return written;
}
#endif

support_collect_numbers support_collect_numbers_of(int32_t lanes) {
#if defined(__x86_64__)
    if (lanes == 16) return collect_512;
    if (lanes == 8) return collect_256;
#endif
    (void)lanes;
    return NULL;
}
