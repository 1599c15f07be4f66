// Cleanup: the declaration, backwards. It looks and counts while others may still read, and keeps
// them out only for the drops.
#include "core/run/cleanup.hpp"

#include <algorithm>
#include <map>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/inspect/inspection.hpp"
#include "core/inspect/replication.hpp"
#include "core/plan/cleanup.hpp"
#include "core/plan/effort.hpp"
#include "core/run/losses.hpp"
#include "core/run/run_position.hpp"
#include "core/run/shared_steps.hpp"
#include "core/run/version_record.hpp"
#include "core/run/work_tables.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/dependents.hpp"

namespace cowrie {

const char *const relation_size_query =
    "SELECT sum(pg_total_relation_size(id)) FROM (SELECT $1::text::regclass AS id UNION"
    " SELECT relid FROM pg_partition_tree($1::text::regclass)) AS parts";

namespace {

class CleanupRun : Live {
public:
  CleanupRun(Database &database, Ledger &ledger, Monitor &monitor, const CleanupOptions &options)
      : database_(database), ledger_(ledger), monitor_(monitor), options_(options),
        before_(target().declared().last_phase_of(target().version - 1)),
        to_phase_(options.to_phase.value_or(before_)), position_(monitor, command(options.force)) {}

  std::vector<StepResult> run() {
    return options_.dry_run
               ? run_unplaced()
               : position_.all_or_nothing(database_, [this] { return run_unplaced(); });
  }

private:
  std::vector<StepResult> run_unplaced() {
    if (to_phase_ < before_ || to_phase_ > last_phase())
      throw Failure(sqlstate::invalid_parameter,
                    "to_phase must be between 0 and " + std::to_string(last_phase()),
                    "It is " + std::to_string(to_phase_) + ".",
                    "To go back to version " + std::to_string(version_before()) + ", run " +
                        command(false, false));
    if (!options_.dry_run)
      database_.lock_run();
    database_.in_passing([this] { inspect_and_plan(); });
    if (nothing_to_do())
      return {{to_phase_, "cleanup", "skipped", std::nullopt, 0,
               to_phase_ == before_
                   ? "schema version " +
                         std::to_string(std::min(inspection_.situation.version, version_before())) +
                         ", nothing to remove"
                   : "nothing of the later phases is there"}};
    if (!options_.dry_run) {
      monitor_.started("cleanup", 0);
      position_.at(0, "lock_tables");
      database_.lock_tables(locks("SHARE ROW EXCLUSIVE"));
      position_.at(0, "inspect");
      inspect_and_plan(); // what it was before the locks were granted does not count
    }
    refuse_incomplete_rest();
    refuse_later_version();
    refuse_published_state(database_);
    refuse_dependents();
    warn_of_routines();
    if (!options_.dry_run)
      position_.at(0, "count_losses");
    count();
    refuse_losses();
    return options_.dry_run ? planned() : apply();
  }

  const Target &target() const { return database_.target(); }
  int last_phase() const { return target().declared().last_phase(); }
  int version_before() const { return target().version - 1; }
  /** The version that is recorded afterwards. */
  int final_version() const { return target().declared().version_after(to_phase_); }

  /** This call, ready to be pasted, or the one that accepts the losses. */
  std::string command(bool force, bool with_phase = true) const {
    std::string arguments;
    if (with_phase && to_phase_ > before_)
      arguments = "to_phase => " + std::to_string(to_phase_);
    if (force)
      append(arguments, "force => true");
    return target().command(target().function("cleanup"), arguments);
  }

  void inspect_and_plan() {
    inspection_ = inspect(database_);
    plan_ = plan_cleanup(inspection_.declared, inspection_.observed, target(), to_phase_);
  }

  bool nothing_to_do() const {
    const Situation &now = inspection_.situation;
    return to_phase_ == last_phase() ||
           (plan_.empty() && !drops_online_objects() && now.version <= final_version() &&
            now.subphase.value_or(0) <= to_phase_);
  }

  /** An online migration that has not ended is given up where its sessions lose their columns. */
  bool drops_online_objects() const {
    return inspection_.situation.online.any() &&
           to_phase_ < inspection_.declared.last_deriving_phase();
  }

  std::vector<TableLock> locks(const char *mode) {
    return locks_of_run(database_, inspection_.observed, mode);
  }

