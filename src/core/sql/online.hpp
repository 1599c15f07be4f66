// Online SQL: what an online migration adds to the derivation: the trigger that catches changes,
// batches in the order of the disk, and the inventories brought up to date for the sessions that
// have changed meanwhile.
//
// What it may know: names, the declaration, the parts of the derivation. Error regime: never fails.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/sql/derivation.hpp"

namespace cowrie::online {

/**
 * The objects that exist only while an online migration does; one that was interrupted leaves them
 * behind, so that nothing is missed until it is resumed or cleaned up. The trigger's name comes
 * late in the alphabet: it has to see what the user's own BEFORE triggers make of a row.
 */
inline constexpr const char *change_trigger = "zz_cowrie_migrate_online";
inline constexpr const char *change_function = "cowrie_online_change";
inline constexpr const char *changes_table = "cowrie_migrate_changes"; ///< keys of changed sessions
inline constexpr const char *changes_comment =
    "cowrie_migrate: sessions that an online migration has still to look at";
inline constexpr const char *queue_table = "cowrie_migrate_queue"; ///< order of the batches
inline constexpr const char *queue_comment =
    "cowrie_migrate: sessions in the order in which an online migration fills them";
inline constexpr const char *delta_table = "cowrie_migrate_delta"; ///< a part of the staging table

/** Makes the table of changed keys; logged, so that a crash forgets none. Its trigger refuses
 *  TRUNCATE, and keeps the extension from being dropped before the migration has ended. */
std::vector<std::string> create_changes(const Target &target);
std::string create_delta(const Target &target);

/** Whether the server writes WAL that is decoded into changes of rows. What a table holds when it
 *  becomes logged is not among them: to be logged and yet sent to nobody it is filled before. */
enum class Decoded : std::uint8_t { no, yes };

/** Makes the queue: the keys of all sessions, numbered from 1 in their order on disk, so that
 *  batches read and write pages that lie together: of so many pages as stay in the cache the first
 *  row of each, then the second of each. By then what the first one was before is dead, and its
 * room free for the second, which needs no new entry in the indexes then. Logged, so that a crash
 * does not cost what has been filled. The order is a matter of speed only: a session is found by
 * its key, wherever it is. Of a partitioned table one partition comes after the other, and each
 * place tells of which it is. */
std::string create_queue(const Target &target, Decoded decoded);
/** Gives it its index and its comment. */
std::vector<std::string> finish_queue(const Target &target, Decoded decoded);
/** Returns how many places it has, and a sum over places and keys. */
std::string sum_up_queue(const Target &target);

/** Makes the trigger, for writers in any replication role. */
std::vector<std::string> create_trigger(const Target &target);
std::string drop_trigger(const Target &target);

/** Returns the OID of the trigger, whether it fires for every writer, whether a relation with the
 *  name of the table of changed keys is that, the OID of the queue, and that of the former; each
 *  NULL where there is none. One row. */
std::string find_objects(const Target &target);

/** A row that no inventory counts: an unlogged table that has lost it has lost everything. It names
 *  the file of the sessions: after a TRUNCATE, which no row trigger sees, it is another one. */
std::string mark_staging(const Target &target);
std::string staging_is_whole(const Target &target);

/** Places of the queue, and the table that their sessions are in; empty: session_summaries. */
struct Places {
  std::int64_t after = 0, last = 0;
  std::string table = {};
};

/** Returns how many of these places there are in the queue. */
std::string count_places(const Target &target, const Places &places);

/** Returns how many sessions of these this transaction and perhaps earlier ones have updated
 *  without a new entry in any index: the next one that looks at the page removes what such a row
 * was before. */
std::string count_heap_only(const Target &target, const Places &places);

/** What to do with the NULLs of a snapshot that has been taken: its enrichment_at is there. */
enum class TakenSnapshots {
  keep,     ///< it was taken by the trigger, from the document of that moment
  complete, ///< it may come from an attempt that filled only a part
};

/** Fills the sessions of these places, and checks of every row written that document and times are
 *  as they were. */
std::string fill_batch(const Target &target, const Table &declared, const Table &observed,
                       const Places &places, TakenSnapshots taken);

/** Fills these sessions, where something of them is missing. */
std::string fill_sessions(const Target &target, const Table &declared, const Table &observed,
                          const std::vector<std::string> &session_ids);

/** Reads these sessions as fill_sessions() would fill them; changes nothing. */
std::string read_sessions(const Target &target, const Table &declared, const Table &observed,
                          const std::vector<std::string> &session_ids);

/** Selects the keys of sessions that nothing has been filled of although something is known: all,
 * or so many. */
std::string unfilled_keys(const Target &target, const Table &declared, const Table &observed,
                          std::optional<std::int64_t> most);

/** Selects the keys of sessions whose address has no row: set by somebody who knows of version 16.
 */
std::string orphan_keys(const Target &target);

/** Returns the places of some changed keys, the keys, and the file of their table. */
std::string read_changed_keys(const Target &target, std::int64_t limit);
/** Selects the places $1 (an array) as they are, if the notes are in that file still: nobody else
 *  changes a note, but VACUUM FULL moves all of them to another file. */
std::string places_of_keys(const Target &target, const std::string &file);
std::string count_changed_keys(const Target &target);
/** Also about how many rows the table $1 has. */
std::string count_changed_keys_and_sessions(const Target &target);
/** Selects the places of all keys but those of sessions without an address: a raw event may have
 *  come for them. */
std::string places_of_keys_with_address(const Target &target);

/** Returns the addresses and ASNs of staged sessions. */
std::string staged_keys(const Target &target, const std::vector<std::string> &session_ids);
std::string unstage(const Target &target, const std::vector<std::string> &session_ids);

/** Copies the staged sessions of some addresses or ASNs to the delta table. */
std::vector<std::string> take_delta(const Target &target, const std::string &key,
                                    const std::vector<std::string> &values);

/** Deletes the rows of an inventory that no session tells of any more: of some keys, or of all. */
std::string drop_gone(const Target &target, const std::string &table,
                      const std::vector<std::string> *values);

/** Deletes the history of some addresses, or of all, before it is derived anew. */
std::string drop_history(const Target &target, const std::vector<std::string> *values);

} // namespace cowrie::online
