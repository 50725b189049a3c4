/* What tensors hold: the bytes of a row follow from its key alone, so a row is known again wherever it was moved to. */
#ifndef NUMBERS_H
#define NUMBERS_H

#include <kvsieve.h>
#include <stdint.h>

/* Of a sequence: which numbers rows have. EQUAL and FEW make scores equal, LARGE makes logits overflow. */
enum numbers { ORDINARY, FEW, EQUAL, SPARSE, LARGE, NUMBERS };

int64_t row_bytes(int32_t dtype, int32_t dim);
int64_t alignment_of(int32_t dtype);
/* What `dim` is a multiple of. */
int32_t block_of(int32_t dtype);

void row_fill(void *row, int32_t dtype, int32_t dim, uint64_t key, enum numbers numbers);
/* A float of a key: of a logit. */
float number_of(uint64_t key, enum numbers numbers);
/* In KVSIEVE_F32, _F16 or _BF16. */
void number_put(void *row, int32_t dtype, int64_t index, float value);
/* Makes element d NaN or infinite, or what comes nearest in its dtype. */
void number_spoil(void *row, int32_t dtype, int32_t d, int infinite);

#endif
