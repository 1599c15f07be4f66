// A database in memory: the three ports of core, without a server.
//
// It refuses every statement that it does not know, so that a test fails rather than passes on one
// that nobody has thought about. All of its state is one value, so that a rollback is an
// assignment.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/schema/ddl.hpp"
#include "core/sql/derivation.hpp"
#include "core/base/failure.hpp"
#include "core/inspect/replication.hpp"
#include "core/inspect/expressions.hpp"
#include "core/inspect/rewrite_way.hpp"
#include "core/run/losses.hpp"
#include "core/run/atomic_run.hpp"
#include "core/sql/online.hpp"
#include "core/plan/step.hpp"
#include "core/run/work_tables.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/v16.hpp"
#include "core/sql/dependents.hpp"
#include "core/inspect/capacity_facts.hpp"
#include "core/inspect/refusals.hpp"
#include "core/inspect/state_row.hpp"
#include "core/inspect/row_conflicts.hpp"
#include "core/inspect/validate.hpp"
#include "core/inspect/zero_loss.hpp"
#include "core/run/atomic_fill.hpp"
#include "core/run/cleanup.hpp"
#include "core/run/dry_run.hpp"
#include "core/run/shared_steps.hpp"
#include "core/sql/unexplained_rows.hpp"
#include "fake_catalog.hpp"
#include "fake_schema.hpp"
#include "samples.hpp"

namespace cowrie::test {

/** What a run wrote to the ledger. */
struct LedgerRow {
  std::string kind; ///< begin | step | proof | finish
  StepResult step;
  std::string sqlstate;
};

/** All that a rollback takes back. */
struct State {
  Schema schema;
  std::map<std::string, std::string> values; ///< schema_state
  std::vector<LedgerRow> ledger;

  /** Everything that a run may change, as text to compare. */
  std::string dump() const {
    std::vector<std::string> lines;
    for (const Table &table : schema.tables) {
      lines.push_back(table.name + " " + table.kind);
      for (const Column &each : table.columns)
        lines.push_back(table.name + "." + ddl::column_clause(each));
      for (const Constraint &each : table.constraints)
        lines.push_back(table.name + ": " + each.name + " " + ddl::definition(each) +
                        (each.validated ? "" : " NOT VALID"));
      for (const Index &each : table.indexes)
        lines.push_back(table.name + ": " + each.name + " " + ddl::definition(each) +
                        (each.valid ? "" : " INVALID"));
    }
    for (const auto &[key, value] : values)
      lines.push_back("schema_state " + key + " = " + value);
    std::sort(lines.begin(), lines.end()); // the order of creation is no property of a schema
    std::string result;
    for (const std::string &each : lines)
      result += each + "\n";
    return result;
  }
};

/** One statement as it arrived, and where the run said it was. */
struct Statement {
  std::string sql;
  bool changes;
  int depth; ///< subtransactions around it: 1 for the run, 2 for a phase
  int phase;
  std::string step;
};

class FakeDatabase : public Database, public Ledger, public Monitor {
public:
  /** A database after `last_phase`, with what a run records then. */
  explicit FakeDatabase(int last_phase = 0, Target where = test_target())
      : target_(std::move(where)) {
    state.schema = observed_after(last_phase);
    state.values["schema_version"] = std::to_string(newest_schema().version_after(last_phase));
    if (last_phase > 0)
      state.values["schema_subphase"] = subphase_text(last_phase);
    filled.before = filled.settled = scanned = {600, "documents", "times"};
    filled.stored = scanned_stored = {600, "kept", "times"};
  }

  State state;
  Fingerprint scanned; ///< what a scan of the sessions answers
  Fingerprint scanned_stored;
  std::string other_columns = "others"; ///< what a scan of their heap finds in them
  FillResult filled;                    ///< what the rewrite answers
  std::vector<Portion> parts;           ///< what the run has said that it is going to do
  std::int64_t new_rows = 0;
  std::int64_t lost_rows = 0; ///< rows that stand in the way of a repair
  bool filled_tables = true;  ///< the inventories that are there hold rows
  std::vector<Row> taken_names, triggers;
  std::vector<Row> row_type_users; ///< columns of other tables, and how they are dropped
  std::vector<Row> carried_over;   ///< what hangs on columns that are replaced
  std::vector<std::string> column_users;
  std::vector<Loss> losses;      ///< what the comparison with the sessions finds
  std::int64_t own_rows = 0;     ///< rows with what is not declared, or with values, per question
  bool on_record = true;         ///< the ledger knows of a migration
  bool online_trigger = false;   ///< an online migration was interrupted
  std::int64_t unfilled = 0;     ///< sessions without the snapshot that their document allows
  std::int64_t orphans = 0;      ///< rows without a parent, per foreign key
  std::vector<Dependent> others; ///< what depends on the declared objects
  std::vector<std::string> routines;        ///< whose body names them
  bool chosen_fit = true;                   ///< into the memory of a hash
  std::string work_table_persistence = "u"; ///< pg_class.relpersistence of the work tables
  std::function<void(const Statement &)> before_statement; ///< may throw, may change the state

