// Probes of sessions: who else is connected, and what they hold on to.
//
// Error regime: these are texts; see probes.hpp.
#pragma once

#include "core/survey/probe_parts.hpp"

namespace cowrie::probes {

std::vector<Probe> of_sessions();

} // namespace cowrie::probes
