// RepairPlan: what repair does to the tables that are there before the plan adds what is missing:
// columns of another type, plain columns that must be generated, names of older attempts.
//
// What it may know: the declaration, what was observed, DDL. Error regime: never fails; what cannot
// be repaired without a decision about rows has been refused before (row_conflicts.hpp).
#pragma once

#include <string>
#include <vector>

#include "core/plan/row_facts.hpp"
#include "core/plan/step.hpp"
#include "core/ports/target.hpp"
#include "core/schema/schema.hpp"

namespace cowrie {

struct RepairPlan {
  std::vector<Step> steps; ///< by phase
  Schema after;            ///< what the catalog holds once they are done
};

/** Plans the repair of every table; for a complete or fresh schema there is none. */
RepairPlan plan_repair(const Schema &declared, const Schema &observed, const Target &target,
                       const RowFacts &rows);

/** Where the rows of a table go that have lost their key. */
std::string set_aside_name(const std::string &table);

} // namespace cowrie
