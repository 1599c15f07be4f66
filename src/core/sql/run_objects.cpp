// Run objects: what belongs to a migration itself.
#include "core/sql/run_objects.hpp"

#include "core/schema/schema.hpp"
#include "core/sql/derivation.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/online.hpp"

namespace cowrie::run_objects {

std::string is_run_lock(const std::string &locks) {
  return sql::fill(
      R"({l}.granted AND {l}.locktype = 'object' AND {l}.classid = 'pg_extension'::regclass
AND {l}.objid = (SELECT oid FROM pg_extension WHERE extname = 'cowrie_migrate')
AND {l}.objsubid = {number}
AND {l}.database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
      {{"l", locks}, {"number", std::to_string(lock_number)}});
}

// The session that asks may hold the lock itself: it is in a run then, its workers are no others,
// and of whom it sees nothing is none of them.
std::string processes() {
  return sql::fill(R"(run_processes AS MATERIALIZED (
  SELECT h.pid, h.virtualtransaction, true AS certain FROM pg_locks AS h WHERE {is_run_lock}
  UNION
  SELECT w.pid, NULL, w.query <> '<insufficient privilege>' FROM pg_locks AS h JOIN pg_stat_activity AS w ON w.leader_pid = h.pid
    OR w.datname = current_database()
      AND (w.backend_type = 'cowrie_migrate'
           OR w.query = '<insufficient privilege>' AND h.pid IS DISTINCT FROM pg_backend_pid())
  WHERE {is_run_lock}
))",
                   {{"is_run_lock", is_run_lock("h")}});
}

namespace {

std::string is_none(const std::string &which, const std::string &pid,
                    const std::string &transaction) {
  return sql::fill(R"(NOT EXISTS (SELECT FROM run_processes AS r WHERE {which} AND (r.pid = {pid}
  OR r.pid IS NULL AND {pid} IS NULL AND r.virtualtransaction = {transaction})))",
                   {{"which", which}, {"pid", pid}, {"transaction", transaction}});
}

} // namespace

std::string is_other(const std::string &pid, const std::string &transaction) {
  return is_none("true", pid, transaction);
}

std::string is_surely_no_part(const std::string &pid, const std::string &transaction) {
  return is_none("r.certain", pid, transaction);
}

std::string state_query() {
  return sql::fill(R"(WITH {processes}, run AS (
  SELECT h.pid, h.virtualtransaction FROM pg_locks AS h WHERE {is_run_lock} LIMIT 1
), awaited AS ( -- this moment, or between two attempts
  SELECT COALESCE(w.relation::regclass::text, w.locktype) AS what, pg_blocking_pids(w.pid) AS holders
  FROM pg_locks AS w JOIN run_processes AS p ON p.pid = w.pid AND p.certain WHERE NOT w.granted
  UNION ALL
  SELECT $1::int8::oid::regclass::text, ARRAY[NULLIF($2::int8, 0)::integer] WHERE $3::int8 > 0
  LIMIT 1
)
SELECT run.pid, CASE WHEN run.pid IS NULL THEN
  (SELECT format('COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L', x.gid)
   FROM pg_locks AS t JOIN pg_prepared_xacts AS x ON x.transaction = t.transactionid
   WHERE t.locktype = 'transactionid' AND t.pid IS NULL
   AND t.virtualtransaction = run.virtualtransaction LIMIT 1)
ELSE (SELECT a.what || ', held by ' || COALESCE(
    (SELECT string_agg(CASE b.pid WHEN 0 THEN 'a prepared transaction' ELSE
       format('process %s (%s, %s, since %s)', b.pid, COALESCE(s.usename, '?'),
         COALESCE(s.state, '?'), COALESCE(date_trunc('second', s.xact_start)::text, '?')) END,
       ' and ' ORDER BY b.pid)
     FROM unnest(a.holders) AS b (pid) LEFT JOIN pg_stat_activity AS s ON s.pid = b.pid
     WHERE b.pid = 0 OR s.pid IS NOT NULL), 'nobody any more')
    || CASE WHEN $3::int8 > 0 THEN format(', attempt %s of %s', $3::int8, $4::int8) ELSE '' END
  FROM awaited AS a) END
FROM run)",
                   {{"processes", processes()}, {"is_run_lock", is_run_lock("h")}});
}

std::string is_own_trigger(const std::string &triggers) {
  return sql::fill(R"(EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e
  ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  WHERE d.classid = 'pg_proc'::regclass AND d.objid = {g}.tgfoid
  AND e.extname = 'cowrie_migrate'))",
                   {{"g", triggers}});
}

std::string work_tables() {
  return text_array({online::changes_table, online::queue_table, online::delta_table,
                     derivation::staging_table, derivation::event_table});
}

} // namespace cowrie::run_objects
