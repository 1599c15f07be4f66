// Derivation: the SQL that fills the new columns and derives the inventories from the sessions.
//
// What it may know: names, the declaration, and the functions of this extension. Error regime:
// never fails. The rules are those of ADR-007: *latest* is by end time, then by session_id under
// collation "C", descending.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "core/ports/target.hpp"
#include "core/schema/schema.hpp"

namespace cowrie::derivation {

/** A narrow row per session with an IP or an ASN: what the inventories are aggregated from. It
 *  exists only while a migration runs. */
inline constexpr const char *staging_table = "cowrie_migrate_staging";
/** The earliest raw event of each session; made only where raw_events has no fitting index. */
inline constexpr const char *event_table = "cowrie_migrate_events";
/** A row per address, with the session whose document it gets; only while ip_inventory is loaded.
 */
inline constexpr const char *chosen_table = "cowrie_migrate_chosen";

std::string create_staging(const Target &target);

/** Tells the planner of the staged sessions what it needs: by what they are grouped. */
std::string analyze_staging(const Target &target);

/** Stages the sessions by reading their documents (when no rewrite of this run has staged them). */
std::string stage_from_documents(const Target &target, const Table &sessions);

std::string create_event_table(const Target &target);
std::string index_event_table(const Target &target);

/** One ALTER TABLE that rewrites the table once and fills every session column in that pass;
 *  `with_checks` are added in the same pass. Values that exist are kept. */
std::string fill_by_rewrite(const Target &target, const Table &declared, const Table &observed,
                            const std::vector<const Constraint *> &with_checks);

/** Which sessions an UPDATE reads. */
enum class FillScope {
  untouched,  ///< they have none of the new columns: they came after phase 1
  unfinished, ///< no address or no time of enrichment: a snapshot that was taken is final
  any,        ///< some column is NULL: nobody knows how far they were filled
};

/** Fills sessions by UPDATE, where the document or the raw event tells something they lack. */
std::string fill_rows(const Target &target, const Table &declared, const Table &observed,
                      FillScope scope);

/** What to do with rows that are there already. */
enum class OnExisting {
  none_there, ///< the table was just made
  refresh,    ///< derived columns follow the sessions: rows came since the phase was done
  keep,       ///< what is there stays; missing rows and values are added
  replace, ///< this migration made the rows and nobody else has written them: they are derived anew
};

/** INSERT … SELECT for one of the derived tables; empty for any other table. `added`: columns that
 *  the existing rows have only just got: what the sessions tell goes into them. */
std::string load_rows(const Target &target, const std::string &table, OnExisting existing,
                      const std::set<std::string> &added = {});

/** Makes chosen_table from the staged sessions. */
std::vector<std::string> choose_sessions(const Target &target);

/** Tells whether a hash of chosen_table has room in memory; one row, one value. */
std::string chosen_fits(const Target &target);

/** INSERT … SELECT of the chosen sessions into an ip_inventory that was just made, while nobody can
 *  write sessions. Where they fit into memory, parallel workers can do the reading for it. */
std::string load_chosen(const Target &target, bool fits);

/** Gives ASNs that rows of ip_inventory refer to, and no session tells of, a row of their own. */
std::string add_missing_asns(const Target &target);

/** When the statement that called the migration began: what its ledger row has as started_at. */
inline constexpr const char *run_start = "statement_timestamp()";

/** Returns count, documents and times of all sessions, and the same of the settled ones: those
 *  created up to `start`, an SQL expression. One row. */
std::string fingerprint(const Target &target, const Table &observed_sessions,
                        const std::string &start = run_start);

/** Returns the same of the documents as a rewrite leaves them, which decompresses nothing: it can
 *  only prove that nothing has changed. */
std::string stored_fingerprint(const Target &target, const Table &observed_sessions);

} // namespace cowrie::derivation
