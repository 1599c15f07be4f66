// LockRetry: transactions that may have to be tried again.
#include "core/online/lock_retry.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/lock_holders.hpp"

namespace cowrie {
namespace {

/** An attempt of this kind waits as long as cowrie_migrate.lock_timeout says. */
constexpr int most_waiting_attempts = 5;
constexpr std::int64_t first_pause_us = 50'000;
constexpr std::int64_t longest_pause_us = 2'000'000;

std::string every_table() {
  std::vector<std::string> tables;
  for (const Schema *schema : {&schema_v15(), &newest_schema()})
    for (const Table &table : schema->tables)
      tables.push_back(table.name);
  return text_array(tables);
}

} // namespace

// The row that was waited for has gone to another partition: it is there for the next attempt.
bool is_lock_failure(const Failure &failure) {
  return !failure.must_propagate && (failure.sqlstate == sqlstate::lock_not_available ||
                                     failure.sqlstate == sqlstate::deadlock_detected ||
                                     failure.sqlstate == sqlstate::serialization_failure);
}

LockRetry::LockRetry(const OnlinePorts &ports)
    : ports_(ports),
      random_(static_cast<std::minstd_rand::result_type>(ports.database.clock_us())) {}

bool LockRetry::if_locked(TransactionKind kind, const std::function<void()> &body) {
  awaited_.clear();
  try {
    ports_.transactions.in_transaction(kind, body);
    if (failures_ > 0)
      ports_.transactions.in_transaction(TransactionKind::work,
                                         [this] { ports_.online_monitor.waits({}); });
    failures_ = 0;
    return true;
  } catch (const Failure &failure) {
    if (!is_lock_failure(failure))
      throw;
  }
  ++failures_;
  const int most = report(kind);
  if (failures_ >= most)
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

// A reader is in the way of a strong lock only.
int LockRetry::report(TransactionKind kind) {
  LockWait wait{failures_, 0, 0, 0};
  ports_.transactions.in_transaction(TransactionKind::work, [&] {
    wait.most = static_cast<int>(to_number(ports_.database.query(lock_attempts_query).front()[0]));
    if (kind == TransactionKind::work)
      wait.most = std::min(wait.most, most_waiting_attempts);
    const std::vector<Row> found = ports_.database.query(
        lock_holders_query(awaited_.empty() ? every_table() : text_array({awaited_}),
                           kind == TransactionKind::catalog),
        {ports_.database.target().schema});
    if (!found.empty())
      holders_.clear();
    for (const Row &row : found) {
      append(holders_, row[0].value_or(""), "\n");
      if (wait.holder == 0) {
        wait.holder = to_number(row[1]);
        wait.table = to_number(row[2]);
      }
    }
    ports_.online_monitor.waits(wait);
  });
  return wait.most;
}

std::string LockRetry::who_holds() {
  if (holders_.empty())
    report(TransactionKind::catalog);
  return holders_.empty() ? "The conflicting locks have since been released." : holders_;
}

void LockRetry::give_up(int attempts) {
  failures_ = 0;
  throw Failure(sqlstate::lock_not_available,
                "could not obtain lock after " + std::to_string(attempts) + " attempts",
                who_holds(),
                "Wait for these transactions or terminate them with SELECT "
                "pg_terminate_backend(pid); then run " +
                    ports_.database.target().online_call() + " it resumes where it stopped.");
}

} // namespace cowrie
