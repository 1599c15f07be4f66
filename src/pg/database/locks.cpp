// Locks: the run lock and the table locks, and who is in the way of them.
//
// A part of ServerDatabase. Error regime: throws Failure (55P03, 55006) or PgError.
#include "pg/database/database.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/run_objects.hpp"
#include "pg/catalog/leaves.hpp"
#include "pg/catalog/refusals.hpp"
#include "pg/database/deferred.hpp"
#include "pg/database/run_lock.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {
namespace {

constexpr const char *to_read = "ACCESS SHARE";

/** Who holds a lock, a line each: session or prepared transaction. For a FROM list over pg_locks
 *  as l with its row as l. */
constexpr const char *holder =
    "CASE WHEN l.pid IS NULL THEN format('prepared transaction %L holds %s (end it with COMMIT"
    " PREPARED or ROLLBACK PREPARED)', p.gid, l.mode) ELSE format('process %s of user %s holds %s"
    " (state %s, query since %s)', l.pid, COALESCE(a.usename, '?'), l.mode,"
    " COALESCE(a.state, '?'), COALESCE(date_trunc('second', a.query_start)::text, '?')) END FROM "
    "pg_locks AS l LEFT JOIN"
    " pg_stat_activity AS a ON a.pid = l.pid LEFT JOIN pg_locks AS x ON l.pid IS NULL AND x.pid IS"
    " NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = l.virtualtransaction LEFT"
    " JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid"
    " WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid() AND l.database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())";

std::string lines(const std::vector<Row> &rows) {
  std::string result;
  for (const Row &row : rows)
    result += (result.empty() ? "" : "\n") + row[0].value_or("");
  return result;
}

/** The modes that conflict with one, as an array: pg_locks has the same names. */
std::string conflicting_modes(LOCKMODE mode) {
  std::string result;
  for (LOCKMODE each = AccessShareLock; each <= AccessExclusiveLock; ++each)
    if (DoLockModesConflict(mode, each))
      result +=
          (result.empty() ? "" : ", ") + quote_literal(GetLockmodeName(DEFAULT_LOCKMETHOD, each));
  return "ARRAY[" + result + "]";
}

/** `ACCESS EXCLUSIVE` as the server numbers it. */
LOCKMODE number_of(const std::string &mode) {
  std::string squeezed; // AccessExclusiveLock is what the server calls it
  for (const char each : mode)
    if (each != ' ')
      squeezed += each;
  for (LOCKMODE each = AccessShareLock; each <= AccessExclusiveLock; ++each)
    if (pg_strcasecmp((squeezed + "Lock").c_str(), GetLockmodeName(DEFAULT_LOCKMETHOD, each)) == 0)
      return each;
  throw Failure("XX000", "unrecognized lock mode " + mode);
}

/** How long a lock may be waited for while another is held: a deadlock that this makes must have
 *  come undone before anybody's deadlock check finds it. */
int patience_ms() noexcept { return std::max(1, std::min(100, DeadlockTimeout / 10)); }

} // namespace

void ServerDatabase::lock_run() {
  if (RunLock(target_.extension.id).try_for_transaction())
    return;
  refuse_other_run();
  refuse_run("It has ended since.");
}

void ServerDatabase::refuse_other_run() {
  const std::string holders =
      lines(query(std::string("SELECT ") + holder + " AND " + run_objects::is_run_lock("l"), {}));
  if (!holders.empty())
    refuse_run("The run lock: " + holders + ".");
}

void refuse_run(const std::string &detail) {
  throw Failure(
      sqlstate::lock_not_available, "another migration is running in this database", detail,
      "Watch it with SELECT * FROM cowrie_migration_status; and try again when it has finished.");
}

