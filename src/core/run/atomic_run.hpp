// Migration: runs a plan through the ports. Phases, failure policy, resumption, proof.
//
// What it may know: the ports. Error regime: throws Failure with phase and step in its context;
// with the policy `keep` an ordinary failure becomes a row instead.
#pragma once

#include <string>
#include <vector>

#include "core/plan/plan.hpp"
#include "core/ports/ports.hpp"

namespace cowrie {

enum class OnFailure : std::uint8_t {
  abort, ///< the error is raised and takes everything with it
  keep,  ///< the failing phase is rolled back, completed phases stay
};

struct MigrateOptions {
  bool repair = false;
  bool dry_run = false;
  OnFailure on_failure = OnFailure::abort;
};

struct CleanupOptions {
  int to_phase = 0;
  bool dry_run = false;
  bool force = false;
};

/** The catalog and the recorded version, compared with the declaration. */
struct Look {
  Schema observed;
  Schema declared; ///< with the server's form of its expressions
  Situation situation;
};

/** Reads the catalog and the recorded version. Throws: no schema_state, or no version in it. */
Look look(Database &database);

/** Refuses, without `repair`, what is neither version 15 nor complete nor resumable. */
void refuse_incomplete(const Target &target, const Situation &situation);

/** Refuses what repair cannot mend without deciding about somebody's rows; completes the findings
 *  with what the rows tell. */
void refuse_losses(Database &database, Look &look);

/** Refuses a plan when some other relation of the schema has the name of an index, a key or a table
 *  that it makes: indexes and keys share their names with all relations. */
void refuse_names_in_the_way(Database &database, const std::vector<Step> &plan);

/** Compares the catalog with the declaration of the phases up to this one, but for what was
 *  skipped; throws what differs. */
void verify_phase(Database &database, int phase, const std::vector<std::string> &skipped = {});

/** Tells whether an earlier run has left a work table; throws when something else has its name. */
bool has_work_table(Database &database, const std::string &name);

/** Drops a work table of an earlier run; throws when something else has its name. */
void drop_work_table(Database &database, const std::string &name);

/** Does what a step of kind mend says: columns of a table that is there become the declared ones.
 */
void mend(Database &database, Monitor &monitor, const Step &step, StepResult &row);

/** Runs the ANALYZE of a step, with a sample that is bounded in bytes, not only in rows. */
void analyze(Database &database, const Step &step);

/** Looks up the columns of an index; true: one is missing, which has been said. */
bool skipped_for_missing_column(Database &database, Monitor &monitor, const Step &step,
                                StepResult &row);

/** Migrates to version 16; a row per step. */
std::vector<StepResult> migrate(Database &database, Ledger &ledger, Monitor &monitor,
                                const MigrateOptions &options);

/** Says what a plan would do: a `planned` row per step, with estimated rows, lock and bytes. */
std::vector<StepResult> estimate(Database &database, const std::vector<Step> &plan);

/** Takes version 16 back to version 15, or to the end of a phase; a row per step. */
std::vector<StepResult> cleanup(Database &database, Ledger &ledger, Monitor &monitor,
                                const CleanupOptions &options);

/** Compares database and declaration; no row means complete. `version` is 15 or 16. */
std::vector<Finding> validate(Database &database, int version);

/** What only the rows can tell, once all columns are there: unfilled sessions and orphans. */
std::vector<Finding> data_findings(Database &database, const Situation &situation);

/** Writes `schema_version`. */
void record_version(Database &database, int version);

/** Writes `schema_subphase` (`16.k`); 0 removes it. */
void record_subphase(Database &database, int phase);

/** `phase 3 (ip_inventory): load_ip_inventory done, 4 rows`, as the caller is told. */
std::string in_words(const StepResult &step);

/** Counts the rows of a table that its foreign key refers from to no row. */
std::int64_t orphans_of(Database &database, const Table &table, const Constraint &foreign_key);

/** `asn_invalid 12, ip_invalid 3`; empty when nothing was rejected. */
std::string describe(const RejectCounts &rejects);

} // namespace cowrie
