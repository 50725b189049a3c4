/* kvsieve.h 0.1.0 as of 2026-11-30, without its comments: written by freeze.sh. */
#ifndef KVSIEVE_H
#define KVSIEVE_H
#include <stdint.h>
#if defined(__GNUC__)
#define KVSIEVE_API __attribute__((visibility("default")))
#else
#define KVSIEVE_API
#endif
#if defined(__GNUC__)
#define KVSIEVE_CHECKED __attribute__((warn_unused_result))
#elif defined(__cplusplus) && __cplusplus >= 201703L
#define KVSIEVE_CHECKED [[nodiscard]]
#else
#define KVSIEVE_CHECKED
#endif
#ifdef __cplusplus
extern "C" {
#endif
#define KVSIEVE_VERSION_MAJOR 0
#define KVSIEVE_VERSION_MINOR 1
#define KVSIEVE_VERSION_PATCH 0
#define KVSIEVE_VERSION (KVSIEVE_VERSION_MAJOR * 10000 + KVSIEVE_VERSION_MINOR * 100 + KVSIEVE_VERSION_PATCH)
KVSIEVE_API int32_t kvsieve_version(void);
KVSIEVE_API const char *kvsieve_build_info(void);
typedef int32_t kvsieve_status;
enum {
    KVSIEVE_OK = 0,
    KVSIEVE_ERR_NULL = -1,
    KVSIEVE_ERR_SHAPE = -2,
    KVSIEVE_ERR_LAYOUT = -3,
    KVSIEVE_ERR_DTYPE = -4,
    KVSIEVE_ERR_METHOD = -5,
    KVSIEVE_ERR_PARAMETER = -6,
    KVSIEVE_ERR_STATE = -7,
    KVSIEVE_ERR_BUDGET = -8,
    KVSIEVE_ERR_NONFINITE = -9,
    KVSIEVE_ERR_MEMORY = -10
};
KVSIEVE_API const char *kvsieve_status_name(kvsieve_status status);
KVSIEVE_API const char *kvsieve_last_error(void);
enum {
    KVSIEVE_F32 = 0,
    KVSIEVE_F16 = 1,
    KVSIEVE_BF16 = 2,
    KVSIEVE_BYTES = 3,
    KVSIEVE_F8_E4M3 = 4,
    KVSIEVE_F8_E5M2 = 5,
    KVSIEVE_Q8_0 = 6,
    KVSIEVE_Q4_0 = 7
};
typedef struct kvsieve_tensor {
    void *data;
    int64_t heads;
    int64_t tokens;
    int64_t head_stride;
    int64_t token_stride;
    int32_t dim;
    int32_t dtype;
    const int32_t *blocks;
    int64_t block_stride;
    int32_t block_tokens;
    int32_t block_count;
    int32_t reserved[2];
} kvsieve_tensor;
typedef struct kvsieve_model {
    int32_t layers;
    int32_t query_heads;
    int32_t kv_heads;
    int32_t head_dim;
    float scale;
    int32_t reserved[3];
} kvsieve_model;
enum {
    KVSIEVE_AHAKV = 1,
    KVSIEVE_TASKKV = 2,
    KVSIEVE_WINDOWKV = 3,
    KVSIEVE_DYNAMICKV = 4,
    KVSIEVE_H2O = 5,
    KVSIEVE_SNAPKV = 6,
    KVSIEVE_PYRAMIDKV = 7,
    KVSIEVE_ADAKV = 8,
    KVSIEVE_STREAMINGLLM = 9,
    KVSIEVE_TOVA = 10,
    KVSIEVE_KEYDIFF = 11,
    KVSIEVE_RANDOM = 12
};
enum {
    KVSIEVE_BUDGET = 100,
    KVSIEVE_RATIO = 101,
    KVSIEVE_WINDOW = 102,
    KVSIEVE_POOL_KERNEL = 103,
    KVSIEVE_POOL = 104,
    KVSIEVE_THREADS = 105,
    KVSIEVE_DECODING = 106,
    KVSIEVE_SHARE = 107,
    KVSIEVE_EVEN = 108,
    KVSIEVE_BLOCK = 109,
    KVSIEVE_MASS = 110,
    KVSIEVE_ALIGN = 111,
    KVSIEVE_REPORT = 112,
    KVSIEVE_COARSE = 113,
    KVSIEVE_AHAKV_GAIN_FLOOR = 200,
    KVSIEVE_AHAKV_SINKS = 201,
    KVSIEVE_AHAKV_SCORE_KERNEL = 202,
    KVSIEVE_TASKKV_BETA = 300,
    KVSIEVE_TASKKV_TOP = 301,
    KVSIEVE_TASKKV_SINKS = 302,
    KVSIEVE_TASKKV_RECENT = 303,
    KVSIEVE_TASKKV_SEMANTIC = 304,
    KVSIEVE_WINDOWKV_TASK = 400,
    KVSIEVE_WINDOWKV_SIZE = 401,
    KVSIEVE_WINDOWKV_SHARED = 402,
    KVSIEVE_WINDOWKV_PYRAMID = 403,
    KVSIEVE_WINDOWKV_CHARGE = 404,
    KVSIEVE_DYNAMICKV_CAP = 500,
    KVSIEVE_DYNAMICKV_EVERY = 501,
    KVSIEVE_DYNAMICKV_NORMAL = 502,
    KVSIEVE_H2O_RECENT_RATIO = 600,
    KVSIEVE_PYRAMIDKV_BETA = 800,
    KVSIEVE_ADAKV_FLOOR = 900,
    KVSIEVE_STREAMINGLLM_SINKS = 1000,
    KVSIEVE_KEYDIFF_RECENT = 1200,
    KVSIEVE_RANDOM_SEED = 1300,
    KVSIEVE_RANDOM_RECENT = 1301
};
typedef struct kvsieve_plan kvsieve_plan;
enum {
    KVSIEVE_NEEDS_QUERIES = 1,
    KVSIEVE_NEEDS_KEYS = 2,
    KVSIEVE_NEEDS_VALUES = 4,
    KVSIEVE_NEEDS_ALL_QUERIES = 8,
    KVSIEVE_NEEDS_LENGTH = 16
};
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_create(int32_t method, const kvsieve_model *model,
                                                               kvsieve_plan **out);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_set(kvsieve_plan *plan, int32_t parameter,
                                                            double value);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_get(const kvsieve_plan *plan, int32_t parameter,
                                                            double *value);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_needs(const kvsieve_plan *plan, int32_t layer,
                                                              int32_t *needs);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_bound(const kvsieve_plan *plan, int32_t layer,
                                                              int64_t tokens, int64_t *rows);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_protect(kvsieve_plan *plan, int64_t first,
                                                                int64_t count);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_queries(kvsieve_plan *plan, int32_t layer,
                                                                const kvsieve_tensor *queries);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_observe(kvsieve_plan *plan, int32_t layer,
                                                                const kvsieve_tensor *queries,
                                                                const kvsieve_tensor *keys,
                                                                const kvsieve_tensor *values);
enum {
    KVSIEVE_LOGITS = 0,
    KVSIEVE_PROBABILITIES = 1,
    KVSIEVE_COLUMN_SUMS = 2
};
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_observe_attention(kvsieve_plan *plan, int32_t layer,
                                                                          int32_t kind,
                                                                          const kvsieve_tensor *attention,
                                                                          const kvsieve_tensor *values);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_finish(kvsieve_plan *plan);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_extend(kvsieve_plan *plan, int64_t tokens);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_reset(kvsieve_plan *plan);
KVSIEVE_API void kvsieve_plan_destroy(kvsieve_plan *plan);
KVSIEVE_API const char *kvsieve_plan_error(const kvsieve_plan *plan);
typedef struct kvsieve_kept {
    uint32_t struct_size;
    int32_t heads;
    int64_t total;
    int64_t longest;
    const int64_t *offsets;
    const int32_t *positions;
    int64_t tokens;
    const int32_t *rows;
} kvsieve_kept;
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_kept(const kvsieve_plan *plan, int32_t layer,
                                                             kvsieve_kept *kept);
typedef struct kvsieve_ranges {
    uint32_t struct_size;
    int32_t count;
    const int32_t *bounds;
} kvsieve_ranges;
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_ranges(const kvsieve_plan *plan, int32_t layer,
                                                               int32_t head, int32_t dropped,
                                                               kvsieve_ranges *ranges);
typedef struct kvsieve_report {
    uint32_t struct_size;
    int32_t heads;
    int64_t kept;
    int64_t dropped;
    double mass_mean;
    double mass_least;
    const float *mass;
    int64_t intact;
} kvsieve_report;
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_report(const kvsieve_plan *plan, int32_t layer,
                                                               kvsieve_report *report);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_gather(const kvsieve_plan *plan, int32_t layer,
                                                               const kvsieve_tensor *source,
                                                               const kvsieve_tensor *target);
enum {
    KVSIEVE_ROPE_HALVES = 0,
    KVSIEVE_ROPE_NEIGHBOURS = 1
};
typedef struct kvsieve_rope {
    uint32_t struct_size;
    int32_t pairing;
    int32_t dims;
    int32_t first;
    const float *frequencies;
    int32_t by_row;
    int32_t reserved;
} kvsieve_rope;
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_gather_rotated(const kvsieve_plan *plan,
                                                                       int32_t layer,
                                                                       const kvsieve_tensor *source,
                                                                       const kvsieve_tensor *target,
                                                                       const kvsieve_rope *rope);
typedef struct kvsieve_slots {
    uint32_t struct_size;
    int32_t reserved;
    int64_t length;
    int64_t tokens;
    const int32_t *positions;
} kvsieve_slots;
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_step(kvsieve_plan *plan, int32_t layer,
                                                             const kvsieve_tensor *queries,
                                                             const kvsieve_tensor *keys,
                                                             const kvsieve_tensor *values, int32_t *slot);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_step_logits(kvsieve_plan *plan, int32_t layer,
                                                                    const kvsieve_tensor *logits,
                                                                    const kvsieve_tensor *values,
                                                                    int32_t *slot);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_trim(kvsieve_plan *plan, int64_t tokens);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_plan_slots(const kvsieve_plan *plan, int32_t layer,
                                                              int32_t head, kvsieve_slots *slots);
typedef struct kvsieve_method_info {
    uint32_t struct_size;
    int32_t id;
    const char *name;
    const char *summary;
    const char *paper;
    int32_t parameters;
    int32_t decodes;
    const char *choose;
} kvsieve_method_info;
typedef struct kvsieve_parameter_info {
    uint32_t struct_size;
    int32_t id;
    const char *name;
    const char *summary;
    double initial;
    double lowest;
    double highest;
    int32_t integral;
    int32_t reserved;
} kvsieve_parameter_info;
KVSIEVE_API int32_t kvsieve_method_count(void);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_method_at(int32_t index, kvsieve_method_info *info);
KVSIEVE_API KVSIEVE_CHECKED kvsieve_status kvsieve_parameter_at(int32_t method, int32_t index,
                                                                kvsieve_parameter_info *info);
#ifdef __cplusplus
}
#endif
#endif

