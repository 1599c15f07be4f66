// LockRetry: transactions that may have to be tried again.
#include "core/online/lock_retry.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/v16.hpp"

namespace cowrie {
namespace {

/** Two minutes and a half, most of it between the attempts. */
constexpr int most_attempts = 100;
/** An attempt of this kind waits as long as cowrie_migrate.lock_timeout says. */
constexpr int most_waiting_attempts = 5;
constexpr std::int64_t first_pause_us = 50'000;
constexpr std::int64_t longest_pause_us = 2'000'000;

bool is_lock_failure(const Failure &failure) {
  return !failure.must_propagate && (failure.sqlstate == sqlstate::lock_not_available ||
                                     failure.sqlstate == sqlstate::deadlock_detected);
}

} // namespace

LockRetry::LockRetry(const OnlinePorts &ports)
    : ports_(ports),
      random_(static_cast<std::minstd_rand::result_type>(ports.database.clock_us())) {}

bool LockRetry::if_locked(TransactionKind kind, const std::function<void()> &body) {
  try {
    ports_.transactions.in_transaction(kind, body);
    failures_ = 0;
    return true;
  } catch (const Failure &failure) {
    if (!is_lock_failure(failure))
      throw;
  }
  ++failures_;
  if (failures_ >= (kind == TransactionKind::work ? most_waiting_attempts : most_attempts))
    give_up(failures_);
  // Jittered: two processes that step aside for each other shall not meet again.
  const std::int64_t pause =
      std::min(longest_pause_us, first_pause_us << std::min(failures_ / 2, 10));
  ports_.transactions.wait_us(pause / 2 +
                              static_cast<std::int64_t>(random_() % std::uint64_t(pause)));
  if (ports_.transactions.stop_requested())
    throw Stopped();
  return false;
}

void LockRetry::until_locked(TransactionKind kind, const std::function<void()> &body) {
  while (!if_locked(kind, body)) {
  }
}

void LockRetry::give_up(int attempts) {
  failures_ = 0;
  std::string tables, holders;
  for (const Schema *schema : {&schema_v15(), &schema_v16()})
    for (const Table &table : schema->tables)
      tables += (tables.empty() ? "" : ", ") + quote_literal(table.name);
  ports_.transactions.in_transaction(TransactionKind::work, [&] {
    for (const Row &row : ports_.database.query(
             "SELECT DISTINCT format('process %s of user %s holds %s on %s (state %s, transaction"
             " since %s)', l.pid, COALESCE(a.usename, '?'), l.mode, c.relname,"
             " COALESCE(a.state, '?'), COALESCE(a.xact_start::text, '?')) FROM pg_locks AS l"
             " JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid ="
             " c.relnamespace LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid WHERE l.granted AND"
             " l.pid IS DISTINCT FROM pg_backend_pid() AND l.database = (SELECT oid FROM"
             " pg_database WHERE datname = current_database()) AND n.nspname = $1::text AND"
             " c.relname IN (" +
                 tables + ") ORDER BY 1",
             {ports_.database.target().schema}))
      holders += (holders.empty() ? "" : "\n") + row[0].value_or("");
  });
  throw Failure(
      sqlstate::lock_not_available,
      "no lock could be had in " + std::to_string(attempts) + " attempts",
      holders.empty() ? "Nobody holds a lock on the tables any more." : holders,
      "Wait for these transactions or end them with SELECT pg_terminate_backend(pid); then run " +
          ports_.database.target().online_call() + " it resumes there.");
}

} // namespace cowrie