  std::function<void(const StepResult &)> before_record; ///< likewise, for the ledger

  std::vector<Statement> statements;
  std::vector<std::string> locks, grants, notices, warnings, failures;
  int run_locks = 0;
  int statistics_target = 100;
  int samples = 1;                               ///< that ANALYZE takes of each table
  std::optional<std::string> columns_to_analyze; ///< nothing: all of them
  std::int64_t table_bytes = 8192;               ///< of each table, of a million rows
  std::vector<Disk> disk_list;                   ///< empty: their free space is not known
  bool wal_is_decoded = false;                   ///< wal_level is logical
  bool state_is_published = false; ///< by a publication of all tables or of the schema
  std::vector<Row> published_by_name, referring_keys, subscribed_tables; ///< what replication has
  bool inventories_have_rows = false;
  bool updates_are_sent = false;     ///< those of session_summaries, by a publication
  std::string alter_table_reason;    ///< what forbids to copy the heap alone; empty: nothing
  std::string other_run;             ///< who holds the run lock; empty: nobody
  std::vector<RecordedRun> recorded; ///< what the ledger knows of earlier runs

  void let_pass(std::int64_t microseconds) { clock_ += microseconds; }

  /** Raises at the n-th statement from here, counted from 1. */
  void fail_at(std::size_t n, const Failure &failure) {
    const std::size_t last = statements.size() + n;
    before_statement = [this, last, failure](const Statement &) {
      if (statements.size() == last)
        throw failure;
    };
  }

  void fail_at_step(const std::string &step, const Failure &failure) {
    before_statement = [step, failure](const Statement &each) {
      if (each.step == step && each.changes)
        throw failure;
    };
  }

  std::vector<std::string> changing_statements() const {
    std::vector<std::string> result;
    for (const Statement &each : statements)
      if (each.changes)
        result.push_back(each.sql);
    return result;
  }

  /** What a heap that holds these sessions sums up to. */
  Fingerprint as_stored(const Fingerprint &rows) const {
    return {rows.sessions, rows.documents + "; " + rows.times + "; " + other_columns, ""};
  }

