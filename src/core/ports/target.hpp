// Target: where a migration works.
//
// Error regime: plain data.
#pragma once

#include <string>

namespace cowrie {

/** Where the sessions are, and what the migration must know of that place. */
struct Target {
  std::string schema;                 ///< the schema that is migrated
  std::string owner;                  ///< the owner of session_summaries
  std::string extension_schema;       ///< where this extension's functions are
  std::string named_schema;           ///< the schema as the caller named it; empty: by search_path
  std::string document_type = "json"; ///< of session_summaries.enrichment: json or jsonb
  bool has_raw_events = false;
  /** ` COLLATE …` where session_id of raw_events has another collation than that of the sessions:
   * which of the two a comparison means must be said. */
  std::string events_collation;
  bool raw_events_indexed = false; ///< an index leads with raw_events.session_id
  bool proves_columns = true;      ///< the extension's objects are new enough to prove every column
  std::string staging = "cowrie_migrate_staging"; ///< what the inventories are aggregated from

  /** `SELECT * FROM cowrie_migrate_v16(repair => true);` for this target, ready to be pasted. */
  std::string command(const std::string &function, const std::string &arguments = {}) const;
  /** The call alone: `cowrie_migrate_v16(repair => true)`. */
  std::string call(const std::string &function, const std::string &arguments = {}) const;
  /** `CALL cowrie_migrate_v16_online();`, ready to be pasted. */
  std::string online_call(const std::string &arguments = {}) const;
};

} // namespace cowrie
