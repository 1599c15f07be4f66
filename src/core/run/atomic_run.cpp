// Atomic run: the migration in one transaction.
#include "core/run/atomic_run.hpp"

#include <algorithm>
#include <tuple>

#include "core/base/failure.hpp"
#include "core/inspect/capacity.hpp"
#include "core/inspect/expressions.hpp"
#include "core/inspect/inspection.hpp"
#include "core/inspect/refusals.hpp"
#include "core/inspect/replication.hpp"
#include "core/inspect/rewrite_way.hpp"
#include "core/inspect/row_conflicts.hpp"
#include "core/inspect/state_row.hpp"
#include "core/inspect/validate.hpp"
#include "core/inspect/zero_loss.hpp"
#include "core/plan/effort.hpp"
#include "core/plan/plan.hpp"
#include "core/run/atomic_fill.hpp"
#include "core/run/dry_run.hpp"
#include "core/run/phase_notices.hpp"
#include "core/run/run_position.hpp"
#include "core/run/shared_steps.hpp"
#include "core/run/version_record.hpp"
#include "core/run/work_tables.hpp"
#include "core/sql/derivation.hpp"

namespace cowrie {

namespace {

constexpr const char *gate = "zero_loss_gate";

/** One atomic run. */
class AtomicRun : Live {
public:
  AtomicRun(Database &database, Ledger &ledger, Monitor &monitor, const MigrateOptions &options)
      : database_(database), ledger_(ledger), monitor_(monitor), options_(options),
        position_(monitor, database.target().migration(options.repair ? "repair => true" : "")),
        notices_(monitor), sessions_(database) {}

  /** Runs; a failure leaves with its place in the context and in the status. */
  std::vector<StepResult> run() {
    return options_.dry_run
               ? run_unplaced()
               : position_.all_or_nothing(database_, [this] { return run_unplaced(); });
  }

private:
  std::vector<StepResult> run_unplaced() {
    if (!options_.dry_run)
      database_.lock_run();
    bool complete = false;
    database_.in_passing([&] {
      inspection_ = inspect(database_);
      complete = inspection_.situation.state == SchemaState::complete && !repairs_data();
    });
    if (complete)
      return {
          {last_phase(), "verify", "skipped", std::nullopt, 0,
           "schema version " + std::to_string(target().version) + " is complete, nothing to do"}};
    refuse_unsuitable();
    if (!options_.dry_run) {
      lock_tables();
      position_.at(0, "inspect");
      inspection_ = inspect(database_); // what it was before the locks were granted does not count
      refuse_unsuitable();
    }
    if (inspection_.situation.state != SchemaState::version15 &&
        inspection_.situation.state != SchemaState::resumable)
      rows_ = row_facts(database_, inspection_);
    if (!options_.dry_run && writes_rows()) // an index or a key takes what it took before
      refuse_full_disk(database_, inspection_);
    if (rows_.fill_by == FillBy::rewrite)
      rows_.alter_table_reason = alter_table_reason(database_);
    plan_ = plan_migration(inspection_.declared, inspection_.observed, target(),
                           inspection_.situation, rows_);
    refuse_row_type_users(database_, plan_);
    refuse_taken_names(database_, plan_);
    has_work_table(database_, derivation::chosen_table); // refused now, not after the rewrite
    return options_.dry_run ? estimate(database_, plan_) : apply();
  }

  const Target &target() const { return database_.target(); }
  int last_phase() const { return target().declared().last_phase(); }
  /** Else what is there of the sessions stays as it is, and the catalog alone changes. */
  bool writes_rows() const {
    const Situation &situation = inspection_.situation;
    return !rows_.complete && !(situation.state == SchemaState::resumable && situation.derived);
  }

  /** Tells whether a complete schema is to have its rows completed: sessions without a snapshot,
   *  inventories without a parent. Asked only for a repair, because it reads the rows. */
  bool repairs_data() {
    return options_.repair && !data_findings(database_, inspection_.situation).empty();
  }

  void refuse_unsuitable() {
    if (!options_.repair)
      refuse_incomplete(target(), inspection_.situation);
    refuse_losses(database_, inspection_);
    refuse_published_state(database_);
    refuse_subscribed_inventories(database_);
    refuse_duplicates(database_);
    refuse_unusable_indexes(database_);
    refuse_unwritable_state(database_);
  }

  // One fixed order for every run, the busiest table first, so that two runs cannot deadlock and
  // nothing has been done yet when a lock is refused.
  void lock_tables() {
    monitor_.started("atomic", 0);
    position_.at(0, "lock_tables");
    database_.lock_tables(locks_of_run(database_, inspection_.observed, "ACCESS EXCLUSIVE"));
  }

