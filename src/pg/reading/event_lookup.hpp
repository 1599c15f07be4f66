// Event lookup: the earliest raw event of a session, for sessions whose document names no address.
//
// Error regime: throws PgError; needs an SPI session to be made in.
#pragma once

#include "core/ports/ports.hpp"
#include "pg/reading/document.hpp"
#include "pg/reading/event_scan.hpp"

namespace cowrie::pg {

class EventLookup : Live {
public:
  /** `by_table`: through the table of earliest events that the run has made, else by the index on
   *  raw_events.session_id. */
  EventLookup(const Target &names, bool by_table);
  ~EventLookup();
  EventLookup(const EventLookup &) = delete;
  EventLookup &operator=(const EventLookup &) = delete;

  /** Fetches the payload of the earliest event, by event_timestamp, then id; false: it has none. */
  bool earliest(Datum session_id, DocumentText &payload);

  /** From here on looks up by the index itself, where that can be done: for many sessions in one
   *  statement. It must be finished before that statement's transaction or subtransaction ends. */
  void begin_scan(Oid schema);
  void finish_scan();

private:
  SPIPlanPtr plan_ = nullptr;
  EventScan scan_;
  bool by_scan_ = false;
};

} // namespace cowrie::pg
