/* Views of the caller's memory and of a plan's: span, tensor, what a layer keeps, ranges. Included by kvsieve.hpp. */
#ifndef KVSIEVE_VIEWS_HPP
#define KVSIEVE_VIEWS_HPP

#include "outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>

namespace kvsieve {
inline namespace KVSIEVE_HPP_KIND {

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

} // namespace KVSIEVE_HPP_KIND
} // namespace kvsieve

#endif
