// Read-ahead worker: what both sides of a ReadAhead know.
#pragma once

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/** Keys in the table of contents of the shared memory. */
inline constexpr std::uint64_t key_order = 1, key_queue = 2;

/** The first byte of a message; readings follow (core/session_reading.hpp). */
inline constexpr char more_follows = '+', end_of_portion = '.';

/** The share of a reader that reads all. */
inline constexpr int whole_share = 16;

/** Blocks of one table. */
struct ReadingPart {
  Oid sessions = InvalidOid;
  BlockNumber first = 0, end = 0;
};

/** What is to be read, one part after the other: plain data in shared memory. */
struct ReadingOrder {
  static constexpr int most_parts = 64;
  ReadingPart parts[most_parts];
  int part_count = 0;
  Oid schema = InvalidOid;
  bool ask_events = false;
  bool by_table = false;   ///< how they are asked
  int share = whole_share; ///< of every 16 sessions so many are read
  char schema_name[NAMEDATALEN] = {};
};

/** Where the columns are that a reader needs; 0: there is none of a type that is read as it is. */
struct SessionColumns {
  AttrNumber session_id = 0, enrichment = 0, source_ip = 0;
  Oid document_type = InvalidOid;

  static SessionColumns of_unsafe(Relation sessions);
  bool known() const noexcept { return session_id > 0 && enrichment > 0; }
};

} // namespace cowrie::pg