  /** What shall stay must be there: a phase is recorded only when it is complete. */
  void refuse_incomplete_rest() const {
    if (to_phase_ == before_)
      return; // of the version before nothing is recorded that was not
    std::string detail;
    for (const Finding &each : inspection_.situation.findings)
      if (each.severity == Severity::error && each.object_type != ObjectType::version &&
          each.phase <= to_phase_)
        append(detail, each.object_name() + " is " + std::string(name_of(each.problem)), "\n");
    if (!detail.empty())
      throw Failure(sqlstate::prerequisite_state,
                    "phases 1 to " + std::to_string(to_phase_) + " are not complete", detail,
                    "Complete them first with " +
                        target().command(target().function("migrate"), "repair => true") +
                        " or go back to version " + std::to_string(version_before()) + " with " +
                        command(false, false));
  }

  void refuse_later_version() const {
    const int recorded = inspection_.situation.version;
    if (recorded <= target().version || options_.force)
      return;
    const Target later = target().for_version(recorded);
    const std::string first =
        is_declared(recorded) ? "Go back to version " + std::to_string(recorded - 1) +
                                    " first: run " + later.command(later.function("cleanup")) + " "
                              : "";
    throw Failure(sqlstate::prerequisite_state,
                  "schema version " + std::to_string(recorded) + " builds on version " +
                      std::to_string(target().version),
                  "Back at version " + std::to_string(final_version()) +
                      " the application would replay its own later migrations.",
                  first + "If that is what you want, run " + command(true));
  }

  /** Objects that are not declared and that a DROP would take along, or trip over. */
  void refuse_dependents() {
    std::vector<ExistingObject> removed =
        existing_objects(inspection_.declared, inspection_.observed, to_phase_);
    for (ExistingObject &each :
         parts_of_existing_tables(inspection_.declared, inspection_.observed, to_phase_))
      removed.push_back(std::move(each));
    const std::vector<Dependent> dependents = database_.dependents(removed);
    if (dependents.empty())
      return;
    throw Failure(
        sqlstate::dependent_objects, "other objects depend on what cleanup would remove",
        join(dependents, "\n", [](const Dependent &each) { return each.description; }),
        "Save their definitions and drop them if they are no longer needed: " +
            join(dependents, "",
                 [](const Dependent &each) { return each.drop.empty() ? "" : each.drop + "; "; }) +
            "then run " + command(options_.force));
  }

  /** Routines whose body names what goes: the server knows of no dependency, so it is a guess. */
  void warn_of_routines() {
    std::string words;
    for (const ExistingObject &each : inspection_.situation.objects)
      if (each.phase > to_phase_ &&
          (each.object_type == ObjectType::table || each.object_type == ObjectType::column))
        append(words, each.name, "|");
    if (words.empty())
      return;
    const std::vector<Row> routines = database_.query(naming_routines_query("$1::text"), {words});
    if (!routines.empty())
      monitor_.warning("functions name what this cleanup removes",
                       join(routines, "\n", [](const Row &row) { return row[0].value_or(""); }),
                       "They are kept. Look whether they still work without it.");
  }

  void count() {
    const CleanupScope scope{inspection_.declared, inspection_.observed, to_phase_};
    on_record_ = ledger_.knows_of_migration();
    losses_ = count_losses(database_, scope, on_record_);
    for (const Step &step : plan_)
      if (drops_table(step))
        rows_[step.table] =
            database_.number("SELECT count(*) FROM " + qualified(target().schema, step.table));
  }

  static bool drops_table(const Step &step) { return step.relation == step.table; }

  /** What cannot be derived from session_summaries again. */
  void refuse_losses() {
    if (losses_.empty())
      return;
    std::string detail = join(losses_, "\n", [](const Loss &each) { return each.words(); });
    if (!on_record_)
      detail = "The ledger tells of no migration of schema \"" + target().schema +
               "\" (was the extension reinstalled?), so everything counts.\n" + detail;
    if (options_.force) {
      monitor_.warning("data that cannot be rebuilt is removed", detail,
                       "It is gone once this transaction commits.");
      return;
    }
    const CleanupScope scope{inspection_.declared, inspection_.observed, to_phase_};
    std::string saving;
    for (const Loss &each : losses_) {
      const std::string statement = saving_statement(target(), scope, each.table);
      if (!contains(saving, statement))
        saving += statement + " ";
    }
    throw Failure(sqlstate::prerequisite_state, "cleanup would lose data that cannot be rebuilt",
                  detail, "Save it, as in " + saving + "and accept the loss with " + command(true));
  }

