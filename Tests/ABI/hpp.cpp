// kvsieve.hpp, compiled with exceptions and, with KVSIEVE_EXPECTED, without: every call gives what the C function gives, a
// refusal has the status and the sentence. run.sh compiles it both ways with both compilers.
#include <kvsieve.hpp>

#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

int passed = 0, failed = 0;

void expect(bool holds, const char *name) {
    if (holds) {
        ++passed;
    } else {
        ++failed;
        std::printf("FAILED %s\n", name);
    }
}

constexpr std::int32_t layers = 3, query_heads = 4, heads = 2, dim = 16, window = 4;
constexpr std::int64_t tokens = 120;
const kvsieve_model model = kvsieve::model(layers, query_heads, heads, dim);

std::vector<float> noise(std::int64_t count, unsigned seed) {
    std::vector<float> made(static_cast<std::size_t>(count));
    for (float &x : made) {
        seed = seed * 1664525u + 1013904223u;
        x = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
    }
    return made;
}

#ifdef KVSIEVE_EXPECTED
template <class T> T value(kvsieve::expected<T> given) {
    expect(static_cast<bool>(given) && given.status() == KVSIEVE_OK && *given.what() == 0, "a call that succeeds has a value");
    return std::move(*given);
}
void value(const kvsieve::expected<void> &given) { expect(static_cast<bool>(given), "a call that succeeds"); }
kvsieve::plan made(std::int32_t method) { return value(kvsieve::plan::make(method, model)); }
template <class Call> void refused(Call call, kvsieve_status status, const char *words, const char *name) {
    const auto given = call();
    expect(!given && given.status() == status && std::strstr(given.what(), words), name);
}
#define VALUE(call) value(call)
#else
template <class T> T value(T given) { return given; }
#define VALUE(call) (call)
kvsieve::plan made(std::int32_t method) { return { method, model }; }
template <class Call> void refused(Call call, kvsieve_status status, const char *words, const char *name) {
    try {
        call();
        expect(false, name);
    } catch (const kvsieve::error &error) {
        expect(error.status() == status && std::strstr(error.what(), words), name);
    }
}
#endif

// As std::mdspan has them.
struct mdspan_like {
    using element_type = float;
    float *data;
    std::int64_t extents[3], strides[3];
    float *data_handle() const { return data; }
    std::int64_t extent(std::size_t index) const { return extents[index]; }
    std::int64_t stride(std::size_t index) const { return strides[index]; }
};

struct prompt {
    std::vector<float> q = noise(query_heads * tokens * dim, 1), k = noise(heads * tokens * dim, 2),
                       v = noise(heads * tokens * dim, 3);
    kvsieve::tensor queries = kvsieve::tensor::by_head(q.data(), query_heads, tokens, dim);
    kvsieve::tensor keys = kvsieve::tensor::by_head(k.data(), heads, tokens, dim);
    kvsieve::tensor values = kvsieve::tensor::by_head(v.data(), heads, tokens, dim);
};

