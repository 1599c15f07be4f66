// Probes of sessions: who else is connected, and what they hold on to.
#include "core/survey/probes_of_sessions.hpp"

#include "core/sql/fill.hpp"
#include "core/sql/lock_holders.hpp"
#include "core/sql/run_objects.hpp"

namespace cowrie::probes {
namespace {

// An ordinary autovacuum gives way. A lock that is held for a moment is no hazard, one of which
// nobody can tell since when is.
Probe conflicting_locks() {
  return {hazards::lock,
          sql::fill(R"({tables}, {partitions}, {run_processes}, holders AS (
  SELECT l.pid, l.virtualtransaction, string_agg(DISTINCT l.mode || ' on ' || t.name, ', ') AS locks,
    bool_and(l.mode = 'ShareUpdateExclusiveLock') AS mild
  FROM (SELECT id, relname, name FROM tables UNION SELECT id, of, name FROM partitions) AS t
  JOIN pg_locks AS l ON l.relation = t.id
  WHERE l.locktype = 'relation' AND l.granted AND l.database = {database}
  AND CASE t.relname WHEN 'raw_events' THEN l.mode = 'AccessExclusiveLock'
    WHEN 'schema_state' THEN l.mode NOT IN ('AccessShareLock', 'RowShareLock') ELSE true END
  GROUP BY l.pid, l.virtualtransaction
), prepared AS (
  SELECT l.virtualtransaction, p.gid FROM pg_prepared_xacts AS p JOIN pg_locks AS l
  ON l.locktype = 'transactionid' AND l.transactionid = p.transaction AND l.pid IS NULL
)
SELECT CASE WHEN h.pid IS NULL OR a.state IS NULL OR a.state LIKE 'idle%'
    OR a.xact_start < clock_timestamp() - {longest_wait} THEN 'warning' ELSE 'info' END,
  CASE WHEN h.pid IS NULL THEN format('prepared transaction %L holds %s', p.gid, h.locks)
    ELSE {holder} END,
  CASE WHEN h.pid IS NULL THEN format('ROLLBACK PREPARED %L;  -- or COMMIT PREPARED', p.gid)
    ELSE format('SELECT pg_terminate_backend(%s);', h.pid) END
FROM holders AS h
LEFT JOIN pg_stat_activity AS a ON a.pid = h.pid
LEFT JOIN prepared AS p ON h.pid IS NULL AND p.virtualtransaction = h.virtualtransaction
WHERE pg_backend_pid() IS DISTINCT FROM h.pid AND pg_backend_pid() IS DISTINCT FROM a.leader_pid
AND NOT (h.mild AND a.usesysid IS NULL AND h.pid IS NOT NULL)
AND {is_other}
ORDER BY a.xact_start LIMIT 20)",
                    {{"tables", tables()},
                     {"partitions", partitions()},
                     {"run_processes", run_objects::processes()},
                     {"is_other", run_objects::is_other("h.pid", "h.virtualtransaction")},
                     {"database", this_database},
                     {"longest_wait", longest_wait},
                     {"holder", holder_in_words("h.pid", "h.locks", "a", "not visible to you")}})};
}

// READ COMMITTED gives its snapshot back after each statement, unless a cursor is open. What a
// statement that runs right now belongs to cannot be seen, but pg_dump says who it is.
Probe repeatable_reads() {
  return {hazards::repeatable_read,
          other_sessions() +
              "SELECT 'warning', format('%s keeps a snapshot between its statements: a REPEATABLE"
              " READ or SERIALIZABLE transaction, or an open cursor. If it reads session_summaries"
              " after the rewrite, it sees an empty table', who),"
              " format('SELECT pg_terminate_backend(%s);', pid) FROM others"
              " WHERE state LIKE 'idle in transaction%' AND backend_xmin IS NOT NULL"
              " OR state = 'active' AND application_name = 'pg_dump' OR EXISTS (SELECT FROM"
              " pg_locks AS l WHERE l.pid = others.pid AND l.mode = 'SIReadLock')"
              " ORDER BY xact_start LIMIT 10"};
}

Probe idle_transactions() {
  return {hazards::idle_transaction,
          other_sessions() + "SELECT CASE WHEN state_change < clock_timestamp() - " + longest_wait +
              " THEN 'warning' ELSE 'info' END, format('%s is idle in a transaction since %s; it"
              " holds its locks until it ends', who, date_trunc('second', state_change)),"
              " format('SELECT pg_terminate_backend(%s);', pid) FROM others"
              " WHERE state LIKE 'idle in transaction%' ORDER BY state_change LIMIT 10"};
}

