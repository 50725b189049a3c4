/* Sizes, alignments, offsets and values against layout.txt, of which run.sh makes layout.inc; compiled as C and as C++. */
#include <kvsieve.h>
#include <stddef.h>
#include <stdio.h>

static int passed, failed;

static void same(const char *what, long found, long expected) {
    if (found == expected) {
        ++passed;
        return;
    }
    ++failed;
    printf("FAILED %s is %ld, not %ld\n", what, found, expected);
}

/* A char before a struct shows its alignment, in C99 and C++98 as well. */
#define SIZE(type, bytes, alignment)                                                   \
    do {                                                                               \
        struct aligned {                                                               \
            char before;                                                               \
            type value;                                                                \
        };                                                                             \
        same("sizeof " #type, (long)sizeof(type), bytes);                              \
        same("alignment of " #type, (long)offsetof(struct aligned, value), alignment); \
    } while (0);
#define FIELD(type, field, offset, bytes)                                         \
    do {                                                                          \
        static const type zero = type##_zero;                                     \
        same("offset of " #type "." #field, (long)offsetof(type, field), offset); \
        same("sizeof " #type "." #field, (long)sizeof zero.field, bytes);         \
    } while (0);
#define VALUE(constant, number) same(#constant, (long)(constant), number);

#define kvsieve_tensor_zero { NULL, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, { 0, 0 } }
#define kvsieve_model_zero { 0, 0, 0, 0, 0, { 0, 0, 0 } }
#define kvsieve_kept_zero { 0, 0, 0, 0, NULL, NULL, 0, NULL }
#define kvsieve_group_zero { 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL }
#define kvsieve_rope_zero { 0, 0, 0, 0, NULL, 0, 0 }
#define kvsieve_ranges_zero { 0, 0, NULL }
#define kvsieve_report_zero { 0, 0, 0, 0, 0, 0, NULL, 0 }
#define kvsieve_slots_zero { 0, 0, 0, 0, NULL }
#define kvsieve_method_info_zero { 0, 0, NULL, NULL, NULL, 0, 0, NULL }
#define kvsieve_parameter_info_zero { 0, 0, NULL, NULL, 0, 0, 0, 0, 0 }

int main(void) {
#include "layout.inc"
    same("sizeof kvsieve_status", (long)sizeof(kvsieve_status), 4);
    same("a status is signed", (kvsieve_status)-1 < 0, 1);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
