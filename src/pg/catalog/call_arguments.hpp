// Call arguments: those of a call as it was made, for the ledger.
//
// Error regime: throws.
#pragma once

#include "pg/boundary/imports.h"

#include <string>

namespace cowrie::pg {

/** The function and its arguments by name, but for target_schema, as an object of JSON:
 *  `{"function": "cowrie_migrate_v16", "arguments": {"repair": "f"}}`. */
std::string call_as_json(FunctionCallInfo fcinfo);

} // namespace cowrie::pg
