/* KVSIEVE_ALIGN: where heads that keep fewer rows are in one tensor. The header is quoted. */
#include "aligned.h"

#include <math.h>

/* Layers whose heads differed: a test of nothing else proves nothing. */
static int ragged_layers;

static void count_ragged(const kvsieve_kept *kept) {
    for (int32_t head = 0; head < HEADS; ++head)
        if (count_of(kept, head) < kept->longest) {
            ++ragged_layers;
            return;
        }
}

/* "1: heads end together, and padding is in front [...]. In a padded target of kvsieve_plan_gather() the heads end at row longest
 * - 1"; "rows in front of them or from longest on are not written"; "The choice is the same." Packed targets have no padding. */
static void heads_end_together_in_a_target(void) {
    ragged_layers = 0;
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plans[2] = { finished(method, 0, s), finished(method, 1, s) };
        harness_case("%s: targets", method_name(method));
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            const kvsieve_kept kept = kept_of(plans[0], layer), other = kept_of(plans[1], layer);
            kvsieve_tensor as_bytes = s->values[layer], quantised = s->values[layer], packed[2];
            EXPECT(kept.total == other.total && !memcmp(kept.offsets, other.offsets, (HEADS + 1) * sizeof *kept.offsets)
                       && !memcmp(kept.positions, other.positions, (size_t)kept.total * sizeof *kept.positions)
                       && !memcmp(kept.rows, other.rows, (size_t)kept.total * sizeof *kept.rows),
                   "layer %d: another choice", (int)layer);
            count_ragged(&kept);
            as_bytes.dtype = KVSIEVE_BYTES, as_bytes.dim = ROW;
            quantised.dtype = KVSIEVE_Q8_0, quantised.dim = 32;
            for (int align = 0; align < 2; ++align) {
                gathers(plans[align], layer, align, &s->keys[layer], ROW, 2);
                gathers(plans[align], layer, align, &as_bytes, ROW, 0);
                gathers(plans[align], layer, align, &quantised, 34, 1);
                packed[align] = tensor_new(1, kept.total, DIM, KVSIEVE_F32);
                EXPECT_OK(kvsieve_plan_gather(plans[align], layer, &s->keys[layer], &packed[align]));
            }
            EXPECT(memcmp(packed[0].data, packed[1].data, (size_t)(kept.total * ROW)) == 0, "packed, layer %d", (int)layer);
            free(packed[0].data), free(packed[1].data);
        }
        kvsieve_plan_destroy(plans[0]), kvsieve_plan_destroy(plans[1]);
        sequence_free(s);
    }
    harness_case("");
    EXPECT(ragged_layers >= LAYERS, "%d layers with heads of several lengths", ragged_layers);
}

/* "a table has blocks for padding too" */
static void heads_end_together_in_blocks(void) {
    static const int32_t methods[] = { KVSIEVE_TASKKV, KVSIEVE_ADAKV };
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    ragged_layers = 0;
    for (int i = 0; i < 2; ++i)
        for (int layout = 0; layout < LAYOUTS; ++layout) {
            kvsieve_plan *plan = finished(methods[i], 1, s);
            harness_case("%s: into layout %d", method_name(methods[i]), layout);
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const kvsieve_kept kept = kept_of(plan, layer);
                size_t bytes;
                char *before;
                paged to;
                paged_new(&to, layout, 5, HEADS, kept.longest, DIM, KVSIEVE_F32);
                bytes = (size_t)(to.t.block_count * to.t.block_stride);
                before = take(bytes);
                memcpy(before, to.memory, bytes);
                EXPECT_OK(kvsieve_plan_gather(plan, layer, &s->keys[layer], &to.t));
                expect_rows(&kept, 1, &s->keys[layer], &to.t, before + ((char *)to.t.data - (char *)to.memory), ROW);
                count_ragged(&kept);
                free(before), free(to.memory);
            }
            kvsieve_plan_destroy(plan);
        }
    harness_case("");
    EXPECT(ragged_layers >= LAYERS, "%d layers with heads of several lengths", ragged_layers);
    sequence_free(s);
}

