/* What Swift cannot say by itself. Not part of the C API: the prefix is support_, which the version script hides. */
#ifndef CSUPPORT_H
#define CSUPPORT_H

#include <stddef.h>
#include <stdint.h>
#include "support_lanes.h"

#pragma clang assume_nonnull begin

/* -- last_error.c: one sentence a thread ------------------------------------------------------------------------ */

/** Of a sentence, with the 0 at its end. */
#define SUPPORT_MESSAGE_BYTES 1024
/** Copies `length` bytes of UTF-8, cut to SUPPORT_MESSAGE_BYTES with the 0 at their end. */
void support_copy_message(char *target, const char *text, size_t length);
/** The same, to this thread's own memory. */
void support_set_last_error(const char *text, size_t length);
const char *support_last_error(void);

/* -- cpu.c ------------------------------------------------------------------------------------------------------ */

/** 0 baseline; 2 SSE3, SSSE3, SSE4.1, SSE4.2, POPCNT; 3 AVX2+FMA+F16C as well; 4 AVX-512 F/BW/DQ/VL/CD as well; 5 AVX512-BF16 as
 *  well. Capped by KVSIEVE_ISA (base, v2, v3, v4, v4bf16). */
int32_t support_isa_level(void);
/** 1 if BLAS makes the products: at level 2 of x86-64, whose other kernels are the baseline's, and on arm64. OpenBLAS's oldest kernel
 *  for x86-64 needs SSE3; wider vectors have products of our own. */
int32_t support_products_are_of_blas(void);

/** 1 if VDPBF16PS makes keys in bfloat16 faster on this processor: Intel's (Emerald Rapids) multiply pairs of bfloat16 at less than half
 *  the rate of floats, AMD's (Zen 4) at the same rate. 1 with KVSIEVE_ISA=v4bf16. */
int32_t support_pairs_are_fast(void);
/** Products of an unsigned and a signed byte, four to a lane: 1 in vectors of 256 bits (AVX-VNNI), 2 of 512 (AVX512-VNNI), 3 both.
 *  0 under any cap of KVSIEVE_ISA: no level has them. */
int32_t support_byte_dots(void);

/* -- memory.c ---------------------------------------------------------------------------------------------------- */

/** 64-byte aligned; NULL when there is none to be had. */
void *_Nullable support_allocate(size_t bytes);
void support_free(void *_Nullable memory);

/** Addresses whose pages become memory when they are written to, page-aligned; NULL when there are none to be had. */
void *_Nullable support_reserve_addresses(size_t bytes);
void support_release_addresses(void *addresses, size_t bytes);
/** How many of these bytes are memory by now. */
size_t support_resident(void *addresses, size_t bytes);

/* -- spare.c: memory in reserve for what the Swift runtime is refused (KVSieve/allocators.c) ---------------------------- */

/** NULL if there is none. */
void *_Nullable support_spare_take(size_t alignment, size_t bytes);
/** 1 if it was spare memory, which is free now. */
int support_spare_give(void *_Nullable memory);
/** Bytes from there on; 0 if it is no spare memory. */
size_t support_spare_size(const void *_Nullable memory);

/** From now on there are `need` bytes for one more call, until support_spare_done(). 0 if there are not. */
int support_spare_want(size_t need);
void support_spare_done(size_t need);

/** Nothing is taken or given between these two. */
void support_spare_fork_begins(void);
void support_spare_fork_is_over(void);
/** In the child: no call is running but one that may need this. */
void support_spare_only(size_t need);

/* -- environment.c ------------------------------------------------------------------------------------------- */

/** Before the first product of BLAS. */
void support_begin_blas(void);
/** The memory that this thread's next calls of BLAS work in, page-aligned; NULL when they are over. */
void support_blas_buffer(void *_Nullable buffer);

/* -- floating_point.c ------------------------------------------------------------------------------------------- */

/** To nearest, subnormal numbers as they are, no trap, no flag. */
uint64_t support_default_mode(void);
/** Sets this thread's mode, traps and flags; returns what they were. */
uint64_t support_exchange_mode(uint64_t mode);

/* -- lock.c ------------------------------------------------------------------------------------------------------- */

typedef struct support_mutex support_mutex;

