// llama.cpp answers from a compressed cache: one prompt, or a chat without end whose system prompt stays. README.md has the options.
//
// Here: turns, answers, options. Not here: what is seen of the engine, and what is dropped (sequence.h).
#include "sequence.h"

#include <iostream>

namespace {

using Options = std::multimap<std::string, std::string>;

std::string text(const Options &options, const char *name, const char *other) {
    return options.count(name) ? options.find(name)->second : other;
}
int32_t number(const Options &options, const char *name, const char *other) { return std::stoi(text(options, name, other)); }

std::string answer(Sequence &sequence, llama_token token, int32_t left) {
    std::string said;
    for (; left > 0 && !llama_vocab_is_eog(sequence.vocabulary(), token); --left) {
        char piece[256];
        said.append(piece, std::max(0, llama_token_to_piece(sequence.vocabulary(), token, piece, sizeof piece, 0, false)));
        token = sequence.read({ token });
    }
    std::replace(said.begin(), said.end(), '\n', ' '); // an answer is a line
    return said;
}

// A turn: its question is read, each method answers from what it keeps, and the last one's cache goes on. The choice is made before
// the answer, so that the question is among the tokens that methods look at.
void turn(Sequence &sequence, const Options &options, const std::string &question, const std::string &begin) {
    const llama_token token = sequence.read(sequence.tokens(question));
    const auto held = sequence.held;
    std::vector<std::vector<kvsieve::range>> gone;
    for (auto &plan : sequence.plans)
        if (static_cast<int32_t>(held.size()) > number(options, "mark", options.count("chat") ? "1024" : "0"))
            gone.push_back(sequence.dropped(plan));
    if (gone.empty()) gone.emplace_back(); // all is held: one answer
    std::vector<uint8_t> state(gone.size() > 1 ? llama_state_seq_get_size(sequence.context, 0) : 0);
    llama_state_seq_get_data(sequence.context, state.data(), state.size(), 0);
    for (std::size_t i = 0; i < gone.size(); ++i) {
        if (i > 0) { // the whole question again; its cells may be others, but nobody looks at them now
            llama_memory_seq_rm(llama_get_memory(sequence.context), 0, -1, -1);
            llama_state_seq_set_data(sequence.context, state.data(), state.size(), 0);
            sequence.held = held, sequence.next = held.rbegin()->first + 1;
        }
        sequence.remove(gone[i]);
        const std::string file = text(options, "states", "") + std::to_string(sequence.next);
        if (!gone[i].empty() && options.count("states")) llama_state_seq_save_file(sequence.context, file.c_str(), 0, nullptr, 0);
        std::fprintf(stderr, "%zu of %zu tokens stay, %zu ranges go, position %d is next, attention spans %d cells\n",
                     sequence.held.size(), held.size(), gone[i].size(), sequence.next, int32_t(sequence.keys[0].tokens));
        const llama_token first = begin.empty() ? token : sequence.read(sequence.tokens(begin));
        std::cout << begin << answer(sequence, first, number(options, "tokens", "64")) << std::endl;
    }
}

void run(const Options &options) {
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_model_params loading = llama_model_default_params();
    loading.n_gpu_layers = 0;        // the library reads keys that the CPU can read
    loading.use_extra_bufts = false; // weights in AMX's layout: not every virtual machine that shows AMX can run it
    Sequence sequence;
    sequence.model = llama_model_load_from_file(text(options, "model", "").c_str(), loading);
    if (!sequence.model || llama_model_n_swa(sequence.model) > 0)
        throw std::runtime_error("no --model, or one with sliding windows");
    for (auto [at, end] = options.equal_range("method"); at != end; ++at) sequence.methods.push_back(at->second);
    llama_context_params with = llama_context_default_params();
    const std::string cache = text(options, "cache", "f16");
    with.type_k = with.type_v = cache == "q8_0" ? GGML_TYPE_Q8_0 : cache == "q4_0" ? GGML_TYPE_Q4_0 : GGML_TYPE_F16;
    with.n_ctx = with.n_batch = number(options, "context", "4096"), with.n_ubatch = number(options, "ubatch", "512");
    with.n_threads = with.n_threads_batch = number(options, "threads", "2");
    with.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED; // else there is no such node, and values lie transposed
    with.cb_eval = Sequence::onNode, with.cb_eval_user_data = &sequence;
    sequence.context = llama_init_from_model(sequence.model, with);
    if (!sequence.context) throw std::runtime_error("no context");
    if (options.count("chat")) {
        sequence.read(sequence.tokens("<|im_start|>system\n" + text(options, "chat", "") + "<|im_end|>\n"));
        sequence.pinned = sequence.held.size(); // the system prompt stays for ever
        for (auto &plan : sequence.plans) sequence.restart(plan);
        for (std::string line, end; std::getline(std::cin, line); end = "<|im_end|>\n") {
            const std::size_t tab = std::min(line.find('\t'), line.size());
            const std::string question = end + "<|im_start|>user\n" + line.substr(0, tab) + "<|im_end|>\n<|im_start|>assistant\n";
            turn(sequence, options, question, line.substr(std::min(tab + 1, line.size())));
        }
    } else {
        turn(sequence, options, std::string(std::istreambuf_iterator<char>(std::cin), {}), text(options, "begin", ""));
    }
    llama_free(sequence.context);
    llama_model_free(sequence.model);
}

} // namespace

int main(int count, char **words) try {
    Options options;
    for (int i = 1; i + 1 < count; i += 2) options.emplace(std::string(words[i]).substr(2), words[i + 1]);
    run(options);
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