/* kvsieve_plan_slots(): "they are the rows after kvsieve_plan_gather(), from the head's first row on". */
static void slots_count_a_heads_own_rows(void) {
    EVERY_METHOD (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        kvsieve_plan *plan = finished(method, 1, s);
        harness_case("%s: slots", method_name(method));
        for (int32_t layer = 0; layer < LAYERS; ++layer) {
            const kvsieve_kept kept = kept_of(plan, layer);
            for (int32_t head = 0; head < HEADS; ++head) {
                kvsieve_slots slots = { sizeof slots, 0, 0, 0, NULL };
                EXPECT_OK(kvsieve_plan_slots(plan, layer, head, &slots));
                EXPECT(slots.length == count_of(&kept, head)
                           && memcmp(slots.positions, kept.positions + kept.offsets[head], (size_t)slots.length * 4) == 0,
                       "layer %d, head %d", (int)layer, (int)head);
            }
        }
        kvsieve_plan_destroy(plan);
        sequence_free(s);
    }
    harness_case("");
}

/* "If all heads of a layer keep as many rows, as in a plan that decodes, 0 and 1 are the same." */
static void plans_that_decode_are_the_same(void) {
    EVERY_DECODER (method) {
        sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
        int32_t slot[2][HEADS] = { { -2, -2 }, { -2, -2 } };
        uint64_t hash[2];
        harness_case("%s: decodes", method_name(method));
        for (int align = 0; align < 2; ++align) {
            kvsieve_plan *plan = aligned(method, align);
            kvsieve_slots slots = { sizeof slots, 0, 0, 0, NULL };
            EXPECT_OK(kvsieve_plan_set(plan, KVSIEVE_DECODING, 1));
            observe_range(plan, 0, LAYERS, s);
            EXPECT_OK(kvsieve_plan_finish(plan));
            hash[align] = plan_hash(plan, s, 1);
            for (int32_t layer = 0; layer < LAYERS; ++layer) {
                const kvsieve_kept kept = kept_of(plan, layer);
                for (int32_t head = 0; head < HEADS; ++head)
                    EXPECT(count_of(&kept, head) == kept.longest, "layer %d, head %d is shorter", (int)layer, (int)head);
            }
            EXPECT_OK(kvsieve_plan_slots(plan, 0, 0, &slots));
            kvsieve_tensor queries = s->queries[0], keys = s->keys[0], values = s->values[0];
            queries.tokens = 1, keys.tokens = values.tokens = slots.length + 1;
            EXPECT_OK(kvsieve_plan_step(plan, 0, &queries, &keys, &values, slot[align]));
            kvsieve_plan_destroy(plan);
        }
        EXPECT(hash[0] == hash[1] && memcmp(slot[0], slot[1], sizeof slot[0]) == 0, "another result");
        sequence_free(s);
    }
    harness_case("");
}

/* It is 0 or 1, and is set before the first observe; what is refused changes nothing. */
static void anything_else_is_refused(void) {
    const double wrong[] = { 2, -1, 0.5, 1e300, INFINITY, NAN };
    sequence *s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    EVERY_METHOD (method) {
        kvsieve_plan *plan = aligned(method, 1);
        double value = -1;
        harness_case("%s: bounds", method_name(method));
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
            EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_ALIGN, wrong[i]), KVSIEVE_ERR_PARAMETER);
            EXPECT(error_names("align"), "\"%s\"", kvsieve_last_error());
        }
        observe_range(plan, 0, 1, s);
        EXPECT_STATUS(kvsieve_plan_set(plan, KVSIEVE_ALIGN, 0), KVSIEVE_ERR_STATE);
        EXPECT(error_names("align (111)"), "\"%s\"", kvsieve_last_error());
        EXPECT_OK(kvsieve_plan_get(plan, KVSIEVE_ALIGN, &value));
        EXPECT(value == 1, "%g", value);
        kvsieve_plan_destroy(plan);
    }
    harness_case("");
    sequence_free(s);
}

int main(void) {
    RUN(heads_end_together_in_a_target);
    RUN(heads_end_together_in_blocks);
    RUN(slots_count_a_heads_own_rows);
    RUN(plans_that_decode_are_the_same);
    RUN(anything_else_is_refused);
    return harness_end();
}
