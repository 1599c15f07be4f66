// Event lookup: the earliest raw event of a session.
#include "pg/reading/event_lookup.hpp"

#include "core/sql/derivation.hpp"
#include "pg/boundary/fault.hpp"

namespace cowrie::pg {
namespace {

bool earliest_unsafe(SPIPlanPtr plan, Datum session_id, DocumentText &payload) {
  MemoryContext outer = CurrentMemoryContext;
  SPI_connect();
  Datum values[1] = {session_id};
  const int code = SPI_execute_plan(plan, values, nullptr, true, 1);
  if (code != SPI_OK_SELECT)
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("SPI could not look up raw events: %s", SPI_result_code_string(code))));
  bool found = false;
  if (SPI_processed > 0) {
    bool is_null = false;
    const Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
    if (!is_null) {
      // The text must outlive this SPI session.
      MemoryContext inner = MemoryContextSwitchTo(outer);
      payload = document_copy_unsafe(value, SPI_gettypeid(SPI_tuptable->tupdesc, 1));
      MemoryContextSwitchTo(inner);
      found = true;
    }
  }
  SPI_finish();
  return found;
}

} // namespace

// OFFSET 0 keeps the planner from walking an index on event_timestamp until it meets the session.
// Two children of raw_events may have a row of the same id and time: then the table decides, in
// every statement alike.
EventLookup::EventLookup(const Target &names, bool by_table) {
  const std::string events = qualified(names.schema, "raw_events");
  const std::string sql =
      !by_table
          ? "SELECT payload FROM (SELECT payload, event_timestamp, id, tableoid AS place FROM " +
                events +
                " WHERE session_id = $1 OFFSET 0) AS events ORDER BY event_timestamp, id, place"
                " LIMIT 1"
          : "SELECT payload FROM (SELECT r.payload, r.event_timestamp, r.tableoid AS place FROM " +
                qualified(names.schema, derivation::event_table) + " AS e JOIN " + events +
                " AS r USING (id) WHERE e.session_id = $1 AND r.session_id = $1 OFFSET 0) AS found"
                " ORDER BY event_timestamp, place LIMIT 1";
  fault::statement();
  call([&] {
    Oid types[1] = {VARCHAROID};
    plan_ = SPI_prepare(sql.c_str(), 1, types);
    if (!plan_)
      ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                      errmsg("SPI could not prepare the look-up of raw events: %s",
                             SPI_result_code_string(SPI_result))));
    SPI_keepplan(plan_);
  });
}

EventLookup::~EventLookup() {
  try {
    if (plan_)
      call([this] { SPI_freeplan(plan_); });
  } catch (...) {
    // The plan stays allocated until the session ends: nothing else depends on it.
  }
}

bool EventLookup::earliest(Datum session_id, DocumentText &payload) {
  fault::statement();
  return call([&] {
    return by_scan_ ? scan_.earliest_unsafe(session_id, payload)
                    : earliest_unsafe(plan_, session_id, payload);
  });
}

void EventLookup::begin_scan(Oid schema) {
  by_scan_ = call([&] { return scan_.open_unsafe(schema); });
}

void EventLookup::finish_scan() {
  by_scan_ = false;
  call([&] { scan_.close_unsafe(); });
}

} // namespace cowrie::pg
