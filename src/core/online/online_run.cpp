// Online: the migration beside an application that goes on writing. Which step comes when; what a
// call begins with, and where one that resumes goes on.
// The columns and the trigger are added in one transaction. The keys of all sessions are written to
// a queue in their order on disk. Batches fill the sessions in that order, while the trigger fills
// what is inserted or changed and records its key. The inventories are loaded from what the batches
// have staged. Changed sessions are processed until few are left. In one transaction the trigger is
// dropped and the foreign keys are added. The last changes and the version follow.
// docs/DESIGN.md says why this is right.
#include "core/online/online_run.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/inspect/capacity.hpp"
#include "core/inspect/expressions.hpp"
#include "core/inspect/refusals.hpp"
#include "core/inspect/replication.hpp"
#include "core/inspect/row_conflicts.hpp"
#include "core/inspect/state_row.hpp"
#include "core/online/batches.hpp"
#include "core/online/catalog_steps.hpp"
#include "core/online/catch_up.hpp"
#include "core/online/inventories.hpp"
#include "core/online/refusals.hpp"
#include "core/plan/effort.hpp"
#include "core/run/shared_steps.hpp"
#include "core/run/version_record.hpp"
#include "core/run/work_tables.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/versions.hpp"

namespace cowrie {
namespace {

class OnlineRun : Live {
public:
  OnlineRun(const OnlinePorts &ports, const OnlineOptions &options)
      : ports_(ports), database_(ports.database), options_(options), steps_(ports),
        state_(steps_.state), schema_(steps_, view_) {}

  bool run() {
    try {
      run_to_the_end();
      return true;
    } catch (const Stopped &) {
      steps_.record_stop();
      return false;
    } catch (Failure &failure) {
      steps_.record(failure);
      throw;
    }
  }

private:
  using Kind = TransactionKind;

  const Target &target() const { return database_.target(); }
  const Inspection &seen() const { return view_.inspection; }

  void run_to_the_end() {
    steps_.in(Kind::work, [&] { prepare(); });
    const bool derives = !seen().situation.derived;
    if (!derives && view_.found.any())
      steps_.lock_retry().until_locked(Kind::catalog,
                                       [&] { drop_online_objects(database_, view_.found); });
    if (seen().situation.state == SchemaState::complete) {
      ports_.monitor.notice("schema version " + std::to_string(target().version) +
                            " is complete, nothing to do");
      return;
    }
    begin();
    if (derives)
      derive_rows();
    change_catalog();
    steps_.in(Kind::work, [&] { ports_.monitor.finished(); });
  }

  /** The phases in which sessions and inventories are filled, up to their cut-over. */
  void derive_rows() {
    if (resuming_ && (after_cut_over_ || state_.trigger != 0))
      schema_.restore_work_tables();
    if (!after_cut_over_)
      for (int phase = 1; phase < deriving_phase(); ++phase)
        run_phase(phase);
    run_deriving_phase();
  }

  /** The phases after that. */
  void change_catalog() {
    if (last_phase() == deriving_phase() || !view_.skipped.empty())
      return;
    steps_.in(Kind::work, [&] {
      view_.inspection = inspect(database_);
      view_.rows.complete = true;
      view_.rows.fill_by = FillBy::nothing;
    });
    const int first = seen().situation.state == SchemaState::resumable
                          ? *seen().situation.subphase + 1
                          : deriving_phase() + 1;
    for (int phase = first; phase < last_phase(); ++phase)
      run_phase(phase);
    const std::int64_t begun = database_.clock_us();
    schema_.run_phase(last_phase(), [](const Step &) {});
    finish(last_phase(), begun);
  }

  int deriving_phase() const { return target().declared().last_deriving_phase(); }
  int last_phase() const { return target().declared().last_phase(); }

  // What is there ------------------------------------------------------------------------------

