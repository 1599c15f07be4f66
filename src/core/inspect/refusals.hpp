// Refusals: what a run does not touch, said before anything changes.
//
// Reads only. Error regime: throws Failure.
#pragma once

#include <string>
#include <vector>

#include "core/inspect/inspection.hpp"
#include "core/plan/step.hpp"

namespace cowrie {

/** Refuses, without `repair`, what is neither version 15 nor complete nor resumable. */
void refuse_incomplete(const Target &target, const Situation &situation);

/** Refuses what repair cannot mend without deciding about somebody's rows; completes the findings
 *  with what the rows tell. */
void refuse_losses(Database &database, Inspection &inspection);

/** Refuses a plan when some other relation of the schema has the name of an index, a key or a table
 *  that it makes: indexes and keys share their names with all relations. */
void refuse_taken_names(Database &database, const std::vector<Step> &plan);

/** Refuses a relation that has a name which the migration needs. */
[[noreturn]] void refuse_name(const Target &target, const std::string &name,
                              const std::string &what = "a table of its own");

/** Tells whether an earlier run has left a work table; throws when something else has its name. */
bool has_work_table(Database &database, const std::string &name);

} // namespace cowrie
