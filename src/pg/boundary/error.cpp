// PgError: a server error as a C++ exception.
#include "pg/boundary/error.hpp"

#include <algorithm>

namespace cowrie::pg {
namespace {

std::string text_or_empty(const char *text) { return text ? text : ""; }

constexpr std::size_t longest_line = 1000;

// A statement over thousands of keys is one line of the context, and nobody reads more of it than
// its beginning. In place: the text only becomes shorter.
void shorten_lines(char *text) noexcept {
  const std::string_view mark = " ...";
  char *end = text;
  for (const char *line = text;;) {
    const std::size_t length = strcspn(line, "\n");
    const std::size_t kept =
        length <= longest_line
            ? length
            : static_cast<std::size_t>(pg_mbcliplen(line, static_cast<int>(length),
                                                    static_cast<int>(longest_line - mark.size())));
    const char after = line[length];
    memmove(end, line, kept);
    end += kept;
    if (kept < length)
      end = std::copy(mark.begin(), mark.end(), end);
    *end++ = after;
    if (after == '\0')
      return;
    line += length + 1;
  }
}

} // namespace

MemoryContext error_context_unsafe() {
  static MemoryContext context = nullptr;
  if (!context)
    context =
        AllocSetContextCreate(TopMemoryContext, "cowrie_migrate errors", ALLOCSET_SMALL_SIZES);
  return context;
}

PgError::PgError(ErrorData *caught)
    : Failure(unpack_sql_state(caught->sqlerrcode), text_or_empty(caught->message),
              text_or_empty(caught->detail), text_or_empty(caught->hint)),
      data(caught, [](ErrorData *each) { FreeErrorData(each); }) {
  from_server = true;
  if (caught->context)
    shorten_lines(caught->context);
  // A terminated parallel worker raises 57P01 as well; only our own end must not be swallowed.
  must_propagate = caught->sqlerrcode == ERRCODE_QUERY_CANCELED ||
                   (caught->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN && ProcDiePending);
}

void PendingError::take(const PgError &error) noexcept {
  take(static_cast<const Failure &>(error)); // what core has added to it
  data = error.data;
}

void PendingError::take(const Failure &error) noexcept {
  set = true;
  data.reset();
  try {
    sqlstate = error.sqlstate;
    message = error.message;
    detail = error.detail;
    hint = error.hint;
    context = error.context;
  } catch (...) {
    take_out_of_memory();
  }
}

// The strings are short enough for their own storage: no allocation here.
void PendingError::take_out_of_memory() noexcept {
  set = true;
  data.reset();
  sqlstate = sqlstate::out_of_memory;
  message = "out of memory";
  detail.clear();
  hint.clear();
  context.clear();
}

void PendingError::take_unknown(const char *what) noexcept {
  try {
    take(Failure("XX000", std::string("unexpected exception: ") + what));
  } catch (...) {
    take_out_of_memory();
  }
}

PendingError &pending_error() noexcept {
  static PendingError pending;
  return pending;
}

void raise_pending_unsafe() {
  PendingError &pending = pending_error();
  pending.set = false;
  if (pending.data) {
    // ReThrowError copies what it is given; the original goes when the next error is taken.
    ErrorData *data = pending.data.get();
    MemoryContext previous = MemoryContextSwitchTo(error_context_unsafe());
    if (!data->detail && !pending.detail.empty())
      data->detail = pstrdup(pending.detail.c_str());
    if (!pending.hint.empty()) // the server's, and the next command
      data->hint = pstrdup(pending.hint.c_str());
    if (!pending.context.empty()) {
      char *joined = data->context ? psprintf("%s\n%s", data->context, pending.context.c_str())
                                   : pstrdup(pending.context.c_str());
      if (data->context)
        pfree(data->context);
      data->context = joined;
    }
    MemoryContextSwitchTo(previous);
    ReThrowError(data);
  }
  const char *state = pending.sqlstate.c_str();
  ereport(ERROR, (errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
                  errmsg_internal("%s", pending.message.c_str()),
                  pending.detail.empty() ? 0 : errdetail_internal("%s", pending.detail.c_str()),
                  pending.hint.empty() ? 0 : errhint("%s", pending.hint.c_str()),
                  pending.context.empty() ? 0 : (errcontext("%s", pending.context.c_str()))));
  pg_unreachable();
}

} // namespace cowrie::pg
