// Event scan: the earliest raw event of a session by the index on session_id, without a query.
#include "pg/reading/event_scan.hpp"

namespace cowrie::pg {

bool EventScan::open_unsafe(Oid schema) {
  const Oid table = get_relname_relid("raw_events", schema);
  if (!OidIsValid(table) || check_enable_rls(table, InvalidOid, true) != RLS_NONE)
    return false;
  events_ = table_open(table, AccessShareLock);
  // The rows of children are rows of the table.
  if (events_->rd_rel->relkind != RELKIND_RELATION || has_subclass(table) ||
      !find_columns_unsafe() || !find_index_unsafe()) {
    table_close(events_, NoLock);
    events_ = nullptr;
    return false;
  }
  // Not the caller's snapshot: it may be older than the sessions that are looked up. A parallel
  // worker has been given the latest.
  snapshot_ = RegisterSnapshot(IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
  memory_ = CurrentMemoryContext;
  scan_ = compat::index_beginscan_unsafe(events_, index_, snapshot_, 1);
  current_ = table_slot_create(events_, nullptr);
  best_ = MakeSingleTupleTableSlot(RelationGetDescr(events_), &TTSOpsHeapTuple);
  return true;
}

void EventScan::close_unsafe() {
  if (!events_)
    return;
  index_endscan(scan_);
  UnregisterSnapshot(snapshot_);
  ExecDropSingleTupleTableSlot(current_);
  ExecDropSingleTupleTableSlot(best_);
  index_close(index_, NoLock);
  table_close(events_, NoLock);
  events_ = nullptr;
}

bool EventScan::find_columns_unsafe() {
  TupleDesc shape = RelationGetDescr(events_);
  session_id_ = typed_column(shape, "session_id", types::text).number;
  time_ = typed_column(shape, "event_timestamp", types::time).number;
  id_ = typed_column(shape, "id", types::integer);
  payload_ = typed_column(shape, "payload", types::document);
  return session_id_ && time_ && id_ && payload_;
}

bool EventScan::find_index_unsafe() {
  ListCell *cell;
  List *indexes = RelationGetIndexList(events_);
  foreach (cell, indexes) {
    Relation index = index_open(lfirst_oid(cell), AccessShareLock);
    // An index that is younger than some snapshots may lack what these see: queries know how to
    // tell.
    const bool fits = index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisvalid &&
                      !index->rd_index->indcheckxmin &&
                      index->rd_index->indkey.values[0] == session_id_ &&
                      index->rd_opfamily[0] == TEXT_BTREE_FAM_OID &&
                      get_collation_isdeterministic(index->rd_indcollation[0]) &&
                      heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
    if (fits) {
      index_ = index;
      return true;
    }
    index_close(index, AccessShareLock);
  }
  return false;
}

/** Tells whether the current event is earlier than the best one; no time at all is the latest. */
bool EventScan::earlier_unsafe() {
  const auto number_of = [&](TupleTableSlot *slot) -> std::int64_t {
    bool is_null = false;
    const Datum value = slot_getattr(slot, id_.number, &is_null);
    if (is_null)
      return PG_INT64_MAX;
    return id_.type == INT8OID ? DatumGetInt64(value) : DatumGetInt32(value);
  };
  bool no_time = false, no_best_time = false;
  const Timestamp time = DatumGetTimestamp(slot_getattr(current_, time_, &no_time));
  const Timestamp best_time = DatumGetTimestamp(slot_getattr(best_, time_, &no_best_time));
  if (no_time != no_best_time)
    return no_best_time;
  if (!no_time && time != best_time)
    return time < best_time;
  return number_of(current_) < number_of(best_);
}

// The scan keeps what it allocates on the way until its end: the list of dead entries, for
// instance, which is made when the first one is met. The caller's memory goes with the row that is
// filled.
bool EventScan::earliest_unsafe(Datum session_id, DocumentText &payload) {
  MemoryContext callers = MemoryContextSwitchTo(memory_);
  ScanKeyData key;
  ScanKeyEntryInitialize(&key, 0, 1, BTEqualStrategyNumber, InvalidOid, index_->rd_indcollation[0],
                         F_TEXTEQ, session_id);
  index_rescan(scan_, &key, 1, nullptr, 0);
  ExecClearTuple(best_);
  while (index_getnext_slot(scan_, ForwardScanDirection, current_)) {
    CHECK_FOR_INTERRUPTS();
    if (TTS_EMPTY(best_) || earlier_unsafe())
      ExecCopySlot(best_, current_);
  }
  ExecClearTuple(current_);
  MemoryContextSwitchTo(callers);
  if (TTS_EMPTY(best_))
    return false;
  bool is_null = false;
  const Datum value = slot_getattr(best_, payload_.number, &is_null);
  if (is_null)
    return false;
  payload = document_copy_unsafe(value, payload_.type);
  return true;
}

} // namespace cowrie::pg
