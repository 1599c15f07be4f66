// Session reader: one parallel worker of SessionReaders; what both sides know.
//
// Error regime: an error of a reader is raised in the process that it reads for.
#pragma once

#include <atomic>

#include "pg/guard.hpp"

namespace cowrie::pg {

/** Keys in the table of contents of the shared memory. */
inline constexpr std::uint64_t key_order = 1, key_queues = 2;

/** The table is dealt out in stretches: the first to the first reader, and so on, round and round.
 */
inline constexpr BlockNumber blocks_per_stretch = 32;

/** The first byte of a message: more of its stretch follows, or the next message is of the next. */
inline constexpr char more_follows = '+', end_of_stretch = '.';

/** What is to be read: plain data in shared memory. */
struct ReadingOrder {
  Oid schema = InvalidOid;
  Oid sessions = InvalidOid;
  BlockNumber first = 0, end = 0;
  Size queue_size = 0;
  bool ask_events = false;
  bool by_table = false;
  char schema_name[NAMEDATALEN] = {};
  std::atomic<int> workers{0}; ///< how many readers there are; 0: that is not known yet
  ConditionVariable launched;
};

/** Where the columns are that a reader needs. */
struct SessionColumns {
  AttrNumber session_id = 0, enrichment = 0, source_ip = 0;
  Oid document_type = InvalidOid;

  static SessionColumns of_unsafe(Relation sessions);
  /** Tells whether documents and keys are of types that are read as they stand. */
  bool known() const noexcept { return session_id > 0 && enrichment > 0; }
};

} // namespace cowrie::pg
