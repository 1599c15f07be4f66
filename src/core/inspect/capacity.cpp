// Capacity: what a migration needs of the machine, and whether that is there.
#include "core/inspect/capacity.hpp"

#include <algorithm>
#include <utility>

#include "core/base/failure.hpp"
#include "core/base/figures.hpp"
#include "core/base/text.hpp"
#include "core/inspect/estimates.hpp"
#include "core/plan/unfit_column.hpp"
#include "core/schema/versions.hpp"

namespace cowrie {
namespace {

constexpr double tuple_header = 24;

// A migration takes about as long for each session as reading one of the sample takes, and this for
// indexes and keys: measured with documents of 0.6 and of 4 KB, 20,000 and 200,000 of them.
constexpr double fixed_us = 15;

/** Bytes that a value of this type takes in a row. */
double width_of(const std::string &type, const CapacityFacts &facts) {
  if (type == "boolean")
    return 1;
  if (type == "integer")
    return 4;
  if (starts_with(type, "timestamp"))
    return 8;
  if (type == "text[]")
    return 36;
  if (type == "jsonb")
    return facts.provider_bytes;
  if (type == "character varying(45)")
    return facts.ip_length + 1;
  if (type == "character varying(2)")
    return 3;
  return 12;
}

/** Different values that a column of this type has among `rows` rows. */
double distinct_of(const std::string &type, const CapacityFacts &facts, double rows) {
  if (type == "character varying(45)")
    return std::min(rows, facts.ips);
  if (type == "integer")
    return std::min(rows, facts.asns);
  return std::min(rows, 200.0);
}

double rows_of(const Table &table, const CapacityFacts &facts) {
  if (table.name == "session_summaries")
    return facts.sessions;
  if (table.name == "asn_inventory")
    return facts.asns;
  // One address in four or so has been seen in more than one network.
  return table.name == "ip_inventory" ? facts.ips : facts.ips * 1.3;
}

double table_bytes(const Table &table, const CapacityFacts &facts) {
  double row = tuple_header + 8 + line_pointer; // with a bitmap of NULLs
  for (const Column &each : table.columns)
    row += width_of(each.type, facts);
  return rows_of(table, facts) * row * page / (page - page_header);
}

double index_bytes(const Table &table, const Table *seen, const Index &index,
                   const CapacityFacts &facts) {
  if (index.method != "btree")
    return 3 * page;
  double key = 0, distinct = 1;
  for (const IndexColumn &each : index.columns) {
    const Column *column = table.column(each.name);
    // A column that is added empty has no values: one list of rows.
    if (seen && !seen->column(each.name) && column && column->filled_by == FilledBy::application)
      continue;
    const std::string type = column ? column->type : "";
    key += width_of(type, facts);
    distinct = std::max(distinct, distinct_of(type, facts, rows_of(table, facts)));
  }
  return static_cast<double>(
      btree_bytes(rounded(rows_of(table, facts)), rounded(distinct), rounded(key)));
}

/** What the sessions are with the new columns. */
struct FilledSessions {
  double bytes = 0; ///< of a new copy: what is copied of the old one, and the new columns
  double more = 0;  ///< of it, what comes with the columns
};

FilledSessions sessions_with_columns(const CapacityFacts &facts, const Table &filled,
                                     const Table &seen) {
  double added = 0;
  for (const Column &each : filled.columns)
    if (!seen.column(each.name))
      added += width_of(each.type, facts);
  constexpr double alignment = 20, long_row = 1000, no_longer_inline = 0.07;
  FilledSessions result;
  result.more = facts.sessions * (added + alignment);
  const double heap = facts.heap * facts.live_heap, toast = facts.toast * facts.live_toast;
  // Where rows are long, some documents have no room in them any more and go to TOAST.
  if (const double all = heap + toast + result.more; all > facts.sessions * long_row)
    result.more += all * no_longer_inline;
  const bool heap_only = facts.alter_table_reason.empty() && unfit_column(filled, seen).empty();
  result.bytes = heap + (heap_only ? 0 : toast) + result.more;
  return result;
}

/** How much of the table may be dead rows of ours: a part of the sessions, and at least so many. */
constexpr double dead_part = 0.05;
constexpr double least_dead_rows = 5000;

/** What dead rows of batches take of the heap until they are removed. Measured: of the room that
 *  they leave, about half is used again. */
double dead_share(const CapacityFacts &facts) {
  const double rows = std::max(1.0, facts.sessions);
  return std::min(1.0, 2 * dead_rows_before_vacuum(rows) / rows);
}

/** The queue of the batches, with its index. */
double queue_bytes(const CapacityFacts &facts) {
  constexpr double place = 8, key = 24;
  const std::int64_t rows = rounded(facts.sessions);
  return facts.sessions * (tuple_header + line_pointer + place + key) +
         static_cast<double>(btree_bytes(rows, rows, 8));
}

/** The staging table, and the largest sorts that go to disk. */
double temporary_bytes(const CapacityFacts &facts) {
  const double staged = facts.sessions * (tuple_header + facts.ip_length + 70);
  double sorts = staged > facts.work_memory ? 2 * staged : 0;
  const double keys = facts.sessions * (facts.ip_length + 40);
  if (keys > facts.maintenance_memory)
    sorts = std::max(sorts, keys);
  return staged + sorts;
}

} // namespace

Need need_of(const CapacityFacts &facts, const Inspection &inspection, Way way) {
  Need need;
  need.sessions = rounded(facts.sessions);
  const bool derived = inspection.situation.derived; // only the catalog changes
  if (facts.sampled > 0 && !derived)
    need.duration_us = rounded((facts.sample_us / facts.sampled + fixed_us) * facts.sessions);
  // Rows are logged about as they are stored, indexes page by page. With wal_level minimal only
  // what is small is: what else is made or rewritten in the same transaction is written to disk.
  constexpr double logged = 0.95, catalog = 1 << 20, grown_index = 0.5;
  double wal = catalog;
  const auto take = [&](std::int64_t &total, std::int64_t &of_inventories, const Table &table,
                        double bytes) {
    total += rounded(bytes);
    if (table.phase > 0)
      of_inventories += rounded(bytes);
    if (way == Way::online || !facts.wal_minimal || bytes < facts.wal_skip_threshold)
      wal += bytes * logged;
  };
  for (const Table &table : inspection.declared.tables) {
    const Table *seen = inspection.observed.table(table.name);
    const auto take_table = [&](double bytes) {
      take(need.tables, need.inventory_tables, table, bytes);
    };
    const auto take_index = [&](double bytes) {
      take(need.indexes, need.inventory_indexes, table, bytes);
    };
    if (!seen) { // with its primary key
      const std::int64_t rows = rounded(rows_of(table, facts));
      take_table(table_bytes(table, facts));
      take_index(static_cast<double>(btree_bytes(rows, rows, 16)));
    } else if (table.phase == 0 && inspection.situation.state != SchemaState::resumable &&
               !derived) {
      const FilledSessions filled =
          sessions_with_columns(facts, filled_sessions(inspection.declared.version), *seen);
      const bool online = way == Way::online;
      take_table(online ? facts.heap * dead_share(facts) + filled.more : filled.bytes);
      for (const double bytes : facts.rebuilt_indexes)
        take_index(online ? bytes * grown_index : bytes);
      if (online) {
        // Each row once more, and each page as it was after a checkpoint.
        wal += 2 * facts.heap * facts.live_heap * logged;
        const double queue = queue_bytes(facts);
        need.tables += rounded(queue);
        need.inventory_tables += rounded(queue); // where new tables come
        wal += queue * logged;
      }
    }
    for (const Index &each : table.indexes)
      if (!seen || !same_definition(*seen, each))
        take_index(index_bytes(table, seen, each, facts));
  }
  need.temporary = derived ? 0 : rounded(temporary_bytes(facts));
  need.wal = rounded(wal);
  need.wal_kept = facts.keeps_wal ? need.wal : std::min(need.wal, rounded(facts.largest_wal));
  return need;
}

std::string in_words(Way way) { return way == Way::online ? "online" : "in one transaction"; }

std::string how_to_make_room(const Target &target) {
  return "Free disk space on that file system: drop what is no longer needed, remove files that a "
         "crash has left, or move a table to another file system, as in ALTER TABLE " +
         qualified(target.schema, target.has_raw_events ? "raw_events" : "large_table") +
         " SET TABLESPACE other;";
}

double dead_rows_before_vacuum(double sessions) {
  return std::max(least_dead_rows, sessions * dead_part);
}

namespace {

std::int64_t share_of(std::int64_t bytes, const Disk &disk) {
  return disk.share < 1 ? rounded(static_cast<double>(bytes) * disk.share) : bytes;
}

} // namespace

std::vector<DiskNeed> disk_needs(const Need &need, const std::vector<Disk> &disks) {
  struct FileSystem {
    std::uint64_t device;
    DiskNeed total;
    std::int64_t tables = 0, indexes = 0, temporary = 0, wal = 0;
  };
  std::vector<FileSystem> systems;
  for (const Disk &disk : disks) {
    auto system = std::find_if(systems.begin(), systems.end(),
                               [&](const FileSystem &each) { return each.device == disk.device; });
    if (system == systems.end())
      system = systems.insert(systems.end(), FileSystem{disk.device, {}});
    std::string &places = system->total.places;
    if (places.find(disk.place) == std::string::npos)
      append(places, disk.place);
    system->total.free = disk.free;
    switch (disk.use) {
    case Disk::Use::sessions:
      system->tables += share_of(need.tables - need.inventory_tables, disk);
      system->indexes += share_of(need.indexes - need.inventory_indexes, disk);
      break;
    case Disk::Use::new_tables:
      system->tables += need.inventory_tables;
      system->indexes += need.inventory_indexes;
      break;
    case Disk::Use::temporary:
      system->temporary += need.temporary;
      break;
    case Disk::Use::wal:
      system->wal += need.wal_kept;
      break;
    }
  }
  std::vector<DiskNeed> result;
  for (FileSystem &each : systems) {
    std::string parts;
    for (const auto &[what, bytes] : {std::pair{"tables", each.tables},
                                      {"indexes", each.indexes},
                                      {"temporary files", each.temporary},
                                      {"WAL", each.wal}}) {
      each.total.need += bytes;
      if (bytes > 0)
        append(parts, std::string(what) + " " + size_pretty(bytes));
    }
    each.total.detail = "about " + size_pretty(each.total.need) + " needed on the file system of " +
                        each.total.places + " (" + parts + "), " + size_pretty(each.total.free) +
                        " free";
    result.push_back(std::move(each.total));
  }
  return result;
}

bool is_hardly_enough(const DiskNeed &disk) { return disk.need > disk.free - disk.free / 5; }

std::int64_t megabytes_that_suffice(std::int64_t need) { return (need + need / 4) / (1 << 20) + 1; }

void refuse_full_disk(Database &database, const Inspection &inspection, Way way) {
  if (!database.disks().empty())
    refuse_full_disk(database, inspection, read_capacity(database), way);
}

void refuse_full_disk(Database &database, const Inspection &inspection, const CapacityFacts &facts,
                      Way way) {
  std::string detail;
  for (const DiskNeed &each : disk_needs(need_of(facts, inspection, way), database.disks()))
    if (each.need > each.free)
      append(detail, in_words(way) + ": " + each.detail, "\n");
  if (!detail.empty())
    throw Failure(
        sqlstate::disk_full, "not enough free space for the migration", detail,
        how_to_make_room(database.target()) +
            " Only if the operating system reports the free space wrongly (compression, thin "
            "provisioning), set it: SET cowrie_migrate.free_space = '100GB'; then run " +
            (way == Way::online
                 ? database.target().online_call()
                 : database.target().command(database.target().function("migrate"))));
}

} // namespace cowrie
