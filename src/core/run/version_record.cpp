// Version record: which version the schema has.
#include "core/run/version_record.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/inspect/replication.hpp"
#include "core/schema/versions.hpp"

namespace cowrie {
namespace {

std::string state_table(const Database &database) {
  return qualified(database.target().schema, "schema_state");
}

/** A trigger or rule on schema_state may swallow a change; a version must not be thought recorded.
 */
void must_change_one_row(const Database &database, std::int64_t rows) {
  if (rows != 1)
    throw Failure(sqlstate::prerequisite_state, "could not record the schema version",
                  std::to_string(rows) + " rows of " + state_table(database) +
                      " were changed instead of 1.",
                  "Check for triggers and rules with \\d " + state_table(database) +
                      " and drop or disable them.");
}

// A subscriber has a version of its own, and a row of ours that it has already stops it. While a
// table is unlogged nothing of it is sent, and when it becomes logged again it is copied, which is
// not sent either. Both belong to the transaction: no crash finds the table unlogged.
template <typename Write> void unpublished(Database &database, Write write) {
  const bool published = state_is_published(database);
  if (published)
    database.execute("ALTER TABLE " + state_table(database) + " SET UNLOGGED");
  write();
  if (published)
    database.execute("ALTER TABLE " + state_table(database) + " SET LOGGED");
}

void write_subphase(Database &database, int phase) {
  if (phase == 0)
    database.execute("DELETE FROM " + state_table(database) + " WHERE key = 'schema_subphase'");
  else
    must_change_one_row(
        database, database.execute("INSERT INTO " + state_table(database) +
                                       " (key, value) VALUES ('schema_subphase', $1::text)"
                                       " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
                                   {subphase_text(phase)}));
}

} // namespace

void record_subphase(Database &database, int phase) {
  unpublished(database, [&] { write_subphase(database, phase); });
}

void record_phase(Database &database, int phase, int version) {
  const Schema &declared = database.target().declared();
  const int complete = declared.version_after(phase);
  record_subphase(database, phase);
  if (phase < declared.last_phase() && version < complete)
    record_version(database, complete);
}

void raise_version(Database &database, int version, std::size_t skipped_indexes, StepResult &row) {
  if (skipped_indexes > 0) {
    row.status = "skipped";
    row.notable = true;
    row.detail = "schema version stays " + std::to_string(version) + ": " +
                 std::to_string(skipped_indexes) + " indexes were skipped";
    return;
  }
  const int wanted = database.target().version;
  if (version < wanted)
    record_version(database, wanted);
  row.detail = "schema version " + std::to_string(std::max(version, wanted));
}

void record_version(Database &database, int version) {
  unpublished(database, [&] {
    must_change_one_row(database, database.execute("UPDATE " + state_table(database) +
                                                   " SET value = '" + std::to_string(version) +
                                                   "' WHERE key = 'schema_version'"));
  });
}

} // namespace cowrie
