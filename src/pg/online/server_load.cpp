// Server load: who receives WAL and how far, what keeps it, which sessions are busy.
#include "pg/online/server_load.hpp"

#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {
namespace {

// What does not say how far it has replayed is no standby: pg_receivewal, pg_basebackup.
constexpr const char *receivers_query = R"(
SELECT r.pid, EXISTS (SELECT FROM pg_replication_slots AS s
    WHERE s.active_pid = r.pid AND s.slot_type = 'logical') AS logical,
  pg_wal_lsn_diff(r.replay_lsn, '0/0')::int8 AS replayed,
  COALESCE((EXTRACT(epoch FROM r.replay_lag) * 1000000)::int8, 0) AS lag, r.application_name
FROM pg_stat_replication AS r
WHERE r.state IN ('streaming', 'catchup') AND r.replay_lsn IS NOT NULL)";

// A slot that has lost its place keeps nothing any more. Parallel workers and background processes
// belong to a session or to nobody.
constexpr const char *load_query = R"(
SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::int8 AS written, s.kept, s.slot_name,
  CASE WHEN current_setting('archive_mode') = 'off' THEN 0 ELSE
    (SELECT count(*) FROM pg_ls_archive_statusdir() AS f WHERE f.name LIKE '%.ready')
      * pg_size_bytes(current_setting('wal_segment_size')) END AS unarchived,
  (SELECT count(*) FROM pg_stat_activity AS a WHERE a.backend_type = 'client backend'
    AND a.state IN ('active', 'fastpath function call') AND a.pid <> pg_backend_pid()) AS active
FROM (SELECT) AS one LEFT JOIN (
  SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), l.restart_lsn)::int8 AS kept, l.slot_name
  FROM pg_replication_slots AS l
  WHERE l.restart_lsn IS NOT NULL AND l.wal_status IS DISTINCT FROM 'lost'
  ORDER BY l.restart_lsn LIMIT 1) AS s ON true)";

} // namespace

Load ServerLoad::load() {
  const PinnedSettings settings;
  const AsUser superuser(BOOTSTRAP_SUPERUSERID, settings);
  Load result;
  // First who receives: what is written meanwhile must not look as if it had not been replayed.
  const std::vector<Row> receivers = spi_query(receivers_query, {}, false);
  const Row all = spi_query(load_query, {}, false).front();
  for (const Row &row : receivers)
    result.receivers.push_back({to_number(row[0]), row[1] == "t", to_number(row[2]),
                                to_number(row[3]), row[4].value_or("")});
  result.written = to_number(all[0]);
  result.kept = to_number(all[1]);
  result.slot = all[2].value_or("");
  result.unarchived = to_number(all[3]);
  result.active = to_number(all[4]);
  return result;
}

} // namespace cowrie::pg
