// Probes of tables: what hangs on them, and where their changes go.
//
// Error regime: these are texts; see probes.hpp.
#pragma once

#include "core/survey/probe_parts.hpp"

namespace cowrie::probes {

std::vector<Probe> of_tables();

} // namespace cowrie::probes
