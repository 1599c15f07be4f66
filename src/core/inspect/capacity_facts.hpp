// Capacity facts: what the catalog tells of the sessions, and a sample of their documents.
//
// Rows and bytes come from the catalog, from statistics and from a small sample of the documents,
// which is timed. Takes ACCESS SHARE locks, writes nothing. Error regime: throws what the port
// throws.
#pragma once

#include <string>
#include <vector>

#include "core/ports/ports.hpp"

namespace cowrie {

/** What the catalog tells of session_summaries, and a sample of its documents. Bytes and rows. */
struct CapacityFacts {
  double sessions = 0;
  double heap = 0, toast = 0;           ///< in files
  double live_heap = 1, live_toast = 1; ///< shares of them that are alive
  std::vector<double> rebuilt_indexes;  ///< of each index that is there, when sorted anew
  double sampled = 0, sample_us = 0;    ///< sessions that were read, and how long that took
  double ips = 0, asns = 0;             ///< different ones among all sessions
  double ip_length = 15;                ///< of the text of an address
  double provider_bytes = 0;            ///< of an IP's enrichment, as it will be stored
  double work_memory = 0, maintenance_memory = 0;
  double largest_wal = 0; ///< max_wal_size
  double wal_skip_threshold = 0;
  std::string alter_table_reason; ///< what forbids to copy the heap alone; empty: nothing
  bool wal_minimal = false;
  bool keeps_wal = false; ///< an unused slot or a failing archiver keeps all of it
};

/** Of the table $1, and of its indexes with the statistics of the schema $2 for $3 rows. */
extern const char *const sessions_size_query;
extern const char *const index_sizes_query;
/** Reads a part of the documents, as the migration will. */
std::string sample_documents_query(const Target &target, double share);

/** Reads them; about 3000 documents, in a second or two where these must come from disk. */
CapacityFacts read_capacity(Database &database);

} // namespace cowrie
