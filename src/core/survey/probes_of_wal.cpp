// Probes of WAL: who keeps it, and who must receive it.
#include "core/survey/probes_of_wal.hpp"

namespace cowrie::probes {
namespace {

// An LSN that grows on primaries and standbys.
constexpr const char *wal_position = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                                     " ELSE pg_current_wal_lsn() END";

// One that has lost its place keeps nothing any more.
Probe slots() {
  return {hazards::slot,
          "SELECT 'warning', format('slot %I (%s) %s and retains %s of WAL (%s); the WAL of the "
          "migration is added to it', slot_name, slot_type, CASE WHEN active THEN 'lags behind' "
          "ELSE 'is not"
          " in use' END, pg_size_pretty(behind), wal_status), CASE WHEN active THEN format('SELECT"
          " pg_terminate_backend(%s);  -- its consumer connects again; find out why it lags',"
          " active_pid) ELSE format('SELECT pg_drop_replication_slot(%L);  -- or start its"
          " consumer', slot_name) END FROM (SELECT *, pg_wal_lsn_diff(" +
              std::string(wal_position) +
              ", restart_lsn) AS behind FROM pg_replication_slots) AS s WHERE NOT temporary AND"
              " restart_lsn IS NOT NULL AND (NOT active OR behind > 1024 * 1024 * 1024)"
              " ORDER BY behind DESC LIMIT 10"};
}

Probe standbys() {
  return {hazards::standby,
          "SELECT CASE WHEN behind > 64 * 1024 * 1024 THEN 'warning' ELSE 'info' END,"
          " format('standby %s is %s behind (%s, %s); the WAL of the migration is added to it',"
          " application_name, pg_size_pretty(behind), state, sync_state), CASE WHEN behind > 64 * "
          "1024 * 1024 THEN"
          " 'SELECT pg_wal_replay_resume();  -- on the standby, if its replay is paused; else wait'"
          " END FROM (SELECT *, pg_wal_lsn_diff(" +
              std::string(wal_position) +
              ", COALESCE(replay_lsn, flush_lsn, sent_lsn)) AS behind FROM pg_stat_replication"
              " AS r WHERE r.state IN ('streaming', 'catchup') AND NOT EXISTS (SELECT FROM"
              " pg_replication_slots AS l WHERE l.active_pid = r.pid AND l.slot_type = 'logical'))"
              " AS s ORDER BY behind DESC LIMIT 10"};
}

Probe synchronous_standbys() {
  return {hazards::synchronous,
          "SELECT 'warning', format('synchronous_standby_names is %L, and no such standby is"
          " connected: every COMMIT waits for it', current_setting('synchronous_standby_names')),"
          " 'SET synchronous_commit = local;' WHERE current_setting('synchronous_standby_names') <>"
          " '' AND current_setting('synchronous_commit') NOT IN ('off', 'local') AND NOT"
          " pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state"
          " IS NULL OR sync_state IN ('sync', 'quorum'))"};
}

Probe archiver() {
  return {hazards::archiving,
          "SELECT 'warning', CASE WHEN failed THEN format('%s could not be archived at %s (%s"
          " failures); WAL stays in pg_wal until it is', last_failed_wal, date_trunc('second', "
          "last_failed_time),"
          " failed_count) ELSE 'archive_mode is on, and there is no archive_command: WAL stays in"
          " pg_wal' END, 'SHOW archive_command; SELECT pg_reload_conf();  -- once it is corrected'"
          " FROM (SELECT *, last_failed_time > COALESCE(last_archived_time, '-infinity') AS failed"
          " FROM pg_stat_archiver) AS a WHERE current_setting('archive_mode') <> 'off' AND (failed"
          " OR current_setting('archive_command') = '' AND COALESCE("
          "current_setting('archive_library', true), '') = '')"};
}

} // namespace

std::vector<Probe> of_wal() { return {slots(), standbys(), synchronous_standbys(), archiver()}; }

} // namespace cowrie::probes