void a_prompt() {
    prompt p;
    auto plan = made(KVSIEVE_SNAPKV);
    VALUE(plan.set(KVSIEVE_BUDGET, 24));
    VALUE(plan.set(KVSIEVE_WINDOW, window));
    VALUE(plan.set(KVSIEVE_REPORT, 1));
    expect(value(plan.get(KVSIEVE_BUDGET)) == 24, "get");
    expect(value(plan.needs(0)) == (KVSIEVE_NEEDS_QUERIES | KVSIEVE_NEEDS_KEYS), "needs");
    expect(value(plan.bound(0, tokens)) == 24, "bound");
    VALUE(plan.protect(7, 2));
    for (std::int32_t layer = 0; layer < layers; ++layer) VALUE(plan.observe(layer, p.queries, p.keys));
    VALUE(plan.finish());

    const auto kept = value(plan.kept(1));
    kvsieve_kept plain{};
    plain.struct_size = sizeof plain;
    expect(kvsieve_plan_kept(plan.get(), 1, &plain) == KVSIEVE_OK && plain.positions == kept.positions, "kept is the C struct");
    expect(kept.head(1).size() == 24 && kept.head(1).data() == plain.positions + plain.offsets[1], "a head's positions");
    expect(kept.rows_of(0).data() == plain.rows && kept.head(2).empty() && kept.head(-1).empty(), "rows, and no such head");
    std::int64_t held = 0, last = -1;
    bool ascend = true;
    const auto ranges = value(plan.ranges(1, 0)), dropped = value(plan.ranges(1, 0, true));
    for (const kvsieve::range range : ranges) {
        ascend = ascend && range.first > last && range.end > range.first;
        held += range.end - range.first;
        last = range.end;
    }
    for (const kvsieve::range range : dropped) held += range.end - range.first;
    expect(ascend && held == tokens && ranges[0].first == kept.head(0)[0] && !ranges.empty() && dropped.size() > 0, "ranges");
    const auto report = value(plan.report(1));
    expect(report.kept == 48 && report.mass != nullptr && report.mass_mean > 0, "report");

    std::vector<float> packed(static_cast<std::size_t>(kept.total * dim));
    VALUE(plan.gather(1, p.keys, kvsieve::tensor::by_head(packed.data(), 1, kept.total, dim)));
    bool same = true;
    for (std::int32_t head = 0; head < heads; ++head)
        for (std::size_t j = 0; j < kept.head(head).size(); ++j)
            same = same
                   && std::memcmp(&packed[(static_cast<std::size_t>(kept.offsets[head]) + j) * dim],
                                  &p.k[static_cast<std::size_t>(head * tokens + kept.head(head)[j]) * dim], dim * sizeof(float))
                          == 0;
    expect(same, "gather");
    const std::vector<float> frequencies(dim / 2, 0);
    kvsieve_rope rope{};
    rope.struct_size = sizeof rope;
    rope.dims = dim;
    rope.frequencies = frequencies.data();
    std::vector<float> rotated(packed.size());
    VALUE(plan.gather_rotated(1, p.keys, kvsieve::tensor::by_head(rotated.data(), 1, kept.total, dim), rope));
    expect(rotated == packed, "gather_rotated by frequencies of 0 is gather");
    VALUE(plan.extend(8));
    VALUE(plan.reset());
    VALUE(plan.queries(0, p.queries));

    kvsieve::plan moved = std::move(plan);
    expect(moved && !plan, "a plan is moved");
    refused([&] { return plan.finish(); }, KVSIEVE_ERR_NULL, "KVSIEVE_ERR_NULL", "a plan that was moved is none");
}

void views() {
    prompt p;
    std::vector<float> turned(p.k.size());
    for (std::int64_t head = 0; head < heads; ++head)
        for (std::int64_t token = 0; token < tokens; ++token)
            for (std::int64_t d = 0; d < dim; ++d)
                turned[static_cast<std::size_t>((token * heads + head) * dim + d)] =
                    p.k[static_cast<std::size_t>((head * tokens + token) * dim + d)];
    const std::vector<std::int32_t> table{ 0, 1, 2, 3, 4, 5, 6, 7 };
    const auto by_token = kvsieve::tensor::by_token(turned.data(), heads, tokens, dim);
    const mdspan_like span{ p.k.data(), { heads, tokens, dim }, { tokens * dim, dim, 1 } };
    std::vector<std::vector<std::int32_t>> found;
    for (const kvsieve::tensor &keys : { p.keys, by_token, kvsieve::tensor::of(span), p.keys.paged(table, 15, 15 * dim * 4, 8) }) {
        auto plan = made(KVSIEVE_KEYDIFF);
        VALUE(plan.set(KVSIEVE_BUDGET, 40));
        VALUE(plan.observe(0, nullptr, keys));
        const auto kept = value(plan.kept(0));
        found.emplace_back(kept.head(0).begin(), kept.head(0).end());
    }
    expect(found[0].size() == 40 && found[1] == found[0] && found[2] == found[0] && found[3] == found[0],
           "by_head, by_token, of and paged are views of the same rows");
}

struct bytes_like {
    using element_type = const std::uint8_t;
    const std::uint8_t *data;
    const std::uint8_t *data_handle() const { return data; }
    std::int64_t extent(std::size_t index) const { return index == 0 ? heads : index == 1 ? tokens : 34; }
    std::int64_t stride(std::size_t index) const { return index == 0 ? tokens * 34 : 34; }
};