  // Database
  std::vector<Row> query(const std::string &sql,
                         const std::vector<Parameter> &parameters = {}) override {
    note(sql, false);
    const std::string value_query =
        "SELECT value FROM " + name("schema_state") + " WHERE key = $1::text";
    if (sql == value_query) {
      const auto found = state.values.find(std::get<std::string>(parameters.at(0)));
      return found == state.values.end() ? std::vector<Row>{} : std::vector<Row>{{found->second}};
    }
    const Table &sessions = *state.schema.table("session_summaries");
    // Of all, or up to the start of a run.
    if (is_like(sql, derivation::fingerprint(target_, sessions, mark), marks))
      return {{std::to_string(scanned.sessions), scanned.documents, scanned.times,
               std::to_string(scanned.sessions), scanned.documents, scanned.times}};
    if (sql == derivation::stored_fingerprint(target_, sessions))
      return {{std::to_string(scanned_stored.sessions), scanned_stored.documents,
               scanned_stored.times}};
    for (const Table &each : target_.declared().tables) {
      if (sql == "SELECT count(*) FROM " + name(each.name))
        return {{"7"}};
      if (starts_with(sql, "SELECT count(*) FROM " + name(each.name) + " WHERE "))
        return {{std::to_string(own_rows)}};
    }
    if (sql == relation_size_query)
      return {{"8192"}};
    if (sql == naming_routines_query("$1::text")) {
      std::vector<Row> rows;
      for (const std::string &each : routines)
        rows.push_back({each});
      return rows;
    }
    if (sql == unique_sessions_query)
      return {{"t"}};
    for (const char *each : {derivation::staging_table, derivation::event_table,
                             derivation::chosen_table, online::delta_table})
      if (sql == work_table_query && std::get<std::string>(parameters.at(0)) == name(each))
        return state.schema.table(each) ? std::vector<Row>{{work_table_persistence}}
                                        : std::vector<Row>{};
    if (sql == derivation::chosen_fits(target_)) {
      require(state.schema.table(derivation::chosen_table), "42P01", sql);
      return {{chosen_fit ? "t" : "f"}};
    }
    if (sql == alter_table_reason_query(target_))
      return {Row{alter_table_reason}};
    if (sql == wal_is_decoded_query)
      return {{wal_is_decoded ? "t" : "f"}};
    if (sql == published_query)
      return {{state_is_published ? "t" : "f"}};
    if (sql == sends_updates_query)
      return {{updates_are_sent ? "t" : "f"}};
    if (sql == published_by_name_query)
      return published_by_name;
    if (sql == referring_keys_query)
      return referring_keys;
    if (sql == subscribed_tables_query)
      return subscribed_tables;
    if (starts_with(sql, "SELECT FROM ") && sql.find(" LIMIT 1") != std::string::npos)
      return inventories_have_rows ? std::vector<Row>{{}} : std::vector<Row>{};
    if (sql == table_sizes_query)
      return {{"600", "1000000"}};
    if (is_like(sql, taken_names_query(mark), marks))
      return taken_names;
    if (is_like(sql, taken_constraints_query(mark), marks))
      return {};
    if (sql == type_names_query || sql == invalid_unique_query || sql == state_columns_query ||
        sql == state_checks_query)
      return {};
    if (sql == room_for_columns_query)
      return {{"17", "0", "5"}};
    if (sql == enabled_triggers_query)
      return triggers;
    if (sql == index_expressions_query(target_) || sql == checks_query(target_))
      return {}; // none of the user's
    if (sql == row_type_users_query)
      return row_type_users;
    if (starts_with(sql, "WITH columns AS (\n  SELECT * FROM pg_attribute"))
      return carried_over;
    if (sql == sample_query)
      return {{std::to_string(statistics_target), std::to_string(table_bytes), "1000000",
               std::to_string(samples), columns_to_analyze}};
    if (sql == missing_columns_query)
      return missing_columns(std::get<std::string>(parameters.at(0)),
                             std::get<std::string>(parameters.at(1)));
    if (sql == set_sample_query) {
      statistics_target = std::stoi(std::get<std::string>(parameters.at(0)));
      return {{std::to_string(statistics_target)}};
    }
    for (const Table &each : target_.declared().tables) {
      if (sql == has_rows_query(target_, each.name))
        return {{filled_tables ? "t" : "f"}};
      for (const Constraint &key : each.constraints)
        if (key.kind == ConstraintKind::foreign_key && sql == orphans_query(target_, each, key))
          return {{std::to_string(orphans)}};
    }
    if (starts_with(sql, "SELECT count(*) FROM ")) // what a repair would lose, in many forms
      return {{std::to_string(lost_rows)}};
    if (sql == online::find_objects(target_))
      return {online_trigger
                  ? Row{"4711", "t", std::nullopt, std::nullopt, std::nullopt}
                  : Row{std::nullopt, std::nullopt, std::nullopt, std::nullopt, std::nullopt}};
    // last, for it takes long to write
    for (int phase = 0; phase < phase_count; ++phase)
      if (sql == unexplained_rows_after(phase))
        return losses_after(phase);
    throw std::logic_error("the fake has no answer to: " + sql);
  }

  std::int64_t execute(const std::string &sql,
                       const std::vector<Parameter> &parameters = {}) override {
    note(sql, true);
    if (write_value(sql, parameters))
      return 1;
    if (sql == "ALTER TABLE " + name("schema_state") + " SET UNLOGGED" ||
        sql == "ALTER TABLE " + name("schema_state") + " SET LOGGED")
      return 0;
    if (contains(sql, " DISABLE TRIGGER ") || contains(sql, " ENABLE TRIGGER "))
      return 0;
    if (sql == online::drop_trigger(target_)) {
      require(online_trigger, "42704", sql);
      online_trigger = false;
      return 0;
    }
    FakeCatalog catalog(state.schema, target_);
    if (catalog.helper_table(sql))
      return 0;
    for (const Table &each : forms_of(target_.declared()).tables)
      if (const auto rows = catalog.change(each, sql))
        return *rows;
    throw std::logic_error("the fake does not know the statement: " + sql);
  }

