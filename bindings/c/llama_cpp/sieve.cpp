// llama.cpp answers from a compressed cache: one prompt, or a chat without end whose system prompt stays. README.md has the options.
//
// Here: words and tokens, turns, options. Not here: what is seen of the engine, and what is dropped (sequence.h).
#include "sequence.h"

#include <cstdio>
#include <iostream>
#include <iterator>
#include <map>

namespace {

using Options = std::multimap<std::string, std::string>;

std::string text(const Options &options, const char *name, const char *other) {
    return options.count(name) ? options.find(name)->second : other;
}
int32_t number(const Options &options, const char *name, const char *other) { return std::stoi(text(options, name, other)); }

std::vector<llama_token> tokenized(const Sequence &sequence, const std::string &words) {
    std::vector<llama_token> tokens(words.size() + 8);
    const auto room = static_cast<int32_t>(tokens.size()), length = static_cast<int32_t>(words.size());
    tokens.resize(static_cast<std::size_t>(llama_tokenize(llama_model_get_vocab(sequence.model), words.data(), length,
                                                          tokens.data(), room, sequence.next == 0, true)));
    return tokens;
}

std::string answer(Sequence &sequence, llama_token token, int32_t left) {
    const auto *vocabulary = llama_model_get_vocab(sequence.model);
    std::string said;
    for (; left > 0 && !llama_vocab_is_eog(vocabulary, token); --left) {
        char piece[256];
        said.append(piece, static_cast<std::size_t>(std::max(0, llama_token_to_piece(vocabulary, token, piece, 256, 0, false))));
        token = sequence.read({ token });
    }
    std::replace(said.begin(), said.end(), '\n', ' '); // an answer is a line
    return said;
}

// A turn: its question is read, each method answers from what it keeps, and the last one's cache goes on. The choice is made before
// the answer, so that the question is among the tokens that methods look at.
void turn(Sequence &sequence, const Options &options, const std::string &question, const std::string &begin, int32_t mark,
          const std::string &name) {
    const llama_token token = sequence.read(tokenized(sequence, question));
    const std::string file = text(options, "states", "") + name;
    std::vector<std::vector<kvsieve::range>> gone;
    for (auto &plan : sequence.plans)
        if (static_cast<int32_t>(sequence.cells.size()) > mark) gone.push_back(sequence.dropped(plan));
    const auto cells = sequence.cells, positions = sequence.positions;
    std::vector<uint8_t> state(gone.size() > 1 ? llama_state_seq_get_size(sequence.context, 0) : 0);
    llama_state_seq_get_data(sequence.context, state.data(), state.size(), 0);
    for (std::size_t i = 0; i < std::max<std::size_t>(gone.size(), 1); ++i) {
        if (i > 0) { // the whole question again; its cells may be others, but nobody looks at them now
            llama_memory_seq_rm(llama_get_memory(sequence.context), 0, -1, -1);
            llama_state_seq_set_data(sequence.context, state.data(), state.size(), 0);
            sequence.cells = cells, sequence.positions = positions, sequence.next = positions.back() + 1;
        }
        const std::size_t before = sequence.cells.size();
        if (!gone.empty()) sequence.remove(gone[i]);
        if (!gone.empty() && options.count("states")) llama_state_seq_save_file(sequence.context, file.c_str(), 0, nullptr, 0);
        std::fprintf(stderr, "%zu of %zu tokens stay, %zu ranges go, position %d is next, attention spans %d cells\n",
                     sequence.cells.size(), before, gone.empty() ? 0 : gone[i].size(), sequence.next, sequence.spanned());
        const llama_token first = begin.empty() ? token : sequence.read(tokenized(sequence, begin));
        std::cout << begin << answer(sequence, first, number(options, "tokens", "64")) << std::endl;
    }
}

void run(const Options &options) {
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_model_params loading = llama_model_default_params();
    loading.n_gpu_layers = 0;        // the library reads keys that the CPU can read
    loading.use_extra_bufts = false; // weights in AMX's layout: not every virtual machine that shows AMX can run it
    llama_model *model = llama_model_load_from_file(text(options, "model", "").c_str(), loading);
    if (!model || llama_model_n_swa(model) > 0) throw std::runtime_error("no --model, or one with sliding windows");
    Sequence sequence(model);
    const std::string more = (options.count("budget") ? " budget=" + text(options, "budget", "") : "")
                             + (options.count("keep") ? " ratio=" + text(options, "keep", "") : "");
    for (auto [at, end] = options.equal_range("method"); at != end; ++at) sequence.methods.push_back(at->second + more);
    if (options.count("chat") && sequence.methods.size() != 1) throw std::runtime_error("a chat has one method");
    llama_context_params with = llama_context_default_params();
    const std::string cache = text(options, "cache", "f16");
    with.type_k = with.type_v = cache == "q8_0" ? GGML_TYPE_Q8_0 : cache == "q4_0" ? GGML_TYPE_Q4_0 : GGML_TYPE_F16;
    with.n_ctx = with.n_batch = static_cast<uint32_t>(number(options, "context", "4096"));
    with.n_ubatch = static_cast<uint32_t>(number(options, "ubatch", "512"));
    with.n_threads = with.n_threads_batch = number(options, "threads", "2");
    with.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED; // else there is no such node, and values lie transposed
    with.cb_eval = Sequence::onNode, with.cb_eval_user_data = &sequence;
    sequence.context = llama_init_from_model(model, with);
    if (!sequence.context) throw std::runtime_error("no context");
    if (options.count("chat")) {
        sequence.read(tokenized(sequence, "<|im_start|>system\n" + text(options, "chat", "") + "<|im_end|>\n"));
        sequence.protect();
        std::string line, end;
        for (int i = 0; std::getline(std::cin, line); end = "<|im_end|>\n", ++i) {
            const std::size_t tab = std::min(line.find('\t'), line.size());
            const std::string question = end + "<|im_start|>user\n" + line.substr(0, tab) + "<|im_end|>\n<|im_start|>assistant\n";
            turn(sequence, options, question, line.substr(std::min(tab + 1, line.size())), number(options, "mark", "1024"),
                 std::to_string(i));
        }
    } else {
        const std::string question(std::istreambuf_iterator<char>(std::cin), {});
        turn(sequence, options, question, text(options, "begin", ""), 0, "0");
    }
    llama_free(sequence.context);
    llama_model_free(model);
}

} // namespace

int main(int count, char **words) {
    try {
        Options options;
        for (int i = 1; i + 1 < count; i += 2) options.emplace(std::string(words[i]).substr(2), words[i + 1]);
        run(options);
        return 0;
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