  void prepare() {
    view_.inspection = inspect(database_);
    view_.found = seen().situation.online;
    if (seen().situation.state == SchemaState::complete)
      return;
    const bool derived = seen().situation.derived;
    auto unfinished = ports_.memory.unfinished();
    if (unfinished && unfinished->origin == Origin::catalog && !derived)
      unfinished.reset(); // what it began with is no longer so
    if (unfinished && is_over(*unfinished)) {
      over_ =
          "The online migration that began with run " + std::to_string(unfinished->first_run) +
          " was for another session_summaries table, which has since been replaced or restored.";
      unfinished.reset();
    }
    if (unfinished) {
      state_ = *std::move(unfinished);
      resuming_ = true;
      queue_is_lost_ = !derived && schema_.queue_is_lost();
    } else {
      if (!options_.repair)
        refuse_incomplete(target(), seen().situation);
      refuse_losses(database_, view_.inspection);
      state_.origin = derived                                            ? Origin::catalog
                      : seen().situation.state == SchemaState::version15 ? Origin::version15
                      : seen().situation.state == SchemaState::resumable ? Origin::phases
                                                                         : Origin::repair;
      state_.completes_snapshots = state_.origin == Origin::repair && !seen().situation.subphase;
    }
    if (state_.origin == Origin::repair)
      view_.rows = row_facts(database_, seen());
    view_.rows.complete = derived; // else others write meanwhile
    // What the rewrite adds before it comes in steps of its own.
    view_.rows.fill_by = derived ? FillBy::nothing : FillBy::rewrite;
    refuse_published_state(database_);
    refuse_subscribed_inventories(database_);
    refuse_duplicates(database_);
    refuse_unusable_indexes(database_);
    refuse_unwritable_state(database_);
    if (!derived)
      for (const OnlineRefusal refuse : online_refusals())
        refuse(database_, seen());
    refuse_rewrites(target(), schema_.planned(), seen());
    if (state_.origin == Origin::repair)
      refuse_row_type_users(database_, schema_.planned());
    refuse_taken_names(database_, schema_.planned());
    if (!resuming_) // one that has begun fits
      refuse_full_disk(database_, seen(), Way::online);
  }

  // Another table; or what looks like the same, and nothing of what the run had made of it.
  bool is_over(const OnlineState &unfinished) const {
    return unfinished.other_table ||
           (seen().situation.state == SchemaState::version15 && view_.found.trigger == 0 &&
            unfinished.done.count("add_columns") > 0);
  }

  void begin() {
    const bool derived = seen().situation.derived;
    after_cut_over_ = resuming_ && view_.found.trigger == 0 && state_.done.count("cut_over") > 0;
    // Whatever was written while the trigger or its table was not there has been missed.
    const bool missed = !derived && !after_cut_over_ &&
                        (view_.found.trigger == 0 || view_.found.trigger != state_.trigger ||
                         !view_.found.fires_always || schema_.changes_are_other());
    const bool anew = missed || queue_is_lost_;
    if (anew) {
      state_.queue = Queue();
      state_.position = 0;
      state_.filled = FillResult();
      state_.done.clear();
      state_.trigger = 0;
    }
    steps_.in(Kind::work, [&] {
      ports_.monitor.started("online", 0);
      const std::int64_t run = ports_.ledger.begin_run(
          "online", state_.origin == Origin::repair ? "repair" : "", !view_.rows.complete);
      if (!over_.empty())
        ports_.ledger.record(run, {1, "begin_again", "done", std::nullopt, 0, over_});
      if (state_.first_run == 0)
        state_.first_run = run;
      ports_.memory.remember(run, state_);
      view_.base = *database_.observe(schema_v15()).table("session_summaries");
      ports_.monitor.planned(portions());
      steps_.begin(run, options_.pace);
    });
    if (!over_.empty())
      ports_.monitor.notice("cannot resume the unfinished online migration, starting a new one",
                            over_);
    if (!resuming_ || derived)
      return;
    ports_.monitor.notice(
        !anew ? "resuming the online migration after " + steps_.words_of_position()
              : std::string("resuming the online migration from the first session: ") +
                    (missed ? "the trigger that records changes did not exist all the time"
                            : "the queue of sessions has been changed"));
  }