  std::int64_t insert(const std::string &sql) override { return execute(sql); }

  std::int64_t note_sessions(const std::string &query) override {
    throw std::logic_error("only an online migration notes: " + query);
  }
  void remove_notes(const std::string &query, const std::vector<Parameter> &) override {
    throw std::logic_error("only an online migration has notes: " + query);
  }

  FillResult rewrite(const std::string &sql) override { return fill(sql, true, std::nullopt); }

  FillResult rewrite_heap() override {
    note("rewrite the heap", true);
    require(state.schema.table(derivation::staging_table), "42P01", "the heap");
    for (const Column &each : filled_sessions(target_.version).columns)
      require(state.schema.table("session_summaries")->column(each.name), "42703", each.name);
    FillResult result = filled;
    result.heap = as_stored(filled.before);
    return result;
  }

  Fingerprint stored_rows() override {
    note("read the heap", false);
    return as_stored(scanned);
  }

  FillCount count_unfilled(bool) override {
    note("count unfilled sessions", false);
    return {unfilled, filled.before.sessions};
  }

  void stage(const std::string &query) override { fill(query, true, std::nullopt); }

  FillResult fill(const std::string &sql, bool stage, std::optional<std::int64_t>) override {
    note(sql, true);
    const Table &declared = *declared_v16().table("session_summaries");
    for (const auto scope : {derivation::FillScope::untouched, derivation::FillScope::unfinished,
                             derivation::FillScope::any})
      if (sql ==
          derivation::fill_rows(target_, declared, *state.schema.table(declared.name), scope)) {
        FillResult result;
        result.rows = new_rows;
        return result;
      }
    Table &sessions = *state.schema.table("session_summaries");
    require(!stage || state.schema.table(derivation::staging_table), "42P01", sql);
    for (const Column &each : declared.columns) {
      require(sessions.column(each.name), "42703", each.name);
      if (!contains(sql, "ALTER COLUMN " + quote_identifier(each.name) + " TYPE "))
        throw std::logic_error("not filled: " + each.name);
    }
    for (const Constraint &each : declared.constraints)
      if (contains(sql, ", ADD " + ddl::constraint_clause(target_.schema, each)))
        sessions.constraints.push_back(each);
    return filled;
  }

  void in_subtransaction(const std::function<void()> &body) override {
    const State before = state;
    ++depth_;
    try {
      body();
    } catch (...) {
      --depth_;
      state = before;
      throw;
    }
    --depth_;
  }

  void in_passing(const std::function<void()> &body) override {
    const State before = state;
    ++depth_;
    try {
      body();
    } catch (...) {
      --depth_;
      throw;
    }
    --depth_;
    state = before;
  }

  Schema observe(const Schema &declared) override {
    Schema result;
    for (const Table &each : state.schema.tables)
      if (declared.table(each.name))
        result.tables.push_back(each);
    return result;
  }

  Schema bind(const Schema &declared, const Schema &) override { return with_forms(declared); }
  void lock_run() override { ++run_locks; }
  void refuse_other_run() override {
    if (!other_run.empty())
      throw Failure(sqlstate::lock_not_available, "another migration is running", other_run);
  }
  void lock_tables(const std::vector<TableLock> &wanted) override {
    for (const TableLock &each : wanted) {
      require(state.schema.table(each.table), "42P01", each.table);
      locks.push_back(each.table + " " + each.mode);
    }
  }
  void inspect_again() override { ++inspected_again; }
  int inspected_again = 0;
  void upgrade_locks(const std::vector<TableLock> &wanted) override { lock_tables(wanted); }
  std::vector<Dependent> dependents(const std::vector<ExistingObject> &objects) override {
    asked_about = objects;
    return others;
  }
  std::vector<std::string> users_of_columns(const std::string &,
                                            const std::vector<std::string> &) override {
    return column_users;
  }
  std::vector<ExistingObject> asked_about; ///< in the last question for dependents
  void copy_grants(const std::string &table) override { grants.push_back(table); }
  std::vector<Disk> disks() override { return disk_list; }
  const Target &target() const override { return target_; }
  std::int64_t clock_us() const override { return ++clock_; }

