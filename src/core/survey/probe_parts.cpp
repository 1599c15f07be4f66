// Probe parts: what the queries of the probes have in common.
#include "core/survey/probe_parts.hpp"

#include "core/schema/v15.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/run_objects.hpp"

namespace cowrie::probes {

std::vector<std::string> inventories() {
  std::vector<std::string> names;
  for (const Table &table : newest_schema().tables)
    if (table.phase > 0)
      names.push_back(table.name);
  return names;
}

std::string tables() {
  std::vector<std::string> names = inventories();
  for (const Table &table : schema_v15().tables)
    names.push_back(table.name);
  return "WITH tables AS (SELECT c.*, c.oid AS id, format('%I.%I', n.nspname, c.relname) AS name"
         " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
         " WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p') AND c.relname = ANY (" +
         text_array(names) + ")) ";
}

std::string partitions() {
  return "partitions AS (SELECT c.*, c.oid AS id, format('%I.%I', n.nspname, c.relname) AS name,"
         " 'session_summaries'::name AS of FROM tables AS t CROSS JOIN LATERAL"
         " pg_partition_tree(t.id) AS p JOIN pg_class AS c ON c.oid = p.relid JOIN pg_namespace AS "
         "n"
         " ON n.oid = c.relnamespace WHERE t.relname = 'session_summaries' AND p.parentrelid IS NOT"
         " NULL) ";
}

std::string other_sessions() {
  return "WITH " + run_objects::processes() +
         ", others AS (SELECT *, format('process %s of user %s%s', pid, COALESCE(usename, '?'),"
         " COALESCE(' (' || NULLIF(application_name, '') || ')', '')) AS who FROM pg_stat_activity"
         " WHERE datid = " +
         std::string(this_database) +
         " AND pid <> pg_backend_pid() AND leader_pid IS NULL AND COALESCE(backend_type, '') <>"
         " 'autovacuum worker' AND " +
         run_objects::is_other("pg_stat_activity.pid") + ") ";
}

} // namespace cowrie::probes
