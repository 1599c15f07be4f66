// Ports: the only way out of core. The server implements them in pg/; the unit tests fake them.
//
// Error regime: every port throws Failure (or what derives from it); nothing is swallowed.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/text.hpp"
#include "core/document/enrichment.hpp"
#include "core/ports/target.hpp"
#include "core/schema/existing_objects.hpp"

namespace cowrie {

using Parameter = std::variant<std::nullptr_t, std::int64_t, std::string>;
using Row = std::vector<std::optional<std::string>>; ///< values in the server's text form

using RejectCounts = std::array<std::int64_t, reject_reason_count>;

/** The count of sessions and two order-independent 128-bit sums over them, as one text each. */
struct Fingerprint {
  std::int64_t sessions = 0;
  std::string documents; ///< over (session_id, text of enrichment)
  std::string times;     ///< over (session_id, event times as UTC microseconds)
};

/** Reads a fingerprint out of three columns of a row. */
inline Fingerprint fingerprint_in(const Row &row, std::size_t column) {
  return {to_number(row[column]), row[column + 1].value_or(""), row[column + 2].value_or("")};
}

/** What filling the session columns found out on the way. */
struct FillResult {
  std::int64_t rows = 0; ///< rows that an UPDATE has changed
  RejectCounts rejects{};
  std::int64_t null_escapes = 0; ///< documents that hold \u0000, which nothing is rejected for
  Fingerprint before;            ///< of the rows as they were read
  Fingerprint settled;           ///< of those among them that were created up to the run's start
  Fingerprint heap;              ///< as Database::stored_rows(), where the heap alone was rewritten
  Fingerprint
      stored; ///< as `before`, over the documents as a rewrite leaves them: compressed, if long
};

/** How many sessions lack something which their document tells, of how many. */
struct FillCount {
  std::int64_t sessions = 0;
  std::int64_t of = 0;
};

/** A table of the target schema, and the mode in which it is to be locked. */
struct TableLock {
  std::string table;
  std::string mode; ///< as LOCK TABLE writes it: ACCESS EXCLUSIVE
};

/** A directory that a migration writes into, and the file system it is on. */
struct Disk {
  enum class Use : std::uint8_t { sessions, new_tables, temporary, wal };
  Use use = Use::sessions;
  std::string place;        ///< `tablespace "pg_default"`, `pg_wal`
  std::uint64_t device = 0; ///< the same for places on the same file system
  std::int64_t free = 0;    ///< bytes that the server may still write
  double share = 1;         ///< of what has that use, as much is written there
};

/** An object that is not declared and depends on what is declared. */
struct Dependent {
  std::string description; ///< in the server's words: `index app.my_index`
  std::string drop;        ///< the statement that drops it; empty: there is no single one
};

/** SQL in the target database, as the owner of the tables, with a pinned search_path. */
class Database {
public:
  virtual ~Database() = default;

  virtual std::vector<Row> query(const std::string &sql,
                                 const std::vector<Parameter> &parameters = {}) = 0;
  /** The one number that a query returns. */
  std::int64_t number(const std::string &sql, const std::vector<Parameter> &parameters = {}) {
    return to_number(query(sql, parameters).front().front());
  }
  /** Executes; returns the number of rows processed. */
  virtual std::int64_t execute(const std::string &sql,
                               const std::vector<Parameter> &parameters = {}) = 0;
  /** Executes an INSERT … SELECT; returns the number of rows. Where the table was just made, the
   *  rows may be selected by parallel workers, which the server itself does not do. */
  virtual std::int64_t insert(const std::string &sql) = 0;
  /** Runs the body in a subtransaction: released when it returns, rolled back when it throws. */
  virtual void in_subtransaction(const std::function<void()> &body) = 0;
  /** Runs the body in a subtransaction that is rolled back in any case: it keeps no lock. */
  virtual void in_passing(const std::function<void()> &body) = 0;

  /** Reads the tables that the schema names out of the catalog. */
  virtual Schema observe(const Schema &declared) = 0;
  /** Returns the declaration with the server's form of each expression it can be asked for. */
  virtual Schema bind(const Schema &declared, const Schema &observed) = 0;

  /** Executes a statement whose expressions fill the session columns; stages the sessions. Those
   *  created up to `start` are settled; nothing: up to the beginning of the calling statement. */
  virtual FillResult fill(const std::string &sql, bool stage,
                          std::optional<std::int64_t> start = std::nullopt) = 0;
  /** Stages sessions that a query reads, and writes none. */
  virtual void stage(const std::string &query) = 0;
  /** The same as fill() for an ALTER TABLE that rewrites them: staged, and with their documents
   * read ahead by a parallel worker. */
  virtual FillResult rewrite(const std::string &sql) = 0;
  /** The same by a copy of the heap alone: what is in TOAST stays where it is. For a table of which
   *  alter_table_reason() and unfit_column() say nothing. */
  virtual FillResult rewrite_heap() = 0;
  /** Counts and sums the sessions as their heap stores them: every column, byte by byte, with the
   *  pointers into TOAST. No times. */
  virtual Fingerprint stored_rows() = 0;
  /** Counts the sessions that lack something which their document tells; the columns are those that
   *  are declared. `snapshots_are_final`: what a snapshot that was taken has no value for was not
   *  known at the time, and is not missing. */
  virtual FillCount count_unfilled(bool snapshots_are_final) = 0;

