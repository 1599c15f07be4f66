// The aggregate cowrie_latest: of many values the one that stands in the latest session.
//
// One pass over narrow rows in any order, one value kept per group: nothing is sorted. Error
// regime: every function runs in pg::entry.
#include "pg/boundary/imports.h"

#include "api/values.hpp"

namespace cowrie::pg {
namespace {

/** The value so far: plain data in the aggregate's memory context, the texts right behind it. */
struct Latest {
  TimestampTz ended;
  std::uint32_t session_size;
  std::uint32_t value_size;
  std::uint32_t capacity;

  char *texts() noexcept { return reinterpret_cast<char *>(this + 1); }
  std::string_view session() noexcept { return {texts(), session_size}; }
  std::string_view value() noexcept { return {texts() + session_size, value_size}; }
};

// Room for what most groups need, so that a longer value seldom moves it.
constexpr std::uint32_t usual_capacity = 48;

Latest *with_room_unsafe(Latest *state, std::size_t size, MemoryContext context) {
  if (state && state->capacity >= size)
    return state;
  const std::size_t capacity = std::max<std::size_t>(size, usual_capacity);
  if (state)
    pfree(state);
  state = static_cast<Latest *>(MemoryContextAlloc(context, sizeof(Latest) + capacity));
  state->capacity = static_cast<std::uint32_t>(capacity);
  return state;
}

/** cowrie_latest_add(internal, value text, ended timestamptz, session_id text). *Latest* is by end
 *  time, then by session_id in bytes; a value that is NULL does not count. */
Datum latest_add(FunctionCallInfo fcinfo) {
  return call([&]() -> Datum {
    MemoryContext context;
    if (!AggCheckCallContext(fcinfo, &context))
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("this function must be called as part of an aggregate")));
    Latest *state = PG_ARGISNULL(0) ? nullptr : reinterpret_cast<Latest *>(PG_GETARG_POINTER(0));
    const auto unchanged = [&]() -> Datum {
      if (!state)
        fcinfo->isnull = true;
      return PointerGetDatum(state);
    };
    if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
      return unchanged();
    const TimestampTz ended = PG_GETARG_TIMESTAMPTZ(2);
    const text *id = PG_GETARG_TEXT_PP(3);
    const std::string_view session(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
    if (state && (ended < state->ended || (ended == state->ended && session <= state->session())))
      return unchanged();
    const text *given = PG_GETARG_TEXT_PP(1);
    const std::string_view value(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given));
    state = with_room_unsafe(state, session.size() + value.size(), context);
    state->ended = ended;
    state->session_size = static_cast<std::uint32_t>(session.size());
    state->value_size = static_cast<std::uint32_t>(value.size());
    std::memcpy(state->texts(), session.data(), session.size());
    std::memcpy(state->texts() + session.size(), value.data(), value.size());
    return PointerGetDatum(state);
  });
}

Datum latest_result(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(0))
    PG_RETURN_NULL();
  return call([&] {
    return server_text_datum_unsafe(reinterpret_cast<Latest *>(PG_GETARG_POINTER(0))->value());
  });
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_latest_add, latest_add(fcinfo))
COWRIE_FUNCTION(cowrie_latest_result, latest_result(fcinfo))
}
