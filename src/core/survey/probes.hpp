// Probes: what the server and its other sessions have in store for a migration.
//
// Each probe is one query of the catalogs and the statistics views; it takes no table lock. Error
// regime: throws what the port throws; a privilege that is missing becomes a row.
#pragma once

#include <vector>

#include "core/ports/ports.hpp"
#include "core/survey/hazard.hpp"

namespace cowrie {

/** Asks all of them, as the caller: what it may not see becomes an `info` row. */
std::vector<Hazard> probe_server(Database &database);

} // namespace cowrie
