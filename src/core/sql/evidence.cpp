// Evidence, as SQL: what a run records of the state before and after it, and a report measures
// again.
#include "core/sql/evidence.hpp"

#include "core/base/text.hpp"
#include "core/schema/v16.hpp"
#include "core/sql/fill.hpp"

namespace cowrie::evidence {

std::string sizes() {
  std::string names = "'raw_events'";
  for (const Table &each : schema_v16().tables)
    append(names, quote_literal(each.name));
  return sql::fill(R"(
SELECT c.relname AS name, sum(pg_table_size(leaf.oid) - toast.bytes)::int8 AS heap, sum(toast.bytes)::int8 AS toast,
  sum(pg_indexes_size(leaf.oid))::int8 AS indexes
FROM pg_class AS c
JOIN pg_class AS leaf ON leaf.relkind = 'r'
  AND (leaf.oid = c.oid OR c.relkind = 'p' AND leaf.oid IN (SELECT relid FROM pg_partition_tree(c.oid))),
  LATERAL (SELECT CASE WHEN leaf.reltoastrelid = 0 THEN 0
    ELSE pg_total_relation_size(leaf.reltoastrelid) END AS bytes) AS toast
WHERE c.relnamespace = $1::int8::oid AND c.relkind IN ('r', 'p') AND c.relname IN ({names})
GROUP BY c.relname)",
                   {{"names", names}});
}

std::string sizes_as_json() {
  return sql::fill(R"(
SELECT COALESCE(jsonb_object_agg(s.name, jsonb_build_object('heap', s.heap, 'toast', s.toast, 'indexes', s.indexes)), '{}'::jsonb)
FROM ({sizes}) AS s)",
                   {{"sizes", sizes()}});
}

std::string filled_columns() {
  return "SELECT attname FROM pg_attribute WHERE attrelid = $1::int8::oid AND attnum > 0 AND NOT"
         " attisdropped AND attname IN (" +
         join(schema_v16().table("session_summaries")->columns, ", ",
              [](const Column &each) { return quote_literal(each.name); }) +
         ") ORDER BY attnum";
}

std::string filled(const std::string &sessions, const std::vector<std::string> &columns) {
  std::string names = "'sessions'", counts = "count(*)";
  for (const std::string &each : columns) {
    append(names, quote_literal(each));
    append(counts, "count(" + quote_identifier(each) + ")");
  }
  return sql::fill(R"(
SELECT n.name, n.amount
FROM (SELECT ARRAY[{counts}] AS amounts FROM {table}) AS c, unnest(ARRAY[{names}], c.amounts) WITH ORDINALITY AS n (name, amount, place)
ORDER BY n.place)",
                   {{"counts", counts}, {"names", names}, {"table", sessions}});
}

std::string filled_as_json(const std::string &sessions, const std::vector<std::string> &columns) {
  return sql::fill("SELECT jsonb_object_agg(f.name, f.amount) FROM ({filled}) AS f",
                   {{"filled", filled(sessions, columns)}});
}

const char *const settings = R"(
SELECT COALESCE(jsonb_object_agg(name, current_setting(name)), '{}'::jsonb)
FROM pg_settings
WHERE name IN ('cowrie_migrate.lock_timeout', 'cowrie_migrate.use_raw_events', 'cowrie_migrate.free_space',
    'cowrie_migrate.rewrite', 'cowrie_migrate.harmless_triggers', 'cowrie_migrate.fail_at', 'wal_level', 'synchronous_commit',
    'work_mem', 'maintenance_work_mem', 'shared_buffers', 'max_parallel_workers_per_gather', 'max_parallel_maintenance_workers'))";

} // namespace cowrie::evidence
