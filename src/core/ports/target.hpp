// Target: where a migration works.
//
// Error regime: plain data.
#pragma once

#include <cstdint>
#include <string>

#include "core/schema/schema.hpp"

namespace cowrie {

/** The two ways of migrating, by what an operator calls. */
enum class Entry : std::uint8_t {
  atomic, ///< SELECT * FROM cowrie_migrate_v16(), or of a later version
  online, ///< CALL cowrie_migrate_v16_online()
};

/** Where the sessions are, and what the migration must know of that place. */
struct Target {
  int version = 16;                   ///< the schema version that the call is about
  std::string schema;                 ///< the schema that is migrated
  std::string owner;                  ///< the owner of session_summaries
  std::string extension_schema;       ///< where this extension's functions are
  std::string named_schema;           ///< the schema as the caller named it; empty: by search_path
  std::string document_type = "json"; ///< of session_summaries.enrichment: json or jsonb
  bool partitioned = false;           ///< the rows of session_summaries are in its partitions
  /** An index leads with session_id in every partition, as it does in a table without. */
  bool sessions_indexed = true;
  std::string index_sessions; ///< the command that makes the one that is missing
  bool has_raw_events = false;
  /** ` COLLATE …` where session_id of raw_events has another collation than that of the sessions:
   * which of the two a comparison means must be said. */
  std::string events_collation;
  /** An index leads with session_id in raw_events and in every child or partition of it. */
  bool raw_events_indexed = false;
  std::string index_raw_events; ///< the commands that make those that are missing
  bool proves_columns = true;   ///< the extension's objects are new enough to prove every column
  Entry entry = Entry::atomic;  ///< what is running, or what a look at the tables is about
  std::string arguments;        ///< of that call, but for the schema: `repair => true`
  std::string staging = "cowrie_migrate_staging"; ///< what the inventories are aggregated from

  /** What the version that the call is about declares. */
  const Schema &declared() const;
  /** The function of that version: `cowrie_migrate_v16` for `migrate`. */
  std::string function(const std::string &verb) const;
  /** `SELECT * FROM cowrie_migrate_v16(repair => true);` for this target, ready to be pasted. */
  std::string command(const std::string &function, const std::string &arguments = {}) const;
  /** The call alone: `cowrie_migrate_v16(repair => true)`. */
  std::string call(const std::string &function, const std::string &arguments = {}) const;
  /** `CALL cowrie_migrate_v16_online();`, ready to be pasted. */
  std::string online_call(const std::string &arguments = {}) const;
  /** The call that migrates, in the form of the entry point that is running: what a HINT names. */
  std::string migration(const std::string &with = {}) const;
  /** The call that is running, with its own arguments. */
  std::string again() const { return migration(arguments); }
  /** The call that compares database and declaration: `cowrie_validate_schema()`. */
  std::string validation() const;
  /** The same target for another version, for a HINT that names a function of that one. */
  Target for_version(int other) const;
  /** The same target with the schema named, for a HINT that shows how that is done. */
  Target with_schema(const std::string &name) const;
};

/** A HINT that names this CALL: where it says `repeat the call`, in these words; where it names no
 *  CALL, at its end. */
std::string hint_with_call(std::string hint, const std::string &call);

} // namespace cowrie
