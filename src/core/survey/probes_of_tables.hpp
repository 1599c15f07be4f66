// Probes of tables: triggers, views, row security and publications on them.
//
// Error regime: these are texts; see probes.hpp.
#pragma once

#include "core/ports/target.hpp"
#include "core/survey/probe_parts.hpp"

namespace cowrie::probes {

std::vector<Probe> of_tables(const Target &target);

} // namespace cowrie::probes
