// Dry run: what a plan would do: rows, locks and bytes, from the catalog alone.
//
// Error regime: throws what the port throws.
#pragma once

#include <vector>

#include "core/plan/step.hpp"
#include "core/ports/ports.hpp"

namespace cowrie {

/** Asks for rows and bytes of the table $1. */
extern const char *const table_sizes_query;

/** Says what a plan would do: a `planned` row per step, with estimated rows, lock and bytes. */
std::vector<StepResult> estimate(Database &database, const std::vector<Step> &plan);

} // namespace cowrie