  /** Notes the sessions whose keys a query selects, for an online migration to look at; returns how
   *  many. Notes are written and removed below SQL: no publication sends them to subscribers, who
   *  have no such table, and none demands a replica identity of it. */
  virtual std::int64_t note_sessions(const std::string &query) = 0;
  /** Removes the notes whose places (ctid) a query selects. */
  virtual void remove_notes(const std::string &query,
                            const std::vector<Parameter> &parameters = {}) = 0;

  /** Takes the one-run-per-database lock, to the end of the transaction; throws who holds it. */
  virtual void lock_run() = 0;
  /** Throws who holds it, where another session does; takes nothing. */
  virtual void refuse_other_run() = 0;
  /** Locks tables in this order, and never waits long for one while it holds another, so that no
   *  writer's order of locks can end in a deadlock; throws who is in the way. */
  virtual void lock_tables(const std::vector<TableLock> &wanted) = 0;
  /** Finds the tables again and asks every refusal again: for who has just been granted a lock. */
  virtual void inspect_again() = 0;
  /** Describes what forbids these columns of a table to change their type or to go: views, rules,
   *  policies, triggers, publications, functions, generated columns that are not declared. */
  virtual std::vector<std::string> users_of_columns(const std::string &table,
                                                    const std::vector<std::string> &columns) = 0;
  /** Locks tables that are locked already in stronger modes. Waits in short attempts only: a reader
   *  that waits for our weaker lock would otherwise be caught in a deadlock. */
  virtual void upgrade_locks(const std::vector<TableLock> &wanted) = 0;
  /** Lists what depends on these objects and is not among them, as pg_depend knows it. */
  virtual std::vector<Dependent> dependents(const std::vector<ExistingObject> &objects) = 0;
  /** Gives a new table the grants of session_summaries. */
  virtual void copy_grants(const std::string &table) = 0;

  /** The directories that a migration writes into; those that cannot be asked are left out. */
  virtual std::vector<Disk> disks() = 0;

  virtual const Target &target() const = 0;
  virtual std::int64_t clock_us() const = 0;
};

/** One row of cowrie_step: what a step did, or would do. */
struct StepResult {
  int phase = 0;
  std::string step;
  std::string status; ///< planned | done | skipped | failed | rolled_back
  std::optional<std::int64_t> rows;
  std::int64_t elapsed_us = 0;
  std::string detail;
  bool notable = false; ///< a NOTICE of its own says it, however fast it was
};

/** A run as the ledger has it on record. */
struct RecordedRun {
  std::string id;
  bool cleanup = false;               ///< it took back what was derived from the sessions
  bool done = false;                  ///< it came to its end
  std::string started;                ///< when, in the server's text form
  std::int64_t settled_us = 0;        ///< the moment up to which `settled` counts, as clock_us()
  std::optional<Fingerprint> settled; ///< of the sessions created up to then, if it was recorded
};

/** The ledger: what happened, kept with the data. It belongs to another role than the sessions do,
 *  so no statement of the target database may read it: this port acts as its owner. */
class Ledger {
public:
  virtual ~Ledger() = default;
  /** The runs of the schema, the oldest first. */
  virtual std::vector<RecordedRun> runs() = 0;
  /** Tells whether it has a migration of the schema on record. */
  virtual bool knows_of_migration() = 0;
  /** `fills`: it writes columns of the sessions, so that how many had them before is recorded. */
  virtual std::int64_t begin_run(std::string_view mode, std::string_view detail, bool fills) = 0;
  /** Records a step, or a whole phase when the step's name is empty. */
  virtual void record(std::int64_t run, const StepResult &step, std::string_view sqlstate = {},
                      std::string_view message = {}) = 0;
  virtual void record_proof(std::int64_t run, const FillResult &proof) = 0;
  virtual void finish_run(std::int64_t run, const StepResult &outcome,
                          std::string_view sqlstate = {}, std::string_view message = {}) = 0;
};

/** A step of a run, and how much of the run it is; only the ratio of efforts counts. */
struct Portion {
  int phase = 0;
  std::string step;
  double effort = 0;
  double counted = 0; ///< of it: what passes while the step counts rows
};

/** What other sessions and the caller see while it runs; not transactional. */
class Monitor {
public:
  virtual ~Monitor() = default;
  virtual void started(std::string_view mode, std::int64_t rows_total) = 0;
  /** What it is going to do, in this order. */
  virtual void planned(std::vector<Portion> portions) = 0;
  virtual void at(int phase, std::string_view step) = 0;
  virtual void finished() = 0;
  virtual void failed(std::string_view sqlstate) = 0;
  /** It ends before its end because it was asked to. */
  virtual void stopped() = 0;
  virtual void notice(const std::string &message, const std::string &detail = {}) = 0;
  virtual void warning(const std::string &message, const std::string &detail,
                       const std::string &hint) = 0;
};

} // namespace cowrie
