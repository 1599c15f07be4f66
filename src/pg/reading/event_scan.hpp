// Event scan: the earliest raw event of a session by the index on session_id, without a query.
//
// A run may look up as many sessions as there are: starting an executor for each costs four times
// what the look-up itself does. Error regime: functions named _unsafe may longjmp. What is open is
// closed by close_unsafe(), or goes with the resource owner after an error.
#pragma once

#include "pg/catalog/typed_columns.hpp"
#include "pg/reading/document.hpp"

namespace cowrie::pg {

class EventScan {
public:
  /** Opens raw_events and a fitting index; false: that needs a query (no such index, partitions,
   * row security, columns of unusual types). */
  bool open_unsafe(Oid schema);
  void close_unsafe();

  /** Fetches the payload of the earliest event, by event_timestamp, then id; false: it has none. */
  bool earliest_unsafe(Datum session_id, DocumentText &payload);

private:
  bool find_columns_unsafe();
  bool find_index_unsafe();
  bool earlier_unsafe();

  MemoryContext memory_ = nullptr; ///< that of the scan, which may allocate at every step
  Relation events_ = nullptr;
  Relation index_ = nullptr;
  Snapshot snapshot_ = nullptr;
  IndexScanDesc scan_ = nullptr;
  TupleTableSlot *current_ = nullptr;
  TupleTableSlot *best_ = nullptr; ///< a copy
  AttrNumber session_id_ = 0, time_ = 0;
  TypedColumn id_, payload_;
};

} // namespace cowrie::pg