  /** Of what is left. */
  std::vector<Portion> portions() const {
    std::vector<Step> plan = schema_.planned();
    plan.erase(std::remove_if(plan.begin(), plan.end(),
                              [this](const Step &each) {
                                return state_.done.count(each.name) > 0 ||
                                       (after_cut_over_ && each.phase < deriving_phase());
                              }),
               plan.end());
    return portions_of(plan, Filling::in_batches);
  }

  // Phases -------------------------------------------------------------------------------------

  void run_phase(int phase) {
    const std::int64_t begun = database_.clock_us();
    if (phase == 1)
      fill_phase();
    else
      schema_.run_phase(phase, [this](const Step &each) { load(each); });
    steps_.hold_back().wait_while_held();
    record(phase, begun);
  }

  /** The lock that schema_state needs where it is published stalls whoever reads it meanwhile. */
  Kind kind_of_recording() {
    bool published = false;
    steps_.in(Kind::work, [&] { published = state_is_published(database_); });
    return published ? Kind::catalog : Kind::work;
  }

  void record(int phase, std::int64_t begun) {
    steps_.lock_retry().until_locked(kind_of_recording(), [&] {
      steps_.position().at(phase, "verify");
      verify_phase(database_, phase, view_.skipped);
      if (view_.skipped.empty() && seen().situation.subphase.value_or(0) < phase)
        record_phase(database_, phase, seen().situation.version);
      const std::int64_t took = database_.clock_us() - begun;
      ports_.ledger.record(steps_.run(), {phase, "", "done", std::nullopt, took, ""});
      steps_.end_phase(took);
    });
  }

  void fill_phase() {
    schema_.drop_obstacles(1);
    if (state_.trigger == 0)
      schema_.create_work_tables(true);
    schema_.add_columns();
    if (!state_.done.count("fill_columns")) {
      schema_.queue_sessions();
      steps_.step(1, "fill_columns", [&](StepResult &row) { fill(row); });
    }
    steps_.in(Kind::work, [&] { ports_.online_monitor.hold_rows(state_.filled); });
    stage_if_lost();
    schema_.validate_constraints(1);
  }

  void fill(StepResult &row) {
    // Without an index every look-up would read all raw events.
    if (target().has_raw_events && !target().raw_events_indexed)
      steps_.lock_retry().until_locked(Kind::work, [&] { create_event_table(database_); });
    OnlineBatches(ports_, steps_.lock_retry(), steps_.hold_back(), state_, steps_.run())
        .run(filled_sessions(target().version), *view_.base);
    row.rows = state_.filled.before.sessions;
    const std::string rejects = describe(state_.filled.rejects);
    row.detail = rejects.empty() ? "no value rejected" : "rejected: " + rejects;
    row.notable = !rejects.empty();
    steps_.report_by_itself(row);
  }

  /** An unlogged table does not survive a crash of the server, nor what is staged a TRUNCATE. */
  void stage_if_lost() {
    bool whole = false;
    steps_.in(Kind::work, [&] {
      whole = OnlineInventories(database_, state_.origin).staging_is_whole(ports_.monitor);
    });
    if (whole)
      return;
    steps_.step_in(Kind::work, 1, "stage_documents", [&](StepResult &row) {
      row.notable = true;
      OnlineInventories(database_, state_.origin).stage_all(*view_.base);
    });
    for (const Table &table : seen().declared.tables)
      state_.done.erase("load_" + table.name);
  }

  void load(const Step &planned) {
    const std::string name = "load_" + planned.table;
    if (planned.name != name)
      steps_.step_in(Kind::work, planned.phase, planned.name, [&](StepResult &row) {
        row.rows = database_.execute(planned.statements.front());
      });
    else if (!state_.done.count(name))
      steps_.step_in(Kind::work, planned.phase, name, [&](StepResult &row) {
        const bool existed = seen().observed.table(planned.table) != nullptr;
        row.rows = OnlineInventories(database_, state_.origin).load_all(planned.table, existed);
      });
  }

