// The only PG_TRY of the project.
#include "pg/boundary/guard.hpp"

namespace cowrie::pg::detail {

ErrorData *try_call(void (*body)(void *), void *argument) noexcept {
  MemoryContext context = CurrentMemoryContext;
  ErrorData *volatile error = nullptr;
  PG_TRY();
  { body(argument); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(error_context_unsafe());
    error = CopyErrorData();
    FlushErrorState();
    MemoryContextSwitchTo(context);
  }
  PG_END_TRY();
  return error;
}

} // namespace cowrie::pg::detail
