// Capacity facts: what the catalog tells of the sessions, and a sample of their documents.
#include "core/inspect/capacity_facts.hpp"

#include <algorithm>

#include "core/inspect/estimates.hpp"
#include "core/inspect/rewrite_way.hpp"
#include "core/sql/derivation_parts.hpp"
#include "core/sql/fill.hpp"

namespace cowrie {

const char *const sessions_size_query = R"(SELECT
  COALESCE(sum(pg_relation_size(c.oid)), 0),
  COALESCE(sum(pg_table_size(c.oid) - pg_relation_size(c.oid)), 0),
  CASE WHEN min(c.reltuples) < 0 THEN -1 ELSE sum(c.reltuples) END, sum(c.relpages),
  sum(pg_stat_get_live_tuples(c.oid)), sum(pg_stat_get_dead_tuples(c.oid)),
  sum(pg_stat_get_live_tuples(c.reltoastrelid)), sum(pg_stat_get_dead_tuples(c.reltoastrelid)),
  pg_size_bytes(current_setting('work_mem')),
  pg_size_bytes(current_setting('maintenance_work_mem')),
  current_setting('wal_level') = 'minimal',
  pg_size_bytes(current_setting('max_wal_size')),
  EXISTS (SELECT FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL)
    OR (current_setting('archive_mode') <> 'off' AND EXISTS (
      SELECT FROM pg_stat_archiver
      WHERE last_failed_time > COALESCE(last_archived_time, '-infinity'))),
  pg_size_bytes(current_setting('wal_skip_threshold'))
FROM pg_class AS c WHERE c.relkind = 'r' AND (c.oid = $1::text::regclass
  OR c.oid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))))";

const char *const index_sizes_query = R"(SELECT m.amname, pg_relation_size(i.indexrelid), (
    SELECT sum(COALESCE(s.avg_width, 16)) FROM unnest(i.indkey::int2[]) AS k
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k
    LEFT JOIN pg_stats AS s ON s.schemaname = $2::text AND s.tablename = 'session_summaries'
      AND s.attname = a.attname), (
    SELECT max(CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * $3::int8 ELSE s.n_distinct END)
    FROM unnest(i.indkey::int2[]) AS k
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k
    JOIN pg_stats AS s ON s.schemaname = $2::text AND s.tablename = 'session_summaries'
      AND s.attname = a.attname)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam
WHERE c.relkind = 'i' AND (i.indrelid = $1::text::regclass
  OR i.indrelid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))))";

std::string sample_documents_query(const Target &target, double share) {
  return sql::fill(target, R"(WITH sampled AS MATERIALIZED (
  SELECT f.source_ip, f.asn,
    {cowrie_stored_size}({cowrie_provider_data}(s.enrichment::{document_type}, f.source_ip)) AS provider
  FROM {sessions} AS s TABLESAMPLE{sample}, LATERAL
    {cowrie_derived_facts}(s.enrichment::{document_type}, NULL::varchar, NULL::json) AS f
), by_ip AS (
  SELECT count(*) AS n FROM sampled WHERE source_ip IS NOT NULL GROUP BY source_ip
), by_asn AS (
  SELECT count(*) AS n FROM sampled WHERE asn IS NOT NULL GROUP BY asn
)
SELECT (SELECT count(*) FROM sampled), (SELECT count(source_ip) FROM sampled),
  (SELECT count(asn) FROM sampled),
  (SELECT count(*) FROM by_ip), (SELECT count(*) FROM by_ip WHERE n = 1),
  (SELECT count(*) FROM by_asn), (SELECT count(*) FROM by_asn WHERE n = 1),
  (SELECT avg(length(source_ip)) FROM sampled),
  (SELECT avg(provider) FROM sampled WHERE source_ip IS NOT NULL))",
                   {{"sample", derivation::system_sample(share)}});
}

namespace {

constexpr double wanted_sample = 3000;

/** The part of the sessions that is read. */
double sampled_share(double sessions) {
  return std::clamp(wanted_sample / std::max(1.0, sessions), 1e-6, 1.0);
}

double number(const std::optional<std::string> &value) { return std::stod(value.value_or("0")); }

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
    facts_.alter_table_reason = alter_table_reason(database_);
    return facts_;
  }

private:
  void read_catalog() {
    const Row row = database_.query(sessions_size_query, {sessions_}).front();
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
    const double share = sampled_share(facts_.sessions);
    const std::int64_t begun = database_.clock_us();
    const Row row = database_.query(sample_documents_query(target_, share)).front();
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
    for (const Row &row : database_.query(index_sizes_query,
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

} // namespace

CapacityFacts read_capacity(Database &database) { return FactReader(database).read(); }

} // namespace cowrie
