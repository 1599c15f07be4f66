// Online catch-up: brings up to date what the application has changed meanwhile.
#include "core/online/catch_up.hpp"

#include <algorithm>
#include <set>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/sql/online.hpp"

namespace cowrie {
namespace {

constexpr std::int64_t keys_per_round = 20'000;
/** Rows that are written in one transaction: others may be waiting for them. */
constexpr std::size_t sessions_per_fill = 500;
constexpr int most_attempts = 5;
/** More keys than this part of the sessions are many. */
constexpr std::int64_t many_part = 10;
constexpr std::int64_t few = 20;

} // namespace

// To stage everything in one scan, with parallel workers, takes a fraction of the time per session.
// And what is not whole any more cannot be brought up to date.
std::int64_t OnlineCatchUp::start_over_if_less_work() {
  std::int64_t keys = 0;
  bool over = false;
  lock_retry_.until_locked(TransactionKind::work, [&] {
    Database &database = ports_.database;
    OnlineInventories refresh(database, origin_);
    const bool whole = refresh.staging_is_whole(ports_.monitor);
    const Row counts = database
                           .query(online::count_changed_keys_and_sessions(database.target()),
                                  {qualified(database.target().schema, "session_summaries")})
                           .front();
    keys = to_number(counts[0]);
    over = keys > std::max(keys_per_round, to_number(counts[1]) / many_part) || !whole;
    if (over)
      refresh.refresh_all(base_);
  });
  return over ? keys : 0;
}

std::int64_t OnlineCatchUp::work_off(std::int64_t enough) {
  return start_over_if_less_work() + work_off_keys(enough);
}

// The foreign key is there by now, so there will be no more such sessions.
std::int64_t OnlineCatchUp::work_off_all() {
  const std::int64_t sessions = work_off(0);
  std::int64_t orphans = 0;
  lock_retry_.until_locked(TransactionKind::work, [&] {
    orphans = ports_.database.note_sessions(online::orphan_keys(ports_.database.target()));
  });
  return sessions + (orphans > 0 ? work_off_keys(0) : 0);
}

std::int64_t OnlineCatchUp::work_off_keys(std::int64_t enough) {
  std::int64_t sessions = 0;
  for (;;) {
    hold_back_.wait_while_held();
    Round round;
    for (int attempt = 1;; ++attempt) {
      round = derive();
      try {
        fill(round.sessions);
        break;
      } catch (const Failure &failure) {
        // The session has changed since its address was looked at, and has another one by now.
        if (failure.sqlstate != sqlstate::foreign_key_violation || attempt == most_attempts)
          throw;
      }
    }
    const std::int64_t left = forget(round);
    sessions += static_cast<std::int64_t>(round.sessions.size());
    const auto done = static_cast<std::int64_t>(round.places.size());
    const std::int64_t came = left - (round.before - done);
    if (left <= enough || (enough > 0 && came > done / 2))
      return sessions;
  }
}

// The first pass takes all that have come so far. A later one takes half as many as the one before,
// and is the last one when more have come meanwhile: so it ends, however fast they come.
std::int64_t OnlineCatchUp::fill_rest() {
  std::int64_t sessions = 0, added = 0;
  std::optional<std::int64_t> most;
  do {
    lock_retry_.until_locked(TransactionKind::work, [&] {
      added = ports_.database.note_sessions(
          online::unfilled_keys(ports_.database.target(), declared_, base_, most));
    });
    sessions += work_off_keys(0);
    if (most && added == *most)
      break;
    most = added / 2;
  } while (added > few);
  return sessions;
}

// The inventories first: where the foreign keys are there already, a session must not get an
// address before that has its row. The keys stay until all is done, so that a crash forgets none.
OnlineCatchUp::Round OnlineCatchUp::derive() {
  Round round;
  lock_retry_.until_locked(TransactionKind::catalog, [&] {
    round = Round();
    OnlineInventories refresh(ports_.database, origin_);
    round.before = refresh.pending();
    std::set<std::string> keys;
    for (const Row &row : ports_.database.query(
             online::read_changed_keys(ports_.database.target(), keys_per_round))) {
      round.places.push_back(row[0].value_or(""));
      round.file = row[2].value_or("");
      keys.insert(row[1].value_or(""));
    }
    round.sessions.assign(keys.begin(), keys.end());
    if (!round.sessions.empty())
      refresh.refresh(round.sessions, declared_, base_);
  });
  return round;
}

void OnlineCatchUp::fill(const std::vector<std::string> &sessions) {
  for (std::size_t from = 0; from < sessions.size(); from += sessions_per_fill) {
    const std::vector<std::string> part(
        sessions.begin() + static_cast<std::ptrdiff_t>(from),
        sessions.begin() +
            static_cast<std::ptrdiff_t>(std::min(sessions.size(), from + sessions_per_fill)));
    lock_retry_.until_locked(TransactionKind::batch, [&] {
      ports_.database.fill(online::fill_sessions(ports_.database.target(), declared_, base_, part),
                           false);
    });
  }
}

std::int64_t OnlineCatchUp::forget(const Round &round) {
  std::int64_t left = 0;
  lock_retry_.until_locked(TransactionKind::work, [&] {
    OnlineInventories refresh(ports_.database, origin_);
    if (!round.places.empty())
      ports_.database.remove_notes(
          online::places_of_keys(ports_.database.target(), round.file),
          {"{" +
           join(round.places, ",", [](const std::string &each) { return "\"" + each + "\""; }) +
           "}"});
    left = refresh.pending();
  });
  return left;
}

} // namespace cowrie
