// Online: the migration beside an application that goes on writing.
//
// In short: the columns and a trigger first, in one moment; then batches in the order of the
// primary key, while the trigger fills what is inserted or changed and notes its key; then the
// inventories, from what the batches have staged; then what has changed meanwhile, until little is
// left; then, in one moment, the trigger goes and the foreign keys come; then the last changes, and
// the version. docs/DESIGN.md says why this is right.
#include "core/online.hpp"

#include <algorithm>

#include "core/ddl.hpp"
#include "core/failure.hpp"
#include "core/online_catch_up.hpp"
#include "core/online_fill.hpp"
#include "core/online_refresh.hpp"
#include "core/row_conflicts.hpp"
#include "core/run_place.hpp"

namespace cowrie {
namespace {

/** `0.8 ms`. */
std::string milliseconds(std::int64_t microseconds) {
  const std::int64_t tenths = (microseconds + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

class OnlineRun : Live {
public:
  OnlineRun(const OnlinePorts &ports, const OnlineOptions &options)
      : ports_(ports), database_(ports.database), monitor_(ports.monitor), options_(options),
        place_(ports.monitor, database_.target().online_call()), patience_(ports) {}

  bool run() {
    try {
      return run_to_the_end();
    } catch (const Stopped &) {
      record_stop();
      return false;
    } catch (Failure &failure) {
      record(failure);
      throw;
    }
  }

private:
  using Kind = TransactionKind;
  using Steps = std::vector<Step>;

  const Target &target() const { return database_.target(); }

  template <typename Body> void in(Kind kind, Body body) {
    ports_.transactions.in_transaction(kind, body);
  }

  bool run_to_the_end() {
    in(Kind::work, [&] { inspect(); });
    if (look_.situation.state == SchemaState::complete) {
      if (look_.situation.online.any())
        patience_.until_locked(Kind::catalog,
                               [&] { drop_online_objects(database_, look_.situation.online); });
      monitor_.notice("schema version 16 is complete, nothing to do");
      return true;
    }
    begin();
    if (!after_cut_over_)
      for (int phase = 1; phase < phase_count; ++phase)
        run_phase(phase);
    run_last_phase();
    return true;
  }

  // What is there ------------------------------------------------------------------------------

  void inspect() {
    look_ = look(database_);
    found_ = look_.situation.online;
    if (look_.situation.state == SchemaState::complete)
      return;
    if (auto unfinished = ports_.memory.unfinished()) {
      state_ = *std::move(unfinished);
      resuming_ = true;
    } else {
      if (!options_.repair)
        refuse_incomplete(target(), look_.situation);
      refuse_losses(database_, look_);
      state_.origin = look_.situation.state == SchemaState::version15   ? Origin::version15
                      : look_.situation.state == SchemaState::resumable ? Origin::phases
                                                                        : Origin::repair;
      state_.completes_snapshots = state_.origin == Origin::repair && !look_.situation.subphase;
    }
    if (state_.origin == Origin::repair)
      rows_ = row_facts(database_, look_);
    rows_.fill_by = FillBy::rewrite; // what that adds before it, in steps of its own
    refuse_update_triggers();
    refuse_rewrites();
    refuse_names_in_the_way(database_, all_planned());
  }

  /** A BEFORE trigger for UPDATE would change the rows that the batches write. */
  void refuse_update_triggers() {
    // Type bits of pg_trigger: 1 is FOR EACH ROW, 2 BEFORE, 16 UPDATE. One with a list of columns
    // fires for those only.
    std::string found;
    for (
        const Row &row : database_.query(
            "SELECT format('trigger %I', tgname) FROM pg_trigger WHERE tgrelid = $1::text::regclass"
            " AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 19 = 19 AND (tgattr::text = ''"
            " OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = tgrelid AND attnum ="
            " ANY (tgattr::int2[]) AND attname::text = ANY (" +
                filled_columns() +
                ")))"
                " UNION ALL SELECT format('rule %I', rulename) FROM pg_rewrite WHERE ev_class ="
                " $1::text::regclass AND ev_type = '2' AND ev_enabled <> 'D' ORDER BY 1",
            {sessions_name()}))
      found += (found.empty() ? "" : "\n") + row[0].value_or("");
    if (found.empty())
      return;
    throw Failure(sqlstate::prerequisite_state,
                  "triggers or rules of session_summaries would fire for every batch", found,
                  "Disable them meanwhile, as in ALTER TABLE " + sessions_name() +
                      " DISABLE TRIGGER name; or migrate at once, which fires none: " +
                      target().command("cowrie_migrate_v16"));
  }

  /** What changes the type of a column of the sessions rewrites the whole table under a lock. */
  void refuse_rewrites() {
    std::string detail;
    for (const Step &each : all_planned())
      if (each.kind == StepKind::mend && each.table == "session_summaries")
        detail += (detail.empty() ? "" : "\n") + each.detail;
    if (!detail.empty())
      throw Failure(sqlstate::feature_not_supported,
                    "columns of session_summaries cannot be changed while others write", detail,
                    "Repair it at once, which locks the table: " +
                        target().command("cowrie_migrate_v16", "repair => true"));
  }

  std::string filled_columns() const {
    std::string result = "ARRAY[";
    for (const Column &each : look_.declared.table("session_summaries")->columns)
      result += (result.back() == '[' ? "" : ", ") + quote_literal(each.name);
    return result + "]::text[]";
  }

  std::string sessions_name() const { return qualified(target().schema, "session_summaries"); }

  void begin() {
    after_cut_over_ = resuming_ && found_.trigger == 0 && state_.done.count("cut_over") > 0;
    // Whatever was written while the trigger was not there has been missed.
    const bool missed =
        !after_cut_over_ &&
        (found_.trigger == 0 || found_.trigger != state_.trigger || !found_.fires_always);
    if (missed) {
      state_.position.reset();
      state_.filled = FillResult();
      state_.done.clear();
      state_.trigger = 0;
    }
    in(Kind::work, [&] {
      monitor_.started("online", 0);
      run_ = ports_.ledger.begin_run("online", state_.origin == Origin::repair ? "repair" : "");
      if (state_.first_run == 0)
        state_.first_run = run_;
      ports_.memory.remember(run_, state_);
      base_ = *database_.observe(schema_v15()).table("session_summaries");
    });
    begun_ = database_.clock_us();
    if (!resuming_)
      return;
    if (missed)
      monitor_.notice("resuming the online migration from the first session: the trigger that"
                      " catches changes was not there all the time");
    else
      monitor_.notice("resuming the online migration after " + words_of_position());
  }

  std::string words_of_position() const {
    if (after_cut_over_)
      return "the foreign keys were added";
    if (state_.done.count("fill_columns"))
      return "all sessions were filled";
    return state_.position ? "session \"" + *state_.position + "\", " +
                                 std::to_string(state_.filled.before.sessions) + " sessions filled"
                           : std::string("no session was filled");
  }

  // Steps --------------------------------------------------------------------------------------

  /** Runs one step and records it; the body is everything but that. */
  template <typename Body> void step(int phase, const std::string &name, Body body) {
    stop_if_asked();
    StepResult row{phase, name, "done", std::nullopt, 0, ""};
    step_begun_ = database_.clock_us();
    in(Kind::work, [&] { place_.at(phase, name); });
    body(row);
  }

  /** A step that is one transaction: what it did and its record are committed together. */
  template <typename Body> void step_in(Kind kind, int phase, const std::string &name, Body body) {
    step(phase, name, [&](StepResult &row) {
      const StepResult untouched = row;
      patience_.until_locked(kind, [&] {
        row = untouched; // an attempt may have been in vain
        locked_at_.reset();
        body(row);
        report(row);
      });
      locked_at_.reset();
    });
  }

  /** Locks a table that others may be using, by itself, so that the ledger can tell for how long.
   */
  void lock(const std::string &table, const std::string &mode) {
    database_.execute("LOCK TABLE " + qualified(target().schema, table) + " IN " + mode + " MODE");
    locked_at_ = database_.clock_us();
  }

  /** Says and records what a step did; in the transaction that did it. */
  void report(StepResult &row) {
    row.elapsed_us = database_.clock_us() - step_begun_;
    if (locked_at_)
      row.detail += (row.detail.empty() ? "" : ", ") +
                    ("lock held for " + milliseconds(database_.clock_us() - *locked_at_));
    monitor_.notice(in_words(row));
    ports_.ledger.record(run_, row);
    if (row.status == "done")
      state_.done.insert(row.step);
  }

  void stop_if_asked() {
    if (ports_.transactions.stop_requested())
      throw Stopped();
  }

  // Phases -------------------------------------------------------------------------------------

  /** What is missing, as at once: of all phases, whatever of them is there. */
  Steps all_planned() {
    Situation situation = look_.situation;
    if (situation.state == SchemaState::resumable)
      situation.state = SchemaState::incomplete;
    return plan_migration(look_.declared, look_.observed, target(), situation, rows_);
  }

  Steps planned(int phase) {
    Steps steps = all_planned();
    steps.erase(std::remove_if(steps.begin(), steps.end(),
                               [&](const Step &each) { return each.phase != phase; }),
                steps.end());
    return steps;
  }

  void run_phase(int phase) {
    const std::int64_t begun = database_.clock_us();
    if (phase == 1)
      fill_phase();
    else
      for (const Step &each : planned(phase))
        run_step(each);
    stop_if_asked();
    in(Kind::work, [&] {
      place_.at(phase, "verify");
      verify_phase(database_, phase, skipped_);
      if (skipped_.empty() && look_.situation.subphase.value_or(0) < phase)
        record_subphase(database_, phase);
      StepResult row{phase, "", "done", std::nullopt, database_.clock_us() - begun, ""};
      ports_.ledger.record(run_, row);
    });
  }

  void run_step(const Step &planned) {
    switch (planned.kind) {
    case StepKind::load_rows:
      load(planned);
      break;
    case StepKind::create_index:
      create_index(planned);
      break;
    case StepKind::mend:
      step_in(Kind::catalog, planned.phase, planned.name,
              [&](StepResult &row) { mend(database_, monitor_, planned, row); });
      break;
    case StepKind::analyze:
      step_in(Kind::work, planned.phase, planned.name,
              [&](StepResult &) { analyze(database_, planned); });
      break;
    case StepKind::statement: {
      // VALIDATE stands in nobody's way and may take its time.
      const bool weak = planned.lock_mode == "SHARE UPDATE EXCLUSIVE";
      step_in(weak ? Kind::work : Kind::catalog, planned.phase, planned.name, [&](StepResult &) {
        if (!weak && look_.observed.table(planned.table))
          lock(planned.table, planned.lock_mode);
        for (const std::string &sql : planned.statements)
          database_.execute(sql);
        if (planned.name.compare(0, 7, "create_") == 0)
          database_.copy_grants(planned.table);
      });
      break;
    }
    default:
      break; // this mode's own way: the rewrite, the gate, the version
    }
  }

  void fill_phase() {
    const Steps steps = planned(1);
    // What is in the way of the columns or their constraints goes first.
    for (const Step &each : steps)
      if (each.kind == StepKind::statement && each.name.compare(0, 5, "drop_") == 0)
        run_step(each);
    if (state_.trigger == 0)
      step_in(Kind::work, 1, "create_work_tables", [&](StepResult &) { create_work_tables(); });
    add_columns();
    if (!state_.done.count("fill_columns"))
      step(1, "fill_columns", [&](StepResult &row) { fill(row); });
    in(Kind::work, [&] { ports_.online_monitor.hold_rows(state_.filled); });
    stage_if_lost();
    validate_constraints(1);
  }

  void fill(StepResult &row) {
    if (target().has_raw_events && !target().raw_events_indexed)
      patience_.until_locked(Kind::work, [&] { create_event_table(); });
    OnlineFill(ports_, patience_, options_, state_, run_)
        .run(*look_.declared.table("session_summaries"), *base_);
    row.rows = state_.filled.before.sessions;
    const std::string rejects = describe(state_.filled.rejects);
    row.detail = rejects.empty() ? "no value rejected" : "rejected: " + rejects;
    in(Kind::work, [&] { report(row); });
  }

  /** Without an index every look-up would read all raw events. */
  void create_event_table() {
    drop_work_table(database_, derivation::event_table);
    database_.execute(derivation::create_event_table(target()));
    database_.execute(derivation::index_event_table(target()));
  }

  /** An unlogged table does not survive a crash of the server. */
  void stage_if_lost() {
    bool whole = false;
    in(Kind::work, [&] { whole = OnlineRefresh(database_, state_.origin).staging_is_whole(); });
    if (whole)
      return;
    step_in(Kind::work, 1, "stage_documents",
            [&](StepResult &) { OnlineRefresh(database_, state_.origin).stage_all(*base_); });
    for (const Table &table : look_.declared.tables)
      state_.done.erase("load_" + table.name);
  }

  // In one moment under one lock: nobody can write between the columns and the trigger.
  void add_columns() {
    step_in(Kind::catalog, 1, "add_columns", [&](StepResult &row) {
      const Table &declared = *look_.declared.table("session_summaries");
      const Table &seen = *look_.observed.table("session_summaries");
      lock(declared.name, "ACCESS EXCLUSIVE");
      std::vector<const Column *> missing;
      for (const Column &each : declared.columns)
        if (!seen.column(each.name))
          missing.push_back(&each);
      if (!missing.empty())
        database_.execute(ddl::add_columns(target().schema, declared.name, missing));
      for (const Constraint &each : declared.constraints)
        if (each.phase == 1 && !same_definition(seen, each))
          database_.execute(ddl::add_constraint(target().schema, declared.name, each) +
                            " NOT VALID");
      if (state_.trigger != 0)
        return;
      if (found_.trigger != 0)
        database_.execute(online::drop_trigger(target()));
      for (const std::string &sql : online::create_trigger(target()))
        database_.execute(sql);
      OnlineState after = state_;
      after.trigger = find_online_objects(database_).trigger;
      ports_.memory.remember(run_, after);
      row.detail = "with the trigger that catches changes";
      made_trigger_ = after.trigger;
    });
    if (state_.trigger == 0)
      state_.trigger = made_trigger_;
  }

  void create_work_tables() {
    drop_work_table(database_, online::delta_table);
    drop_work_table(database_, derivation::staging_table);
    const std::string changes = qualified(target().schema, online::changes_table);
    if (!found_.changes_table &&
        !database_.query("SELECT 1 WHERE to_regclass($1::text) IS NOT NULL", {changes}).empty())
      throw Failure(sqlstate::duplicate_table, "relation " + changes + " is in the way",
                    "The migration needs this name for a table of its own.",
                    "Rename it: ALTER TABLE " + changes + " RENAME TO other_name;");
    if (found_.changes_table)
      database_.execute("DROP TABLE " + qualified(target().schema, online::changes_table));
    database_.execute(derivation::create_staging(target()));
    database_.execute(online::mark_staging(target()));
    database_.execute(online::create_delta(target()));
    for (const std::string &sql : online::create_changes(target()))
      database_.execute(sql);
  }

  void load(const Step &planned) {
    if (planned.name == "load_" + planned.table)
      load_table(planned.phase, planned.table, look_.observed.table(planned.table) != nullptr);
    else
      step_in(Kind::work, planned.phase, planned.name,
              [&](StepResult &row) { row.rows = database_.execute(planned.statements.front()); });
  }

  void load_table(int phase, const std::string &table, bool existed) {
    if (!state_.done.count("load_" + table))
      step_in(Kind::work, phase, "load_" + table, [&](StepResult &row) {
        row.rows = OnlineRefresh(database_, state_.origin).load_all(table, existed);
      });
  }

  // On a table that others write, not in a transaction of this session.
  void create_index(const Step &planned) {
    const bool written_by_others =
        planned.table == "session_summaries" ||
        (look_.observed.table(planned.table) && state_.origin != Origin::version15);
    step(planned.phase, planned.name, [&](StepResult &row) {
      in(Kind::work, [&] {
        if (skipped_for_missing_column(database_, monitor_, planned, row))
          report(row);
      });
      if (row.status == "skipped") {
        skipped_.push_back(planned.name);
        return;
      }
      std::string sql = planned.statements.front();
      if (written_by_others) {
        sql.insert(sql.find("INDEX ") + 6, "CONCURRENTLY ");
        ports_.transactions.execute_alone(sql, sql + ";");
        row.detail = "concurrently";
      }
      patience_.until_locked(Kind::catalog, [&] {
        if (!written_by_others)
          database_.execute(sql);
        report(row);
      });
    });
  }

  // The end ------------------------------------------------------------------------------------

  void run_last_phase() {
    in(Kind::work, [&] { look_ = look(database_); });
    if (after_cut_over_) {
      stage_if_lost();
      for (const Table &table : look_.declared.tables)
        if (table.phase > 0)
          load_table(phase_count, table.name, true);
    } else {
      for (const Step &each : planned(phase_count))
        if (each.kind == StepKind::statement && each.name.compare(0, 5, "drop_") == 0)
          run_step(each);
      catch_up("catch_up",
               [](OnlineCatchUp &each) { return each.work_off(enough_for_the_moment); });
      cut_over();
    }
    catch_up("last_catch_up", [](OnlineCatchUp &each) { return each.work_off(0); });
    validate_constraints(phase_count);
    catch_up("fill_rest", [](OnlineCatchUp &each) { return each.fill_rest(); });
    finish();
  }

  void validate_constraints(int phase) {
    in(Kind::work, [&] { look_ = look(database_); });
    for (const Table &table : look_.declared.tables)
      for (const Constraint &each : table.constraints) {
        const Table *seen = look_.observed.table(table.name);
        const Constraint *same =
            seen && each.phase == phase ? same_definition(*seen, each) : nullptr;
        if (same && !same->validated)
          step_in(Kind::work, phase, "validate_" + each.name, [&](StepResult &) {
            database_.execute(ddl::validate_constraint(target().schema, table.name, same->name));
          });
      }
  }

  template <typename Body> void catch_up(const std::string &name, Body body) {
    step(phase_count, name, [&](StepResult &row) {
      OnlineCatchUp catch_up(ports_, patience_, state_.origin,
                             *look_.declared.table("session_summaries"), *base_);
      row.rows = body(catch_up);
      in(Kind::work, [&] { report(row); });
    });
  }

  // In one moment under one lock. Before it the trigger fills and notes; after it nobody but this
  // run sets a source_ip, so nobody but this run can violate the foreign key.
  void cut_over() {
    step_in(Kind::catalog, phase_count, "cut_over", [&](StepResult &row) {
      row.detail = "the trigger is gone, the foreign keys are there";
      // The table that everybody writes last: it is held for the shortest time.
      for (const bool sessions : {false, true}) {
        for (const Table &table : look_.declared.tables)
          if ((table.name == "session_summaries") == sessions)
            add_foreign_keys(table);
        if (!sessions) {
          lock("session_summaries", "ACCESS EXCLUSIVE");
          database_.execute(online::drop_trigger(target()));
        }
      }
    });
  }

  void add_foreign_keys(const Table &table) {
    for (const Constraint &each : table.constraints)
      if (each.phase == phase_count && !same_definition(*look_.observed.table(table.name), each))
        database_.execute(ddl::add_constraint(target().schema, table.name, each));
  }

  // Verified, recorded and rid of the work tables in one transaction.
  void finish() {
    step_in(Kind::work, phase_count, "set_version", [&](StepResult &row) {
      verify_phase(database_, phase_count, skipped_);
      const int version = look_.situation.version;
      if (skipped_.empty()) {
        if (version < 16)
          record_version(database_, 16);
        record_subphase(database_, phase_count);
        row.detail = "schema version " + std::to_string(std::max(version, 16));
      } else {
        row.status = "skipped";
        row.detail = "schema version stays " + std::to_string(version) + ": " +
                     std::to_string(skipped_.size()) + " indexes were skipped";
      }
      drop_online_objects(database_, find_online_objects(database_));
      StepResult outcome{0,
                         "",
                         "done",
                         state_.filled.before.sessions,
                         database_.clock_us() - begun_,
                         describe(state_.filled.rejects)};
      ports_.ledger.finish_run(run_, outcome);
    });
    in(Kind::work, [&] { monitor_.finished(); });
  }

  // How it ends before its end -------------------------------------------------------------------

  void record_stop() {
    const std::string words = words_of_position();
    in(Kind::work, [&] {
      StepResult outcome{0,
                         "",
                         "stopped",
                         state_.filled.before.sessions,
                         database_.clock_us() - begun_,
                         place_.words()};
      ports_.ledger.finish_run(run_, outcome);
    });
    monitor_.warning("the online migration has stopped as it was asked to",
                     "It was at " + place_.words() + ", after " + words + ".",
                     "Resume it with " + target().online_call());
  }

  /** The ledger first: pg_cron keeps nothing of a failure but its message. */
  void record(Failure &failure) {
    if (run_ != 0) {
      failure.context = place_.words();
      try {
        in(Kind::work, [&] {
          monitor_.failed(failure.sqlstate);
          StepResult step{place_.phase(),
                          place_.step(),
                          "failed",
                          std::nullopt,
                          database_.clock_us() - step_begun_,
                          failure.detail};
          ports_.ledger.record(run_, step, failure.sqlstate, failure.message);
          StepResult outcome{0,
                             "",
                             "failed",
                             state_.filled.before.sessions,
                             database_.clock_us() - begun_,
                             place_.words()};
          ports_.ledger.finish_run(run_, outcome, failure.sqlstate, failure.message);
        });
      } catch (const Failure &second) { // the first one is what matters
        failure.context += "\nthe ledger could not be told: " + second.message;
      }
    }
    if (failure.detail.empty())
      failure.detail = run_ == 0 ? "Nothing has been changed."
                                 : "What has been committed stays: " + words_of_position() + ".";
    if (failure.hint.empty())
      failure.hint = "Mend the cause, then run " + target().online_call() +
                     (run_ == 0 ? "" : " it resumes there.") +
                     " docs/RECOVERY.md tells what to look for.";
  }

  static constexpr std::int64_t enough_for_the_moment = 200;

  const OnlinePorts &ports_;
  Database &database_;
  Monitor &monitor_;
  const OnlineOptions options_;
  RunPlace place_;
  Patience patience_;
  Look look_;
  OnlineState state_;
  std::optional<Table> base_;
  OnlineObjects found_;           ///< at the beginning
  std::int64_t made_trigger_ = 0; ///< by this run
  bool resuming_ = false;
  bool after_cut_over_ = false;
  std::int64_t run_ = 0;
  std::int64_t begun_ = 0;
  std::int64_t step_begun_ = 0;
  std::optional<std::int64_t> locked_at_;
  RowFacts rows_;
  std::vector<std::string> skipped_;
};

} // namespace

bool migrate_online(const OnlinePorts &ports, const OnlineOptions &options) {
  return OnlineRun(ports, options).run();
}

} // namespace cowrie