// Each partition is a lock of its own, so that none is waited for long while others are held: LOCK
// TABLE of the whole would do that.
std::vector<RelationLock> ServerDatabase::in_full(const std::vector<TableLock> &wanted) const {
  std::vector<RelationLock> result;
  for (const TableLock &each : wanted) {
    const Oid table = call([&] { return get_relname_relid(each.table.c_str(), target_.schema); });
    const auto is_partitioned = [](Oid relation) {
      return call([=] { return get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE; });
    };
    const bool whole = !OidIsValid(table) || !is_partitioned(table);
    result.push_back(
        {each.table, qualified(target_.names.schema, each.table), each.mode, InvalidOid, !whole});
    if (whole)
      continue;
    for (const Oid below : tree_of(table))
      if (below != table)
        result.push_back(
            {each.table, name_of_relation(below), each.mode, below, is_partitioned(below)});
  }
  return result;
}

// A table may be another one after a wait.
Oid ServerDatabase::relation_of(const RelationLock &lock) const {
  return OidIsValid(lock.partition)
             ? lock.partition
             : call([&] { return get_relname_relid(lock.table.c_str(), target_.schema); });
}

std::size_t ServerDatabase::try_to_lock(const std::vector<RelationLock> &wanted,
                                        std::size_t awaited, int timeout_ms) {
  std::size_t current = awaited;
  const auto lock = [&](int milliseconds) {
    const LockTimeout waiting(milliseconds);
    const RelationLock &each = wanted[current];
    if (each.mode == to_read) // needs no privilege: who may not read will be told so
      return call([oid = relation_of(each)] {
        if (OidIsValid(oid))
          LockRelationOid(oid, AccessShareLock);
      });
    execute("LOCK TABLE " + std::string(each.partitioned ? "ONLY " : "") + each.name + " IN " +
                each.mode + " MODE",
            {});
  };
  try {
    in_subtransaction([&] {
      lock(timeout_ms);
      for (std::size_t i = 0; i < wanted.size(); ++i)
        if (i != awaited) {
          current = i;
          lock(patience_ms());
        }
    });
  } catch (const Failure &failure) {
    // A writer that waits for a lock we hold is a deadlock in the server's eyes, at once. It comes
    // undone when our attempt is over.
    if (failure.sqlstate != sqlstate::lock_not_available &&
        failure.sqlstate != sqlstate::deadlock_detected)
      throw;
    return current;
  }
  return wanted.size();
}

// The first table is waited for with nothing held, the others only as long as no deadlock check
// can notice. Where that is too short, all is let go and that table is waited for first.
std::vector<RelationLock> ServerDatabase::acquire(const std::vector<TableLock> &tables) {
  std::vector<RelationLock> wanted = in_full(tables);
  const std::int64_t deadline = clock_us() + std::int64_t(setting_lock_timeout) * 1000;
  std::size_t awaited = 0;
  for (;;) {
    int timeout_ms = 0; // for ever
    if (setting_lock_timeout > 0)
      timeout_ms = static_cast<int>(std::max<std::int64_t>(1, (deadline - clock_us()) / 1000));
    const std::size_t refused = try_to_lock(wanted, awaited, timeout_ms);
    if (refused == wanted.size())
      return wanted;
    if (refused == awaited || (setting_lock_timeout > 0 && clock_us() >= deadline))
      throw_locked(wanted[refused]);
    awaited = refused;
  }
}

void ServerDatabase::lock_tables(const std::vector<TableLock> &wanted) {
  inspect_locked(acquire(wanted));
}

void ServerDatabase::upgrade_locks(const std::vector<TableLock> &wanted) {
  const std::vector<RelationLock> locks = in_full(wanted);
  const std::int64_t deadline = clock_us() + std::int64_t(setting_lock_timeout) * 1000;
  for (;;) {
    const std::size_t refused = try_to_lock(locks, 0, patience_ms());
    if (refused == locks.size())
      break;
    if (setting_lock_timeout > 0 && clock_us() >= deadline)
      throw_locked(locks[refused]);
    query("SELECT pg_sleep($1::int8 / 1000.0)", {std::int64_t(patience_ms())}); // others go first
  }
  inspect_locked(locks);
}

