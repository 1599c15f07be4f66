// Database: core's port into the server, for one target schema.
#include "pg/database/database.hpp"

#include "core/base/failure.hpp"
#include "pg/catalog/catalog_reader.hpp"
#include "pg/catalog/leaves.hpp"
#include "pg/catalog/refusals.hpp"
#include "pg/reading/fill_run.hpp"
#include "pg/reading/unfilled.hpp"
#include "pg/database/parallel_insert.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"
#include "pg/boundary/subtransaction.hpp"

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

std::int64_t ServerDatabase::insert(const std::string &sql) {
  if (const auto rows = insert_in_parallel(sql))
    return *rows;
  return execute(sql, {});
}

// What ran out of memory is undone before it is told: there is memory again by then.
void ServerDatabase::in_subtransaction(const std::function<void()> &body) {
  try {
    Subtransaction subtransaction;
    body();
    subtransaction.commit();
  } catch (const std::bad_alloc &) {
    throw Failure(sqlstate::out_of_memory, "out of memory");
  }
}

// The caller's snapshot may be from before the wait for a lock: what it shows is no longer there.
void ServerDatabase::in_passing(const std::function<void()> &body) {
  Subtransaction rolled_back;
  lock_to_read();
  call([] { PushActiveSnapshot(GetTransactionSnapshot()); }); // the rollback takes it off again
  body();
}

Schema ServerDatabase::observe(const Schema &declared) {
  return observe_schema(target_.names.schema, declared, read_only_);
}

Schema ServerDatabase::bind(const Schema &declared, const Schema &observed) {
  return bind_schema(target_.schema, declared, observed);
}

std::int64_t ServerDatabase::expected_sessions() {
  const std::vector<Row> found =
      query("SELECT sum(CASE WHEN reltuples <= 0 THEN pg_relation_size(oid) / 1000 ELSE reltuples"
            " END)::int8 FROM pg_class WHERE relkind = 'r' AND (oid = $1::int8::oid OR oid IN"
            " (SELECT relid FROM pg_partition_tree($1::int8::oid::regclass)))",
            {std::int64_t(target_.sessions)});
  return found.empty() ? 0 : std::stoll(found.front()[0].value_or("0"));
}

// What a statement would see: the calling one of a function that writes nothing, else a new one.
FillCount ServerDatabase::count_unfilled(bool snapshots_are_final) {
  const Snapshot snapshot = call(
      [this] { return RegisterSnapshot(read_only_ ? GetActiveSnapshot() : GetLatestSnapshot()); });
  FillCount all;
  for (const Oid leaf : leaves_of(target_.sessions)) {
    const FillCount found = pg::count_unfilled(leaf, snapshot, snapshots_are_final);
    all.sessions += found.sessions;
    all.of += found.of;
  }
  call([=] { UnregisterSnapshot(snapshot); });
  return all;
}

// The lock that the statement takes: what is looked at under it stays.
void ServerDatabase::lock_sessions_to_fill() {
  call([this] { LockRelationOid(target_.sessions, RowExclusiveLock); });
  refuse_changed_sessions(target_);
}

std::array<std::int64_t, 3> ServerDatabase::written_sessions() {
  const Row row = query("SELECT sum(pg_stat_get_xact_tuples_updated(id)),"
                        " sum(pg_stat_get_xact_tuples_inserted(id)),"
                        " sum(pg_stat_get_xact_tuples_deleted(id)) FROM (SELECT $1::int8::oid UNION"
                        " SELECT relid FROM pg_partition_tree($1::int8::oid::regclass)) AS s (id)",
                        {std::int64_t(target_.sessions)})
                      .front();
  return {to_number(row[0]), to_number(row[1]), to_number(row[2])};
}

// A trigger that fires after the update could write sessions by itself: then more of them have been
// written in this transaction than this statement has.
void ServerDatabase::refuse_more_writes(const std::array<std::int64_t, 3> &before,
                                        std::int64_t rows) {
  const std::array<std::int64_t, 3> after = written_sessions();
  const std::int64_t updated = after[0] - before[0] - rows;
  if (updated == 0 && after[1] == before[1] && after[2] == before[2])
    return;
  throw Failure(
      sqlstate::data_corrupted,
      "zero-loss gate: session_summaries was modified by something else during a batch",
      "In addition to the " + std::to_string(rows) + " sessions of the batch, " +
          std::to_string(updated) + " were updated, " + std::to_string(after[1] - before[1]) +
          " inserted and " + std::to_string(after[2] - before[2]) +
          " deleted by its own transaction. The batch has been rolled back.",
      "Check session_summaries for triggers with \\d session_summaries and disable them during the "
      "migration: ALTER TABLE " +
          qualified(target_.names.schema, "session_summaries") + " DISABLE TRIGGER name;");
}

