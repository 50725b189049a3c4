/* KVSIEVE_ALIGN while a sequence goes on, and rows that are rotated: the same choice and the same rows as without, at other places.
 * The header is quoted. */
#include "aligned.h"

enum { NEW = 12 };

/* -- a sequence that goes on ------------------------------------------------------------------------------------------ */

/* What a plan is given after it was extended by NEW tokens: gathered rows, then new ones, as KVSIEVE_ALIGN says; NaN is padding. */
static sequence *grown(const kvsieve_plan *plan, int align, const sequence *s) {
    sequence *c = sequence_new(NEW, KVSIEVE_F32, 77);
    c->tokens = 0;
    for (int32_t layer = 0; layer < LAYERS; ++layer) {
        const kvsieve_kept kept = kept_of(plan, layer);
        for (int i = 0; i < 2; ++i) {
            const kvsieve_tensor *old = i ? &s->values[layer] : &s->keys[layer];
            kvsieve_tensor *own = i ? &c->values[layer] : &c->keys[layer], fresh = *own, kept_rows;
            *own = tensor_new(HEADS, kept.longest + NEW, DIM, KVSIEVE_F32);
            memset(own->data, 0xff, (size_t)(HEADS * own->head_stride));
            kept_rows = *own, kept_rows.tokens = kept.longest; /* a cache with room behind what it has */
            EXPECT_OK(kvsieve_plan_gather(plan, layer, old, &kept_rows));
            for (int32_t head = 0; head < HEADS; ++head)
                for (int64_t j = 0; j < NEW; ++j)
                    memcpy(row_of(own, head, first_of(&kept, head, align) + count_of(&kept, head) + j), row_of(&fresh, head, j),
                           ROW);
            free(fresh.data);
        }
    }
    return c;
}

/* "in what is observed after kvsieve_plan_extend() they end at row n - 1. Rows of padding are neither read nor written, whatever
 * they hold"; kvsieve_kept.rows: "padding in front counted". */
static void heads_end_together_in_what_is_observed(void) {
    int ragged = 0;
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1), *c[2];
        kvsieve_plan *plans[2];
        int64_t had[LAYERS][HEADS];
        harness_case("%s: extended", method_name(method));
        for (int align = 0; align < 2; ++align) {
            plans[align] = finished(method, align, s);
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const kvsieve_kept kept = kept_of(plans[align], layer);
                for (int32_t head = 0; head < HEADS; ++head) had[layer][head] = first_of(&kept, head, 1);
            }
            c[align] = grown(plans[align], align, s);
            EXPECT_OK(kvsieve_plan_extend(plans[align], NEW));
            observe_range(plans[align], 0, LAYERS, c[align]);
            EXPECT_OK(kvsieve_plan_finish(plans[align]));
        }
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            const kvsieve_kept kept = kept_of(plans[0], layer), other = kept_of(plans[1], layer);
            EXPECT(kept.total == other.total && !memcmp(kept.offsets, other.offsets, (HEADS + 1) * sizeof *kept.offsets)
                       && !memcmp(kept.positions, other.positions, (size_t)kept.total * sizeof *kept.positions),
                   "layer %d: another choice", (int)layer);
            for (int32_t head = 0; head < HEADS; ++head) {
                ragged += had[layer][head] > 0;
                for (int64_t j = kept.offsets[head]; j < kept.offsets[head + 1]; ++j)
                    EXPECT(other.rows[j] == kept.rows[j] + had[layer][head], "layer %d, head %d: row %d, without padding %d",
                           (int)layer, (int)head, (int)other.rows[j], (int)kept.rows[j]);
            }
            for (int align = 0; align < 2; ++align) gathers(plans[align], layer, align, &c[align]->keys[layer], ROW, 0);
        }
        for (int align = 0; align < 2; ++align) kvsieve_plan_destroy(plans[align]), sequence_free(c[align]);
        sequence_free(s);
    }
    harness_case("");
    EXPECT(ragged >= LAYERS, "%d heads that are shorter", ragged);
}

