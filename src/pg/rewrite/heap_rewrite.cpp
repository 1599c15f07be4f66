// Heap rewrite: a table gets a new heap and keeps its TOAST.
#include "pg/rewrite/heap_rewrite.hpp"

namespace cowrie::pg {

namespace {

/** Tells whether two values are the same, however they are stored. */
bool is_same_unsafe(Datum one, Datum other, const FormData_pg_attribute &column) {
  if (datumIsEqual(one, other, column.attbyval, column.attlen))
    return true;
  if (column.attlen != -1)
    return false;
  const varlena *first = PG_DETOAST_DATUM_PACKED(one), *second = PG_DETOAST_DATUM_PACKED(other);
  return VARSIZE_ANY_EXHDR(first) == VARSIZE_ANY_EXHDR(second) &&
         std::memcmp(VARDATA_ANY(first), VARDATA_ANY(second), VARSIZE_ANY_EXHDR(first)) == 0;
}

/** What the plan has looked at already. */
const char *forbids_unsafe(Relation table) {
  if (IsInParallelMode())
    return "Parallel workers are active in this transaction.";
  if (table->rd_rel->relkind != RELKIND_RELATION ||
      table->rd_tableam != GetHeapamTableAmRoutine() || RelationIsMapped(table))
    return "It is not a heap table.";
  if (!RelationIsPermanent(table))
    return "It is unlogged or temporary.";
  if (IsCatalogRelation(table) || RelationIsUsedAsCatalogTable(table))
    return "It is a system catalog.";
  return nullptr;
}

} // namespace

void HeapRewrite::refuse_unsuitable_unsafe() {
  if (const char *reason = forbids_unsafe(table_))
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("the heap of \"%s\" cannot be rewritten without its TOAST table",
                    RelationGetRelationName(table_)),
             errdetail("%s", reason),
             errhint("Run SET cowrie_migrate.rewrite = 'alter_table'; and repeat the call.")));
  CheckTableNotInUse(table_, "ALTER TABLE");
}

void HeapRewrite::open_unsafe(Oid table) {
  table_ = table_open(table, AccessExclusiveLock);
  refuse_unsuitable_unsafe();
  // Rows move: what serializable transactions have noted of their places becomes a note of the
  // table.
  TransferPredicateLocksToHeapRelation(table_);

  xid_ = GetCurrentTransactionId();
  command_ = GetCurrentCommandId(true);
  snapshot_ = RegisterSnapshot(GetLatestSnapshot());
  oldest_ = GetOldestNonRemovableTransactionId(table_);

  file_ = compat::file_of(table_);
  compat::number_in(file_) =
      compat::new_file_number_unsafe(table_->rd_rel->reltablespace, table_->rd_rel->relpersistence);
  // Removed when the (sub)transaction aborts; with wal_level minimal it is synced at the commit.
  (void)RelationCreateStorage(file_, table_->rd_rel->relpersistence, true);
}

void HeapRewrite::begin_unsafe() {
  memory_ = AllocSetContextCreate(CurTransactionContext, "cowrie_migrate rewrite",
                                  ALLOCSET_DEFAULT_SIZES);
  row_memory_ =
      AllocSetContextCreate(memory_, "cowrie_migrate rewritten row", ALLOCSET_DEFAULT_SIZES);
  const int columns = RelationGetDescr(table_)->natts;
  for (Datum **each : {&values_, &old_values_, &new_values_})
    *each = static_cast<Datum *>(MemoryContextAlloc(memory_, sizeof(Datum) * columns));
  for (bool **each : {&nulls_, &old_nulls_, &new_nulls_})
    *each = static_cast<bool *>(MemoryContextAlloc(memory_, sizeof(bool) * columns));

  PushActiveSnapshot(snapshot_); // what is asked for a row sees what this transaction has written
  writer_.begin_unsafe(table_, file_, memory_);
  MemoryContext callers = MemoryContextSwitchTo(memory_);
  scan_ = table_beginscan_strat(table_, snapshot_, 0, nullptr, /* allow_strat: */ true,
                                /* allow_sync: */ false);
  MemoryContextSwitchTo(callers);
}

