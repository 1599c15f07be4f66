// Notes: the keys of sessions that an online migration has still to look at, one a row.
#include "pg/database/notes.hpp"

#include "core/base/failure.hpp"
#include "core/sql/online.hpp"
#include "pg/boundary/spi.hpp"
#include "pg/catalog/typed_columns.hpp"
#include "pg/database/database.hpp"
#include "pg/reading/fill_run.hpp"

namespace cowrie::pg {
namespace {

// A note that is gone already, or that this statement does not see, is nothing to be done about.
// The table has no key, so the record of a deletion says nothing about the row.
void remove_note_unsafe(Relation notes, ItemPointer place, TupleTableSlot *slot) {
  Snapshot snapshot = GetActiveSnapshot();
  if (!table_tuple_fetch_row_version(notes, place, snapshot, slot))
    return;
  compat::delete_row_unsafe(notes, place, snapshot);
}

/** Finds the table of notes and locks it as a writer does, to the end of the transaction. */
Oid lock_notes(const ResolvedTarget &target) {
  const Oid notes = call([&]() -> Oid {
    Relation table = open_notes_unsafe(target.schema, target.owner);
    if (!table)
      return InvalidOid;
    const Oid found = RelationGetRelid(table);
    table_close(table, NoLock);
    return found;
  });
  if (!OidIsValid(notes))
    throw Failure(sqlstate::prerequisite_state,
                  "changes have been missed while sessions were migrated",
                  "The table that records them has been dropped or replaced by another session.",
                  "Do not modify it. Run " + target.names.online_call() +
                      " it starts again from the first session and keeps the values that are "
                      "already filled.");
  return notes;
}

} // namespace

Relation open_notes_unsafe(Oid schema, Oid owner) {
  return open_work_table_unsafe(online::changes_table, schema, owner, {types::text});
}

void insert_note_unsafe(Relation notes, Datum session_id) {
  TupleTableSlot *slot =
      MakeSingleTupleTableSlot(RelationGetDescr(notes), table_slot_callbacks(notes));
  slot->tts_values[0] = session_id;
  slot->tts_isnull[0] = false;
  ExecStoreVirtualTuple(slot);
  table_tuple_insert(notes, slot, GetCurrentCommandId(true), TABLE_INSERT_NO_LOGICAL, nullptr);
  ExecDropSingleTupleTableSlot(slot);
}

std::int64_t ServerDatabase::note_sessions(const std::string &query) {
  lock_sessions_to_fill();
  const Oid notes = lock_notes(target_);
  FillRun run(target_, progress_, /* stage: */ false, expected_sessions(), std::nullopt);
  const std::vector<Row> sessions = spi_query(query, {}, false);
  run.finish();
  std::vector<const char *> keys;
  for (const Row &row : sessions)
    if (row[0])
      keys.push_back(row[0]->c_str());
  const char *const *first = keys.data();
  const std::size_t count = keys.size();
  call([&] {
    Relation table = table_open(notes, NoLock);
    for (std::size_t i = 0; i < count; ++i) {
      CHECK_FOR_INTERRUPTS();
      insert_note_unsafe(table, CStringGetTextDatum(first[i]));
    }
    table_close(table, NoLock);
  });
  return static_cast<std::int64_t>(count);
}

void ServerDatabase::remove_notes(const std::string &query,
                                  const std::vector<Parameter> &parameters) {
  const Oid notes = lock_notes(target_);
  const std::vector<Row> rows = spi_query(query, parameters, false);
  std::vector<const char *> places;
  places.reserve(rows.size());
  for (const Row &row : rows)
    places.push_back(row[0]->c_str());
  const char *const *first = places.data();
  const std::size_t count = places.size();
  call([&] {
    Relation table = table_open(notes, NoLock);
    TupleTableSlot *slot = table_slot_create(table, nullptr);
    PushActiveSnapshot(GetLatestSnapshot());
    for (std::size_t i = 0; i < count; ++i) {
      CHECK_FOR_INTERRUPTS();
      remove_note_unsafe(table,
                         reinterpret_cast<ItemPointer>(DatumGetPointer(
                             DirectFunctionCall1(tidin, CStringGetDatum(first[i])))),
                         slot);
    }
    PopActiveSnapshot();
    ExecDropSingleTupleTableSlot(slot);
    table_close(table, NoLock);
  });
}

} // namespace cowrie::pg
