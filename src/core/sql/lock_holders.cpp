// Lock holders: who holds a lock.
#include "core/sql/lock_holders.hpp"

#include "core/schema/schema.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/run_objects.hpp"

namespace cowrie {

std::string holder_in_words(const std::string &pid, const std::string &locks,
                            const std::string &activity, const std::string &unknown) {
  return sql::fill(
      R"(format('process %s of user %s holds %s (state %s, transaction since %s)', {pid},
  COALESCE({a}.usename, '?'), {locks}, COALESCE({a}.state, {unknown}),
  COALESCE(date_trunc('second', {a}.xact_start)::text, '?')))",
      {{"pid", pid}, {"locks", locks}, {"a", activity}, {"unknown", quote_literal(unknown)}});
}

std::string lock_holders_query(const std::string &tables, bool readers) {
  return sql::fill(R"(WITH {run_processes}
SELECT {holder}, l.pid, min(c.oid::int8)
FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (n.nspname = $1::text AND c.relname = ANY ({tables}) OR 'session_summaries' = ANY ({tables})
  AND c.oid IN (SELECT relid FROM pg_partition_tree(
    to_regclass(format('%I.session_summaries', $1::text))))) AND l.mode <> ALL ({mild})
AND {is_other}
GROUP BY l.pid, a.usename, a.state, a.xact_start ORDER BY a.xact_start NULLS LAST, l.pid)",
                   {{"run_processes", run_objects::processes()},
                    {"is_other", run_objects::is_surely_no_part("l.pid", "l.virtualtransaction")},
                    {"holder", holder_in_words("l.pid",
                                               "string_agg(DISTINCT l.mode || ' on ' || c.relname,"
                                               " ', ')",
                                               "a", "?")},
                    {"mild", readers ? "ARRAY[]::text[]" : text_array({"AccessShareLock"})},
                    {"tables", tables}});
}

} // namespace cowrie
