// Capacity: what a migration needs of the machine, and whether that is there.
//
// Rows and bytes come from the catalog, from statistics and from a small sample of the documents,
// which is timed. Takes ACCESS SHARE locks, writes nothing. Error regime: throws what the port
// throws, and Failure where the space is not there.
#pragma once

#include "core/run/atomic_run.hpp"

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
  bool wal_minimal = false;
  std::string alter_table_reason; ///< what forbids to copy the heap alone; empty: nothing
  bool keeps_wal = false;         ///< an unused slot or a failing archiver keeps all of it
};

/** Reads them; about 3000 documents, in a second or two where these must come from disk. */
CapacityFacts read_capacity(Database &database);

/** What a migration will have written when it commits; bytes. */
struct Need {
  std::int64_t sessions = 0;
  /** The new copy of session_summaries, by ALTER TABLE with TOAST (online: what it grows by), and
   *  the inventories. */
  std::int64_t tables = 0;
  std::int64_t indexes = 0; ///< all indexes of these tables, the rebuilt ones included
  std::int64_t inventory_tables = 0, inventory_indexes = 0; ///< of these, what the inventories take
  std::int64_t temporary = 0; ///< the staging table, and sorts that do not fit in memory
  std::int64_t wal = 0;
  std::int64_t wal_kept = 0;    ///< of it, what pg_wal may hold at a time
  std::int64_t duration_us = 0; ///< of the migration
};

/** How it migrates. */
enum class Way : std::uint8_t {
  at_once, ///< one rewrite
  online,  ///< batches of UPDATE, with a VACUUM now and then
};

Need need_of(const CapacityFacts &facts, const Look &look, Way way = Way::at_once);

/** ` SYSTEM (12.5) REPEATABLE (16)`: the same pages in every call. */
std::string system_sample(double share);

/** A file system and what of the need falls to it. */
struct DiskNeed {
  std::string places; ///< `tablespace "pg_default", pg_wal`
  std::int64_t need = 0;
  std::int64_t free = 0;
  std::string detail; ///< need, parts and free space in words
};
std::vector<DiskNeed> disk_needs(const Need &need, const std::vector<Disk> &disks);

/** Refuses (53100) what would fill a file system; what cannot be asked refuses nothing. */
void refuse_full_disk(Database &database, const Look &look, Way way = Way::at_once);

/** The same by facts that were read already. */
void refuse_full_disk(Database &database, const Look &look, const CapacityFacts &facts,
                      Way way = Way::at_once);

/** Bytes of a new btree: sorted, deduplicated, nine tenths full.
 *  @param key bytes of one key with its length word */
std::int64_t btree_bytes(std::int64_t rows, std::int64_t distinct, std::int64_t key);

/** Estimates how many different values `rows` rows have, from a sample with `distinct` values of
 *  which `once` were seen once (Haas and Stokes 1998, as ANALYZE does). */
std::int64_t distinct_in_all(std::int64_t rows, std::int64_t sample, std::int64_t distinct,
                             std::int64_t once);

} // namespace cowrie