// A row's bytes are the dtype's, whatever the pointer is to.
void quantised() {
    struct block {
        std::uint16_t scale;
        std::int8_t numbers[32];
    };
    static_assert(sizeof(block) == 34);
    std::vector<block> blocks(static_cast<std::size_t>(heads * tokens));
    for (std::size_t i = 0; i < blocks.size(); ++i)
        blocks[i] = { 0x3c00, { static_cast<std::int8_t>(i % 97), 3, static_cast<std::int8_t>(-(i % 31)) } };
    const auto *bytes = reinterpret_cast<const std::uint8_t *>(blocks.data());
    const bytes_like span{ bytes };
    std::vector<std::vector<std::int32_t>> found;
    for (const kvsieve::tensor &keys :
         { kvsieve::tensor::by_head(blocks.data(), heads, tokens, 32, KVSIEVE_Q8_0),
           kvsieve::tensor::by_head(bytes, heads, tokens, 32, KVSIEVE_Q8_0), kvsieve::tensor::of(span, KVSIEVE_Q8_0) }) {
        expect(keys.token_stride == 34 && keys.head_stride == 34 * tokens && keys.dim == 32, "rows of 34 bytes");
        kvsieve_model wide = model;
        wide.head_dim = 32;
        auto plan = value(kvsieve::plan::make(KVSIEVE_KEYDIFF, wide));
        VALUE(plan.set(KVSIEVE_BUDGET, 40));
        VALUE(plan.observe(0, nullptr, keys));
        const auto kept = value(plan.kept(0));
        found.emplace_back(kept.head(1).begin(), kept.head(1).end());
    }
    expect(found[0].size() == 40 && found[1] == found[0] && found[2] == found[0], "views of the same blocks");
    const auto halves = kvsieve::tensor::by_token(bytes, 2, 3, 32, KVSIEVE_Q4_0);
    expect(halves.head_stride == 18 && halves.token_stride == 36, "rows of 18 bytes");
    const auto brain = kvsieve::tensor::by_head(static_cast<std::uint16_t *>(nullptr), 2, 3, 32, KVSIEVE_BF16);
    expect(brain.token_stride == 64, "rows of 64 bytes");
}

// Loops over what a call returns, and copies of it.
void temporaries() {
    prompt p;
    auto plan = made(KVSIEVE_SNAPKV);
    VALUE(plan.set(KVSIEVE_BUDGET, 40));
    VALUE(plan.observe(0, p.queries, p.keys));
    std::size_t count = 0;
#ifdef KVSIEVE_EXPECTED
    for (const kvsieve::range range : *plan.ranges(0, 0)) count += range.end > range.first;
    const kvsieve::plan another = *kvsieve::plan::make(KVSIEVE_SNAPKV, model);
    expect(static_cast<bool>(another), "a plan out of a temporary");
    auto refused = made(KVSIEVE_SNAPKV).set(KVSIEVE_BUDGET, -1);
    const auto moved = std::move(refused);
    expect(refused.status() == KVSIEVE_ERR_PARAMETER && moved.status() == KVSIEVE_ERR_PARAMETER, "a status that was moved stays");
#else
    for (const kvsieve::range range : plan.ranges(0, 0)) count += range.end > range.first;
#endif
    const auto ranges = value(plan.ranges(0, 0));
    const std::vector<kvsieve::range> copied(ranges.begin(), ranges.end());
    expect(count == ranges.size() && copied.size() == count && copied[0].first == ranges[0].first, "ranges of a temporary");
    const std::int32_t table[] = { 0, 1 };
    expect(p.keys.paged(table, 60, 60 * dim * 4).blocks == table, "a C array is a table");
    static_assert(!std::is_constructible_v<kvsieve::span<const std::int32_t>, std::vector<std::int32_t>>, "dangles");
}

