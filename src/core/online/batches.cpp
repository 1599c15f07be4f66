// Online batches: the batches that fill the session columns.
#include "core/online/batches.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/document/fingerprint.hpp"
#include "core/inspect/capacity.hpp"
#include "core/online/partitions.hpp"

namespace cowrie {
namespace {

/** Bytes of a statement that has a process of its own: it takes a few thousand. */
constexpr std::size_t longest_list_of_tables = 3000;

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

bool queue_is_other(Database &database, const Queue &made) {
  const Row now = database.query(online::sum_up_queue(database.target())).front();
  return now[0] != std::to_string(made.length) || (!made.sum.empty() && now[1] != made.sum);
}

void OnlineBatches::run(const Table &declared, const Table &base) {
  for (;;) {
    if (const std::int64_t ordered = hold_back_.pace().batch_size; ordered != first_size_)
      size_ = first_size_ = ordered;
    const std::int64_t begun = ports_.database.clock_us();
    const Outcome outcome = batch(declared, base);
    if (outcome == Outcome::nothing_left)
      break;
    if (outcome == Outcome::filled) {
      size_ = next_batch_size(size_, ports_.database.clock_us() - begun, hold_back_.pace());
      vacuum_if_due();
      hold_back_.rest();
    } else {
      // Whoever holds one of its rows shall not hold up the others.
      size_ = std::max<std::int64_t>(1, size_ / 4);
      hold_back_.wait_while_held();
    }
  }
  // Keys that were changed meanwhile have been looked for in vain.
  ports_.transactions.in_transaction(TransactionKind::work, [&] {
    if (queue_is_other(ports_.database, state_.queue))
      throw_other_queue();
  });
}

OnlineBatches::Outcome OnlineBatches::batch(const Table &declared, const Table &base) {
  Database &database = ports_.database;
  const Target &target = database.target();
  const auto taken =
      state_.completes_snapshots ? online::TakenSnapshots::complete : online::TakenSnapshots::keep;
  online::Places places = {state_.position, std::min(state_.position + size_, state_.queue.length)};
  if (places.last <= places.after)
    return Outcome::nothing_left;
  OnlineState after = state_;
  std::int64_t heap_only_rows = 0;
  const bool locked = lock_retry_.if_locked(TransactionKind::batch, [&] {
    refuse_other_queue(places);
    const bool there = !target.partitioned || cut_to_leaf(database, places);
    ports_.online_monitor.at_batch(number_ + 1, state_.filled, state_.queue.length);
    if (there) {
      const std::int64_t before = heap_only(places);
      add(after.filled, database.fill(online::fill_batch(target, declared, base, places, taken),
                                      true, state_.settled_until));
      heap_only_rows = heap_only(places) - before;
    }
    after.position = places.last;
    ports_.memory.remember(run_, after);
  });
  if (!locked)
    return Outcome::refused;
  if (!target.partitioned || !places.table.empty())
    written_.insert(places.table);
  dead_rows_ += after.filled.rows - state_.filled.rows - heap_only_rows;
  state_ = std::move(after);
  ++number_;
  return Outcome::filled;
}

// Every row that has moved to another page leaves a dead one, and autovacuum comes late: by default
// when a fifth of the table is dead, and then slowly. Where it is at work already, or no process is
// free, it is left to it.
void OnlineBatches::vacuum_if_due() {
  if (static_cast<double>(dead_rows_) <
      dead_rows_before_vacuum(static_cast<double>(state_.queue.length)))
    return;
  dead_rows_ = 0;
  const std::string whole = qualified(ports_.database.target().schema, "session_summaries");
  std::string tables =
      join(written_, ", ", [&](const std::string &each) { return each.empty() ? whole : each; });
  if (tables.size() > longest_list_of_tables)
    tables = whole;
  written_.clear();
  const std::string sql = "VACUUM (SKIP_LOCKED, TRUNCATE false) " + tables;
  try {
    ports_.transactions.execute_alone(sql, sql + ";");
  } catch (const Failure &failure) {
    if (failure.sqlstate != sqlstate::configuration_limit)
      throw;
  }
}

// Without statistics nothing is known to have stayed in its page.
std::int64_t OnlineBatches::heap_only(const online::Places &places) {
  return ports_.database.number(online::count_heap_only(ports_.database.target(), places));
}

// The position counts in this queue, as it was made. Who drops it while this waits for its lock has
// done so by the time that it is read.
void OnlineBatches::refuse_other_queue(const online::Places &places) {
  Database &database = ports_.database;
  const Target &target = database.target();
  try {
    if (find_online_objects(database).queue == state_.queue.table &&
        database.query(online::count_places(target, places)).front()[0] ==
            std::to_string(places.last - places.after))
      return;
  } catch (const Failure &failure) {
    if (failure.sqlstate != sqlstate::undefined_table)
      throw;
  }
  throw_other_queue();
}

void OnlineBatches::throw_other_queue() {
  const Target &target = ports_.database.target();
  throw Failure(
      sqlstate::prerequisite_state, "the queue of the online migration has been changed",
      "Another session has changed, dropped or replaced " +
          qualified(target.schema, online::queue_table) + ".",
      "Do not modify it. Run " + target.online_call() +
          " it starts again from the first session and keeps the values that are already filled.");
}

} // namespace cowrie
