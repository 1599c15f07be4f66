// Target: which schema is meant, who owns it, and whether it can be worked on at all.
//
// Error regime: throws Failure with the SQLSTATEs of the public contract.
#pragma once

#include "core/ports/ports.hpp"
#include "pg/catalog/extension.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

struct ResolvedTarget {
  Target names;
  Oid schema = InvalidOid;
  Oid sessions = InvalidOid;
  Oid owner = InvalidOid;
  Oid events = InvalidOid; ///< raw_events, where it is there and wanted
  Extension extension;
  std::string repeat;  ///< the call, ready to be pasted: SELECT or CALL, with the caller's schema
  std::string call;    ///< that changes something: its function and arguments, as an object of JSON
  bool written = true; ///< rows of the tables shall be written; cleanup writes none but the version
};

/** How much a caller needs. */
enum class Access {
  read,    ///< validate, dry runs: any role that may read, also on a standby
  measure, ///< the same with EXPLAIN, which is no read-only statement to SPI
  change,  ///< migrate and cleanup: the owner's rights, on a primary
};

/**
 * Finds session_summaries: in the named schema, or on the caller's search_path. Temporary tables
 * never count. Nothing is read from it yet, and nothing of what is beside it is trusted.
 * @param function the SQL function that was called; the extension is the one that it belongs to
 * @param version the schema version that the call is about
 */
ResolvedTarget find_target(const std::string *schema_name, Oid function,
                           int version = Target().version);

/** Refuses callers and tables that a call with this access cannot work with. To be asked again once
 * the tables are locked: refuse_changed_target(). */
void inspect_target(const ResolvedTarget &target, Access access);

/** Finds everything again by its name, as it is now, and refuses (55000) a target that is not the
 * one that was found before: tables may be dropped, restored, given away and created while a call
 *  waits for its locks. Then asks everything that inspect_target() asks. */
void refuse_changed_target(const ResolvedTarget &target, Access access);

/** The part of it that needs no snapshot and no lock: session_summaries is still the table of that
 * name and belongs to the same role. */
void refuse_changed_sessions(const ResolvedTarget &target);

/** `SELECT * FROM cowrie_migrate_v16();` or `CALL …`, for an SQL function of the extension. */
std::string call_of(const Target &names, Oid function);

/** Tells whether the caller may act as the owner of the sessions. */
bool may_act_as_owner(const ResolvedTarget &target);

} // namespace cowrie::pg