/* kvsieve_plan_observe_attention(): "with KVSIEVE_ALIGN 1 its columns are the last". What lies beside them is NaN. */
static void columns_of_given_attention(void) {
    static const int32_t methods[] = { KVSIEVE_TASKKV, KVSIEVE_ADAKV };
    int ragged = 0;
    for (int i = 0; i < 2; ++i) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1), *c[2];
        kvsieve_plan *plans[2];
        int32_t counts[LAYERS][HEADS], longest[LAYERS];
        harness_case("%s: attention", method_name(methods[i]));
        for (int align = 0; align < 2; ++align) {
            plans[align] = finished(methods[i], align, s);
            c[align] = grown(plans[align], align, s);
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const kvsieve_kept kept = kept_of(plans[align], layer);
                for (int32_t head = 0; head < HEADS; ++head) counts[layer][head] = (int32_t)count_of(&kept, head);
                longest[layer] = (int32_t)kept.longest;
            }
            EXPECT_OK(kvsieve_plan_extend(plans[align], NEW));
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const int32_t n = longest[layer] + NEW;
                kvsieve_tensor attention = tensor_new(QUERY_HEADS, NEW, n, KVSIEVE_F32);
                memset(attention.data, 0xff, (size_t)(QUERY_HEADS * attention.head_stride));
                for (int32_t own = 0; own < QUERY_HEADS; ++own) {
                    const int32_t count = counts[layer][own / (QUERY_HEADS / HEADS)], first = align ? longest[layer] - count : 0;
                    ragged += count < longest[layer];
                    for (int64_t row = 0; row < NEW; ++row)
                        for (int32_t j = 0; j < count + row + 1; ++j)
                            element_set(&attention, own, row, first + j, (float)((j * 37 + row * 11 + own * 5 + layer) % 64) / 16);
                }
                EXPECT_OK(
                    kvsieve_plan_observe_attention(plans[align], layer, KVSIEVE_LOGITS, &attention, &c[align]->values[layer]));
                free(attention.data);
            }
            EXPECT_OK(kvsieve_plan_finish(plans[align]));
        }
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            const kvsieve_kept kept = kept_of(plans[0], layer), other = kept_of(plans[1], layer);
            EXPECT(kept.total == other.total
                       && !memcmp(kept.positions, other.positions, (size_t)kept.total * sizeof *kept.positions),
                   "layer %d: another choice", (int)layer);
        }
        for (int align = 0; align < 2; ++align) kvsieve_plan_destroy(plans[align]), sequence_free(c[align]);
        sequence_free(s);
    }
    harness_case("");
    EXPECT(ragged >= LAYERS, "%d heads that are shorter", ragged);
}

/* -- rotated rows, slots ---------------------------------------------------------------------------------------------- */

/* "turned by (j - its position) * frequency, whatever KVSIEVE_ALIGN"; by_row: "the first row of each head is at 0, whatever
 * KVSIEVE_ALIGN". What is turned by the same is the same, bit for bit; in place too. */
static void rows_are_turned_alike(void) {
    static const float frequencies[DIM / 2] = { 1, 0.5f, 0.25f, 0.125f, 0.06f, 0.03f, 0.01f, 0.001f };
    static const int32_t methods[] = { KVSIEVE_TASKKV, KVSIEVE_ADAKV };
    for (int i = 0; i < 4; ++i) {
        const int32_t method = methods[i % 2], extended = i / 2;
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1), *c[2] = { s, s };
        kvsieve_plan *plans[2];
        harness_case("%s: rotated%s", method_name(method), extended ? ", extended" : "");
        for (int align = 0; align < 2; ++align) {
            plans[align] = finished(method, align, s);
            if (!extended) continue;
            c[align] = grown(plans[align], align, s);
            EXPECT_OK(kvsieve_plan_extend(plans[align], NEW));
            observe_range(plans[align], 0, LAYERS, c[align]);
            EXPECT_OK(kvsieve_plan_finish(plans[align]));
        }
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            const kvsieve_kept kept = kept_of(plans[0], layer);
            kvsieve_rope rope = { sizeof rope, KVSIEVE_ROPE_HALVES, DIM, 0, frequencies, extended, 0 };
            kvsieve_tensor to[2];
            for (int align = 0; align < 2; ++align) {
                to[align] = tensor_new(HEADS, kept.longest, DIM, KVSIEVE_F32);
                EXPECT_OK(kvsieve_plan_gather_rotated(plans[align], layer, &c[align]->keys[layer], &to[align], &rope));
            }
            EXPECT_OK(kvsieve_plan_gather_rotated(plans[1], layer, &c[1]->keys[layer], &c[1]->keys[layer], &rope));
            for (int32_t head = 0; head < HEADS; ++head)
                for (int64_t j = 0; j < count_of(&kept, head); ++j) {
                    const char *row = row_of(&to[0], head, j);
                    EXPECT(memcmp(row, row_of(&to[1], head, first_of(&kept, head, 1) + j), ROW) == 0, "layer %d, head %d, row %d",
                           (int)layer, (int)head, (int)j);
                    EXPECT(memcmp(row, row_of(&c[1]->keys[layer], head, first_of(&kept, head, 1) + j), ROW) == 0,
                           "in place, layer %d, head %d, row %d", (int)layer, (int)head, (int)j);
                }
            free(to[0].data), free(to[1].data);
        }
        for (int align = 0; align < 2; ++align) {
            kvsieve_plan_destroy(plans[align]);
            if (c[align] != s) sequence_free(c[align]);
        }
        sequence_free(s);
    }
    harness_case("");
}

int main(void) {
    RUN(heads_end_together_in_what_is_observed);
    RUN(columns_of_given_attention);
    RUN(rows_are_turned_alike);
    return harness_end();
}