/** NULL when out of memory. */
support_mutex *_Nullable support_lock_create(void);
void support_lock(support_mutex *mutex);
void support_unlock(support_mutex *mutex);
void support_lock_destroy(support_mutex *mutex);

/* -- call.c: around every call of the library ----------------------------------------------------------------------- */

typedef struct support_call {
    size_t need, outer;
    int cancel_state;
} support_call;

/** Until support_call_end() the thread is not cancelled, and the Swift runtime finds `need` bytes though malloc refuses them.
 *  0 if there is no memory: the call does not begin. */
int32_t support_call_begin(support_call *call, size_t need);
void support_call_end(support_call *call);

/** The first call of the process runs `first`, the others wait until it is done, and so does a fork. Always the same function; the
 *  Swift runtime may ask for `need` bytes in it. 0 if there are not as many: the next call tries again. */
int32_t support_once(size_t need, void (*first)(int32_t));
#define SUPPORT_MOST_REHEARSALS 63
/** The same for other first times, each with a number 0 ... SUPPORT_MOST_REHEARSALS - 1, which it gets: the first plan of each method,
 *  and, the last, the first self-check. */
int32_t support_rehearse(size_t need, int32_t number, void (*rehearsal)(int32_t));
/** Is this thread inside one of the two? Its own calls do not wait for themselves, and start no thread. */
int32_t support_is_first(void);

/** A call of a plan begins, and ends; `calls` is the plan's, 0 at first. 0 if another thread was in a call when this process
 *  was forked: nobody ends it. */
int32_t support_plan_enter(uint64_t *calls);
void support_plan_leave(uint64_t *calls);

/* -- pool.c: threads of one plan --------------------------------------------------------------------------------- */

typedef struct support_pool support_pool;
typedef void (*support_job)(void *context, int32_t item, int32_t worker);

/** No thread is started yet. NULL when out of memory. */
support_pool *_Nullable support_pool_create(int32_t workers);
/** Calls job(context, item, worker) for every item 0 ... items-1, each once, the caller being worker 0. Returns when
 *  all are done. Runs on fewer threads when the system gives no more, or in the child of a fork. */
void support_pool_run(support_pool *pool, int32_t items, support_job job, void *context);
void support_pool_destroy(support_pool *_Nullable pool);

/* -- kernels ------------------------------------------------------------------------------------------------------ */

/** logit_columns of bfloat16 pairs: see LogitColumns.swift. */
typedef int32_t (*support_pair_columns)(const float *queries, int64_t vectors, const float *keys, int64_t stride,
                                        const intptr_t *_Nullable places, int64_t columns, int64_t pairs, const float *factors,
                                        float *out, int64_t out_stride, float *maxima);

/** Query rows that byte_columns multiplies: the lanes of a vector are rows, and blocks are 32 dimensions. */
typedef struct support_byte_rows {
    int64_t vectors;
    int64_t blocks;
    const int32_t *bytes;   /* (vectors, blocks, 8, lanes): four signed bytes each, dimensions 4i to 4i + 3 of a row's block */
    const int32_t *offsets; /* (vectors, blocks, lanes): -128 times the sum of the block's bytes */
    const float *scales;    /* (vectors, blocks, lanes): what a byte of the block is multiplied with */
} support_byte_rows;

/** Logits of rows and keys that are both blocks of 32 bytes with a scale:
 *
 *      out[j, r] = sum over blocks of scale_r * scale_j * (sum over 32 dimensions of byte_r * byte_j)
 *
 *  keys (columns, blocks, 32), each byte 128 too large; scales (columns, blocks). The sum of 32 products is exact, its product
 *  with scale_j is rounded, the blocks are added in order as floats. maxima and what is returned: as logit_columns has it. */
typedef int32_t (*support_byte_columns)(const support_byte_rows *rows, const uint8_t *keys, const float *scales, int64_t columns,
                                        float *out, int64_t out_stride, float *maxima);
/** byte_columns.c. NULL where the processor has no such product in vectors of so many floats. */
support_byte_columns _Nullable support_byte_columns_of(int32_t lanes);

