// Effort: how much of a run each of its steps is.
//
// Error regime: never fails.
#pragma once

#include <vector>

#include "core/plan/step.hpp"
#include "core/ports/ports.hpp"

namespace cowrie {

/** How the sessions are filled: by one rewrite, or in batches. */
enum class Filling : std::uint8_t { at_once, in_batches };

/** The parts of a run by its plan. Efforts are milliseconds for 200,000 sessions, as the ledger had
 *  them after a run of `make bench`; only their ratios count. The filling of sessions counts rows.
 */
std::vector<Portion> portions_of(const std::vector<Step> &plan, Filling filling);

} // namespace cowrie
