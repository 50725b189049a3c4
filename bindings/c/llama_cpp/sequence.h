// A sequence of llama.cpp with plans that look at it: what a program adds to compress its cache. sieve.cpp is such a program.
//
// While the engine computes, its callback shows the library the attention nodes' tensors where they are: the queries of each
// micro-batch, keys and values in the cache, whatever its type. One choice is made for all heads and layers (share 2). What it
// drops is removed by llama_memory_seq_rm. Not here: words, answers, options.
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include <kvsieve.hpp>

#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// Of words as "snapkv ratio=0.25 window=16".
inline kvsieve::plan planned(const std::string &words, const kvsieve_model &model) {
    std::istringstream in(words);
    std::string name, pair;
    in >> name;
    int32_t index = 0; // past the last one: refused
    while (index < kvsieve::method_count() && kvsieve::method_at(index).name != name) ++index;
    const kvsieve_method_info method = kvsieve::method_at(index);
    kvsieve::plan plan(method.id, model);
    plan.set(KVSIEVE_SHARE, 2);
    while (in >> pair)
        for (int32_t i = 0, found = 0; !found; ++i) {
            const kvsieve_parameter_info parameter = kvsieve::parameter_at(method.id, i);
            found = pair.substr(0, pair.find('=')) == parameter.name;
            if (found) plan.set(parameter.id, std::stod(pair.substr(pair.find('=') + 1)));
        }
    return plan;
}

// A tensor (dim, tokens, heads) as the library sees it: both count strides in bytes.
inline kvsieve::tensor view(const ggml_tensor &t) {
    kvsieve::tensor made;
    made.data = t.data, made.heads = t.ne[2], made.tokens = t.ne[1], made.dim = static_cast<int32_t>(t.ne[0]);
    made.head_stride = static_cast<int64_t>(t.nb[2]), made.token_stride = static_cast<int64_t>(t.nb[1]);
    made.dtype = t.type == GGML_TYPE_F32    ? KVSIEVE_F32
                 : t.type == GGML_TYPE_F16  ? KVSIEVE_F16
                 : t.type == GGML_TYPE_Q8_0 ? KVSIEVE_Q8_0
                 : t.type == GGML_TYPE_Q4_0 ? KVSIEVE_Q4_0
                                            : -1; // refused
    return made;
}

inline const ggml_tensor &root(const ggml_tensor &t) { return t.view_src ? root(*t.view_src) : t; }

// One sequence of the engine, and the plans that look at it.
struct Sequence {
    explicit Sequence(llama_model *model) : model(model) {}

    llama_model *model;
    std::vector<std::string> methods; // as planned() takes them
    llama_context *context = nullptr;
    std::vector<kvsieve::plan> plans;
    std::vector<kvsieve::tensor> keys, values; // of each layer, where the engine has them
    std::vector<int32_t> cells, positions;     // of the tokens held, in the order of their positions
    int32_t next = 0;                          // position
    int64_t pinned = 0;                        // tokens at the beginning that stay
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
        for (int64_t i = 0; i < indices.ne[0]; ++i) {
            cells.push_back(static_cast<int32_t>(static_cast<const int64_t *>(indices.data)[i]));
            positions.push_back(next++);
        }
    }

    void look(const ggml_tensor &node) {
        const auto *constants = reinterpret_cast<const float *>(node.op_params); // scale, ALiBi, softcap
        if (constants[1] != 0 || constants[2] != 0 || node.src[4])
            throw std::runtime_error("attention has a bias, softcap or sinks");
        const auto queries = view(*node.src[0]), k = view(*node.src[1]);
        const std::string name = root(*node.src[1]).name, begins = "cache_k_l";
        if (name.compare(0, begins.size(), begins) != 0) throw std::runtime_error("keys are in " + name + ", not in a cache");
        const auto layer = static_cast<std::size_t>(std::stoi(name.substr(begins.size())));
        if (plans.empty()) {
            keys.resize(static_cast<std::size_t>(llama_model_n_layer(model))), values.resize(keys.size());
            const auto shape = kvsieve::model(static_cast<int32_t>(keys.size()), static_cast<int32_t>(queries.heads),
                                              static_cast<int32_t>(k.heads), k.dim, constants[0]);
            for (const auto &words : methods) plans.push_back(planned(words, shape));
        }
        keys.at(layer) = k, values.at(layer) = view(*node.src[2]);
        for (auto &plan : plans) plan.queries(static_cast<int32_t>(layer), queries);
    }

    // The likeliest token after these.
    llama_token read(std::vector<llama_token> tokens) {
        const int32_t status = llama_decode(context, llama_batch_get_one(tokens.data(), static_cast<int32_t>(tokens.size())));
        if (failed) std::rethrow_exception(failed);
        if (status != 0) throw std::runtime_error("llama_decode: " + std::to_string(status));
        const float *logits = llama_get_logits_ith(context, -1);
        const int32_t size = llama_vocab_n_tokens(llama_model_get_vocab(model));
        return static_cast<llama_token>(std::max_element(logits, logits + size) - logits);
    }

    // What is held now stays for ever: a system prompt.
    void protect() {
        pinned = static_cast<int64_t>(cells.size());
        for (auto &plan : plans) restart(plan);
    }

    void restart(kvsieve::plan &plan) const {
        plan.reset();
        if (pinned > 0) plan.protect(0, pinned);
    }

    // Removed cells are masked, not skipped, until new tokens take them.
    int32_t spanned() const { return keys.empty() ? 0 : static_cast<int32_t>(keys[0].tokens); }

    // What a plan drops, as ranges of positions. It sees what is held as a prompt, and begins anew afterwards: kvsieve_plan_extend()
    // must be told how many tokens are new before their queries come, and how long an answer gets nobody knows.
    std::vector<kvsieve::range> dropped(kvsieve::plan &plan) const {
        const auto rows = [&](kvsieve::tensor all) { // a cell each, in the order of positions
            const auto room = static_cast<int32_t>(all.tokens);
            all.tokens = static_cast<int64_t>(cells.size());
            return all.paged(cells, 1, all.token_stride, room);
        };
        for (std::size_t layer = 0; layer < keys.size(); ++layer)
            plan.observe(static_cast<int32_t>(layer), nullptr, rows(keys[layer]), rows(values[layer]));
        plan.finish();
        std::vector<kvsieve::range> gone;
        for (const kvsieve::range row : plan.ranges(0, 0, true))
            gone.push_back(
                { positions.at(static_cast<std::size_t>(row.first)), positions.at(static_cast<std::size_t>(row.end) - 1) + 1 });
        restart(plan);
        return gone;
    }

    void remove(const std::vector<kvsieve::range> &gone) {
        for (const kvsieve::range range : gone) {
            if (!llama_memory_seq_rm(llama_get_memory(context), 0, range.first, range.end)) throw std::runtime_error("not removed");
            const auto first = std::lower_bound(positions.begin(), positions.end(), range.first) - positions.begin();
            const auto end = std::lower_bound(positions.begin(), positions.end(), range.end) - positions.begin();
            positions.erase(positions.begin() + first, positions.begin() + end);
            cells.erase(cells.begin() + first, cells.begin() + end);
        }
    }
};

#endif
