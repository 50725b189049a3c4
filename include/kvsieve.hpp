/* kvsieve.h from C++17: a plan that frees itself, statuses as exceptions, arrays as spans. Header only; kvsieve.h is the manual.
 *
 *     kvsieve::plan plan(KVSIEVE_DYNAMICKV, kvsieve::model(layers, query_heads, kv_heads, head_dim));
 *     plan.set(KVSIEVE_BUDGET, 1024);
 *     for (std::int32_t layer = 0; layer < layers; ++layer) plan.observe(layer, q[layer], k[layer], v[layer]);
 *     plan.finish();
 *     for (std::int32_t position : plan.kept(0).head(3)) ...
 *
 * A call that the library refuses throws kvsieve::error. With KVSIEVE_EXPECTED defined before this header is included nothing is
 * thrown and it compiles without exceptions: each such call returns kvsieve::expected<T>, which has a value or an error; plans
 * are then made by plan::make().
 *
 * Spans and strings that a plan returns are the plan's memory, valid as long as kvsieve.h says. Threads: as in kvsieve.h. */
#ifndef KVSIEVE_HPP
#define KVSIEVE_HPP

#if __cplusplus < 201703L && (!defined(_MSVC_LANG) || _MSVC_LANG < 201703L)
#error "kvsieve.hpp needs C++17: -std=c++17"
#endif

#include "kvsieve/outcome.hpp"
#include "kvsieve/views.hpp"

