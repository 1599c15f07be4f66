// Shared steps: what a step does where both ways of migrating do the same, and how it is reported.
//
// Each runs in a transaction of the caller's. Error regime: throws what the ports throw.
#pragma once

#include <string>
#include <vector>

#include "core/plan/step.hpp"
#include "core/ports/ports.hpp"

namespace cowrie {

/** The declared tables in the one order in which every run locks them, the busiest first. */
std::vector<TableLock> locks_of_run(Database &database, const Schema &observed,
                                    const std::string &mode);

/** Compares the catalog with the declaration of the phases up to this one, but for what was
 *  skipped; throws what differs. */
void verify_phase(Database &database, int phase, const std::vector<std::string> &skipped = {});

/** What hangs on a column that a repair replaces, is dropped with it and made again on the new one.
 */
struct CarriedOver {
  std::string words; ///< `index my_index`
  std::string drop;  ///< empty: it goes with the column
  std::string make;
};
std::vector<CarriedOver> carried_over(Database &database, const Step &step);
/** `; carried over: index my_index, grants of is_scanner`; nothing: empty. */
std::string in_words(const std::vector<CarriedOver> &carried);

/** Runs a repair step: columns of an existing table become the declared ones. */
void repair_table(Database &database, Monitor &monitor, const Step &step, StepResult &row);

/**
 * Asks for the statistics target, bytes and rows of the table $1, and its columns that are named in
 * $2 or have no statistics; NULL where an ANALYZE of some columns would leave out statistics of
 * expressions or of several columns.
 */
extern const char *const sample_query;
/** Sets the statistics target. */
extern const char *const set_sample_query;

/** Runs the ANALYZE of a step, with a sample that is bounded in bytes, not only in rows. */
void analyze(Database &database, const Step &step);

/** Asks which of the columns $2 the table $1 lacks: the first of them. */
extern const char *const missing_columns_query;

/** Returns true if a column of the index is missing; a WARNING has been issued. */
bool skipped_for_missing_column(Database &database, Monitor &monitor, const Step &step,
                                StepResult &row);

/** `phase 3 (ip_inventory)`. */
std::string in_words(int phase);
/** `phase 3 (ip_inventory): load_ip_inventory done in 12 ms, 4 rows`. */
std::string in_words(const StepResult &step);

/** `asn_invalid 12, ip_invalid 3`; empty when nothing was rejected. */
std::string describe(const RejectCounts &rejects);

} // namespace cowrie
