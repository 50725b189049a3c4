/* The product of bytes, where the processor has it: AVX512-VNNI is in some processors without AVX512-BF16, AVX-VNNI in some without
 * AVX-512, so that it would need two more compiles of all kernels; and Swift has no name for the instruction. byte_columns.h is the
 * loop. */
#include "csupport.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define NAME(x) x##_512
#define TARGET __attribute__((__target__("avx512f,avx512bw,avx512vnni")))
#define LANES 16
#define DOT(sum, a, b) _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(a), (__m512i)(b))
#define FMA(a, b, c) _mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c))
#define MAX(a, b) _mm512_max_ps((__m512)(a), (__m512)(b))
#include "byte_columns.h"
#undef NAME
#undef TARGET
#undef LANES
#undef DOT
#undef FMA
#undef MAX

#define NAME(x) x##_256
#define TARGET __attribute__((__target__("avx2,fma,avxvnni")))
#define LANES 8
#define DOT(sum, a, b) _mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(a), (__m256i)(b))
#define FMA(a, b, c) _mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#define MAX(a, b) _mm256_max_ps((__m256)(a), (__m256)(b))
#include "byte_columns.h"
#endif

support_byte_columns support_byte_columns_of(int32_t lanes) {
#if defined(__x86_64__)
    if (lanes == 16 && (support_byte_dots() & 2)) return byte_columns_512;
    if (lanes == 8 && (support_byte_dots() & 1)) return byte_columns_256;
#endif
    (void)lanes;
    return NULL;
}