FillResult ServerDatabase::fill(const std::string &sql, bool stage,
                                std::optional<std::int64_t> start) {
  lock_sessions_to_fill();
  const CountedWrites counted;
  const std::array<std::int64_t, 3> before = written_sessions();
  FillRun run(target_, progress_, stage, expected_sessions(), start);
  const std::int64_t rows = execute(sql, {});
  refuse_more_writes(before, rows);
  FillResult result = run.finish();
  result.rows = rows;
  return result;
}

void ServerDatabase::stage(const std::string &query) {
  lock_sessions_to_fill();
  FillRun run(target_, progress_, /* stage: */ true, expected_sessions(), std::nullopt);
  execute(query, {});
  run.finish();
}

FillResult ServerDatabase::rewrite(const std::string &sql) {
  FillRun run(target_, progress_, /* stage: */ true, expected_sessions(), std::nullopt);
  run.have_read_ahead(leaves_of(target_.sessions), {}); // it takes longer to write than to read
  execute(sql, {});
  return run.finish();
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

void ServerDatabase::inspect_again() {
  const FreshSnapshot snapshot;
  refuse_changed_target(target_, Access::change);
  refuse_unsuitable_tables(target_);
}

namespace {

/** Of a table and its children or partitions: how many have no index that leads with session_id,
 * and the commands that make those. In every one of them: of one without, each look-up would read
 * all of it. */
Row without_index(Oid table) {
  return spi_query(
             "WITH RECURSIVE tree (id) AS (SELECT $1::int8::oid UNION SELECT i.inhrelid FROM tree"
             " JOIN pg_inherits AS i ON i.inhparent = tree.id) SELECT count(*),"
             " string_agg(CASE WHEN c.relkind = 'p' AND NOT c.relispartition THEN"
             " format('CREATE INDEX ON %s (session_id);', c.oid::regclass)"
             " WHEN c.relkind = 'r' AND NOT c.relispartition THEN"
             " format('CREATE INDEX CONCURRENTLY ON %s (session_id);', c.oid::regclass) END, ' '"
             " ORDER BY c.oid) FROM tree JOIN pg_class AS c ON c.oid = tree.id WHERE NOT EXISTS"
             " (SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum"
             " = i.indkey[0] WHERE i.indrelid = c.oid AND a.attname = 'session_id' AND i.indisvalid"
             " AND i.indpred IS NULL)",
             {std::int64_t(table)}, true)
      .front();
}

} // namespace

void inspect_indexes(ResolvedTarget &target) {
  if (target.names.partitioned) { // the key of a table that is not leads with session_id
    const Row missing = without_index(target.sessions);
    target.names.sessions_indexed = to_number(missing[0]) == 0;
    target.names.index_sessions = missing[1].value_or("");
  }
  if (!target.names.has_raw_events)
    return;
  // The names are quoted by the server; nothing where both columns compare alike.
  const std::vector<Row> collation = spi_query(
      "SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_attribute AS e JOIN"
      " pg_attribute AS s ON s.attrelid = $2::int8::oid AND s.attname = 'session_id' AND"
      " s.attcollation <> e.attcollation JOIN pg_collation AS c ON c.oid = e.attcollation JOIN"
      " pg_namespace AS n ON n.oid = c.collnamespace WHERE e.attrelid = $1::int8::oid AND "
      "e.attname ="
      " 'session_id' AND NOT e.attisdropped",
      {std::int64_t(target.events), std::int64_t(target.sessions)}, true);
  target.names.events_collation = collation.empty() ? "" : collation.front()[0].value_or("");
  const Row missing = without_index(target.events);
  target.names.raw_events_indexed = to_number(missing[0]) == 0;
  target.names.index_raw_events = missing[1].value_or("");
}

} // namespace cowrie::pg
