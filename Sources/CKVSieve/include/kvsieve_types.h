/* kvsieve.h - keep the part of a KV cache that attention reads, drop the rest.
 *
 * This file is the reference documentation: what it does not declare is not API.
 *
 * -- In one page --------------------------------------------------------------
 *
 * After a prompt of T tokens a decoder layer holds keys and values of shape
 * (H, T, D). Most of them are never looked at again. Each method below looks at
 * the attention that the last W queries pay to the tokens before them, scores
 * those tokens, divides a budget over layers and heads, and keeps the best.
 *
 *   L layers   Hq query heads   H key/value heads   G = Hq / H   D head size
 *   T tokens   W observation window   C budget: tokens kept per layer and head
 *
 *     kvsieve_model model = { 32, 32, 8, 128, 0, { 0 } };    // L, Hq, H, D, scale
 *     kvsieve_plan *plan = NULL;
 *     kvsieve_plan_create(KVSIEVE_DYNAMICKV, &model, &plan);
 *     kvsieve_plan_set(plan, KVSIEVE_BUDGET, 1024);
 *     for (int32_t l = 0; l < 32; ++l)                       // during prefill, in order
 *         kvsieve_plan_observe(plan, l, &queries[l], &keys[l], &values[l]);
 *     kvsieve_plan_finish(plan);
 *     for (int32_t l = 0; l < 32; ++l) {
 *         kvsieve_plan_gather(plan, l, &keys[l], &kept_keys[l]);
 *         kvsieve_plan_gather(plan, l, &values[l], &kept_values[l]);
 *     }
 *     kvsieve_plan_destroy(plan);
 *
 * Queries and keys are taken as an engine caches them: after rotary embedding
 * (and after query/key normalisation, where the model has it). Kept keys keep
 * their rotation: the next token's position is the number of tokens seen
 * (kvsieve_kept.tokens), not the number of rows kept.
 *
 * -- Contract -----------------------------------------------------------------
 *
 * Errors    A function that can fail returns kvsieve_status: KVSIEVE_OK (0) or a
 *           negative code. Values are pinned for ever. On failure nothing that
 *           the caller owns has been written and the plan is as it was before
 *           the call. kvsieve_last_error() has the sentence.
 * Abort     No argument makes the library abort, print, or call exit(). Pointers
 *           must be NULL or point to what they say: that alone is not checked.
 * Memory    The caller owns every tensor; the library reads it during the call
 *           only. A plan owns what it hands out through kvsieve_kept, until the
 *           next observe, finish, extend, reset or destroy.
 * Threads   A function that takes `const kvsieve_plan *` may run beside others
 *           that do; one that takes `kvsieve_plan *` needs the plan to itself.
 *           Different plans are independent. There is no global state but the
 *           last error, which is per thread. A call uses the threads its plan
 *           was given (KVSIEVE_THREADS, the caller's among them), no others.
 * Numbers   Scores are computed in float whatever the tensors hold. Of equal
 *           scores the lower (layer, head, position) is kept. Same build,
 *           machine and input give the same selection, whatever KVSIEVE_THREADS.
 * Nesting   What a layer keeps only ever shrinks between its observe and finish,
 *           so a cache may be compacted early.
 * Environ   One variable is read, once: KVSIEVE_ISA = base, v3 (AVX2) or v4
 *           (AVX-512) holds the library to that instruction set on x86-64.
 * Short     A prompt that is no longer than what the method may keep, or than
 *           the window (T <= W), is kept whole and in order; nothing is scored.
 * Reserved  `reserved` fields must be 0. Structs that the library writes begin
 *           with struct_size: a caller compiled against an older header gets
 *           only the fields it has room for.
 */
#ifndef KVSIEVE_H
#define KVSIEVE_H

#include <stdint.h>

#if defined(__GNUC__)
#  define KVSIEVE_API __attribute__((visibility("default")))
#else
#  define KVSIEVE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* == Version =============================================================== */

#define KVSIEVE_VERSION_MAJOR 0
#define KVSIEVE_VERSION_MINOR 1
#define KVSIEVE_VERSION_PATCH 0
/** One number: 100 is version 0.1.0. */
#define KVSIEVE_VERSION (KVSIEVE_VERSION_MAJOR * 10000 + KVSIEVE_VERSION_MINOR * 100 + KVSIEVE_VERSION_PATCH)