bool HeapRewrite::next_unsafe() {
  CHECK_FOR_INTERRUPTS();
  MemoryContextReset(row_memory_);
  // What a scan allocates on the way it keeps to its end.
  MemoryContext callers = MemoryContextSwitchTo(memory_);
  old_ = heap_getnext(scan_, ForwardScanDirection);
  MemoryContextSwitchTo(callers);
  if (!old_)
    return false;
  // Columns that the row does not have yet get the values that the catalog keeps for them; dropped
  // ones stay as they are, so that what they have in TOAST goes when their row does.
  TupleDesc shape = RelationGetDescr(table_);
  heap_deform_tuple(old_, shape, values_, nulls_);
  std::memcpy(old_values_, values_, sizeof(Datum) * shape->natts);
  std::memcpy(old_nulls_, nulls_, sizeof(bool) * shape->natts);
  return true;
}

void HeapRewrite::put_unsafe() {
  HeapTuple row = heap_form_tuple(RelationGetDescr(table_), values_, nulls_);
  if (HeapTupleHasExternal(row))
    refuse_foreign_chunks_unsafe();
  if (row->t_len > TOAST_TUPLE_THRESHOLD)
    row = with_short_values_unsafe(row);
  refuse_changed_unsafe(row);

  const HeapTupleHeader header = row->t_data;
  header->t_infomask &= ~HEAP_XACT_MASK;
  header->t_infomask2 &= ~HEAP2_XACT_MASK;
  header->t_infomask |= HEAP_XMAX_INVALID;
  HeapTupleHeaderSetXmax(header, InvalidTransactionId);
  const bool frozen = seen_by_everybody_unsafe(old_->t_data);
  if (frozen) {
    HeapTupleHeaderSetXmin(header, HeapTupleHeaderGetRawXmin(old_->t_data));
    HeapTupleHeaderSetXminFrozen(header);
    HeapTupleHeaderSetCmin(header, FirstCommandId);
  } else { // as ALTER TABLE has it: written by this command
    HeapTupleHeaderSetXmin(header, xid_);
    HeapTupleHeaderSetCmin(header, command_);
  }
  stored_.add(row);
  writer_.add_unsafe(row, frozen);
}

// The snapshot shows the row: its transaction has committed.
bool HeapRewrite::seen_by_everybody_unsafe(HeapTupleHeader old) const {
  const TransactionId xmin = HeapTupleHeaderGetRawXmin(old);
  return HeapTupleHeaderXminFrozen(old) || !TransactionIdIsNormal(xmin) ||
         TransactionIdPrecedes(xmin, oldest_);
}

/** Refuses a pointer into TOAST that is not the table's own: it would be copied, what it points to
 *  would not. */
void HeapRewrite::refuse_foreign_chunks_unsafe() {
  TupleDesc shape = RelationGetDescr(table_);
  for (int i = 0; i < shape->natts; ++i) {
    if (nulls_[i] || TupleDescAttr(shape, i)->attlen != -1 ||
        !VARATT_IS_EXTERNAL(DatumGetPointer(values_[i])))
      continue;
    varatt_external pointer = {};
    if (VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(values_[i])))
      VARATT_EXTERNAL_GET_POINTER(pointer, DatumGetPointer(values_[i]));
    if (pointer.va_toastrelid != table_->rd_rel->reltoastrelid)
      ereport(ERROR,
              (errcode(ERRCODE_DATA_CORRUPTED),
               errmsg("a row of \"%s\" has a value in the TOAST table of another table",
                      RelationGetRelationName(table_)),
               errdetail("Row (%u,%u), column %d: its value refers to relation %u, but the TOAST "
                         "table is relation %u.",
                         ItemPointerGetBlockNumber(&old_->t_self),
                         ItemPointerGetOffsetNumber(&old_->t_self), i + 1, pointer.va_toastrelid,
                         table_->rd_rel->reltoastrelid),
               errhint("Check the table with pg_amcheck; then run SET cowrie_migrate.rewrite ="
                       " 'alter_table'; which copies every value, and repeat the call.")));
  }
}

