// Step names: all names that a step can have.
//
// Error regime: plain data.
#pragma once

#include <string>
#include <vector>

namespace cowrie {

/** The step names of the migration in a fixed order: a number in the status means one of them. */
const std::vector<std::string> &step_names();

/** What the status has as the phase of a run that has come to its end, and the phase it ended in on
 *  top of it. */
inline constexpr int finished_phase = 100;

} // namespace cowrie