  // Ledger: rows are as transactional as everything else.
  std::vector<RecordedRun> runs() override { return recorded; }
  bool knows_of_migration() override { return on_record; }
  std::int64_t begin_run(std::string_view mode, std::string_view, bool) override {
    state.ledger.push_back({"begin", {0, std::string(mode), "", {}, 0, ""}, ""});
    return 1;
  }
  void record(std::int64_t, const StepResult &step, std::string_view sqlstate,
              std::string_view) override {
    if (before_record)
      before_record(step);
    state.ledger.push_back({"step", step, std::string(sqlstate)});
  }
  void record_proof(std::int64_t, const FillResult &) override {
    state.ledger.push_back({"proof", {}, ""});
  }
  void finish_run(std::int64_t, const StepResult &outcome, std::string_view sqlstate,
                  std::string_view) override {
    state.ledger.push_back({"finish", outcome, std::string(sqlstate)});
  }

  // Monitor: survives a rollback.
  void started(std::string_view, std::int64_t) override {}
  void planned(std::vector<Portion> portions) override { parts = std::move(portions); }
  void at(int phase, std::string_view step) override {
    phase_ = phase;
    step_ = step;
  }
  void finished() override { ++finishes; }
  void failed(std::string_view sqlstate) override { failures.emplace_back(sqlstate); }
  void stopped() override { failures.emplace_back("stopped"); }
  void notice(const std::string &message, const std::string &) override {
    notices.push_back(message);
  }
  void warning(const std::string &message, const std::string &, const std::string &) override {
    warnings.push_back(message);
  }
  int finishes = 0;

private:
  std::string name(const std::string &table) const { return qualified(target_.schema, table); }

  std::string unexplained_rows_after(int phase) {
    const Schema observed = observe(schema_v16());
    return unexplained_rows(target_, {declared_v16(), observed, phase},
                            *state.schema.table("session_summaries"));
  }

  /** Of the tables that a cleanup to the end of this phase would drop, or drop columns of. */
  std::vector<Row> losses_after(int phase) const {
    std::vector<Row> rows;
    for (const Loss &each : losses)
      if (const Table *table = state.schema.table(each.table);
          table && (phase == 0 || schema_v16().table(each.table)->phase > phase))
        rows.push_back({each.table, each.reason, std::to_string(each.rows)});
    return rows;
  }

  std::vector<Row> missing_columns(const std::string &table, const std::string &columns) const {
    for (const Table &each : state.schema.tables) {
      std::istringstream wanted(columns);
      for (std::string column; name(each.name) == table && std::getline(wanted, column, ',');)
        if (!each.column(column))
          return {{column}};
    }
    return {};
  }

  void note(const std::string &sql, bool changes) {
    statements.push_back({sql, changes, depth_, phase_, step_});
    if (before_statement)
      before_statement(statements.back());
  }

  bool write_value(const std::string &sql, const std::vector<Parameter> &parameters) {
    const std::string table = name("schema_state");
    if (starts_with(sql, "INSERT INTO " + table) && contains(sql, "'schema_subphase'"))
      state.values["schema_subphase"] = std::get<std::string>(parameters.at(0));
    else if (sql == "DELETE FROM " + table + " WHERE key = 'schema_subphase'")
      state.values.erase("schema_subphase");
    else
      return write_version("UPDATE " + table + " SET value = '", "' WHERE key = 'schema_version'",
                           sql);
    return true;
  }

  bool write_version(const std::string &before, const std::string &after, const std::string &sql) {
    for (int version = base_version; version <= newest_schema().version; ++version)
      if (sql == before + std::to_string(version) + after) {
        state.values.at("schema_version") = std::to_string(version);
        return true;
      }
    return false;
  }

  Target target_;
  int depth_ = 0;
  int phase_ = 0;
  std::string step_;
  mutable std::int64_t clock_ = 1'000'000'000'000'000; // some day in 2001
};

/** Runs as the server would: what raises takes the whole transaction with it. */
template <typename Body> Failure failure_of(FakeDatabase &database, Body body) {
  const State before = database.state;
  try {
    body();
  } catch (const Failure &failure) {
    database.state = before;
    return failure;
  }
  return Failure("00000", "it did not fail");
}

} // namespace cowrie::test