/*@functions Version*/

/* == Status ================================================================ */

/** What a call returns: KVSIEVE_OK or a negative code. */
typedef int32_t kvsieve_status;
enum {
    KVSIEVE_OK            = 0,
    KVSIEVE_ERR_NULL      = -1,   /**< a pointer that must be set is NULL */
    KVSIEVE_ERR_SHAPE     = -2,   /**< a shape disagrees with the model or an earlier call */
    KVSIEVE_ERR_LAYOUT    = -3,   /**< strides or alignment that are not supported, or overlapping tensors */
    KVSIEVE_ERR_DTYPE     = -4,   /**< a dtype that is unknown, or differs between source and target */
    KVSIEVE_ERR_METHOD    = -5,   /**< no such method */
    KVSIEVE_ERR_PARAMETER = -6,   /**< the method has no such parameter, or the value is out of bounds */
    KVSIEVE_ERR_STATE     = -7,   /**< the call came at the wrong time in the plan's life */
    KVSIEVE_ERR_BUDGET    = -8,   /**< the budget cannot hold what the method must keep */
    KVSIEVE_ERR_NONFINITE = -9,   /**< what the method reads has NaN or infinity; nothing can be ranked */
    KVSIEVE_ERR_MEMORY    = -10   /**< out of memory */
};

/*@functions Status*/

/* == Tensors =============================================================== */

/** Element types. Strides and gathers count bytes; scores are computed in float. */
enum {
    KVSIEVE_F32  = 0,  /**< IEEE binary32, 4 bytes */
    KVSIEVE_F16  = 1,  /**< IEEE binary16, 2 bytes */
    KVSIEVE_BF16 = 2   /**< bfloat16, 2 bytes */
};

/** A strided view of memory that the caller owns: `heads` x `tokens` rows of `dim` elements each.
 *  A row is contiguous; strides count BYTES, as numpy and ggml do. Layout is frozen; 64 bytes.
 *  Element d of token t in head h lies at data + h * head_stride + t * token_stride + d * element size.
 *  Head-major (H, T, D) f32:  token_stride = D*4,   head_stride = T*D*4.
 *  Token-major (T, H, D) f32: token_stride = H*D*4, head_stride = D*4.
 *  Strides are at least a row long, multiples of the element size, and place no two rows over each other
 *  (KVSIEVE_ERR_LAYOUT otherwise); that of a dimension of size 1 is not looked at. */
typedef struct kvsieve_tensor {
    void   *data;          /**< first row; aligned as its dtype needs */
    int64_t heads;         /**< 1 or more */
    int64_t tokens;        /**< 1 ... 2^24 */
    int64_t head_stride;   /**< bytes from a head to the next */
    int64_t token_stride;  /**< bytes from a token to the next */
    int32_t dim;           /**< elements in a row, 1 ... 65536 */
    int32_t dtype;         /**< KVSIEVE_F32, _F16 or _BF16 */
    int64_t reserved[2];   /**< 0 */
} kvsieve_tensor;

/** What is fixed for a model. Layout is frozen; 32 bytes. */
typedef struct kvsieve_model {
    int32_t layers;       /**< 1 ... 1024 */
    int32_t query_heads;  /**< 1 ... 1024, a multiple of kv_heads; query head h reads kv head h / G */
    int32_t kv_heads;     /**< 1 or more */
    int32_t head_dim;     /**< of queries and keys, 1 ... 65536; values may differ */
    float   scale;        /**< of the logits; 0 means 1/sqrt(head_dim); finite and not negative */
    int32_t reserved[3];  /**< 0 */
} kvsieve_model;

/*@methods*/

/*@parameters*/

/* == Plan ================================================================== */

/** One sequence on its way through one method. Not shared between sequences. */
typedef struct kvsieve_plan kvsieve_plan;
#ifdef __swift__
struct kvsieve_plan { uint64_t magic; void *impl; };
#endif

/** Which tensors a layer's observe reads; a sum of these. */
enum {
    KVSIEVE_NEEDS_QUERIES = 1,
    KVSIEVE_NEEDS_KEYS    = 2,
    KVSIEVE_NEEDS_VALUES  = 4,
    KVSIEVE_NEEDS_ALL_QUERIES = 8, /**< the queries are those of all T tokens, not of the last W */
    KVSIEVE_NEEDS_LENGTH  = 16     /**< no tensor: of the keys only the shape is looked at, data may be NULL */
};