// What was seen before the locks were granted does not count: everything is found and asked again,
// with a snapshot that is newer than they are.
void ServerDatabase::inspect_locked(const std::vector<RelationLock> &locked) {
  const FreshSnapshot snapshot;
  refuse_changed_target(target_, Access::change);
  for (const Table &each : newest_schema().tables)
    refuse_unlocked_table(each.name, locked);
  refuse_unlocked_partitions(locked);
  for (const RelationLock &each : locked)
    if (each.mode == "ACCESS EXCLUSIVE")
      refuse_table_in_use(each);
  refuse_unsuitable_tables(target_);
  defer_nothing(target_);
}

void ServerDatabase::refuse_unlocked_table(const std::string &table,
                                           const std::vector<RelationLock> &locked) {
  const Oid relation = call([&] { return get_relname_relid(table.c_str(), target_.schema); });
  const bool is_locked = std::any_of(locked.begin(), locked.end(),
                                     [&](const auto &each) { return each.table == table; });
  if (OidIsValid(relation) && !is_locked)
    throw Failure(sqlstate::prerequisite_state,
                  qualified(target_.names.schema, table) + " has been created during this call",
                  "It did not exist when the call began to wait for its locks.",
                  "Find out which session creates tables in that schema, then repeat the call.");
}

void ServerDatabase::refuse_unlocked_partitions(const std::vector<RelationLock> &locked) {
  for (const Oid each : tree_of(target_.sessions))
    if (each != target_.sessions &&
        std::none_of(locked.begin(), locked.end(),
                     [&](const auto &other) { return other.partition == each; }))
      throw Failure(sqlstate::prerequisite_state,
                    "partition " + name_of_relation(each) +
                        " of session_summaries has been attached during this call",
                    "It was not attached when the call began to wait for its locks.",
                    "Repeat the call.");
}

void ServerDatabase::lock_to_read() {
  std::vector<TableLock> wanted;
  for (const Schema &each : {schema_v15(), newest_schema()})
    for (const Table &table : each.tables)
      wanted.push_back({table.name, to_read});
  acquire(wanted);
  const FreshSnapshot snapshot;
  refuse_changed_target(target_, Access::read);
}

// Nobody is advised to end a migration: while one runs, its own processes are not listed.
void ServerDatabase::throw_locked(const RelationLock &wanted) {
  const std::string &name = wanted.name;
  const std::string holders =
      lines(query("WITH " + run_objects::processes() + " SELECT " + holder +
                      " AND l.relation = to_regclass($1::text) AND l.mode = ANY (" +
                      conflicting_modes(number_of(wanted.mode)) + ") AND " +
                      run_objects::is_other("l.pid", "l.virtualtransaction") + " ORDER BY l.pid",
                  {name}));
  if (holders.empty())
    refuse_other_run();
  throw Failure(sqlstate::lock_not_available, "could not obtain lock on " + name,
                holders.empty() ? "The conflicting lock has since been released." : holders,
                "Wait for these sessions or terminate them with SELECT pg_terminate_backend(pid); "
                "or raise the timeout: SET cowrie_migrate.lock_timeout = '60s';");
}

void ServerDatabase::refuse_table_in_use(const RelationLock &locked) {
  struct Use {
    bool queries, triggers;
  };
  const Use use = call([oid = relation_of(locked)]() -> Use {
    Relation opened = relation_open(oid, AccessShareLock);
    const Use found{opened->rd_refcnt > 1, AfterTriggerPendingOnRel(oid)};
    relation_close(opened, NoLock);
    return found;
  });
  const std::string &name = locked.name;
  if (use.queries)
    throw Failure(sqlstate::object_in_use,
                  name + " is being used by active queries in this session",
                  "The calling query itself, or an open cursor, reads the table that is to be"
                  " changed.",
                  "Close that query or cursor, then repeat this call by itself.");
  if (use.triggers)
    throw Failure(
        sqlstate::object_in_use, name + " has pending trigger events in this transaction",
        "Deferred constraints or triggers have not yet been checked or fired for its rows.",
        "Commit first, then repeat this call in a transaction of its own.");
}

} // namespace cowrie::pg
