// Call arguments: those of a call as it was made, for the ledger.
//
// Error regime: throws.
#pragma once

#include "pg/boundary/imports.h"

#include <string>

namespace cowrie::pg {

/** The arguments by name, but for target_schema, as an object of JSON: `{"repair": "f"}`. */
std::string arguments_as_json(FunctionCallInfo fcinfo);

} // namespace cowrie::pg
