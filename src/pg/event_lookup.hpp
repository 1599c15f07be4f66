// Event lookup: the earliest raw event of a session, for sessions whose document names no address.
//
// Error regime: throws PgError; needs an SPI session to be made in.
#pragma once

#include "core/ports.hpp"
#include "pg/document.hpp"

namespace cowrie::pg {

class EventLookup : Live {
public:
  /** `by_table`: through the table of earliest events that the run has made, else by the index on
   *  raw_events.session_id. */
  EventLookup(const Target &target, bool by_table);
  ~EventLookup();
  EventLookup(const EventLookup &) = delete;
  EventLookup &operator=(const EventLookup &) = delete;

  /** Fetches the payload of the earliest event, by event_timestamp, then id; false: it has none. */
  bool earliest(Datum session_id, DocumentText &payload);

private:
  SPIPlanPtr plan_ = nullptr;
};

} // namespace cowrie::pg
