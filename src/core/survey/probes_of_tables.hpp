// Probes of tables: triggers, views, row security and publications on them.
//
// Error regime: these are texts; see probes.hpp.
#pragma once

#include "core/survey/probe_parts.hpp"

namespace cowrie::probes {

std::vector<Probe> of_tables();

} // namespace cowrie::probes
