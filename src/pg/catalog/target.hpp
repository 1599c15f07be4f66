// Target: which schema is meant, who owns it, and whether it can be worked on at all.
//
// Error regime: throws Failure with the SQLSTATEs of the public contract.
#pragma once

#include "core/ports/ports.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

struct ResolvedTarget {
  Target names;
  Oid schema = InvalidOid;
  Oid sessions = InvalidOid;
  Oid owner = InvalidOid;
  Oid extension_schema = InvalidOid;
  bool written = true; ///< rows of the tables shall be written; cleanup writes none but the version
};

/** How much a caller needs. */
enum class Access {
  read,   ///< validate, dry runs: any role that may read, also on a standby
  change, ///< migrate and cleanup: the owner's rights, on a primary
};

/**
 * Finds session_summaries: in the named schema, or on the caller's search_path. Temporary tables
 * never count.
 * @param function the SQL function that was called; its schema is the extension's
 */
ResolvedTarget resolve_target(const std::string *schema_name, Oid function, Access access);

/** Tells whether the caller may act as the owner of the sessions. */
bool may_act_as_owner(const ResolvedTarget &target);

/** The owner of the extension's ledger and progress sequences. */
Oid extension_owner(const ResolvedTarget &target);

} // namespace cowrie::pg
