// Capacity: what a migration needs of the machine, and whether that is there.
#include "core/capacity.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/derivation_parts.hpp"
#include "core/failure.hpp"

namespace cowrie {
namespace {

constexpr double page = 8192, page_header = 24, line_pointer = 4, tuple_header = 24;
constexpr double wanted_sample = 3000;

// A migration takes about as long for each session as reading one of the sample takes, and this for
// indexes and keys: measured with documents of 0.6 and of 4 KB, 20,000 and 200,000 of them.
constexpr double fixed_us = 15;

std::int64_t align8(std::int64_t bytes) { return (bytes + 7) / 8 * 8; }

std::int64_t rounded(double value) { return std::llround(std::max(0.0, value)); }

/** The part of the sessions that is read. */
double sampled_share(double sessions) {
  return std::clamp(wanted_sample / std::max(1.0, sessions), 1e-6, 1.0);
}

double number(const std::optional<std::string> &value) { return std::stod(value.value_or("0")); }

/** Bytes that a value of this type takes in a row. */
double width_of(const std::string &type, const CapacityFacts &facts) {
  if (type == "boolean")
    return 1;
  if (type == "integer")
    return 4;
  if (type.compare(0, 9, "timestamp") == 0)
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

double index_bytes(const Table &table, const Index &index, const CapacityFacts &facts) {
  if (index.method != "btree")
    return 3 * page;
  double key = 0, distinct = 1;
  for (const IndexColumn &each : index.columns) {
    const Column *column = table.column(each.name);
    const std::string type = column ? column->type : "";
    key += width_of(type, facts);
    distinct = std::max(distinct, distinct_of(type, facts, rows_of(table, facts)));
  }
  return static_cast<double>(
      btree_bytes(rounded(rows_of(table, facts)), rounded(distinct), rounded(key)));
}

/** Reads the facts: catalog and statistics, then a few documents. */
class FactReader {
public:
  explicit FactReader(Database &database)
      : database_(database), target_(database.target()),
        sessions_(qualified(target_.schema, "session_summaries")) {}

  CapacityFacts read() {
    read_catalog();
    if (facts_.sessions > 0)
      read_sample();
    read_indexes();
    return facts_;
  }

private:
  void read_catalog() {
    const Row row =
        database_
            .query("SELECT pg_relation_size(c.oid), pg_table_size(c.oid) -"
                   " pg_relation_size(c.oid), c.reltuples, c.relpages,"
                   " pg_stat_get_live_tuples(c.oid), pg_stat_get_dead_tuples(c.oid),"
                   " pg_stat_get_live_tuples(c.reltoastrelid),"
                   " pg_stat_get_dead_tuples(c.reltoastrelid),"
                   " pg_size_bytes(current_setting('work_mem')),"
                   " pg_size_bytes(current_setting('maintenance_work_mem')),"
                   " current_setting('wal_level') = 'minimal',"
                   " pg_size_bytes(current_setting('max_wal_size')),"
                   " EXISTS (SELECT FROM pg_replication_slots WHERE NOT active AND restart_lsn IS"
                   " NOT NULL) OR (current_setting('archive_mode') <> 'off' AND EXISTS (SELECT FROM"
                   " pg_stat_archiver WHERE last_failed_time > COALESCE(last_archived_time,"
                   " '-infinity'))), pg_size_bytes(current_setting('wal_skip_threshold'))"
                   " FROM pg_class AS c WHERE c.oid = $1::text::regclass",
                   {sessions_})
            .front();
    facts_.heap = number(row[0]);
    facts_.toast = number(row[1]);
    const double pages = facts_.heap / page;
    const double counted = number(row[2]), counted_pages = number(row[3]);
    // Exact as long as the table has not grown since; else the sample tells.
    counted_ = counted >= 0 && counted_pages == pages;
    facts_.sessions = counted > 0 && counted_pages > 0 ? counted / counted_pages * pages
                                                       : pages * 4; // a few on each page
    const auto alive = [&](std::size_t live) {
      const double dead = number(row[live + 1]);
      return dead > 0 ? number(row[live]) / (number(row[live]) + dead) : 1;
    };
    facts_.live_heap = alive(4);
    facts_.live_toast = alive(6);
    facts_.work_memory = number(row[8]);
    facts_.maintenance_memory = number(row[9]);
    facts_.wal_minimal = row[10] == "t";
    facts_.largest_wal = number(row[11]);
    facts_.keeps_wal = row[12] == "t";
    facts_.wal_skip_threshold = number(row[13]);
  }

  /** Reads a few documents as the migration will, with a clock at hand. */
  void read_sample() {
    const std::string document = derivation::document(target_, "s.");
    const auto ours = [&](const char *function) {
      return qualified(target_.extension_schema, function);
    };
    const double share = sampled_share(facts_.sessions);
    const std::int64_t begun = database_.clock_us();
    const Row row =
        database_
            .query("WITH sampled AS MATERIALIZED (SELECT f.source_ip, f.asn, " +
                   ours("cowrie_stored_size") + "(" + ours("cowrie_provider_data") + "(" +
                   document + ", f.source_ip)) AS provider FROM " + sessions_ +
                   " AS s TABLESAMPLE" + system_sample(share) + ", LATERAL " +
                   ours("cowrie_enrichment_facts") + "(" + document +
                   ") AS f), by_ip AS (SELECT count(*) AS n FROM sampled WHERE source_ip IS NOT"
                   " NULL GROUP BY source_ip), by_asn AS (SELECT count(*) AS n FROM sampled WHERE"
                   " asn IS NOT NULL GROUP BY asn) SELECT (SELECT count(*) FROM sampled),"
                   " (SELECT count(source_ip) FROM sampled), (SELECT count(asn) FROM sampled),"
                   " (SELECT count(*) FROM by_ip), (SELECT count(*) FROM by_ip WHERE n = 1),"
                   " (SELECT count(*) FROM by_asn), (SELECT count(*) FROM by_asn WHERE n = 1),"
                   " (SELECT avg(length(source_ip)) FROM sampled),"
                   " (SELECT avg(provider) FROM sampled WHERE source_ip IS NOT NULL)")
            .front();
    facts_.sample_us = static_cast<double>(database_.clock_us() - begun);
    facts_.sampled = number(row[0]);
    if (!counted_)
      facts_.sessions = facts_.sampled / share;
    if (facts_.sampled == 0)
      return;
    // Sessions whose document has no address find one in their raw events.
    const double with_ip = target_.has_raw_events ? facts_.sampled : number(row[1]);
    const auto extrapolate = [&](double with, std::size_t distinct) {
      return static_cast<double>(distinct_in_all(rounded(facts_.sessions * with / facts_.sampled),
                                                 rounded(with), rounded(number(row[distinct])),
                                                 rounded(number(row[distinct + 1]))));
    };
    facts_.ips = extrapolate(with_ip, 3);
    facts_.asns = extrapolate(number(row[2]), 5);
    if (row[7])
      facts_.ip_length = number(row[7]);
    facts_.provider_bytes = number(row[8]);
  }

  /** The indexes that are there, sorted anew. */
  void read_indexes() {
    for (const Row &row : database_.query(
             "SELECT m.amname, pg_relation_size(i.indexrelid), (SELECT sum(COALESCE(s.avg_width,"
             " 16)) FROM unnest(i.indkey::int2[]) AS k LEFT JOIN pg_attribute AS a ON a.attrelid ="
             " i.indrelid AND a.attnum = k LEFT JOIN pg_stats AS s ON s.schemaname = $2::text AND"
             " s.tablename = 'session_summaries' AND s.attname = a.attname),"
             " (SELECT max(CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * $3::int8 ELSE"
             " s.n_distinct END) FROM unnest(i.indkey::int2[]) AS k JOIN pg_attribute AS a ON"
             " a.attrelid = i.indrelid AND a.attnum = k JOIN pg_stats AS s ON s.schemaname ="
             " $2::text AND s.tablename = 'session_summaries' AND s.attname = a.attname)"
             " FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON"
             " m.oid = c.relam WHERE i.indrelid = $1::text::regclass",
             {sessions_, target_.schema, rounded(facts_.sessions)})) {
      const double now = number(row[1]);
      // Without statistics, and for other kinds: what it has now.
      facts_.rebuilt_indexes.push_back(
          row[0] == "btree" && row[3]
              ? std::min(now, static_cast<double>(btree_bytes(rounded(facts_.sessions),
                                                              rounded(number(row[3])),
                                                              rounded(number(row[2])))))
              : now);
    }
  }

  Database &database_;
  const Target &target_;
  const std::string sessions_;
  CapacityFacts facts_;
  bool counted_ = false; ///< the number of sessions is that of the catalog
};

/** The new copy of session_summaries: what is alive of the old one, and the new columns. */
double rewritten_sessions(const CapacityFacts &facts, const Table &seen) {
  double added = 0;
  for (const Column &each : schema_v16().table("session_summaries")->columns)
    if (!seen.column(each.name))
      added += width_of(each.type, facts);
  constexpr double alignment = 20, long_row = 1000, no_longer_inline = 1.07;
  const double bytes = facts.heap * facts.live_heap + facts.toast * facts.live_toast +
                       facts.sessions * (added + alignment);
  // Where rows are long, some documents have no room in them any more and go to TOAST.
  return bytes > facts.sessions * long_row ? bytes * no_longer_inline : bytes;
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

CapacityFacts read_capacity(Database &database) { return FactReader(database).read(); }

Need need_of(const CapacityFacts &facts, const Look &look) {
  Need need;
  need.sessions = rounded(facts.sessions);
  if (facts.sampled > 0)
    need.duration_us = rounded((facts.sample_us / facts.sampled + fixed_us) * facts.sessions);
  // Rows are logged about as they are stored, indexes page by page. With wal_level minimal only
  // what is small is: what else is made or rewritten in the same transaction is written to disk.
  constexpr double logged = 0.95, catalog = 1 << 20;
  double wal = catalog;
  const auto take = [&](std::int64_t &total, std::int64_t &of_inventories, const Table &table,
                        double bytes) {
    total += rounded(bytes);
    if (table.phase > 0)
      of_inventories += rounded(bytes);
    if (!facts.wal_minimal || bytes < facts.wal_skip_threshold)
      wal += bytes * logged;
  };
  for (const Table &table : schema_v16().tables) {
    const Table *seen = look.observed.table(table.name);
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
    } else if (table.phase == 0 && look.situation.state != SchemaState::resumable) { // rewritten
      take_table(rewritten_sessions(facts, *seen));
      for (const double bytes : facts.rebuilt_indexes)
        take_index(bytes);
    }
    for (const Index &each : table.indexes)
      if (!seen || !same_definition(*seen, each))
        take_index(index_bytes(table, each, facts));
  }
  need.temporary = rounded(temporary_bytes(facts));
  need.wal = rounded(wal);
  need.wal_kept = facts.keeps_wal ? need.wal : std::min(need.wal, rounded(facts.largest_wal));
  return need;
}

std::int64_t btree_bytes(std::int64_t rows, std::int64_t distinct, std::int64_t key) {
  if (rows <= 0)
    return static_cast<std::int64_t>(page);
  distinct = std::clamp<std::int64_t>(distinct, 1, rows);
  constexpr std::int64_t entry_header = 8, row_pointer = 6, longest_list = 200;
  const std::int64_t entry = align8(entry_header + key) + static_cast<std::int64_t>(line_pointer);
  double bytes = static_cast<double>(rows) * static_cast<double>(entry);
  const std::int64_t each = rows / distinct;
  if (each >= 2) { // a list of rows for each value, several for a frequent one
    const std::int64_t lists = distinct * ((each + longest_list - 1) / longest_list);
    bytes = static_cast<double>(lists) * static_cast<double>(entry) +
            static_cast<double>(rows * row_pointer);
  }
  const double leaves = std::ceil(bytes / ((page - 40) * 0.9));
  return rounded((leaves * 1.006 + 2) * page); // inner pages, the meta page
}

std::int64_t distinct_in_all(std::int64_t rows, std::int64_t sample, std::int64_t distinct,
                             std::int64_t once) {
  if (sample <= 0 || rows <= sample)
    return distinct;
  const auto n = static_cast<double>(sample), d = static_cast<double>(distinct);
  const auto f = static_cast<double>(once);
  return std::min(rows, rounded(n * d / (n - f + f * n / static_cast<double>(rows))));
}

std::string system_sample(double share) {
  return " SYSTEM (" + std::to_string(share * 100) + ") REPEATABLE (16)";
}

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
      places += (places.empty() ? "" : ", ") + disk.place;
    system->total.free = disk.free;
    switch (disk.use) {
    case Disk::Use::sessions:
      system->tables += need.tables - need.inventory_tables;
      system->indexes += need.indexes - need.inventory_indexes;
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
        parts += (parts.empty() ? "" : ", ") + std::string(what) + " " + std::to_string(bytes);
    }
    each.total.detail = "about " + std::to_string(each.total.need) +
                        " bytes needed on the file"
                        " system of " +
                        each.total.places + " (" + parts + "), " + std::to_string(each.total.free) +
                        " bytes free";
    result.push_back(std::move(each.total));
  }
  return result;
}

void refuse_full_disk(Database &database, const Look &look) {
  if (!database.disks().empty())
    refuse_full_disk(database, look, read_capacity(database));
}

void refuse_full_disk(Database &database, const Look &look, const CapacityFacts &facts) {
  std::string detail;
  for (const DiskNeed &each : disk_needs(need_of(facts, look), database.disks()))
    if (each.need > each.free)
      detail += (detail.empty() ? "" : "\n") + each.detail;
  if (!detail.empty())
    throw Failure(sqlstate::disk_full, "not enough free space for the migration", detail,
                  "Make room there, or move what is there to another file system. Where the figure"
                  " of the operating system does not hold (compression, thin provisioning), give"
                  " your own: SET cowrie_migrate.free_space = '100GB'; then run " +
                      database.target().command("cowrie_migrate_v16"));
}

} // namespace cowrie
