// Cleanup plan: what exists of a version -> the steps that drop it, last phase first.
//
// Error regime: never fails.
#pragma once

#include <vector>

#include "core/plan/step.hpp"
#include "core/ports/target.hpp"
#include "core/schema/schema.hpp"

namespace cowrie {

/** Plans the way back to the end of `to_phase`. */
std::vector<Step> plan_cleanup(const Schema &declared, const Schema &observed, const Target &target,
                               int to_phase);

} // namespace cowrie
