// A sequence of llama.cpp with plans that look at it: what a program adds to compress its cache. sieve.cpp is such a program.
//
// While the engine computes, its callback shows the library the attention nodes' tensors where they are: the queries of each
// micro-batch, keys and values in the cache, whatever its type. One choice is made for all heads and layers (share 2). What it
// drops is removed by llama_memory_seq_rm. Not here: turns, answers, options.
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include <kvsieve.hpp>

#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// Of words as "snapkv ratio=0.25 window=16". A name that is not there is looked for past the last one, which throws.
inline kvsieve::plan planned(const std::string &words, const kvsieve_model &model) {
    std::istringstream in(words);
    std::string name, value;
    in >> name;
    int32_t index = 0;
    while (kvsieve::method_at(index).name != name) ++index;
    const int32_t method = kvsieve::method_at(index).id;
    kvsieve::plan plan(method, model);
    plan.set(KVSIEVE_SHARE, 2);
    while (std::getline(in >> std::ws, name, '=') && in >> value) {
        for (index = 0; kvsieve::parameter_at(method, index).name != name;) ++index;
        plan.set(kvsieve::parameter_at(method, index).id, std::stod(value));
    }
    return plan;
}

// A tensor (dim, tokens, heads) as the library sees it: both count strides in bytes.
inline kvsieve::tensor view(const ggml_tensor &t) {
    static const ggml_type theirs[] = { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0 };
    static const int32_t ours[] = { KVSIEVE_F32, KVSIEVE_F16, KVSIEVE_Q8_0, KVSIEVE_Q4_0, -1 }; // -1, any other, is refused
    const auto type = ours[std::find(std::begin(theirs), std::end(theirs), t.type) - theirs];
    auto made = kvsieve::tensor::by_head(t.data, t.ne[2], t.ne[1], t.ne[0], type);
    made.head_stride = t.nb[2], made.token_stride = t.nb[1];
    return made;
}

inline const ggml_tensor &root(const ggml_tensor &t) { return t.view_src ? root(*t.view_src) : t; }

// One sequence of the engine, and the plans that look at it.
struct Sequence {
    llama_model *model = nullptr;
    std::vector<std::string> methods; // as planned() takes them
    llama_context *context = nullptr;
    std::vector<kvsieve::plan> plans;
    std::map<int32_t, kvsieve::tensor> keys, values; // of each layer, where the engine has them
    std::map<int32_t, int32_t> held;                 // the position of each token, and its cell
    int32_t next = 0;                                // position
    int64_t pinned = 0;                              // tokens at the beginning that stay
    std::exception_ptr failed;

    // A node of the graph before (ask) and after it is computed. No exception may pass through the engine.
    static bool onNode(ggml_tensor *node, bool ask, void *data) {
        auto &self = *static_cast<Sequence *>(data);
        try {
            if (ask && node->op == GGML_OP_SET_ROWS && root(*node).name == std::string("cache_k_l0")) self.place(*node->src[1]);
            if (!ask) self.look(*node);
            return !ask || node->op == GGML_OP_FLASH_ATTN_EXT;
        } catch (...) {
            self.failed = std::current_exception();
            return false;
        }
    }

    // The cells that the micro-batch's tokens are written to: after a removal, those that it made free.
    void place(const ggml_tensor &indices) {
        const auto *cells = static_cast<const int64_t *>(indices.data);
        for (int64_t i = 0; i < indices.ne[0]; ++i) held[next++] = cells[i];
    }

    void look(const ggml_tensor &node) {
        const auto *constants = reinterpret_cast<const float *>(node.op_params); // scale, ALiBi, softcap
        if (constants[1] != 0 || constants[2] != 0 || node.src[4])
            throw std::runtime_error("attention has a bias, softcap or sinks");
        const auto queries = view(*node.src[0]), k = view(*node.src[1]);
        int32_t layer = 0;
        if (std::sscanf(root(*node.src[1]).name, "cache_k_l%d", &layer) != 1) throw std::runtime_error("keys are not in a cache");
        const auto shape = kvsieve::model(llama_model_n_layer(model), queries.heads, k.heads, k.dim, constants[0]);
        while (plans.size() < methods.size()) plans.push_back(planned(methods[plans.size()], shape));
        keys[layer] = k, values[layer] = view(*node.src[2]);
        for (auto &plan : plans) plan.queries(layer, queries);
    }

    const llama_vocab *vocabulary() const { return llama_model_get_vocab(model); }

    std::vector<llama_token> tokens(const std::string &words) const {
        std::vector<llama_token> made(words.size() + 8);
        made.resize(llama_tokenize(vocabulary(), words.data(), words.size(), made.data(), made.size(), next == 0, true));
        return made;
    }

    // The likeliest token after these.
    llama_token read(std::vector<llama_token> tokens) {
        const int32_t status = llama_decode(context, llama_batch_get_one(tokens.data(), tokens.size()));
        if (failed) std::rethrow_exception(failed);
        if (status != 0) throw std::runtime_error("llama_decode: " + std::to_string(status));
        const float *logits = llama_get_logits_ith(context, -1);
        return std::max_element(logits, logits + llama_vocab_n_tokens(vocabulary())) - logits;
    }

    void restart(kvsieve::plan &plan) const {
        plan.reset();
        if (pinned > 0) plan.protect(0, pinned);
    }

    // What a plan drops, as ranges of positions. It sees what is held as a prompt, and begins anew afterwards: kvsieve_plan_extend()
    // must be told how many tokens are new before their queries come, and how long an answer gets nobody knows.
    std::vector<kvsieve::range> dropped(kvsieve::plan &plan) const {
        std::vector<int32_t> positions, cells;
        for (const auto &[position, cell] : held) positions.push_back(position), cells.push_back(cell);
        const auto rows = [&](kvsieve::tensor all) { // a cell each, in the order of positions
            return all.paged(cells, 1, all.token_stride, std::exchange(all.tokens, cells.size()));
        };
        for (const auto &[layer, k] : keys) plan.observe(layer, nullptr, rows(k), rows(values.at(layer)));
        plan.finish();
        std::vector<kvsieve::range> gone;
        for (const auto row : plan.ranges(0, 0, true)) gone.push_back({ positions.at(row.first), positions.at(row.end - 1) + 1 });
        restart(plan);
        return gone;
    }

    // Removed cells are masked, not skipped, until new tokens take them.
    void remove(const std::vector<kvsieve::range> &gone) {
        for (const kvsieve::range range : gone) {
            if (!llama_memory_seq_rm(llama_get_memory(context), 0, range.first, range.end)) throw std::runtime_error("not removed");
            held.erase(held.lower_bound(range.first), held.lower_bound(range.end));
        }
    }
};

#endif
