// Schema version 17: what it adds to version 16.
//
// Error regime: plain data.
#pragma once

#include "core/schema/schema.hpp"

namespace cowrie {

/** The only definition of what version 17 adds. */
const Schema &added_by_v17();

} // namespace cowrie
