// Unfit column: what keeps a copy of the heap from filling the sessions.
//
// Error regime: never fails.
#pragma once

#include <string>

#include "core/schema/schema.hpp"

namespace cowrie {

/** Tells which column of the sessions ALTER TABLE must convert or a copy of the heap cannot read as
 *  it is, and why; empty: there is none. */
std::string unfit_column(const Table &declared, const Table &observed);

} // namespace cowrie
