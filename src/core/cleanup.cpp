// Cleanup: the declaration, backwards. It refuses rather than destroys.
//
// What it may know: the ports. Error regime: throws Failure; one transaction, never CASCADE.
#include <algorithm>

#include "core/failure.hpp"
#include "core/migration.hpp"
#include "core/run_place.hpp"

namespace cowrie {
namespace {

class CleanupRun : Live {
public:
  CleanupRun(Database &database, Ledger &ledger, Monitor &monitor, const CleanupOptions &options)
      : database_(database), ledger_(ledger), monitor_(monitor), options_(options),
        place_(monitor, database.target().command(function)) {}

  std::vector<StepResult> run() {
    return options_.dry_run ? run_unplaced()
                            : place_.all_or_nothing(database_, [this] { return run_unplaced(); });
  }

private:
  static constexpr const char *function = "cowrie_cleanup_v16";

  std::vector<StepResult> run_unplaced() {
    if (options_.to_phase < 0 || options_.to_phase >= phase_count)
      throw Failure(sqlstate::invalid_parameter,
                    "to_phase must be between 0 and " + std::to_string(phase_count - 1),
                    "It is " + std::to_string(options_.to_phase) + ".",
                    "To go back to version 15, run " + target().command(function));
    if (!options_.dry_run)
      database_.lock_run();
    database_.in_passing([this] { inspect(); });
    if (nothing_to_do())
      return {{options_.to_phase, "cleanup", "skipped", std::nullopt, 0,
               options_.to_phase == 0 ? "schema version 15, nothing to remove"
                                      : "nothing of the later phases is there"}};
    if (!options_.dry_run) {
      monitor_.started("atomic", 0);
      place_.at(0, "lock_tables");
      lock_tables();
      place_.at(0, "inspect");
      inspect();
    }
    refuse_incomplete_rest();
    refuse_later_version();
    refuse_dependents();
    refuse_losses();
    return options_.dry_run ? planned() : apply();
  }

  const Target &target() const { return database_.target(); }

  void inspect() {
    look_ = look(database_);
    plan_ = plan_cleanup(look_.declared, look_.observed, target(), options_.to_phase);
  }

  bool nothing_to_do() const {
    const Situation &now = look_.situation;
    return plan_.empty() && now.version == 15 && now.subphase.value_or(0) <= options_.to_phase;
  }

  void lock_tables() {
    std::vector<TableLock> wanted = {{"session_summaries", "ACCESS EXCLUSIVE"}};
    for (const Table &table : schema_v16().tables)
      if (table.phase > 0 && look_.observed.table(table.name))
        wanted.push_back({table.name, "ACCESS EXCLUSIVE"});
    wanted.push_back({"schema_state", "SHARE ROW EXCLUSIVE"});
    database_.lock_tables(wanted);
  }

  /** What shall stay must be there: a phase is recorded only when it is complete. */
  void refuse_incomplete_rest() const {
    std::string detail;
    for (const Finding &each : look_.situation.findings)
      if (each.object_type != ObjectType::version && each.phase <= options_.to_phase)
        detail += (detail.empty() ? "" : "\n") + each.object_name() + " is " +
                  std::string(name_of(each.problem));
    if (!detail.empty())
      throw Failure(
          sqlstate::prerequisite_state,
          "phases 1 to " + std::to_string(options_.to_phase) + " are not complete", detail,
          "Complete them first with " + target().command("cowrie_migrate_v16", "repair => true") +
              " or go back to version 15 with " + target().command(function));
  }

  void refuse_later_version() const {
    if (look_.situation.version <= 16 || options_.force)
      return;
    throw Failure(sqlstate::prerequisite_state,
                  "schema version " + std::to_string(look_.situation.version) +
                      " builds on version 16",
                  "Back at version 15 the application would replay its own later migrations.",
                  "If that is what you want, run " + target().command(function, "force => true"));
  }