  std::string final_state() const {
    const std::string version = "schema version " + std::to_string(final_version());
    return to_phase_ == before_ ? version
                                : version + ", phases 1 to " + std::to_string(to_phase_) + " kept";
  }

  std::vector<StepResult> planned() {
    std::vector<StepResult> rows;
    if (drops_online_objects())
      rows.push_back({0, "drop_online_objects", "planned", std::nullopt, 0,
                      "lock ACCESS EXCLUSIVE on session_summaries, an online migration has not"
                      " ended"});
    for (const Step &step : plan_) {
      StepResult row{step.phase, step.name, "planned", std::nullopt, 0, ""};
      row.detail = "lock " + step.lock_mode + " on " + step.table +
                   (step.detail.empty() ? "" : ", " + step.detail);
      measure(step, row);
      rows.push_back(std::move(row));
    }
    rows.push_back({to_phase_, "set_version", "planned", std::nullopt, 0, final_state()});
    return rows;
  }

  /** Adds how many rows and bytes a step would take away. */
  void measure(const Step &step, StepResult &row) {
    if (!step.relation.empty())
      row.detail +=
          ", " +
          database_.query(relation_size_query, {qualified(target().schema, step.relation)})
              .front()
              .front()
              .value_or("0") +
          " bytes";
    describe_rows(step, row);
  }

  void describe_rows(const Step &step, StepResult &row) {
    if (drops_table(step))
      row.rows = rows_.at(step.table);
    if (drops_table(step) || !step.columns.empty())
      for (const Loss &each : losses_)
        if (each.table == step.table)
          append(row.detail, "lost: " + each.words_without_table());
  }

  std::vector<StepResult> apply() {
    position_.at(0, "lock_exclusively");
    database_.upgrade_locks(locks("ACCESS EXCLUSIVE"));
    refuse_dependents(); // a view can be made in spite of the weaker locks
    const std::int64_t run =
        ledger_.begin_run("cleanup", "to phase " + std::to_string(to_phase_), false);
    monitor_.planned(portions_of(plan_, Filling::at_once));
    const std::int64_t begun = database_.clock_us();
    std::vector<StepResult> rows;
    const auto done = [&](StepResult row) {
      ledger_.record(run, row);
      monitor_.notice("cleanup: " + row.step + " done", row.detail);
      rows.push_back(std::move(row));
    };
    if (drops_online_objects()) {
      position_.at(0, "drop_online_objects");
      drop_online_objects(database_, inspection_.situation.online);
      done(
          {0, "drop_online_objects", "done", std::nullopt, 0, "an online migration had not ended"});
    }
    for (const Step &step : plan_) {
      position_.at(step.phase, step.name);
      const std::int64_t step_begun = database_.clock_us();
      for (const std::string &sql : step.statements)
        database_.execute(sql);
      StepResult row{step.phase, step.name, "done", std::nullopt, database_.clock_us() - step_begun,
                     step.detail};
      describe_rows(step, row);
      done(std::move(row));
    }
    position_.at(to_phase_, "set_version");
    record();
    done({to_phase_, "set_version", "done", std::nullopt, 0, final_state()});
    ledger_.finish_run(run,
                       {to_phase_, "", "done", std::nullopt, database_.clock_us() - begun, ""});
    monitor_.finished();
    return rows;
  }

  // What was not recorded of the version that stays is not known to be true.
  void record() {
    const std::optional<int> recorded = inspection_.situation.subphase;
    if (to_phase_ > before_ || before_ == 0)
      record_subphase(database_, to_phase_);
    else if (recorded)
      record_subphase(database_, std::min(*recorded, to_phase_));
    record_version(database_, std::min(inspection_.situation.version, final_version()));
  }

  Database &database_;
  Ledger &ledger_;
  Monitor &monitor_;
  const CleanupOptions options_;
  const int before_;   ///< the last phase of the version before
  const int to_phase_; ///< what stays
  RunPosition position_;
  Inspection inspection_;
  std::vector<Step> plan_;
  bool on_record_ = false;
  std::vector<Loss> losses_;
  std::map<std::string, std::int64_t> rows_; ///< per table that goes
};

} // namespace

std::vector<StepResult> cleanup(Database &database, Ledger &ledger, Monitor &monitor,
                                const CleanupOptions &options) {
  return CleanupRun(database, ledger, monitor, options).run();
}

} // namespace cowrie
