// Schema version 16: the declaration that everything follows from.
//
// Error regime: plain data.
#pragma once

#include "core/schema/schema.hpp"

namespace cowrie {

/** The only definition of what version 16 is. */
const Schema &schema_v16();

} // namespace cowrie
