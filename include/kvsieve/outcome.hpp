/* What a call of kvsieve.hpp returns: a value or an exception; with KVSIEVE_EXPECTED a value or an error. Included by kvsieve.hpp. */
#ifndef KVSIEVE_OUTCOME_HPP
#define KVSIEVE_OUTCOME_HPP

#include "../kvsieve.h"

#include <memory>
#include <new>
#include <string>
#include <utility>
#ifndef KVSIEVE_EXPECTED
#include <stdexcept>
#endif

/* Units that differ in KVSIEVE_EXPECTED may be linked together: each has its own names. */
#ifdef KVSIEVE_EXPECTED
#define KVSIEVE_HPP_KIND values
#else
#define KVSIEVE_HPP_KIND exceptions
#endif

namespace kvsieve {
inline namespace KVSIEVE_HPP_KIND {

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

namespace detail {

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

} // namespace detail

} // namespace KVSIEVE_HPP_KIND
} // namespace kvsieve

#endif
