// Pace: how large the next batch is, and the words for what a run waits for.
#include "core/online/pace.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/base/figures.hpp"

namespace cowrie {
namespace {

constexpr std::int64_t smallest_batch = 10;
constexpr std::int64_t largest_batch = 100'000;

void refuse_negative(const std::string &argument, std::int64_t value, const std::string &hint) {
  if (value < 0)
    throw Failure(sqlstate::invalid_parameter, argument + " must not be negative",
                  "0 means: no pause, no target, no limit.", hint);
}

/** `12.5 s`. */
std::string seconds(std::int64_t microseconds) {
  const std::int64_t tenths = microseconds / 100'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

std::string named(const std::string &what, const std::string &name) {
  return name.empty() ? what : what + " \"" + name + "\"";
}

} // namespace

void refuse_unfit(const Pace &pace, const std::string &hint) {
  if (pace.batch_size < 1)
    throw Failure(sqlstate::invalid_parameter, "batch_size must be at least 1",
                  "It is " + std::to_string(pace.batch_size) + ".", hint);
  refuse_negative("pause", pace.pause_us, hint);
  refuse_negative("target_batch", pace.target_batch_us, hint);
  refuse_negative("max_lag", pace.max_lag_us, hint);
  if (pace.max_wal != half_of_free_space)
    refuse_negative("max_wal", pace.max_wal, hint);
  refuse_negative("max_active", pace.max_active, hint);
}

std::int64_t next_batch_size(std::int64_t size, std::int64_t took_us, const Pace &pace) {
  const std::int64_t twice = size * 2;
  if (pace.target_batch_us == 0) // smaller only because a lock was refused
    return std::min(twice, pace.batch_size);
  const double wanted = took_us <= 0 ? static_cast<double>(twice)
                                     : static_cast<double>(size) *
                                           static_cast<double>(pace.target_batch_us) /
                                           static_cast<double>(took_us);
  const double near = std::clamp(wanted, static_cast<double>(size) / 4, static_cast<double>(twice));
  return std::clamp(static_cast<std::int64_t>(near), smallest_batch, largest_batch);
}

bool is_for_others(const Hold &hold) noexcept {
  return hold.reason != HoldReason::none && hold.reason != HoldReason::pause &&
         hold.reason != HoldReason::cut_over;
}

std::string in_words(const Hold &hold) {
  const std::string &name = hold.name;
  const std::string process = " (process " + std::to_string(hold.process) + ") lags " +
                              seconds(hold.value) + ", max_lag is " + seconds(hold.limit);
  const std::string wal = size_pretty(hold.value) + " of WAL";
  const std::string max_wal = ", max_wal is " + size_pretty(hold.limit);
  switch (hold.reason) {
  case HoldReason::pause:
    return "paused; continue with SELECT cowrie_resume_migration();";
  case HoldReason::standby:
    return named("standby", name) + process;
  case HoldReason::subscriber:
    return named("subscriber", name) + process;
  case HoldReason::slot:
    return named("replication slot", name) + " keeps " + wal + max_wal;
  case HoldReason::archiver:
    return wal + " wait for the archiver" + max_wal;
  case HoldReason::sessions:
    return std::to_string(hold.value) + " sessions are active, max_active is " +
           std::to_string(hold.limit);
  case HoldReason::none:
  case HoldReason::cut_over:
    break;
  }
  return {};
}

} // namespace cowrie
