// Probes: what the server and its other sessions have in store for a migration.
#include "core/probes.hpp"

#include "core/failure.hpp"

namespace cowrie {
namespace {

/** A hazard's name, and the query that finds it: severity, detail, remedy. $1 is the schema. */
struct Probe {
  const char *hazard;
  std::string sql;
};

constexpr const char *this_database = "(SELECT oid FROM pg_database WHERE datname ="
                                      " current_database())";

// What a migration waits for at most; a transaction that stays longer than that is in its way.
constexpr const char *patience = "COALESCE(NULLIF(current_setting('lock_timeout')::interval, '0'),"
                                 " '5 s')";

// An LSN that grows on primaries and standbys.
constexpr const char *wal_position = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                                     " ELSE pg_current_wal_lsn() END";

std::string list_of(const std::vector<std::string> &names) {
  std::string result;
  for (const std::string &each : names)
    result += (result.empty() ? "" : ", ") + quote_literal(each);
  return "ARRAY[" + result + "]::text[]";
}

std::vector<std::string> inventories() {
  std::vector<std::string> names;
  for (const Table &table : schema_v16().tables)
    if (table.phase > 0)
      names.push_back(table.name);
  return names;
}

/** The tables that a migration reads or changes: WITH tables (oid, relname, name, …). */
std::string tables() {
  std::vector<std::string> names = inventories();
  for (const Table &table : schema_v15().tables)
    names.push_back(table.name);
  return "WITH tables AS (SELECT c.*, c.oid AS id, format('%I.%I', n.nspname, c.relname) AS name"
         " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
         " WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p') AND c.relname = ANY (" +
         list_of(names) + ")) ";
}

/** Other sessions in this database: WITH others (pid, …, who). */
std::string other_sessions() {
  return "WITH others AS (SELECT *, format('process %s of user %s%s', pid, COALESCE(usename, '?'),"
         " COALESCE(' (' || NULLIF(application_name, '') || ')', '')) AS who FROM pg_stat_activity"
         " WHERE datid = " +
         std::string(this_database) +
         " AND pid <> pg_backend_pid() AND leader_pid IS NULL AND COALESCE(backend_type, '') <>"
         " 'autovacuum worker') ";
}

Probe long_transactions() {
  return {
      hazards::long_transaction,
      other_sessions() +
          "SELECT 'warning', format('%s has a transaction open since %s (state %s); it keeps"
          " its locks, and vacuum cannot remove what it may still see', who, xact_start, state),"
          " format('SELECT pg_terminate_backend(%s);', pid) FROM others"
          " WHERE state = 'active' AND xact_start < clock_timestamp() - 12 * " +
          patience + " ORDER BY xact_start LIMIT 10"};
}

Probe idle_transactions() {
  return {hazards::idle_transaction,
          other_sessions() + "SELECT CASE WHEN state_change < clock_timestamp() - " + patience +
              " THEN 'warning' ELSE 'info' END, format('%s is idle in a transaction since %s; it"
              " keeps its locks for as long as it likes', who, state_change),"
              " format('SELECT pg_terminate_backend(%s);', pid) FROM others"
              " WHERE state LIKE 'idle in transaction%' ORDER BY state_change LIMIT 10"};
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

Probe prepared_transactions() {
  return {hazards::prepared_transaction,
          "SELECT 'warning', format('transaction %L of user %s is prepared since %s; it keeps its"
          " locks, over restarts too', gid, owner, prepared), format('ROLLBACK PREPARED %L;  -- or"
          " COMMIT PREPARED', gid) FROM pg_prepared_xacts WHERE database = current_database()"
          " ORDER BY prepared LIMIT 10"};
}

// An ordinary autovacuum gives way. A lock that is held for a moment is no hazard, one of which
// nobody can tell since when is.
Probe conflicting_locks() {
  return {hazards::lock,
          tables() +
              ", holders AS (SELECT l.pid, l.virtualtransaction, string_agg(DISTINCT l.mode || ' on"
              " ' || t.name, ', ') AS locks, bool_and(l.mode = 'ShareUpdateExclusiveLock') AS mild"
              " FROM tables AS t JOIN pg_locks AS l ON l.relation = t.id WHERE l.locktype ="
              " 'relation' AND l.granted AND l.database = " +
              this_database +
              " AND CASE t.relname WHEN 'raw_events' THEN l.mode = 'AccessExclusiveLock'"
              " WHEN 'schema_state' THEN l.mode NOT IN ('AccessShareLock', 'RowShareLock')"
              " ELSE true END GROUP BY l.pid, l.virtualtransaction), prepared AS (SELECT"
              " l.virtualtransaction, p.gid FROM pg_prepared_xacts AS p JOIN pg_locks AS l ON"
              " l.locktype = 'transactionid' AND l.transactionid = p.transaction AND l.pid IS NULL)"
              " SELECT CASE WHEN h.pid IS NULL OR a.state IS NULL OR a.state LIKE 'idle%' OR"
              " a.xact_start < clock_timestamp() - " +
              patience +
              " THEN 'warning' ELSE 'info' END, CASE WHEN h.pid IS NULL THEN format('prepared"
              " transaction %L holds %s', p.gid, h.locks) ELSE format('process %s of user %s holds"
              " %s (state %s, transaction since %s)', h.pid, COALESCE(a.usename, '?'), h.locks,"
              " COALESCE(a.state, 'not visible to you'), COALESCE(a.xact_start::text, '?')) END,"
              " CASE WHEN h.pid IS NULL THEN format('ROLLBACK PREPARED %L;  -- or COMMIT PREPARED',"
              " p.gid) ELSE format('SELECT pg_terminate_backend(%s);', h.pid) END"
              " FROM holders AS h LEFT JOIN pg_stat_activity AS a ON a.pid = h.pid"
              " LEFT JOIN prepared AS p ON h.pid IS NULL AND p.virtualtransaction ="
              " h.virtualtransaction WHERE pg_backend_pid() IS DISTINCT FROM h.pid AND"
              " pg_backend_pid() IS DISTINCT FROM a.leader_pid AND NOT (h.mild AND a.usesysid IS"
              " NULL AND h.pid IS NOT NULL) ORDER BY a.xact_start LIMIT 20"};
}

Probe slots() {
  return {
      hazards::slot,
      "SELECT 'warning', format('slot %I (%s) %s and keeps %s bytes of WAL (%s); the WAL of the"
      " migration comes on top', slot_name, slot_type, CASE WHEN active THEN 'lags' ELSE 'is not"
      " in use' END, behind, wal_status), CASE WHEN active THEN format('SELECT"
      " pg_terminate_backend(%s);  -- its consumer connects again; look why it lags',"
      " active_pid) ELSE format('SELECT pg_drop_replication_slot(%L);  -- or start its"
      " consumer', slot_name) END FROM (SELECT *, pg_wal_lsn_diff(" +
          std::string(wal_position) +
          ", restart_lsn) AS behind FROM pg_replication_slots) AS s WHERE NOT temporary AND"
          " (NOT active AND (restart_lsn IS NOT NULL OR wal_status = 'lost') OR behind >"
          " 1024 * 1024 * 1024) ORDER BY behind DESC NULLS LAST LIMIT 10"};
}

Probe standbys() {
  return {hazards::standby,
          "SELECT CASE WHEN behind > 64 * 1024 * 1024 THEN 'warning' ELSE 'info' END,"
          " format('standby %s is %s bytes behind (%s, %s); the WAL of the migration comes on top',"
          " application_name, behind, state, sync_state), CASE WHEN behind > 64 * 1024 * 1024 THEN"
          " 'SELECT pg_wal_replay_resume();  -- on the standby, if its replay is paused; else wait'"
          " END FROM (SELECT *, pg_wal_lsn_diff(" +
              std::string(wal_position) +
              ", COALESCE(replay_lsn, flush_lsn, sent_lsn)) AS behind FROM pg_stat_replication"
              " AS r WHERE r.state IN ('streaming', 'catchup') AND NOT EXISTS (SELECT FROM"
              " pg_replication_slots AS l WHERE l.active_pid = r.pid AND l.slot_type = 'logical'))"
              " AS s ORDER BY behind DESC LIMIT 10"};
}

Probe synchronous_standbys() {
  return {
      hazards::synchronous,
      "SELECT 'warning', format('synchronous_standby_names is %L, and no such standby is"
      " connected: a COMMIT waits for it for ever', current_setting('synchronous_standby_names')),"
      " 'SET synchronous_commit = local;' WHERE current_setting('synchronous_standby_names') <>"
      " '' AND current_setting('synchronous_commit') NOT IN ('off', 'local') AND NOT"
      " pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state"
      " IS NULL OR sync_state IN ('sync', 'quorum'))"};
}

Probe archiver() {
  return {hazards::archiving,
          "SELECT 'warning', CASE WHEN failed THEN format('%s could not be archived at %s (%s"
          " failures); WAL stays in pg_wal until it is', last_failed_wal, last_failed_time,"
          " failed_count) ELSE 'archive_mode is on, and there is no archive_command: WAL stays in"
          " pg_wal' END, 'SHOW archive_command; SELECT pg_reload_conf();  -- once it is mended'"
          " FROM (SELECT *, last_failed_time > COALESCE(last_archived_time, '-infinity') AS failed"
          " FROM pg_stat_archiver) AS a WHERE current_setting('archive_mode') <> 'off' AND (failed"
          " OR current_setting('archive_command') = '' AND COALESCE("
          "current_setting('archive_library', true), '') = '')"};
}

Probe wraparounds() {
  const auto limit = [](const char *setting, const char *option) {
    return "LEAST(current_setting('" + std::string(setting) +
           "')::int8, (SELECT o.option_value::int8 FROM pg_options_to_table(t.reloptions) AS o"
           " WHERE o.option_name = '" +
           option + "'))";
  };
  return {
      hazards::wraparound,
      tables() +
          "SELECT 'warning', format('%s has an age of %s transactions and %s multixacts; from"
          " %s and %s on an autovacuum freezes it, which does not give way to the migration',"
          " a.name, a.age, a.mxid_age, a.age_limit, a.mxid_limit),"
          " format('VACUUM (FREEZE) %s;', a.name) FROM (SELECT t.name,"
          " GREATEST(age(t.relfrozenxid), age(NULLIF(x.relfrozenxid, '0'))) AS age,"
          " GREATEST(mxid_age(t.relminmxid), mxid_age(NULLIF(x.relminmxid, '0'))) AS mxid_age, " +
          limit("autovacuum_freeze_max_age", "autovacuum_freeze_max_age") + " AS age_limit, " +
          limit("autovacuum_multixact_freeze_max_age", "autovacuum_multixact_freeze_max_age") +
          " AS mxid_limit FROM tables AS t LEFT JOIN pg_class AS x ON x.oid = t.reltoastrelid"
          " WHERE t.relkind = 'r') AS a WHERE a.age > 0.9 * a.age_limit OR a.mxid_age > 0.9 *"
          " a.mxid_limit ORDER BY a.name"};
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

Probe triggers() {
  return {
      hazards::trigger,
      tables() +
          "SELECT 'warning', format('trigger %I on %s calls %s: ' || CASE t.relname WHEN"
          " 'session_summaries' THEN 'the one rewrite fires none, an online migration does, and"
          " refuses it' ELSE 'it may change or swallow what the migration writes' END, g.tgname,"
          " t.name, g.tgfoid::regproc),"
          " format('ALTER TABLE %s DISABLE TRIGGER %I;  -- and ENABLE it afterwards', t.name,"
          " g.tgname) FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.id WHERE NOT"
          " g.tgisinternal AND g.tgenabled <> 'D' AND t.relname <> 'raw_events'"
          " ORDER BY t.name, g.tgname"};
}

Probe event_triggers() {
  return {hazards::event_trigger,
          "SELECT 'warning', format('event trigger %I calls %s at %s: it may refuse or change what"
          " the migration does', e.evtname, e.evtfoid::regproc, e.evtevent), format('ALTER EVENT"
          " TRIGGER %I DISABLE;  -- and ENABLE it afterwards', e.evtname) FROM pg_event_trigger"
          " AS e WHERE e.evtenabled <> 'D' AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE"
          " d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')"
          " ORDER BY e.evtname"};
}

// Where it hides rows from the owner it is a blocker; that it does not is no protection for the
// inventories, which get the grants of session_summaries but no policies.
Probe row_securities() {
  std::string enable;
  for (const std::string &each : inventories())
    enable += (enable.empty() ? "format('" : " || format(' ") +
              ("ALTER TABLE %I." + each + " ENABLE ROW LEVEL SECURITY;', $1::text)");
  return {hazards::row_security,
          tables() +
              "SELECT 'warning', format('%s has row-level security: the inventories will have its"
              " grants, but no policies, and tell of all sessions', t.name), " +
              enable +
              " || '  -- after the migration, with policies' FROM tables AS t"
              " WHERE t.relname = 'session_summaries' AND t.relrowsecurity AND (SELECT count(*)"
              " FROM tables AS i WHERE i.relname = ANY (" +
              list_of(inventories()) + ") AND i.relrowsecurity) < " +
              std::to_string(inventories().size())};
}

// None stands in the way of a migration: its columns are new. One that uses a column of version 16
// stops a repair that must convert it, and a cleanup; both name it then.
Probe views() {
  return {
      hazards::view,
      tables() +
          "SELECT DISTINCT 'info', format('view %s reads %s: it stays as it is, and shows no new"
          " column', r.ev_class::regclass, t.name), format('SELECT pg_get_viewdef(%L::regclass);"
          "  -- CREATE OR REPLACE it with them', r.ev_class::regclass) FROM tables AS t JOIN"
          " pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.id AND"
          " d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite AS r ON r.oid = d.objid JOIN"
          " pg_class AS w ON w.oid = r.ev_class AND w.relkind IN ('v', 'm') WHERE t.relname NOT"
          " IN ('raw_events', 'schema_state') ORDER BY 2"};
}

Probe publications() {
  return {
      hazards::publication,
      tables() +
          "SELECT 'warning', format('publication %I publishes %s: subscribers do not receive"
          " the rewrite, and stop at rows of tables and columns that they lack', p.pubname,"
          " CASE WHEN p.puballtables THEN 'all tables' WHEN s.pnpubid IS NOT NULL THEN 'all"
          " tables of the schema' ELSE x.names END), CASE WHEN p.puballtables THEN format('ALTER"
          " PUBLICATION %I SET (publish = '''');', p.pubname) WHEN s.pnpubid IS NOT NULL THEN"
          " format('ALTER PUBLICATION %I DROP TABLES IN SCHEMA %I;', p.pubname, $1::text) ELSE"
          " format('ALTER PUBLICATION %I DROP TABLE %s;', p.pubname, x.names) END || '  -- or"
          " migrate the subscribers first' FROM pg_publication AS p LEFT JOIN (SELECT r.prpubid,"
          " string_agg(t.name, ', ' ORDER BY t.name) AS names FROM tables AS t JOIN"
          " pg_publication_rel AS r ON r.prrelid = t.id GROUP BY r.prpubid) AS x ON x.prpubid ="
          " p.oid LEFT JOIN (SELECT z.pnpubid FROM pg_publication_namespace AS z JOIN"
          " pg_namespace AS n ON n.oid = z.pnnspid WHERE n.nspname = $1::text) AS s ON"
          " s.pnpubid = p.oid WHERE (p.puballtables OR x.names IS NOT NULL OR s.pnpubid IS NOT"
          " NULL) AND (p.pubinsert OR p.pubupdate OR p.pubdelete OR p.pubtruncate)"
          " ORDER BY p.pubname"};
}

Probe subscribers() {
  return {hazards::subscriber,
          "SELECT 'warning', format('slot %I (%s%s) sends the changes of this database to a logical"
          " subscriber, which does not receive the rewrite', slot_name, plugin, CASE WHEN active"
          " THEN ', in use' ELSE '' END), 'SELECT * FROM cowrie_migrate_v16();  -- on the"
          " subscriber, before this database' FROM pg_replication_slots WHERE slot_type = 'logical'"
          " AND database = current_database() AND NOT temporary ORDER BY slot_name"};
}

Probe subscriptions() {
  return {hazards::subscription,
          tables() +
              "SELECT 'warning', format('subscription %I writes to %s: it is held up by the"
              " migration, and what a publisher at version 15 sends has no snapshots', s.subname,"
              " string_agg(t.name, ', ' ORDER BY t.name)), format('ALTER SUBSCRIPTION %I DISABLE;"
              "  -- and ENABLE it afterwards', s.subname) FROM pg_subscription AS s JOIN"
              " pg_subscription_rel AS r ON r.srsubid = s.oid JOIN tables AS t ON t.id = r.srrelid"
              " WHERE s.subenabled AND s.subdbid = " +
              std::string(this_database) + " GROUP BY s.subname ORDER BY s.subname"};
}

// Its settings are for superusers to see.
Probe cron() {
  return {hazards::cron,
          "SELECT 'info', format('pg_cron %s%s; %s. A job is called failed only when it raises',"
          " COALESCE(e.extversion, 'is loaded'), ', installed in database ' || CASE WHEN e.oid IS"
          " NULL THEN d.setting END, CASE m.setting WHEN 'on' THEN 'its jobs run in background"
          " workers' WHEN 'off' THEN 'its jobs connect like clients, so pg_hba.conf must let them"
          " in' ELSE 'how its jobs run is not visible to you' END), 'SELECT * FROM"
          " cowrie_migrate_v16(on_failure => ''abort'');  -- as the command of a job' FROM (SELECT"
          " 1) AS one LEFT JOIN pg_extension AS e ON e.extname = 'pg_cron' LEFT JOIN pg_settings AS"
          " m ON m.name = 'cron.use_background_workers' LEFT JOIN pg_settings AS d ON d.name ="
          " 'cron.database_name' WHERE e.oid IS NOT NULL OR m.setting IS NOT NULL"};
}

Probe server_version() {
  return {hazards::version, "SELECT 'info', format('PostgreSQL %s', current_setting("
                            "'server_version')), NULL"};
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

// The views hide from others what a session does; pg_locks hides nothing.
Probe hidden_sessions() {
  return {
      hazards::not_visible,
      "SELECT 'info', format('what %s other sessions and standbys do is not visible to role %I',"
      " count(*), current_user), format('GRANT pg_read_all_stats TO %I;', current_user)"
      " FROM pg_stat_activity AS a WHERE a.query = '<insufficient privilege>' AND a.usesysid IS"
      " NOT NULL AND (a.datid = " +
          std::string(this_database) +
          " OR a.pid IN (SELECT pid FROM pg_stat_replication)) HAVING count(*) > 0"};
}

HazardSeverity severity_of(const std::string &name) {
  return name == "warning" ? HazardSeverity::warning : HazardSeverity::info;
}

} // namespace

std::string_view name_of(HazardSeverity severity) noexcept {
  switch (severity) {
  case HazardSeverity::blocker:
    return "blocker";
  case HazardSeverity::warning:
    return "warning";
  default:
    return "info";
  }
}

std::vector<Hazard> probe_server(Database &database) {
  std::vector<Hazard> found;
  for (const Probe &probe : {conflicting_locks(),
                             repeatable_reads(),
                             idle_transactions(),
                             long_transactions(),
                             prepared_transactions(),
                             slots(),
                             standbys(),
                             synchronous_standbys(),
                             archiver(),
                             wraparounds(),
                             timeouts(),
                             triggers(),
                             event_triggers(),
                             row_securities(),
                             views(),
                             publications(),
                             subscribers(),
                             subscriptions(),
                             cron(),
                             connected_sessions(),
                             hidden_sessions(),
                             server_version()})
    try {
      database.in_subtransaction([&] {
        for (const Row &row : database.query(probe.sql, {database.target().schema}))
          found.push_back({severity_of(row[0].value_or("")), probe.hazard, row[1].value_or(""),
                           row[2].value_or("")});
      });
    } catch (const Failure &failure) {
      if (failure.must_propagate || failure.sqlstate != sqlstate::insufficient_privilege)
        throw;
      found.push_back({HazardSeverity::info, hazards::not_visible,
                       std::string(probe.hazard) + ": " + failure.message, ""});
    }
  return found;
}

} // namespace cowrie