/** Refuses a new row that has not every value of the old one: what is proved later begins with the
 *  new rows. */
void HeapRewrite::refuse_changed_unsafe(HeapTuple row) {
  TupleDesc shape = RelationGetDescr(table_);
  heap_deform_tuple(row, shape, new_values_, new_nulls_);
  for (int i = 0; i < shape->natts; ++i) {
    if (old_nulls_[i] || (!new_nulls_[i] &&
                          is_same_unsafe(old_values_[i], new_values_[i], *TupleDescAttr(shape, i))))
      continue;
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("a row of \"%s\" has changed while it was copied",
                           RelationGetRelationName(table_)),
                    errdetail("Row (%u,%u), column %d.", ItemPointerGetBlockNumber(&old_->t_self),
                              ItemPointerGetOffsetNumber(&old_->t_self), i + 1),
                    errhint("Check the table with pg_amcheck; then run SET cowrie_migrate.rewrite"
                            " = 'alter_table'; and repeat the call.")));
  }
}

// The old row goes along, as in UPDATE: what both have outside of the row stays where it is.
HeapTuple HeapRewrite::with_short_values_unsafe(HeapTuple row) {
  return heap_toast_insert_or_update(table_, row, old_,
                                     HEAP_INSERT_SKIP_FSM | HEAP_INSERT_NO_LOGICAL);
}

void HeapRewrite::end_unsafe() {
  table_endscan(scan_);
  PopActiveSnapshot();
  UnregisterSnapshot(snapshot_);
  written_ = writer_.finish_unsafe();
  MemoryContextDelete(memory_);
}

void HeapRewrite::finish_unsafe() {
  writer_.sync_unsafe();
  replace_file_unsafe();
  RelationClearMissing(table_); // every row has all columns now
  CommandCounterIncrement();
  InvokeObjectPostAlterHook(RelationRelationId, RelationGetRelid(table_), 0);
  table_close(table_, NoLock);
}

// Nobody else changes the row of pg_class in place while we hold ACCESS EXCLUSIVE. What carries
// transaction numbers in the new file has our own or is frozen.
void HeapRewrite::replace_file_unsafe() {
  const Oid table = RelationGetRelid(table_);
  Relation catalog = table_open(RelationRelationId, RowExclusiveLock);
  HeapTuple tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(table));
  if (!HeapTupleIsValid(tuple))
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("the new heap of \"%s\" could not be swapped in",
                           RelationGetRelationName(table_)),
                    errdetail("pg_class has no row for relation %u.", table),
                    errhint("Check pg_class with pg_amcheck.")));
  auto *entry = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
  RelationDropStorage(table_); // when the transaction has committed
  entry->relfilenode = compat::number_in(file_);
  entry->relpages = static_cast<int32>(written_.pages);
  entry->reltuples = static_cast<float4>(written_.rows);
  compat::set_visible_pages(entry, written_.frozen_pages);
  if (TransactionIdPrecedes(entry->relfrozenxid, RecentXmin))
    entry->relfrozenxid = RecentXmin;
  const MultiXactId next_multi = ReadNextMultiXactId();
  if (MultiXactIdPrecedes(entry->relminmxid, next_multi))
    entry->relminmxid = next_multi;
  CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
  heap_freetuple(tuple);
  table_close(catalog, RowExclusiveLock);
  CommandCounterIncrement();
  compat::assume_new_file_unsafe(table_);
}

} // namespace cowrie::pg
