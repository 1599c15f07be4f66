// Parallel insert: INSERT … SELECT into a new table, its rows selected by parallel workers.
//
// Error regime: functions named _unsafe may longjmp; insert_in_parallel() throws.
#include "pg/database/parallel_insert.hpp"

#include <algorithm>

#include "pg/boundary/fault.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {
namespace {

/** Rows that are written together, as COPY does: a page is locked and logged once for all of them.
 */
constexpr int most_rows = 1000;
constexpr Size most_bytes = 65536;

/** Where the rows of the query go. Plain data: the server knows only its first member. */
struct NewRows {
  DestReceiver receiver;
  Relation table;
  EState *state;
  ResultRelInfo *info;
  TupleTableSlot *waiting[most_rows]; ///< rows to be written; made when they are needed
  int used;
  Size bytes; ///< of the rows that wait
  int options;
  BulkInsertState bulk;
  CommandId command;
  int *places; ///< of the query's columns in the table, from 0
  int columns;
  std::int64_t count;
};

void write_waiting_unsafe(NewRows &rows) {
  const MemoryContext previous = MemoryContextSwitchTo(GetPerTupleMemoryContext(rows.state));
  table_multi_insert(rows.table, rows.waiting, rows.used, rows.command, rows.options, rows.bulk);
  MemoryContextSwitchTo(previous);
  ResetPerTupleExprContext(rows.state);
  while (rows.used > 0)
    (void)ExecClearTuple(rows.waiting[--rows.used]);
  rows.bytes = 0;
}

/** An empty slot for the next row. */
TupleTableSlot *next_slot_unsafe(NewRows &rows) {
  TupleTableSlot *&slot = rows.waiting[rows.used++];
  if (!slot) {
    const MemoryContext previous = MemoryContextSwitchTo(rows.state->es_query_cxt);
    slot = MakeSingleTupleTableSlot(RelationGetDescr(rows.table), table_slot_callbacks(rows.table));
    MemoryContextSwitchTo(previous);
  }
  return slot;
}

/** Writes one row, as the server's INSERT does for a table without indexes and triggers. */
extern "C" bool write_row_unsafe(TupleTableSlot *row, DestReceiver *self) {
  NewRows &rows = *reinterpret_cast<NewRows *>(self);
  TupleTableSlot *slot = next_slot_unsafe(rows);
  const TupleConstr *rules = RelationGetDescr(rows.table)->constr;
  slot_getallattrs(row);
  std::fill_n(slot->tts_isnull, slot->tts_tupleDescriptor->natts, true);
  for (int i = 0; i < rows.columns; ++i) {
    slot->tts_values[rows.places[i]] = row->tts_values[i];
    slot->tts_isnull[rows.places[i]] = row->tts_isnull[i];
  }
  ExecStoreVirtualTuple(slot);
  if (rules && rules->has_generated_stored)
    ExecComputeStoredGenerated(rows.info, rows.state, slot, CMD_INSERT);
  if (rules)
    ExecConstraints(rows.info, slot, rows.state);
  bool copied = false; // only where tables of this kind have no heap tuples
  const HeapTuple tuple = ExecFetchSlotHeapTuple(slot, true, &copied);
  rows.bytes += tuple->t_len;
  if (copied)
    heap_freetuple(tuple);
  ResetPerTupleExprContext(rows.state);
  ++rows.count;
  if (rows.used == most_rows || rows.bytes >= most_bytes)
    write_waiting_unsafe(rows);
  return true;
}

extern "C" void begin_rows(DestReceiver *, int, TupleDesc) {}
extern "C" void end_rows(DestReceiver *) {}

/** The statement as the server understands it; null: it is no plain INSERT … SELECT. */
Query *analyzed_unsafe(const char *sql) {
  List *statements = pg_parse_query(sql);
  if (list_length(statements) != 1)
    return nullptr;
  List *queries = pg_analyze_and_rewrite_fixedparams(linitial_node(RawStmt, statements), sql,
                                                     nullptr, 0, nullptr);
  if (list_length(queries) != 1)
    return nullptr;
  Query *query = linitial_node(Query, queries);
  const bool plain = query->commandType == CMD_INSERT && query->resultRelation == 1 &&
                     list_length(query->jointree->fromlist) == 1 && !query->onConflict &&
                     !query->returningList && !query->hasModifyingCTE && !query->withCheckOptions;
  return plain ? query : nullptr;
}

/** Tells whether a row is written by nothing but writing it. */
bool is_bare_unsafe(Relation table) {
  // A check may call what must not run in parallel mode.
  const TupleConstr *rules = RelationGetDescr(table)->constr;
  return table->rd_rel->relkind == RELKIND_RELATION && !table->rd_rel->relispartition &&
         !table->rd_rel->relhasindex && !table->rd_rules && !table->trigdesc &&
         !table->rd_rel->relrowsecurity && !(rules && rules->num_check > 0);
}

/** Makes the INSERT the SELECT that gives its rows. */
void become_select_unsafe(Query *query, NewRows &rows) {
  query->commandType = CMD_SELECT;
  query->resultRelation = 0;
  rows.places = static_cast<int *>(palloc(sizeof(int) * (list_length(query->targetList) + 1)));
  ListCell *cell;
  foreach (cell, query->targetList) {
    TargetEntry *entry = lfirst_node(TargetEntry, cell);
    rows.places[rows.columns++] = entry->resno - 1;
    entry->resno = static_cast<AttrNumber>(rows.columns);
  }
}

void run_unsafe(Query *query, const char *sql, NewRows &rows) {
  PlannedStmt *plan = compat::plan_parallel_unsafe(query, sql);
  // In parallel mode neither can be had any more.
  (void)GetCurrentTransactionId();
  rows.command = GetCurrentCommandId(true);

  rows.state = CreateExecutorState();
  rows.info = makeNode(ResultRelInfo);
  InitResultRelInfo(rows.info, rows.table, 0, nullptr, 0);
  // As by COPY FREEZE: whoever rolls this back removes the table with it, and nobody has seen it
  // yet.
  rows.options = rows.table->rd_createSubid == GetCurrentSubTransactionId()
                     ? TABLE_INSERT_FROZEN | TABLE_INSERT_SKIP_FSM
                     : 0;
  rows.bulk = GetBulkInsertState();
  QueryDesc *description = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot,
                                           &rows.receiver, nullptr, nullptr, 0);
  ExecutorStart(description, 0);
  compat::run_query_unsafe(description);
  if (rows.used > 0)
    write_waiting_unsafe(rows);
  ExecutorFinish(description);
  ExecutorEnd(description);
  FreeQueryDesc(description);
  FreeBulkInsertState(rows.bulk);
  table_finish_bulk_insert(rows.table, rows.options);
  for (TupleTableSlot *slot : rows.waiting)
    if (slot)
      ExecDropSingleTupleTableSlot(slot);
  FreeExecutorState(rows.state);
}

} // namespace

