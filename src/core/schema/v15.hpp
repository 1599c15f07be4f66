// Schema version 15: what version 16 builds on.
//
// Error regime: plain data.
#pragma once

#include "core/schema/schema.hpp"

namespace cowrie {

/** The parts of version 15 that the migration reads. */
const Schema &schema_v15();

} // namespace cowrie
