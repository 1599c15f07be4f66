// Step names: all names that a step can have.
//
// Error regime: plain data.
#pragma once

#include <string>
#include <vector>

namespace cowrie {

/** The step names of the migration in a fixed order: a number in the status means one of them. */
const std::vector<std::string> &step_names();

} // namespace cowrie
