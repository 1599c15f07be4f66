// Cleanup script: the cleanup as plain SQL, for a server on which the extension cannot be
// installed.
//
// What it may know: core. Error regime: never fails.
#pragma once

#include <string>

namespace cowrie {

/** Returns what scripts/cleanup_v16_incomplete.sql must hold. */
std::string cleanup_script();

} // namespace cowrie
