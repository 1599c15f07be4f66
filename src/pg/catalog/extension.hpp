// Extension: where its objects are, and whose they are.
//
// Error regime: throws Failure or PgError.
#pragma once

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

struct Extension {
  Oid id = InvalidOid;
  Oid schema = InvalidOid;   ///< of what people call, and of the ledger
  Oid internal = InvalidOid; ///< of what statements call, and of the progress sequences
  Oid owner = InvalidOid;    ///< of the ledger and the sequences
  std::string ledger;        ///< the ledger's qualified name
};

/** Finds the objects beside an SQL function of the extension. Before version 1.2 the internal ones
 *  were in the schema of the others. */
Extension find_extension(Oid function);

} // namespace cowrie::pg