/** Numbers x of a row, in order, with their indices: x >= bound, and not x >= end; with NaN as the end all that are not below the
 *  bound. KVSieveKernels/CollectNumbers.swift.
 *
 *  room: of values and indices; a vector's numbers more than there are must fit. values may be row. Returns how many there are; -1 if
 *  there may be no room for them. */
typedef int64_t (*support_collect_numbers)(const float *row, int64_t count, float bound, float end, int64_t room, float *values,
                                           int32_t *indices);
/** collect_numbers.c, for processors that have vectors of so many floats; NULL for others. */
support_collect_numbers _Nullable support_collect_numbers_of(int32_t lanes);

/** Numbers that are pooled between two copies. */
enum { SUPPORT_POOL_BLOCK = 1024 };

/** The loops over floats, compiled once for each instruction set. No pointer aliases another unless said. */
typedef struct support_kernels {
    const char *name;
    int32_t lanes; /* floats of a vector: query rows are padded to a multiple of it */
    int32_t block; /* vectors of query rows that logit_columns packs together */
    void (*widen_f16)(const uint16_t *source, float *target, int64_t count);
    void (*widen_bf16)(const uint16_t *source, float *target, int64_t count);
    void (*widen_f8_e4m3)(const uint8_t *source, float *target, int64_t count);
    void (*widen_f8_e5m2)(const uint8_t *source, float *target, int64_t count);
    void (*widen_q8_0)(const uint8_t *source, float *target, int64_t count); /* count is a multiple of 32 */
    void (*widen_q4_0)(const uint8_t *source, float *target, int64_t count); /* likewise */
    /* the numbers of q8_0 and their scales, apart; each byte 128 too large */
    void (*split_q8_0)(const uint8_t *source, uint8_t *bytes, float *scales, int64_t count);
    int32_t (*logit_columns)(const float *queries, int64_t vectors, const float *keys, int64_t stride,
                             const intptr_t *_Nullable places, int64_t columns, int64_t depth, float *out, int64_t out_stride,
                             float *maxima);
    support_pair_columns _Nullable pair_columns; /* NULL where the processor has no product of bfloat16 */
    support_byte_columns _Nullable byte_columns; /* NULL where it has no product of bytes; not of a compile, but added to its table */
    int32_t (*column_maxima)(const float *tile, int64_t columns, int64_t vectors, int64_t stride, float *maxima);
    void (*tile_exponentials)(float *tile, int64_t columns, int64_t vectors, int64_t stride, const float *maxima, float *sums);
    void (*weighted_columns)(const float *tile, int64_t columns, int64_t vectors, int64_t stride, const float *weights,
                             float *sums);
    void (*row_dots)(const float *rows, int64_t count, const float *keys, int64_t stride, int64_t columns, int64_t depth,
                     float *out, int64_t out_stride);
    float (*row_maximum)(const float *row, int64_t count);
    float (*row_exponentials)(const float *row, int64_t count, float maximum, float factor, float *out); /* out may be row */
    float (*row_minimum)(const float *row, int64_t count);
    float (*copy_minimum)(const float *row, int64_t count, float *out);  /* row_minimum, and out[j] = row[j] */
    void (*row_logarithms)(const float *row, int64_t count, float *out); /* out may be row */
    int64_t (*count_numbers)(const float *row, int64_t count, float bound);
    support_collect_numbers collect_numbers; /* where it has wide vectors not of a compile, but of collect_numbers.c */
    void (*candidate_minima)(const float *totals, const float *_Nullable weights, int64_t count, float *minima);
    void (*roll_row)(const float *newest, const float *_Nullable suffix, int64_t count, float *prefix, float *row,
                     const float *_Nullable weights, float *totals);
    void (*run_row)(const float *newest, const double *sums, int64_t count, double *totals, float *rounded);
    void (*weighted_rows)(const float *rows, int64_t count, int64_t stride, const float *weights, int64_t width, float *out);
    void (*add_scaled)(const float *row, float weight, int64_t count, float *sum);
    void (*pool_mean)(float *row, int64_t count, int64_t kernel, float *scratch); /* SUPPORT_POOL_BLOCK + kernel floats */
    void (*pool_max)(float *row, int64_t count, int64_t kernel, float *scratch);  /* as many */
    float (*squared_norm)(const float *row, int64_t count);
} support_kernels;

#pragma clang assume_nonnull end

#endif
