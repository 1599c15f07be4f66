// Refusals: what the extension does not work on, named before anything is changed.
//
// Each function returns when there is nothing to refuse. Error regime: throws Failure with the
// SQLSTATEs of the public contract, with the facts and the command that removes the cause.
#pragma once

#include "pg/catalog/target.hpp"

namespace cowrie::pg {

inline constexpr const char *sessions_table = "session_summaries";

/** What pg_class tells of a relation. */
struct RelationFacts {
  char kind;
  char persistence;
  bool typed; ///< made with CREATE TABLE … OF
  Oid owner;
};

/** Reads the catalog cache, without a lock: while another run holds the table this must not wait,
 *  that run is what the caller is to be told of. */
RelationFacts relation_facts(Oid relation);

std::string name_of_role(Oid role);
std::string name_of_relation(Oid relation);

/** `a view`, `an unlogged table`. */
std::string kind_in_words(const RelationFacts &facts);

/** Tells whether it is a permanent table that is no partition root, typed or foreign one. */
bool is_ordinary(const RelationFacts &facts);

/** A standby or a read-only transaction. */
void refuse_read_only(const ResolvedTarget &target, bool read_only);

/** A snapshot that may be older than what others have committed. */
void refuse_unsuitable_isolation(const ResolvedTarget &target, int level);

/** Sessions that are no ordinary permanent table, nor partitioned into such. */
void refuse_unsupported_kind(const ResolvedTarget &target, const RelationFacts &facts);

/** A caller who may not act as the owner of the sessions. */
void refuse_without_rights(const ResolvedTarget &target);

/** An owner who may not look into the extension's schema: the work is done as that role. */
void refuse_hidden_extension(const ResolvedTarget &target);

/** A caller who may not read every row of the tables: they are read as their owner, on behalf of
 *  roles that may read them themselves. */
void refuse_unreadable_tables(const ResolvedTarget &target);

/** Raw events that are wanted and that the owner of the sessions may not read. */
void refuse_unreadable_raw_events(const ResolvedTarget &target);

/** A schema_state whose columns or constraints do not take what a run writes there. */
void refuse_types_of_state(const ResolvedTarget &target);
void refuse_checks_of_state(const ResolvedTarget &target);
void refuse_constraints_of_state(const ResolvedTarget &target);

/** One thing that can be refused; a preflight reports them all, a change the first. */
using Refusal = void (*)(const ResolvedTarget &);

/** The parts of refuse_unsuitable_tables() and refuse_missing_privileges(). */
std::vector<Refusal> table_refusals();
std::vector<Refusal> privilege_refusals();

/** Tables whose changes would be intercepted, hidden, doubled or refused by the server in the
 *  middle of the work. Takes no lock; needs an SPI session. */
void refuse_unsuitable_tables(const ResolvedTarget &target);

/** An owner without a privilege that a migration needs. Needs an SPI session. */
void refuse_missing_privileges(const ResolvedTarget &target);

} // namespace cowrie::pg
