// Probes: what the server and its other sessions have in store for a migration.
#include "core/survey/probes.hpp"

#include "core/base/failure.hpp"
#include "core/survey/probes_of_sessions.hpp"
#include "core/survey/probes_of_tables.hpp"
#include "core/survey/probes_of_wal.hpp"

namespace cowrie {
namespace probes {
namespace {

// Its settings are for superusers to see.
Probe cron(const Target &target) {
  return {
      hazards::cron,
      "SELECT 'info', format('pg_cron %s%s; %s. A job is recorded as failed only if its command "
      "raises an error',"
      " COALESCE(e.extversion, 'is loaded'), ', installed in database ' || CASE WHEN e.oid IS"
      " NULL THEN d.setting END, CASE m.setting WHEN 'on' THEN 'its jobs run in background"
      " workers' WHEN 'off' THEN 'its jobs connect like clients, so pg_hba.conf must let them"
      " in' ELSE 'how its jobs run is not visible to you' END), 'SELECT * FROM " +
          target.function("migrate") +
          "(on_failure => ''abort'');  -- as the command of a job' FROM (SELECT"
          " 1) AS one LEFT JOIN pg_extension AS e ON e.extname = 'pg_cron' LEFT JOIN pg_settings AS"
          " m ON m.name = 'cron.use_background_workers' LEFT JOIN pg_settings AS d ON d.name ="
          " 'cron.database_name' WHERE e.oid IS NOT NULL OR m.setting IS NOT NULL"};
}

Probe server_version() {
  return {hazards::version,
          "SELECT 'info', format('PostgreSQL %s', current_setting('server_version')), NULL"};
}

} // namespace
} // namespace probes

namespace {

HazardSeverity severity_of(const std::string &name) {
  return name == "warning" ? HazardSeverity::warning : HazardSeverity::info;
}

} // namespace

std::vector<Hazard> probe_server(Database &database) {
  std::vector<Hazard> found;
  for (const auto &group :
       {probes::of_sessions(), probes::of_wal(), probes::of_tables(database.target()),
        std::vector<probes::Probe>{probes::cron(database.target()), probes::server_version()}})
    for (const probes::Probe &probe : group)
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
