// Preflight: whether a migration would work, what it would cost, what it would make of the data.
//
// Read-only; takes ACCESS SHARE locks and keeps none. Error regime: a refusal of the migration
// becomes a row; throws what must not be kept (a cancel).
#pragma once

#include <vector>

#include "core/base/failure.hpp"
#include "core/ports/ports.hpp"
#include "core/survey/hazard.hpp"

namespace cowrie {

struct PreflightOptions {
  std::int64_t sample = -1; ///< sessions to evaluate; 0: all; -1: all unless there are very many
};

/** Looks at schema, space and documents, as the owner of the tables. */
std::vector<Hazard> inspect_tables(Database &database, const PreflightOptions &options);

/** A refusal as a row: its message, detail and hint, word by word. */
Hazard blocker(const Failure &refusal);

} // namespace cowrie