Probe long_transactions() {
  return {hazards::long_transaction,
          other_sessions() +
              "SELECT 'warning', format('%s has a transaction open since %s (state %s); it holds"
              " its locks, and vacuum cannot remove rows that it may still see', who, "
              "date_trunc('second', xact_start), state),"
              " format('SELECT pg_terminate_backend(%s);', pid) FROM others"
              " WHERE state = 'active' AND xact_start < clock_timestamp() - 12 * " +
              longest_wait + " ORDER BY xact_start LIMIT 10"};
}

Probe prepared_transactions() {
  return {hazards::prepared_transaction,
          "WITH " + run_objects::processes() +
              " SELECT 'warning', format('transaction %L of user %s is prepared since %s; it holds "
              "its locks, even after a restart', gid, owner, date_trunc('second', prepared)), "
              "format('ROLLBACK PREPARED %L;"
              "  -- or COMMIT PREPARED', gid) FROM pg_prepared_xacts AS p WHERE database ="
              " current_database() AND NOT EXISTS (SELECT FROM pg_locks AS l WHERE l.locktype ="
              " 'transactionid' AND l.transactionid = p.transaction AND l.pid IS NULL AND NOT " +
              run_objects::is_other("NULL", "l.virtualtransaction") +
              ") ORDER BY prepared LIMIT 10"};
}

// Of this session, and of the roles that a job or another session may start as.
Probe timeouts() {
  return {hazards::timeout,
          "SELECT 'warning', format('%s is %s in this session: a migration that takes longer is"
          " cancelled, and rolled back', s.name, current_setting(s.name)), format('SET %s = 0;',"
          " s.name) FROM unnest(ARRAY['statement_timeout', 'transaction_timeout']) AS s (name)"
          " WHERE COALESCE(current_setting(s.name, true), '0') <> '0' UNION ALL"
          " SELECT 'info', format('%s is set for %s', c.setting, COALESCE('role ' ||"
          " quote_ident(r.rolname), 'every role') || CASE WHEN s.setdatabase <> 0 THEN ' in this"
          " database' ELSE '' END), format('SET %s = 0;  -- in the session that migrates',"
          " split_part(c.setting, '=', 1)) FROM pg_db_role_setting AS s CROSS JOIN"
          " unnest(s.setconfig) AS c (setting) LEFT JOIN pg_roles AS r ON r.oid = s.setrole"
          " WHERE c.setting ~ '^(statement|transaction)_timeout=' AND c.setting !~ '=0[a-z]*$'"
          " AND s.setdatabase IN (0, " +
              std::string(this_database) +
              ") AND (s.setrole = 0 OR r.rolname = session_user OR s.setrole IN (SELECT o.relowner"
              " FROM pg_class AS o JOIN pg_namespace AS n ON n.oid = o.relnamespace WHERE n.nspname"
              " = $1::text AND o.relname = 'session_summaries'))"};
}

Probe connected_sessions() {
  return {hazards::sessions,
          other_sessions() +
              "SELECT 'info', format('%s other sessions are connected to this database; they wait"
              " while the tables are locked. Stop the application first', count(*)),"
              " 'SELECT pid, usename, application_name, state FROM pg_stat_activity WHERE datname ="
              " current_database();' FROM others WHERE COALESCE(backend_type, 'client backend') ="
              " 'client backend' AND usesysid IS NOT NULL HAVING count(*) > 0"};
}

// The views hide from others what a session does, and from who has SET ROLE its own; pg_locks hides
// nothing.
Probe hidden_sessions() {
  return {
      hazards::not_visible,
      "SELECT 'info', format('what %s other sessions and standbys do is not visible to role %I',"
      " count(*), current_user), format('GRANT pg_read_all_stats TO %I;', current_user)"
      " FROM pg_stat_activity AS a WHERE a.query = '<insufficient privilege>' AND a.usesysid IS"
      " NOT NULL AND pg_backend_pid() NOT IN (a.pid, COALESCE(a.leader_pid, 0)) AND (a.datid = " +
          std::string(this_database) +
          " OR a.pid IN (SELECT pid FROM pg_stat_replication)) HAVING count(*) > 0"};
}

} // namespace

std::vector<Probe> of_sessions() {
  return {conflicting_locks(),     repeatable_reads(), idle_transactions(),  long_transactions(),
          prepared_transactions(), timeouts(),         connected_sessions(), hidden_sessions()};
}

} // namespace cowrie::probes