std::optional<std::int64_t> insert_in_parallel(const std::string &sql) {
  fault::statement();
  const std::int64_t count = call([&]() -> std::int64_t {
    CHECK_FOR_INTERRUPTS();
    MemoryContext context = AllocSetContextCreate(
        CurrentMemoryContext, "cowrie_migrate parallel insert", ALLOCSET_DEFAULT_SIZES);
    MemoryContext previous = MemoryContextSwitchTo(context);
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
    Query *query = analyzed_unsafe(sql.c_str());
    NewRows rows{};
    rows.receiver.receiveSlot = write_row_unsafe;
    rows.receiver.rStartup = begin_rows;
    rows.receiver.rShutdown = end_rows;
    rows.receiver.rDestroy = end_rows;
    rows.receiver.mydest = DestNone;
    std::int64_t written = -1;
    if (query) {
      const RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);
      rows.table = table_open(target->relid, NoLock); // the analysis has locked it
      if (is_bare_unsafe(rows.table)) {
        become_select_unsafe(query, rows);
        run_unsafe(query, sql.c_str(), rows);
        written = rows.count;
      }
      table_close(rows.table, NoLock);
    }
    PopActiveSnapshot();
    CommandCounterIncrement();
    MemoryContextSwitchTo(previous);
    MemoryContextDelete(context);
    return written;
  });
  return count < 0 ? std::nullopt : std::optional<std::int64_t>(count);
}

} // namespace cowrie::pg
