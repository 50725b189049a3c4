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

#include "kvsieve.h"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#ifndef KVSIEVE_EXPECTED
#include <stdexcept>
#endif

namespace kvsieve {
/* Units that differ in KVSIEVE_EXPECTED may be linked together: each has its own names. */
#ifdef KVSIEVE_EXPECTED
inline namespace values {
#else
inline namespace exceptions {
#endif

/** A status and its sentence. */
#ifdef KVSIEVE_EXPECTED
class error {
public:
    error(kvsieve_status status, std::string sentence) : status_(status), sentence_(std::move(sentence)) {}
    const char *what() const noexcept { return sentence_.c_str(); }
#else
class error : public std::runtime_error {
public:
    error(kvsieve_status status, const std::string &sentence) : std::runtime_error(sentence), status_(status) {}
#endif
    kvsieve_status status() const noexcept { return status_; }

private:
    kvsieve_status status_;
#ifdef KVSIEVE_EXPECTED
    std::string sentence_;
#endif
};

#ifdef KVSIEVE_EXPECTED
/** A value, or why there is none. */
template <class T>
class [[nodiscard]] expected {
public:
    expected(T value) : value_(std::move(value)) {}
    expected(error why) : status_(why.status()), error_(new (std::nothrow) error(std::move(why))) {}
    explicit operator bool() const noexcept { return status_ == KVSIEVE_OK; }
    /** Of one that has a value; of a temporary the value itself, not a reference into it. */
    T &operator*() & noexcept { return value_; }
    const T &operator*() const & noexcept { return value_; }
    T operator*() && noexcept { return std::move(value_); }
    T *operator->() & noexcept { return &value_; }
    const T *operator->() const & noexcept { return &value_; }
    /** Of one that has none: why. */
    kvsieve_status status() const noexcept { return status_; }
    const char *what() const noexcept { return error_ ? error_->what() : status_ == KVSIEVE_OK ? "" : kvsieve_status_name(status_); }

private:
    T value_{};
    kvsieve_status status_ = KVSIEVE_OK;
    std::unique_ptr<error> error_;
};

/** Nothing, or why the call failed. */
template <>
class [[nodiscard]] expected<void> {
public:
    expected() = default;
    expected(error why) : status_(why.status()), error_(new (std::nothrow) error(std::move(why))) {}
    explicit operator bool() const noexcept { return status_ == KVSIEVE_OK; }
    kvsieve_status status() const noexcept { return status_; }
    const char *what() const noexcept { return error_ ? error_->what() : status_ == KVSIEVE_OK ? "" : kvsieve_status_name(status_); }

private:
    kvsieve_status status_ = KVSIEVE_OK;
    std::unique_ptr<error> error_;
};

template <class T>
using outcome = expected<T>;
#else
/** What a call returns: the value itself, or it throws. */
template <class T>
using outcome = T;
#endif

/** Numbers that somebody else owns. */
template <class T>
class span {
public:
    using value_type = std::remove_cv_t<T>;

    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t Size>
    constexpr span(T (&numbers)[Size]) noexcept : data_(numbers), size_(Size) {}
    /** Of a vector, an array, a std::span; of none that ends with the expression. */
    template <class Range, class = std::enable_if_t<
                               !std::is_same_v<std::decay_t<Range>, span>
                               && (std::is_lvalue_reference_v<Range> || std::is_trivially_destructible_v<std::decay_t<Range>>)
                               && std::is_convertible_v<decltype(std::declval<Range &>().data()), T *>>>
    constexpr span(Range &&range) noexcept : data_(range.data()), size_(range.size()) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t index) const noexcept { return data_[index]; }
    constexpr span subspan(std::size_t first, std::size_t count) const noexcept { return { data_ + first, count }; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

namespace detail {

template <class T>
struct dtype_of;
template <>
struct dtype_of<float> : std::integral_constant<std::int32_t, KVSIEVE_F32> {};
#ifdef __FLT16_MANT_DIG__
template <>
struct dtype_of<_Float16> : std::integral_constant<std::int32_t, KVSIEVE_F16> {};
#endif

/* Numbers that have a scale together, and their bytes. */
constexpr std::int64_t group_of(std::int32_t dtype) noexcept { return dtype == KVSIEVE_Q8_0 || dtype == KVSIEVE_Q4_0 ? 32 : 1; }
constexpr std::int64_t bytes_of_group(std::int32_t dtype) noexcept {
    switch (dtype) {
    case KVSIEVE_F32: return 4;
    case KVSIEVE_F16:
    case KVSIEVE_BF16: return 2;
    case KVSIEVE_Q8_0: return 34;
    case KVSIEVE_Q4_0: return 18;
    default: return 1;
    }
}
constexpr std::int64_t bytes_of_row(std::int32_t dtype, std::int64_t dim) noexcept {
    return dim / group_of(dtype) * bytes_of_group(dtype);
}

inline error failure(kvsieve_status status, const kvsieve_plan *plan) {
    const char *sentence = plan ? kvsieve_plan_error(plan) : kvsieve_last_error();
    return error(status, std::string(kvsieve_status_name(status)) + ": " + sentence);
}

template <class T>
outcome<T> give(kvsieve_status status, const kvsieve_plan *plan, T value) {
#ifdef KVSIEVE_EXPECTED
    if (status != KVSIEVE_OK) return failure(status, plan);
#else
    if (status != KVSIEVE_OK) throw failure(status, plan);
#endif
    return value;
}

inline outcome<void> done(kvsieve_status status, const kvsieve_plan *plan) {
#ifdef KVSIEVE_EXPECTED
    if (status != KVSIEVE_OK) return failure(status, plan);
    return {};
#else
    if (status != KVSIEVE_OK) throw failure(status, plan);
#endif
}

template <class Struct>
Struct sized() noexcept {
    Struct made{};
    made.struct_size = sizeof made;
    return made;
}

} // namespace detail

/** The sizes of a model; `scale` of the logits, 0 means 1/sqrt(head_dim). */
inline kvsieve_model model(std::int32_t layers, std::int32_t query_heads, std::int32_t kv_heads, std::int32_t head_dim,
                           float scale = 0) noexcept {
    return { layers, query_heads, kv_heads, head_dim, scale, {} };
}

/** A view of heads x tokens x dim numbers. Rows are contiguous. The dtype says how many bytes a row has, whatever the pointer is
 *  to; it need not be said for float. const rows are read: as a gather's target they must not be const. */
struct tensor : kvsieve_tensor {
    tensor() noexcept : kvsieve_tensor{} {}
    tensor(const kvsieve_tensor &view) noexcept : kvsieve_tensor(view) {}

    /** (heads, tokens, dim), contiguous: head after head. */
    template <class T>
    static tensor by_head(T *rows, std::int64_t heads, std::int64_t tokens, std::int32_t dim,
                          std::int32_t dtype = detail::dtype_of<std::remove_cv_t<T>>::value) noexcept {
        const std::int64_t row = detail::bytes_of_row(dtype, dim);
        return made(rows, dtype, heads, tokens, dim, tokens * row, row);
    }

    /** (tokens, heads, dim), contiguous: token after token. */
    template <class T>
    static tensor by_token(T *rows, std::int64_t heads, std::int64_t tokens, std::int32_t dim,
                           std::int32_t dtype = detail::dtype_of<std::remove_cv_t<T>>::value) noexcept {
        const std::int64_t row = detail::bytes_of_row(dtype, dim);
        return made(rows, dtype, heads, tokens, dim, row, heads * row);
    }

    /** An mdspan (heads, tokens, dim), of std or of another library, whose rows are contiguous. Of Q8_0 and Q4_0 it is one of bytes:
     *  (heads, tokens, bytes of a row). */
    template <class Mdspan, class = decltype(std::declval<const Mdspan &>().data_handle())>
    static tensor of(const Mdspan &view,
                     std::int32_t dtype = detail::dtype_of<std::remove_cv_t<typename Mdspan::element_type>>::value) noexcept {
        constexpr auto element = static_cast<std::int64_t>(sizeof(typename Mdspan::element_type));
        const auto elements = static_cast<std::int64_t>(view.extent(2));
        const bool grouped = detail::group_of(dtype) > 1;
        const std::int64_t dim = grouped ? elements * element / detail::bytes_of_group(dtype) * detail::group_of(dtype) : elements;
        return made(view.data_handle(), dtype, static_cast<std::int64_t>(view.extent(0)), static_cast<std::int64_t>(view.extent(1)),
                    static_cast<std::int32_t>(dim), static_cast<std::int64_t>(view.stride(0)) * element,
                    static_cast<std::int64_t>(view.stride(1)) * element);
    }

    /** The same rows in blocks of a table. `bytes`: from a block to the next. The table is read during calls. */
    tensor paged(span<const std::int32_t> table, std::int32_t tokens_of_block, std::int64_t bytes,
                 std::int32_t block_total = 0) const noexcept {
        tensor made = *this;
        made.blocks = table.data();
        made.block_tokens = tokens_of_block;
        made.block_stride = bytes;
        made.block_count = block_total;
        return made;
    }

private:
    static tensor made(const void *rows, std::int32_t dtype, std::int64_t heads, std::int64_t tokens, std::int32_t dim,
                       std::int64_t head_stride, std::int64_t token_stride) noexcept {
        tensor view;
        view.data = const_cast<void *>(rows);
        view.heads = heads;
        view.tokens = tokens;
        view.head_stride = head_stride;
        view.token_stride = token_stride;
        view.dim = dim;
        view.dtype = dtype;
        return view;
    }
};

/** A tensor, or none where a layer does not need one: nullptr. */
class maybe_tensor {
public:
    maybe_tensor(std::nullptr_t = nullptr) noexcept {}
    maybe_tensor(const kvsieve_tensor &given) noexcept : pointer_(&given) {}
    maybe_tensor(const kvsieve_tensor *given) noexcept : pointer_(given) {}
    const kvsieve_tensor *get() const noexcept { return pointer_; }

private:
    const kvsieve_tensor *pointer_ = nullptr;
};

/** What a layer keeps: kvsieve_kept, with spans. */
struct kept : kvsieve_kept {
    /** Absolute positions that a head keeps, ascending. */
    span<const std::int32_t> head(std::int32_t index) const noexcept { return of(positions, index); }
    /** Their rows in the observed cache. */
    span<const std::int32_t> rows_of(std::int32_t index) const noexcept { return of(rows, index); }

private:
    span<const std::int32_t> of(const std::int32_t *numbers, std::int32_t index) const noexcept {
        if (index < 0 || index >= heads) return {};
        return { numbers + offsets[index], static_cast<std::size_t>(offsets[index + 1] - offsets[index]) };
    }
};

/** Positions first ... end - 1. */
struct range {
    std::int32_t first, end;
};

/** Ranges, ascending: kvsieve_ranges to loop over. */
class range_list {
public:
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = range;
        using difference_type = std::ptrdiff_t;
        using pointer = const range *;
        using reference = range;
        explicit iterator(const std::int32_t *bounds) noexcept : bounds_(bounds) {}
        range operator*() const noexcept { return { bounds_[0], bounds_[1] }; }
        iterator &operator++() noexcept {
            bounds_ += 2;
            return *this;
        }
        iterator operator++(int) noexcept {
            iterator before = *this;
            bounds_ += 2;
            return before;
        }
        bool operator==(const iterator &other) const noexcept { return bounds_ == other.bounds_; }
        bool operator!=(const iterator &other) const noexcept { return bounds_ != other.bounds_; }

    private:
        const std::int32_t *bounds_;
    };

    range_list() noexcept = default;
    explicit range_list(const kvsieve_ranges &ranges) noexcept
        : bounds_(ranges.bounds), size_(static_cast<std::size_t>(ranges.count)) {}
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    range operator[](std::size_t index) const noexcept { return { bounds_[2 * index], bounds_[2 * index + 1] }; }
    iterator begin() const noexcept { return iterator(bounds_); }
    iterator end() const noexcept { return iterator(bounds_ + 2 * size_); }

private:
    const std::int32_t *bounds_ = nullptr;
    std::size_t size_ = 0;
};

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

} // namespace values or exceptions
} // namespace kvsieve

#ifdef KVSIEVE_EXPECTED
#define KVSIEVE_HPP_VALUES
#endif
#elif defined(KVSIEVE_EXPECTED) && !defined(KVSIEVE_HPP_VALUES)
#error "KVSIEVE_EXPECTED is defined after kvsieve.hpp was included without it"
#endif
