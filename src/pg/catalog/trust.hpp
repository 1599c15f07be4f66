// Trust: which tables beside session_summaries may be read or written on behalf of their owner.
//
// A statement on a table runs the code of its owner: triggers, defaults and checks when it is
// written, expressions of its indexes as soon as a query on it is planned. So a table beside
// session_summaries is trusted if its owner is the owner of session_summaries, a superuser, or a
// role that owner has been made a member of by a superuser or by itself; so are the types of its
// columns that are named in statements, with their casts and operators. That a superuser "has the
// privileges of" every role is another question: it is not asked here. Error regime: throws
// Failure; functions named _unsafe may longjmp.
#pragma once

#include "pg/catalog/target.hpp"

namespace cowrie::pg {

/** Read where sessions have no address, never written. */
inline constexpr const char *events_table = "raw_events";

/** Tells whether the owner of the sessions trusts the code of another role. */
bool is_trusted_role_unsafe(Oid sessions_owner, Oid other);

/** Tells whether raw events, or whatever has that name, can be read as the owner of the sessions.
 */
bool events_are_trusted_unsafe(Oid sessions_owner, Oid events);

/**
 * Refuses a table beside session_summaries that is none (a view would run its owner's functions,
 * 42809), one whose owner is not trusted (42501), and named columns of types that are not trusted
 * (42501). A table that is not there is fine.
 */
void refuse_untrusted_table(const ResolvedTarget &target, const std::string &table);

/** Tells whether a table is there and refuse_untrusted_table() would refuse its owner: advice about
 *  anything else of it would help somebody who has planted it. */
bool is_foreign_table(const ResolvedTarget &target, const std::string &table);

/** The tables that statements read or write, session_summaries among them. */
std::vector<std::string> tables_of_the_schema();

} // namespace cowrie::pg
