// Online refusals: what an online migration cannot do beside an application that goes on writing.
//
// Takes ACCESS SHARE locks, writes nothing. Error regime: throws Failure, and what the port throws.
#pragma once

#include <vector>

#include "core/inspect/inspection.hpp"
#include "core/plan/row_facts.hpp"
#include "core/plan/step.hpp"
#include "core/ports/ports.hpp"

namespace cowrie {

/** Asks for triggers and rules of the table $1, and of its partitions, that fire when these columns
 *  are updated: in words, whether the operator may declare it harmless, and its table. */
std::string firing_triggers_query(const std::string &columns);

/** Every refusal of this mode that is no refusal of the atomic one: triggers and rules that would
 *  fire for the rows that the batches write, CHECKs that these rows violate, tables of others that
 *  have the name of a work table. */
using OnlineRefusal = void (*)(Database &, const Inspection &);
std::vector<OnlineRefusal> online_refusals();

/** Plans what this mode does: what was left by a completed phase is done again, as for a repair. */
std::vector<Step> plan_online(const Inspection &inspection, const Target &target,
                              const RowFacts &rows);

/** Refuses a plan that changes the type of a column of the sessions, by a step of its own or in the
 *  one rewrite: that rewrites the whole table
 *  under a lock. */
void refuse_rewrites(const Target &target, const std::vector<Step> &plan,
                     const Inspection &inspection);

} // namespace cowrie