  // The end ------------------------------------------------------------------------------------

  void run_deriving_phase() {
    const std::int64_t begun = database_.clock_us();
    steps_.in(Kind::work, [&] { view_.inspection = inspect(database_); });
    if (!after_cut_over_) {
      schema_.drop_obstacles(deriving_phase());
      catch_up("catch_up",
               [](OnlineCatchUp &each) { return each.work_off(enough_for_the_moment); });
      if (options_.waits_for_cut_over)
        wait_for_cut_over();
      schema_.cut_over();
    } else if (schema_.changes_are_other()) {
      schema_.create_work_tables(false); // they had been dropped
    }
    steps_.hold_back().hurry();
    catch_up("last_catch_up", [](OnlineCatchUp &each) { return each.work_off_all(); });
    schema_.validate_constraints(deriving_phase());
    catch_up("fill_rest", [](OnlineCatchUp &each) { return each.fill_rest(); });
    finish(deriving_phase(), begun);
  }

  template <typename Body> void catch_up(const std::string &name, Body body) {
    steps_.step(deriving_phase(), name, [&](StepResult &row) {
      OnlineCatchUp catch_up(ports_, steps_.lock_retry(), steps_.hold_back(), state_.origin,
                             filled_sessions(target().version), *view_.base);
      row.rows = body(catch_up);
      steps_.report_by_itself(row);
    });
  }

  /** Holds nothing meanwhile; what the application changes is processed now and then, so that
   *  little is left when somebody is there. */
  void wait_for_cut_over() {
    catch_up("wait_for_cut_over", [&](OnlineCatchUp &each) {
      ports_.monitor.notice("the migration is waiting for permission to cut over",
                            "Let it continue with SELECT cowrie_allow_cut_over();");
      std::int64_t sessions = 0;
      while (!steps_.hold_back().allowed_within(catch_up_every_us))
        sessions += each.work_off(enough_for_the_moment);
      return sessions + each.work_off(enough_for_the_moment);
    });
  }

  // Verified, recorded and rid of the work tables in one transaction. Where phases follow that
  // change the catalog alone, the version that ends here is complete, and the run goes on.
  void finish(int phase, std::int64_t begun) {
    steps_.step_in(kind_of_recording(), phase, "set_version", [&](StepResult &row) {
      const bool ends = phase == last_phase() || !view_.skipped.empty();
      verify_phase(database_, phase, view_.skipped);
      if (ends)
        raise_version(database_, seen().situation.version, view_.skipped.size(), row);
      else
        row.detail = "schema version " + std::to_string(target().declared().version_after(phase));
      if (view_.skipped.empty())
        record_phase(database_, phase, seen().situation.version);
      drop_online_objects(database_, find_online_objects(database_));
      if (!ends)
        return;
      const StepResult outcome{0,
                               "",
                               "done",
                               state_.filled.before.sessions,
                               steps_.elapsed_us(),
                               describe(state_.filled.rejects)};
      ports_.ledger.finish_run(steps_.run(), outcome);
    });
    steps_.end_phase(database_.clock_us() - begun);
  }

  static constexpr std::int64_t enough_for_the_moment = 200;
  static constexpr std::int64_t catch_up_every_us = 5'000'000;

  const OnlinePorts &ports_;
  Database &database_;
  const OnlineOptions options_;
  OnlineSteps steps_;
  OnlineState &state_;
  OnlineView view_;
  OnlineCatalogSteps schema_;
  bool resuming_ = false;
  std::string over_; ///< why what the ledger remembers is no longer so
  bool queue_is_lost_ = false;
  bool after_cut_over_ = false;
};

} // namespace

bool migrate_online(const OnlinePorts &ports, const OnlineOptions &options) {
  return OnlineRun(ports, options).run();
}

} // namespace cowrie