namespace kvsieve {
inline namespace KVSIEVE_HPP_KIND {

namespace detail {

template <class Struct>
Struct sized() noexcept {
    Struct made{};
    made.struct_size = sizeof made;
    return made;
}

} // namespace detail

/** One sequence through one method. Moved, not copied. */
class plan {
public:
    /** No plan: every call is KVSIEVE_ERR_NULL. */
    plan() noexcept = default;
#ifndef KVSIEVE_EXPECTED
    plan(std::int32_t method, const kvsieve_model &model) : plan(make(method, model)) {}
#endif
    static outcome<plan> make(std::int32_t method, const kvsieve_model &model) {
        kvsieve_plan *made = nullptr;
        const kvsieve_status status = kvsieve_plan_create(method, &model, &made);
        return detail::give(status, nullptr, plan(made));
    }

    kvsieve_plan *get() const noexcept { return handle_.get(); }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    /** Of the last call on this plan that was refused. */
    const char *last_error() const noexcept { return kvsieve_plan_error(get()); }

    outcome<void> set(std::int32_t parameter, double value) { return done(kvsieve_plan_set(get(), parameter, value)); }
    outcome<double> get(std::int32_t parameter) const {
        double value = 0;
        const kvsieve_status status = kvsieve_plan_get(get(), parameter, &value);
        return give(status, value);
    }
    outcome<std::int32_t> needs(std::int32_t layer) const {
        std::int32_t needs = 0;
        const kvsieve_status status = kvsieve_plan_needs(get(), layer, &needs);
        return give(status, needs);
    }
    outcome<std::int64_t> bound(std::int32_t layer, std::int64_t tokens) const {
        std::int64_t rows = 0;
        const kvsieve_status status = kvsieve_plan_bound(get(), layer, tokens, &rows);
        return give(status, rows);
    }
    /** `group` is copied; its context is used as long as the plan. */
    outcome<void> join(const kvsieve_group &group) { return done(kvsieve_plan_join(get(), &group)); }
    outcome<void> protect(std::int64_t first, std::int64_t count) { return done(kvsieve_plan_protect(get(), first, count)); }

    outcome<void> observe(std::int32_t layer, maybe_tensor queries, maybe_tensor keys, maybe_tensor values = nullptr) {
        return done(kvsieve_plan_observe(get(), layer, queries.get(), keys.get(), values.get()));
    }
    outcome<void> observe_attention(std::int32_t layer, std::int32_t kind, maybe_tensor attention,
                                    maybe_tensor values = nullptr) {
        return done(kvsieve_plan_observe_attention(get(), layer, kind, attention.get(), values.get()));
    }
    outcome<void> queries(std::int32_t layer, maybe_tensor chunk) {
        return done(kvsieve_plan_queries(get(), layer, chunk.get()));
    }
    outcome<void> finish() { return done(kvsieve_plan_finish(get())); }
    outcome<void> extend(std::int64_t tokens) { return done(kvsieve_plan_extend(get(), tokens)); }
    outcome<void> reset() { return done(kvsieve_plan_reset(get())); }

    outcome<kvsieve::kept> kept(std::int32_t layer) const {
        kvsieve::kept found{};
        found.struct_size = sizeof(kvsieve_kept);
        const kvsieve_status status = kvsieve_plan_kept(get(), layer, &found);
        return give(status, found);
    }
    /** What a head keeps, or has dropped. */
    outcome<range_list> ranges(std::int32_t layer, std::int32_t head, bool dropped = false) const {
        auto found = detail::sized<kvsieve_ranges>();
        const kvsieve_status status = kvsieve_plan_ranges(get(), layer, head, dropped ? 1 : 0, &found);
        return give(status, status == KVSIEVE_OK ? range_list(found) : range_list());
    }
    outcome<kvsieve_report> report(std::int32_t layer) const {
        auto found = detail::sized<kvsieve_report>();
        const kvsieve_status status = kvsieve_plan_report(get(), layer, &found);
        return give(status, found);
    }
    outcome<void> gather(std::int32_t layer, maybe_tensor source, maybe_tensor target) const {
        return done(kvsieve_plan_gather(get(), layer, source.get(), target.get()));
    }
    outcome<void> gather_rotated(std::int32_t layer, maybe_tensor source, maybe_tensor target, const kvsieve_rope &rope) const {
        return done(kvsieve_plan_gather_rotated(get(), layer, source.get(), target.get(), &rope));
    }

    /** `slot`: a number for each key/value head and token of the step. */
    outcome<void> step(std::int32_t layer, maybe_tensor queries, maybe_tensor keys, maybe_tensor values, std::int32_t *slot) {
        return done(kvsieve_plan_step(get(), layer, queries.get(), keys.get(), values.get(), slot));
    }
    outcome<void> step_logits(std::int32_t layer, maybe_tensor logits, maybe_tensor values, std::int32_t *slot) {
        return done(kvsieve_plan_step_logits(get(), layer, logits.get(), values.get(), slot));
    }
    outcome<void> trim(std::int64_t tokens) { return done(kvsieve_plan_trim(get(), tokens)); }
    outcome<kvsieve_slots> slots(std::int32_t layer, std::int32_t head) const {
        auto found = detail::sized<kvsieve_slots>();
        const kvsieve_status status = kvsieve_plan_slots(get(), layer, head, &found);
        return give(status, found);
    }

private:
    explicit plan(kvsieve_plan *made) noexcept : handle_(made) {}
    template <class T>
    outcome<T> give(kvsieve_status status, T value) const {
        return detail::give(status, get(), std::move(value));
    }
    outcome<void> done(kvsieve_status status) const { return detail::done(status, get()); }

    struct destroy {
        void operator()(kvsieve_plan *owned) const noexcept { kvsieve_plan_destroy(owned); }
    };
    std::unique_ptr<kvsieve_plan, destroy> handle_;
};

/** Does this library compute what it must? See kvsieve_self_check(). */
inline outcome<void> self_check() { return detail::done(kvsieve_self_check(), nullptr); }

/** Methods of the library, 0 ... method_count() - 1, and their parameters. */
inline std::int32_t method_count() noexcept { return kvsieve_method_count(); }
inline outcome<kvsieve_method_info> method_at(std::int32_t index) {
    auto found = detail::sized<kvsieve_method_info>();
    const kvsieve_status status = kvsieve_method_at(index, &found);
    return detail::give(status, nullptr, found);
}
inline outcome<kvsieve_parameter_info> parameter_at(std::int32_t method, std::int32_t index) {
    auto found = detail::sized<kvsieve_parameter_info>();
    const kvsieve_status status = kvsieve_parameter_at(method, index, &found);
    return detail::give(status, nullptr, found);
}

} // namespace KVSIEVE_HPP_KIND
} // namespace kvsieve

#ifdef KVSIEVE_EXPECTED
#define KVSIEVE_HPP_VALUES
#endif
#elif defined(KVSIEVE_EXPECTED) && !defined(KVSIEVE_HPP_VALUES)
#error "KVSIEVE_EXPECTED is defined after kvsieve.hpp was included without it"
#endif
