// Database: core's port into the server, for one target schema.
#include "pg/database.hpp"

#include "core/failure.hpp"
#include "pg/catalog_reader.hpp"
#include "pg/fill_run.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/subtransaction.hpp"

namespace cowrie::pg {

ServerDatabase::ServerDatabase(const ResolvedTarget &target, Progress &progress, bool read_only)
    : target_(target), progress_(progress), read_only_(read_only) {}

std::vector<Row> ServerDatabase::query(const std::string &sql,
                                       const std::vector<Parameter> &parameters) {
  return spi_query(sql, parameters, read_only_);
}

std::int64_t ServerDatabase::execute(const std::string &sql,
                                     const std::vector<Parameter> &parameters) {
  return spi_execute(sql, parameters, false, nullptr);
}

void ServerDatabase::in_subtransaction(const std::function<void()> &body) {
  Subtransaction subtransaction;
  body();
  subtransaction.commit();
}

Schema ServerDatabase::observe(const Schema &declared) {
  return observe_schema(target_.names.schema, declared, read_only_);
}

Schema ServerDatabase::bind(const Schema &declared, const Schema &observed) {
  return bind_schema(target_.schema, declared, observed);
}

FillResult ServerDatabase::fill(const std::string &sql, bool stage) {
  const Row row = query("SELECT CASE WHEN reltuples <= 0 THEN pg_relation_size(oid) / 1000 ELSE"
                        " reltuples END::int8 FROM pg_class WHERE oid = $1::int8::oid",
                        {std::int64_t(target_.sessions)})
                      .front();
  FillRun run(target_, progress_, stage, std::stoll(row[0].value_or("0")));
  const std::int64_t rows = execute(sql, {});
  FillResult result = run.finish();
  result.rows = rows;
  return result;
}

void ServerDatabase::lock_run() {
  const std::vector<Parameter> key = {run_lock_class, run_lock_object};
  if (query("SELECT pg_try_advisory_xact_lock($1::int4, $2::int4)", key).front().front() == "t")
    return;
  const std::vector<Row> holders =
      query("SELECT l.pid, a.usename, a.query_start FROM pg_locks AS l LEFT JOIN pg_stat_activity"
            " AS a USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND l.database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND l.classid = $1::int8::oid AND l.objid = $2::int8::oid AND l.objsubid = 2",
            key);
  std::string detail = "It ended just now.";
  if (!holders.empty())
    detail = "Process " + holders.front()[0].value_or("?") + " of user " +
             holders.front()[1].value_or("?") + " runs it since " +
             holders.front()[2].value_or("a time you may not see") + ".";
  throw Failure(sqlstate::lock_not_available, "another migration is running in this database",
                detail,
                "Watch it with SELECT * FROM cowrie_migration_status; and try again when it has"
                " ended.");
}

void ServerDatabase::refuse_table_in_use(const std::string &table) {
  struct Use {
    bool queries, triggers;
  };
  const Use use = call([&]() -> Use {
    const Oid oid = get_relname_relid(table.c_str(), target_.schema);
    Relation opened = relation_open(oid, AccessShareLock);
    const Use found{opened->rd_refcnt > 1, AfterTriggerPendingOnRel(oid)};
    relation_close(opened, NoLock);
    return found;
  });
  const std::string name = qualified(target_.names.schema, table);
  if (use.queries)
    throw Failure(sqlstate::object_in_use,
                  name + " is being used by active queries in this session",
                  "The calling query itself, or an open cursor, reads the table that is to be"
                  " changed.",
                  "Close that query or cursor, then repeat this call by itself.");
  if (use.triggers)
    throw Failure(sqlstate::object_in_use, name + " has pending trigger events in this transaction",
                  "Deferred constraints or triggers still have to look at its rows.",
                  "Commit first, then repeat this call in a transaction of its own.");
}

void ServerDatabase::lock_table(const std::string &table, const std::string &mode) {
  const std::string name = qualified(target_.names.schema, table);
  try {
    in_subtransaction([&] { execute("LOCK TABLE " + name + " IN " + mode + " MODE", {}); });
    refuse_planted_table(target_, table, Access::change); // nobody can replace it any more
    if (mode == "ACCESS EXCLUSIVE")
      refuse_table_in_use(table);
  } catch (const Failure &failure) {
    if (failure.sqlstate != sqlstate::lock_not_available)
      throw;
    std::string detail;
    for (const Row &row :
         query("SELECT format('process %s of user %s holds %s on it (state %s, query since %s)',"
               " l.pid, COALESCE(a.usename, '?'), l.mode, COALESCE(a.state, '?'),"
               " COALESCE(a.query_start::text, '?')) FROM pg_locks AS l LEFT JOIN pg_stat_activity"
               " AS a USING (pid) WHERE l.relation = $1::text::regclass AND l.database ="
               " (SELECT oid FROM pg_database WHERE datname = current_database())"
               " AND l.granted AND l.pid <> pg_backend_pid() ORDER BY l.pid",
               {name}))
      detail += (detail.empty() ? "" : "\n") + row[0].value_or("");
    throw Failure(sqlstate::lock_not_available, "could not lock " + name + " in time",
                  detail.empty() ? "Who held it has let go meanwhile." : detail,
                  "Wait for these sessions or end them with SELECT pg_terminate_backend(pid); or"
                  " wait longer: SET cowrie_migrate.lock_timeout = '60s';");
  }
}

void ServerDatabase::copy_grants(const std::string &table) {
  const std::string name = qualified(target_.names.schema, table);
  // What ALTER DEFAULT PRIVILEGES gave goes first: the grants shall be those of session_summaries.
  const auto grants = [&](const std::string &relation) {
    return query("SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE"
                 " quote_ident(pg_get_userbyid(x.grantee)) END, string_agg(x.privilege_type, ', '"
                 " ORDER BY x.privilege_type), x.is_grantable FROM pg_class AS c CROSS JOIN LATERAL"
                 " aclexplode(c.relacl) AS x WHERE c.oid = $1::text::regclass AND x.grantee <>"
                 " c.relowner GROUP BY 1, x.is_grantable ORDER BY 1, x.is_grantable",
                 {relation});
  };
  for (const Row &row : grants(name))
    execute("REVOKE ALL ON TABLE " + name + " FROM " + *row[0], {});
  for (const Row &row : grants(qualified(target_.names.schema, "session_summaries")))
    execute("GRANT " + *row[1] + " ON TABLE " + name + " TO " + *row[0] +
                (row[2] == "t" ? " WITH GRANT OPTION" : ""),
            {});
}

std::int64_t ServerDatabase::clock_us() const { return GetCurrentTimestamp(); }

void inspect_raw_events(ResolvedTarget &target) {
  if (!target.names.has_raw_events)
    return;
  target.names.raw_events_indexed =
      !spi_query("SELECT 1 FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid"
                 " AND a.attnum = i.indkey[0] WHERE i.indrelid = $1::text::regclass"
                 " AND a.attname = 'session_id' AND i.indisvalid AND i.indpred IS NULL",
                 {qualified(target.names.schema, "raw_events")}, true)
           .empty();
}

} // namespace cowrie::pg