  std::vector<StepResult> apply() {
    run_ = ledger_.begin_run("atomic", options_.repair ? "repair" : "", writes_rows());
    if (inspection_.situation.online.any_or_loose())
      drop_online_objects(database_, inspection_.situation.online); // it ends here
    monitor_.planned(portions_of(plan_, Filling::at_once));
    const std::int64_t begun = database_.clock_us();
    StepResult outcome{0, "", "done", std::nullopt, 0, ""};
    const int first_phase = plan_.empty() ? 1 : plan_.front().phase;
    for (int phase = first_phase; phase <= last_phase(); ++phase) {
      const std::size_t first_row = results_.size();
      try {
        database_.in_subtransaction([&] { run_phase(phase); });
      } catch (Failure &failure) {
        if (options_.on_failure == OnFailure::abort || failure.must_propagate || lost_)
          throw;
        if (phase > first_phase && proof_taken_) // what stays is proved like what is finished
          refuse_loss(" The run had failed before: " + failure.message + ".");
        monitor_.failed(failure.sqlstate);
        keep(failure, first_row);
        outcome.status = "failed";
        outcome.elapsed_us = database_.clock_us() - begun;
        outcome.detail = position_.words();
        ledger_.finish_run(run_, outcome, failure.sqlstate, failure.message);
        return std::move(results_);
      }
    }
    outcome.elapsed_us = database_.clock_us() - begun;
    outcome.detail = describe(proof_.rejects);
    outcome.rows = proof_.before.sessions;
    ledger_.finish_run(run_, outcome);
    monitor_.finished();
    return std::move(results_);
  }

  /** The failing phase is gone; says so in rows, in the ledger and in a warning. */
  void keep(const Failure &failure, std::size_t first_row) {
    for (std::size_t i = first_row; i < results_.size(); ++i) {
      results_[i].status = "rolled_back";
      ledger_.record(run_, results_[i]);
    }
    StepResult failed{position_.phase(),
                      position_.step(),
                      "failed",
                      std::nullopt,
                      database_.clock_us() - step_begun_,
                      failure.message};
    ledger_.record(run_, failed, failure.sqlstate, failure.message);
    results_.push_back(std::move(failed));
    sessions_.drop_staging();
    const std::string phase = "phase " + std::to_string(position_.phase());
    monitor_.warning(in_words(position_.phase()) + " failed at step " + position_.step() + ": " +
                         failure.message,
                     "SQLSTATE " + failure.sqlstate +
                         ". The phase has been rolled back; the phases before it are kept.",
                     "Correct the cause, then run: " + target().migration() + " it resumes at " +
                         phase + ".");
  }

  void run_phase(int phase) {
    const std::int64_t begun = database_.clock_us();
    begin_step(phase, "start");
    if (!proof_taken_ && plans(StepKind::zero_loss_gate) && !plans(StepKind::fill_sessions))
      take_proof_by_scan();
    bool verified = false; // by a step of the plan
    for (const Step &step : plan_) {
      if (step.phase != phase)
        continue;
      run_step(step);
      verified = verified || step.kind == StepKind::verify;
    }
    if (!verified) {
      begin_step(phase, "verify");
      verify_phase(phase);
    }
    if (skipped_indexes_.empty())
      record_phase(database_, phase, inspection_.situation.version);
    if (phase == last_phase())
      sessions_.drop_staging();
    StepResult row{phase, "", "done", std::nullopt, database_.clock_us() - begun, ""};
    ledger_.record(run_, row);
    notices_.end_phase(row.elapsed_us);
  }

  void begin_step(int phase, const std::string &name) {
    step_begun_ = database_.clock_us();
    position_.at(phase, name);
  }

  bool plans(StepKind kind) const {
    return std::any_of(plan_.begin(), plan_.end(),
                       [&](const Step &each) { return each.kind == kind; });
  }

  void take_proof_by_scan() {
    if (inspection_.situation.state == SchemaState::resumable)
      warn_of_changes_meanwhile();
    std::tie(proof_.before, proof_.settled) = scan_fingerprints(database_);
    proof_taken_ = true;
    ledger_.record_proof(run_, proof_);
  }

  // Between two runs the tables are unlocked, and nobody can tell the application from an accident.
  void warn_of_changes_meanwhile() {
    const std::optional<FirstRun> first = first_run(ledger_);
    if (!first)
      return;
    const Comparison compared = compare_with(database_, *first);
    if (!compared.differs.empty())
      monitor_.warning("sessions have changed since the migration began",
                       "Different from before run " + first->run + " at " + first->started + ": " +
                           compared.differs + ". " + std::to_string(compared.updated) +
                           " of these sessions have an updated_at after that.",
                       "If the application made these changes, no action is needed. Otherwise find "
                       "out what changed them. The checkpoint compares with the same run: " +
                           target().command(target().function("checkpoint")));
  }

