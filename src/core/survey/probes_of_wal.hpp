// Probes of WAL: who keeps it, and who must receive it.
//
// Error regime: these are texts; see probes.hpp.
#pragma once

#include "core/survey/probe_parts.hpp"

namespace cowrie::probes {

std::vector<Probe> of_wal();

} // namespace cowrie::probes
