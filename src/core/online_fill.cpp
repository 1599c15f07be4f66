// Online fill: the batches that fill the session columns.
#include "core/online_fill.hpp"

#include <algorithm>

#include "core/failure.hpp"
#include "core/fingerprint.hpp"

namespace cowrie {
namespace {

/** What a writer may have to wait for a batch that holds its row, roughly. */
constexpr std::int64_t longest_batch_us = 80'000;
constexpr std::int64_t first_batch = 100;
constexpr std::int64_t smallest_batch = 10;

/** How much of the table may be dead rows of ours: a part of the sessions, and at least so many. */
constexpr double dead_part = 0.1;
constexpr double least_dead_rows = 20'000;

void add(Fingerprint &total, const Fingerprint &more) {
  const auto sum = [](std::string &text, const std::string &other) {
    Sum128 result = Sum128::of_hex(text);
    result.add(Sum128::of_hex(other));
    text = result.hex();
  };
  total.sessions += more.sessions;
  sum(total.documents, more.documents);
  sum(total.times, more.times);
}

} // namespace

void add(FillResult &total, const FillResult &more) {
  total.rows += more.rows;
  for (std::size_t i = 0; i < total.rejects.size(); ++i)
    total.rejects[i] += more.rejects[i];
  total.null_escapes += more.null_escapes;
  add(total.before, more.before);
  add(total.settled, more.settled);
}

double dead_rows_before_vacuum(double sessions) {
  return std::max(least_dead_rows, sessions * dead_part);
}

void OnlineFill::run(const Table &declared, const Table &base) {
  size_ = std::min(first_batch, options_.batch_size);
  expected_ = expected_sessions();
  for (;;) {
    const std::int64_t begun = ports_.database.clock_us();
    const Outcome outcome = batch(declared, base);
    if (outcome == Outcome::nothing_left)
      return;
    if (outcome == Outcome::filled) {
      adapt(ports_.database.clock_us() - begun);
      vacuum_if_due();
      if (options_.pause_us > 0)
        ports_.transactions.wait_us(options_.pause_us);
    } else {
      // Whoever holds one of its rows shall not hold up the others.
      size_ = std::max<std::int64_t>(1, size_ / 4);
    }
    if (ports_.transactions.stop_requested())
      throw Stopped();
  }
}

OnlineFill::Outcome OnlineFill::batch(const Table &declared, const Table &base) {
  Database &database = ports_.database;
  const Target &target = database.target();
  const auto taken =
      state_.completes_snapshots ? online::TakenSnapshots::complete : online::TakenSnapshots::keep;
  OnlineState after = state_;
  bool found = false;
  const bool locked = patience_.if_locked(TransactionKind::batch, [&] {
    const Row next = database.query(online::next_batch(target, state_.position, size_)).front();
    found = next[1].has_value();
    if (!found)
      return;
    ports_.online_monitor.at_batch(number_ + 1, state_.filled,
                                   std::max(expected_, state_.filled.before.sessions));
    add(after.filled,
        database.fill(online::fill_batch(target, declared, base, state_.position, *next[1], taken),
                      true));
    after.position = next[1];
    ports_.memory.remember(run_, after);
  });
  if (!locked)
    return Outcome::refused;
  if (!found)
    return Outcome::nothing_left;
  dead_rows_ += after.filled.rows - state_.filled.rows;
  state_ = std::move(after);
  ++number_;
  return Outcome::filled;
}

void OnlineFill::adapt(std::int64_t took_us) {
  if (took_us > longest_batch_us)
    size_ = std::max(smallest_batch, size_ * longest_batch_us / 2 / took_us);
  else if (took_us < longest_batch_us / 2)
    size_ *= 2;
  size_ = std::clamp<std::int64_t>(size_, 1, options_.batch_size);
}

// Every row written leaves a dead one, and autovacuum comes late: by default when a fifth of the
// table is dead, and then slowly. Where it is at work already, or no process is free, it is left to
// it.
void OnlineFill::vacuum_if_due() {
  if (static_cast<double>(dead_rows_) < dead_rows_before_vacuum(static_cast<double>(expected_)))
    return;
  dead_rows_ = 0;
  const std::string sql = "VACUUM (SKIP_LOCKED, TRUNCATE false) " +
                          qualified(ports_.database.target().schema, "session_summaries");
  try {
    ports_.transactions.execute_alone(sql, sql + ";");
  } catch (const Failure &failure) {
    if (failure.sqlstate != sqlstate::configuration_limit)
      throw;
  }
}

std::int64_t OnlineFill::expected_sessions() {
  std::int64_t result = 0;
  ports_.transactions.in_transaction(TransactionKind::work, [&] {
    result = std::stoll(
        ports_.database
            .query("SELECT CASE WHEN reltuples <= 0 THEN pg_relation_size(oid) / 1000 ELSE"
                   " reltuples END::int8 FROM pg_class WHERE oid = $1::text::regclass",
                   {qualified(ports_.database.target().schema, "session_summaries")})
            .front()[0]
            .value_or("0"));
  });
  return result;
}

} // namespace cowrie
