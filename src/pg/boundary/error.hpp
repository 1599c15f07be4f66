// PgError: a server error as a C++ exception, with all that the server said.
//
// Error regime: nothing here longjmps but the functions named _unsafe.
#pragma once

#include "pg/boundary/imports.h"

#include "core/base/failure.hpp"

namespace cowrie::pg {

/** A server error that was caught. Keeps the whole ErrorData, so that it can be raised again. */
class PgError : public Failure {
public:
  /** Takes ownership of what was caught, which lives in error_context(). */
  explicit PgError(ErrorData *caught);

  std::shared_ptr<ErrorData> data;
};

/** Where caught errors live: it outlives every subtransaction. */
MemoryContext error_context_unsafe();

/** What is to be raised once the catch block has been left. Plain storage that is reused. */
struct PendingError {
  bool set = false;
  std::shared_ptr<ErrorData> data; ///< a server error, or null
  std::string sqlstate, message, detail, hint, context;

  void take(const PgError &error) noexcept;
  void take(const Failure &error) noexcept;
  void take_out_of_memory() noexcept;
  void take_unknown(const char *what) noexcept;
};
PendingError &pending_error() noexcept;

/** Raises the pending error. Call it with no C++ object alive that needs its destructor. */
[[noreturn]] void raise_pending_unsafe();

} // namespace cowrie::pg