void attention_and_steps() {
    prompt p;
    auto plan = made(KVSIEVE_STREAMINGLLM);
    VALUE(plan.set(KVSIEVE_BUDGET, 40));
    VALUE(plan.set(KVSIEVE_DECODING, 1));
    for (std::int32_t layer = 0; layer < layers; ++layer) VALUE(plan.observe(layer, nullptr, p.keys));
    VALUE(plan.finish());
    std::vector<std::int32_t> slot(heads, -7);
    const auto row = noise(heads * 41 * dim, 9);
    const auto view = kvsieve::tensor::by_head(row.data(), heads, 41, dim);
    for (std::int32_t layer = 0; layer < layers; ++layer) VALUE(plan.step(layer, nullptr, view, nullptr, slot.data()));
    expect(slot[0] >= 0 && slot[0] == slot[1], "step");
    const auto slots = value(plan.slots(0, 0));
    expect(slots.length == 40 && slots.tokens == tokens + 1, "slots");
    VALUE(plan.trim(1));
    expect(value(plan.slots(0, 0)).tokens == tokens, "trim");

    auto tova = made(KVSIEVE_TOVA);
    VALUE(tova.set(KVSIEVE_BUDGET, 40));
    VALUE(tova.set(KVSIEVE_DECODING, 1));
    const auto logits = noise(query_heads * tokens, 4);
    const auto given = kvsieve::tensor::by_head(logits.data(), query_heads, 1, static_cast<std::int32_t>(tokens));
    for (std::int32_t layer = 0; layer < layers; ++layer) VALUE(tova.observe_attention(layer, KVSIEVE_LOGITS, given));
    VALUE(tova.finish());
    const auto step = kvsieve::tensor::by_head(logits.data(), query_heads, 1, 41);
    for (std::int32_t layer = 0; layer < layers; ++layer) VALUE(tova.step_logits(layer, step, nullptr, slot.data()));
    expect(value(tova.slots(0, 0)).tokens == tokens + 1, "step_logits");
}

void refusals() {
    refused([] { return kvsieve::plan::make(77, model); }, KVSIEVE_ERR_METHOD, "77", "no such method");
    auto plan = made(KVSIEVE_SNAPKV);
    refused([&] { return plan.set(KVSIEVE_BUDGET, -1); }, KVSIEVE_ERR_PARAMETER, "KVSIEVE_ERR_PARAMETER: budget is -1",
            "the status's name, then the sentence");
    expect(std::strstr(plan.last_error(), "budget is -1") != nullptr, "last_error is the plan's");
    refused([&] { return plan.kept(0); }, KVSIEVE_ERR_STATE, "", "not observed yet");
    refused([&] { return plan.join({}); }, KVSIEVE_ERR_PARAMETER, "group.struct_size is 0", "a group without its size");
    refused([&] { return plan.ranges(0, 0); }, KVSIEVE_ERR_STATE, "", "no ranges yet");
    refused([&] { return plan.observe(0, nullptr, nullptr); }, KVSIEVE_ERR_NULL, "keys is NULL", "a tensor that is needed");
    refused([] { return kvsieve::method_at(99); }, KVSIEVE_ERR_METHOD, "", "no such index");
    refused([&] { return kvsieve::plan().get(KVSIEVE_BUDGET); }, KVSIEVE_ERR_NULL, "", "no plan");
}

void introspection() {
    std::int32_t count = 0;
    for (std::int32_t index = 0; index < kvsieve::method_count(); ++index) {
        const auto method = value(kvsieve::method_at(index));
        for (std::int32_t which = 0; which < method.parameters; ++which)
            count += value(kvsieve::parameter_at(method.id, which)).name != nullptr;
    }
    expect(count > 100, "methods and parameters");
    VALUE(kvsieve::self_check());
    static_assert(!std::is_copy_constructible_v<kvsieve::plan> && std::is_nothrow_move_constructible_v<kvsieve::plan>);
    static_assert(sizeof(kvsieve::plan) == sizeof(void *) && sizeof(kvsieve::tensor) == sizeof(kvsieve_tensor));
    static_assert(sizeof(kvsieve::kept) == sizeof(kvsieve_kept));
}

} // namespace

int main() {
    a_prompt();
    views();
    quantised();
    temporaries();
    attention_and_steps();
    refusals();
    introspection();
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
