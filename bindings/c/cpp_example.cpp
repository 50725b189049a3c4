// The prefill of prefill.c with kvsieve.hpp: the plan frees itself, statuses are exceptions, tensors are views of std::vector.
// A cache that shrinks before the later layers are observed is compared with the gathered copy at the end.
#include <kvsieve.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr std::int32_t layers = 8, queryHeads = 8, heads = 4, dim = 32;
constexpr std::int64_t tokens = 640;

kvsieve::tensor tensor(std::vector<float> &data, std::int64_t heads) {
    return kvsieve::tensor::by_head(data.data(), heads, static_cast<std::int64_t>(data.size()) / heads / dim, dim);
}

// Keys of one layer and, for every head, the positions of the rows that are still there.
struct Cache {
    std::vector<float> rows;
    std::vector<std::vector<std::int32_t>> positions;

    explicit Cache(std::vector<float> data) : rows(std::move(data)), positions(heads) {
        for (auto &head : positions)
            for (std::int32_t t = 0; t < tokens; ++t) head.push_back(t);
    }
    float *row(std::size_t head, std::size_t slot) { return rows.data() + (head * tokens + slot) * dim; }

    void compact(const kvsieve::kept &kept) {
        for (std::size_t head = 0; head < positions.size(); ++head) {
            auto &held = positions[head];
            const auto wanted = kept.head(static_cast<std::int32_t>(head));
            if (!std::includes(held.begin(), held.end(), wanted.begin(), wanted.end()))
                throw std::logic_error("a position is kept that was given up earlier");
            std::size_t from = 0;
            for (std::size_t to = 0; to < wanted.size(); ++to, ++from) {
                while (held[from] != wanted[to]) ++from;
                if (from != to) std::copy_n(row(head, from), dim, row(head, to));
            }
            held.assign(wanted.begin(), wanted.end());
        }
    }
};

bool prefill(std::int32_t method, std::int32_t parameter, double value) {
    kvsieve::plan plan(method, kvsieve::model(layers, queryHeads, heads, dim));
    plan.set(parameter, value);
    std::mt19937 engine(7);
    auto filled = [&](std::int64_t size) {
        std::vector<float> data(static_cast<std::size_t>(size));
        for (float &x : data) x = static_cast<float>(engine() >> 8) / 8388608.0f - 1.0f;
        return data;
    };
    const auto window = static_cast<std::int64_t>(plan.get(KVSIEVE_WINDOW));
    std::vector<std::vector<float>> whole;
    std::vector<Cache> caches;
    for (std::int32_t layer = 0; layer < layers; ++layer) {
        auto queries = filled(queryHeads * window * dim), values = filled(heads * tokens * dim);
        whole.push_back(filled(heads * tokens * dim));
        caches.emplace_back(whole.back());
        const auto q = tensor(queries, queryHeads), k = tensor(caches.back().rows, heads), v = tensor(values, heads);
        const std::int32_t needs = plan.needs(layer);
        plan.observe(layer, needs & KVSIEVE_NEEDS_QUERIES ? &q : nullptr, needs & KVSIEVE_NEEDS_KEYS ? &k : nullptr,
                     needs & KVSIEVE_NEEDS_VALUES ? &v : nullptr);
        for (std::int32_t held = 0; held <= layer; ++held) caches[static_cast<std::size_t>(held)].compact(plan.kept(held));
    }
    plan.finish();

    bool same = true;
    std::int64_t rows = 0;
    for (std::int32_t layer = 0; layer < layers; ++layer) {
        auto &cache = caches[static_cast<std::size_t>(layer)];
        const auto kept = plan.kept(layer);
        cache.compact(kept);
        std::vector<float> packed(static_cast<std::size_t>(kept.total * dim));
        plan.gather(layer, tensor(whole[static_cast<std::size_t>(layer)], heads), tensor(packed, 1));
        for (std::size_t head = 0; head < cache.positions.size(); ++head)
            same = same
                   && std::equal(packed.begin() + kept.offsets[head] * dim, packed.begin() + kept.offsets[head + 1] * dim,
                                 cache.row(head, 0));
        rows += kept.total;
    }
    std::printf("method %d: %d of %d rows kept; %s\n", static_cast<int>(method), static_cast<int>(rows),
                static_cast<int>(layers * heads * tokens), same ? "same as gathered" : "MISMATCH");
    return same;
}

} // namespace

int main() {
    try {
        bool same = prefill(KVSIEVE_WINDOWKV, KVSIEVE_BUDGET, 128);
        same = prefill(KVSIEVE_DYNAMICKV, KVSIEVE_BUDGET, 64) && same;
        same = prefill(KVSIEVE_TASKKV, KVSIEVE_RATIO, 0.6) && same;
        return same ? 0 : 1;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