/*@functions Plan*/

/* == Result ================================================================ */

/** What one layer keeps. Head h keeps positions[offsets[h]] ... positions[offsets[h+1] - 1], ascending,
 *  absolute.
 *  offsets is what variable-length attention kernels call cu_seqlens_k. */
typedef struct kvsieve_kept {
    uint32_t       struct_size;  /**< in: sizeof(kvsieve_kept); out: how much of it was written */
    int32_t        heads;        /**< H */
    int64_t        total;        /**< physical length: rows kept, offsets[heads] */
    int64_t        longest;      /**< the most rows that one head keeps */
    const int64_t *offsets;      /**< heads + 1 of them, owned by the plan */
    const int32_t *positions;    /**< total of them, owned by the plan */
    int64_t        tokens;       /**< logical length: tokens seen, T */
    const int32_t *rows;         /**< total of them, owned by the plan: where each stood in the cache that
                                      was observed; positions, unless after kvsieve_plan_extend() */
} kvsieve_kept;

/*@functions Result*/

/* == Decoding: methods whose kvsieve_method_info.decodes is 1 ================ */

/* Such a method holds a cache at its budget while the model generates. Set KVSIEVE_DECODING
 * to 1 before the first observe. After finish() and the gathers, for each new token and layer:
 * append the token's row behind the slots that live, step, move the row where `evict` says.
 * Positions are absolute, whatever left: the token after T tokens has position T.
 *
 *     kvsieve_plan_step(plan, layer, &query, &keys, &values, evict);   // keys: (H, n, D)
 *     for (int32_t h = 0; h < H; ++h)
 *         if (evict[h] >= 0) move_row(h, n - 1, evict[h]);             // keys and values
 *
 * Memory a layer and head, in 4-byte words: KVSIEVE_AHAKV (W + 3) C, KVSIEVE_H2O 3 C, and for
 * each token of the longest step, so that it can be taken back, C or 2 C. From the second
 * step on nothing is allocated.
 * Methods that only append need none of this: their caches grow by a row a token, and
 * kvsieve_plan_extend() brings them back to the budget. */

/** What stands in the slots of one head. */
typedef struct kvsieve_slots {
    uint32_t       struct_size;  /**< in: sizeof(kvsieve_slots); out: how much of it was written */
    int32_t        reserved;
    int64_t        length;       /**< physical length: slots that live */
    int64_t        tokens;       /**< logical length: tokens seen in this layer, the next one's position */
    const int32_t *positions;    /**< length absolute positions, slot by slot, owned by the plan */
} kvsieve_slots;

/*@functions Decoding*/

/* == Introspection: for bindings and tools ================================= */

/** A method, as the library knows it. Strings live as long as the process. */
typedef struct kvsieve_method_info {
    uint32_t    struct_size;   /**< in: sizeof(kvsieve_method_info); out: how much of it was written */
    int32_t     id;            /**< KVSIEVE_AHAKV, ... */
    const char *name;          /**< "dynamickv" */
    const char *summary;       /**< one line */
    const char *paper;         /**< "arXiv 2412.14838" */
    int32_t     parameters;    /**< how many it has */
    int32_t     decodes;       /**< 1 if it evicts while decoding, 0 if decoding appends */
    const char *choose;        /**< choose it when ...: one line */
} kvsieve_method_info;

/** A parameter of a method. Strings live as long as the process. */
typedef struct kvsieve_parameter_info {
    uint32_t    struct_size;   /**< in: sizeof(kvsieve_parameter_info); out: how much of it was written */
    int32_t     id;            /**< KVSIEVE_BUDGET, ... */
    const char *name;          /**< "budget": the constant without KVSIEVE_ and the method, in lower case */
    const char *summary;       /**< one line, with the unit */
    double      initial;       /**< value of a new plan */
    double      lowest;        /**< least value allowed */
    double      highest;       /**< greatest value allowed */
    int32_t     integral;      /**< 0 any number, 1 whole numbers, 2 odd whole numbers */
    int32_t     reserved;      /**< 0 */
} kvsieve_parameter_info;

/*@functions Introspection*/

#ifdef __cplusplus
}
#endif
#endif /* KVSIEVE_H */
