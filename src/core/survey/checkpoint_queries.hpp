// Checkpoint queries: what analysts ask of the migrated tables, as the specification lists it.
//
// Error regime: throws what the port throws.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/ports/ports.hpp"

namespace cowrie {

struct CheckpointQuery {
  std::string name;
  std::function<std::string(Database &)> sql;
  /** What it asks for: the commonest country, the busiest ASN, so that it is no easy case. */
  std::function<std::vector<Parameter>(Database &)> parameters;
};

const std::vector<CheckpointQuery> &checkpoint_queries();

} // namespace cowrie