  /** Objects that are not declared and that a DROP would take along, or trip over. */
  void refuse_dependents() {
    const std::vector<std::string> dependents =
        database_.undeclared_dependents(present(look_.declared, look_.observed, options_.to_phase));
    if (dependents.empty())
      return;
    std::string detail;
    for (const std::string &each : dependents)
      detail += (detail.empty() ? "" : "\n") + each;
    throw Failure(
        sqlstate::dependent_objects, "other objects depend on what cleanup would remove", detail,
        "Drop them yourself if they are no longer needed, then run " + target().command(function));
  }

  /** What cannot be derived from session_summaries again. */
  void refuse_losses() {
    if (options_.force)
      return;
    std::string detail;
    for (const Table &table : schema_v16().tables) {
      const Table *seen = look_.observed.table(table.name);
      if (table.phase <= options_.to_phase || !seen || !seen->column("enrichment_updated_at"))
        continue;
      const std::string count =
          database_
              .query("SELECT count(*) FROM " + qualified(target().schema, table.name) +
                     " WHERE enrichment_updated_at IS NOT NULL")
              .front()
              .front()
              .value_or("0");
      if (count != "0")
        detail += (detail.empty() ? "" : "\n") + table.name + ": " + count +
                  " rows enriched by the application";
    }
    if (!detail.empty())
      throw Failure(sqlstate::prerequisite_state, "cleanup would lose data that cannot be rebuilt",
                    detail,
                    "Save these rows, or accept the loss with " +
                        target().command(function, "force => true"));
  }

  std::vector<StepResult> planned() {
    std::vector<StepResult> rows;
    for (const Step &step : plan_) {
      const bool table = step.name == "drop_" + step.table;
      StepResult row{step.phase, step.name, "planned", std::nullopt, 0, ""};
      row.detail = "lock " + step.lock_mode + " on " + step.table;
      if (table) {
        const std::string name = qualified(target().schema, step.table);
        const Row facts =
            database_
                .query("SELECT count(*), pg_total_relation_size($1::text::regclass) FROM " + name,
                       {name})
                .front();
        row.rows = std::stoll(facts[0].value_or("0"));
        row.detail += ", " + facts[1].value_or("0") + " bytes";
      }
      rows.push_back(std::move(row));
    }
    return rows;
  }

  std::vector<StepResult> apply() {
    const std::int64_t run =
        ledger_.begin_run("cleanup", "to phase " + std::to_string(options_.to_phase));
    const std::int64_t begun = database_.clock_us();
    std::vector<StepResult> rows;
    for (const Step &step : plan_) {
      place_.at(step.phase, step.name);
      const std::int64_t step_begun = database_.clock_us();
      for (const std::string &sql : step.statements)
        database_.execute(sql);
      rows.push_back(
          {step.phase, step.name, "done", std::nullopt, database_.clock_us() - step_begun, ""});
      ledger_.record(run, rows.back());
      monitor_.notice("cleanup: " + step.name + " done");
    }
    place_.at(options_.to_phase, "set_version");
    record_subphase(database_, options_.to_phase);
    record_version(database_, 15);
    rows.push_back({options_.to_phase, "set_version", "done", std::nullopt, 0,
                    options_.to_phase == 0 ? "schema version 15"
                                           : "schema version 15, phases 1 to " +
                                                 std::to_string(options_.to_phase) + " kept"});
    ledger_.record(run, rows.back());
    ledger_.finish_run(
        run, {options_.to_phase, "", "done", std::nullopt, database_.clock_us() - begun, ""});
    monitor_.finished();
    return rows;
  }

  Database &database_;
  Ledger &ledger_;
  Monitor &monitor_;
  const CleanupOptions options_;
  RunPlace place_;
  Look look_;
  std::vector<Step> plan_;
};

} // namespace

std::vector<StepResult> cleanup(Database &database, Ledger &ledger, Monitor &monitor,
                                const CleanupOptions &options) {
  return CleanupRun(database, ledger, monitor, options).run();
}

} // namespace cowrie
