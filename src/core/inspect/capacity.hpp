// Capacity: what a migration needs of the machine, and whether that is there.
//
// Error regime: throws what the port throws, and Failure where the space is not there.
#pragma once

#include <string>
#include <vector>

#include "core/inspect/capacity_facts.hpp"
#include "core/inspect/inspection.hpp"

namespace cowrie {

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
  atomic, ///< one rewrite
  online, ///< batches of UPDATE, with a VACUUM now and then
};

/** `in one transaction`, `online`. */
std::string in_words(Way way);

/** What makes room on a file system, in the order in which to think of it. */
std::string how_to_make_room(const Target &target);

Need need_of(const CapacityFacts &facts, const Inspection &inspection, Way way = Way::atomic);

/** A file system and what of the need falls to it. */
struct DiskNeed {
  std::string places; ///< `tablespace "pg_default", pg_wal`
  std::int64_t need = 0;
  std::int64_t free = 0;
  std::string detail; ///< need, parts and free space in words
};
std::vector<DiskNeed> disk_needs(const Need &need, const std::vector<Disk> &disks);

/** Tells whether a file system has what is needed and little more. */
bool is_hardly_enough(const DiskNeed &disk);

/** How many megabytes of free space are more than hardly enough. */
std::int64_t megabytes_that_suffice(std::int64_t need);

/** Refuses (53100) what would fill a file system; what cannot be asked refuses nothing. */
void refuse_full_disk(Database &database, const Inspection &inspection, Way way = Way::atomic);

/** The same by facts that were read already. */
void refuse_full_disk(Database &database, const Inspection &inspection, const CapacityFacts &facts,
                      Way way = Way::atomic);

/** How many rows the batches may leave dead before a VACUUM, of a table of so many. */
double dead_rows_before_vacuum(double sessions);

} // namespace cowrie