  void run_step(const Step &step) {
    begin_step(step.phase, step.name);
    StepResult row{step.phase, step.name, "done", std::nullopt, 0, ""};
    switch (step.kind) {
    case StepKind::fill_sessions:
      fill(step, row);
      break;
    case StepKind::repair:
      repair_table(database_, monitor_, step, row);
      break;
    case StepKind::fill_new_rows:
      fill_new_rows(step, row);
      break;
    case StepKind::load_rows:
    case StepKind::refresh_rows:
      load(step, row);
      break;
    case StepKind::create_index:
      create_index(step, row);
      break;
    case StepKind::analyze:
      analyze(database_, step);
      break;
    case StepKind::verify:
      verify_phase(last_phase());
      row.detail = "catalog equals the declaration";
      break;
    case StepKind::zero_loss_gate:
      zero_loss_gate(row);
      break;
    case StepKind::set_version:
      raise_version(database_, inspection_.situation.version, skipped_indexes_.size(), row);
      break;
    case StepKind::create_table:
    case StepKind::drop:
    case StepKind::statement:
      for (const std::string &sql : step.statements)
        database_.execute(sql);
      if (step.kind == StepKind::create_table)
        database_.copy_grants(step.table);
      break;
    }
    row.elapsed_us = database_.clock_us() - step_begun_;
    report(row);
  }

  void report(const StepResult &row) {
    notices_.step(row);
    ledger_.record(run_, row);
    results_.push_back(row);
  }

  void fill_new_rows(const Step &step, StepResult &row) {
    const FillResult filled = sessions_.update(step);
    row.rows = filled.rows;
    row.detail = describe(filled.rejects);
    row.notable = !row.detail.empty();
    refresh_ = filled.rows > 0;
  }

  void fill(const Step &step, StepResult &row) {
    proof_ = sessions_.rewrite(step);
    proof_taken_ = true;
    ledger_.record_proof(run_, proof_);
    row.rows = proof_.before.sessions;
    const std::string rejects = describe(proof_.rejects);
    row.detail = rejects.empty() ? "no value rejected" : "rejected: " + rejects;
    row.notable = !rejects.empty();
    if (proof_.null_escapes > 0)
      row.detail += "; documents that hold \\u0000: " + std::to_string(proof_.null_escapes);
    row.detail += "; " + step.detail;
  }

  void load(const Step &step, StepResult &row) {
    if (step.kind == StepKind::refresh_rows && !refresh_) {
      row.status = "skipped";
      row.detail = "no sessions have been added";
      return;
    }
    row.rows = sessions_.load(step);
  }

  void create_index(const Step &step, StepResult &row) {
    if (skipped_for_missing_column(database_, monitor_, step, row))
      skipped_indexes_.push_back(step.name);
    else
      database_.execute(step.statements.front());
  }

  void verify_phase(int phase) { cowrie::verify_phase(database_, phase, skipped_indexes_); }

  /** Proves that no session, document or event time was lost or changed since the run began. */
  void zero_loss_gate(StepResult &row) {
    refuse_loss();
    row.rows = proof_.before.sessions;
    row.detail = "count, documents and times are unchanged";
  }

  // With `keep`, too, it takes everything with it: what is lost must not be committed.
  void refuse_loss(const std::string &earlier = {}) {
    const std::string differs = lost_since(database_, proof_);
    if (differs.empty())
      return;
    if (position_.step() != gate)
      position_.at(position_.phase(), gate);
    lost_ = true;
    throw Failure(sqlstate::data_corrupted, "zero-loss gate: sessions were lost or changed",
                  "Different from before the migration: " + differs + "." + earlier,
                  "Everything has been rolled back. Check session_summaries for triggers and rules "
                  "with \\d session_summaries, then run " +
                      target().migration());
  }

  Database &database_;
  Ledger &ledger_;
  Monitor &monitor_;
  const MigrateOptions options_;
  Inspection inspection_;
  RowFacts rows_;
  std::vector<Step> plan_;
  std::vector<StepResult> results_;
  std::int64_t run_ = 0;
  RunPosition position_;
  PhaseNotices notices_;
  AtomicFill sessions_;
  std::int64_t step_begun_ = 0;
  FillResult proof_;
  bool proof_taken_ = false;
  bool lost_ = false;
  bool refresh_ = false;
  std::vector<std::string> skipped_indexes_;
};

} // namespace

std::vector<StepResult> migrate(Database &database, Ledger &ledger, Monitor &monitor,
                                const MigrateOptions &options) {
  return AtomicRun(database, ledger, monitor, options).run();
}

} // namespace cowrie
