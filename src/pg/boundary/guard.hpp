// The boundary between two error regimes: the server's longjmp and C++ exceptions.
//
// call():  into the server; a longjmp becomes a PgError.
// entry(): out of the server; an exception becomes one ereport, after the catch block is left.
#pragma once

#include <type_traits>

#include "pg/boundary/error.hpp"
#include "pg/boundary/imports.h"

namespace cowrie::pg {

namespace detail {
/** Runs the body under PG_TRY; returns the error it raised, copied, or null. */
ErrorData *try_call(void (*body)(void *), void *argument) noexcept;
} // namespace detail

/**
 * Calls server code. Nothing with a destructor may be alive inside the body when the server can
 * raise; results are plain data. A C++ exception thrown in the body is carried out as well.
 */
template <typename Body> auto call(Body &&body) {
  using Result = std::invoke_result_t<Body>;
  struct Frame {
    std::remove_reference_t<Body> *body;
    std::conditional_t<std::is_void_v<Result>, char, std::decay_t<Result>> result;
    std::exception_ptr thrown;
  } frame{&body, {}, nullptr};
  static_assert(std::is_void_v<Result> || std::is_trivially_destructible_v<std::decay_t<Result>>,
                "only plain data may cross the boundary");
  ErrorData *error = detail::try_call(
      [](void *argument) {
        Frame &inner = *static_cast<Frame *>(argument);
        try {
          if constexpr (std::is_void_v<Result>)
            (*inner.body)();
          else
            inner.result = (*inner.body)();
        } catch (...) {
          inner.thrown = std::current_exception();
        }
      },
      &frame);
  if (error)
    throw PgError(error);
  if (frame.thrown)
    std::rethrow_exception(frame.thrown);
  if constexpr (!std::is_void_v<Result>)
    return frame.result;
}

/** Runs an SQL-callable function's body; whatever it throws becomes one error report. */
template <typename Body> Datum entry(Body &&body) {
  Datum result = 0;
  PendingError &pending = pending_error();
  try {
    result = body();
  } catch (const PgError &error) {
    pending.take(error);
  } catch (const Failure &error) {
    pending.take(error);
  } catch (const std::bad_alloc &) {
    pending.take_out_of_memory();
  } catch (const std::exception &error) {
    pending.take_unknown(error.what());
  }
  if (pending.set)
    raise_pending_unsafe();
  return result;
}

/** Runs code where an interrupt may be noticed. */
inline void check_for_interrupts() {
  call([] { CHECK_FOR_INTERRUPTS(); });
}

} // namespace cowrie::pg
