// Burden: what others bear, against what they shall bear at most.
#include "core/online/burden.hpp"

#include <algorithm>

namespace cowrie {
namespace {

/** With more, those are forgotten without which a lag is still known to this part of itself. */
constexpr std::size_t most_moments = 4096;
constexpr std::int64_t part_of_lag = 64;

Hold longest_lag(const Load &load, const Limits &limits, const LagWatch &watch, std::int64_t now) {
  Hold longest;
  for (const Receiver &each : load.receivers)
    if (const std::int64_t lag = watch.lag_us(now, each);
        lag > std::max(limits.lag_us, longest.value))
      longest = {each.logical ? HoldReason::subscriber : HoldReason::standby, lag, limits.lag_us,
                 each.process, each.name};
  return longest;
}

} // namespace

void LagWatch::note(std::int64_t now, std::int64_t written) {
  if (moments_.empty() || moments_.back().written < written)
    moments_.push_back({now, written});
  if (moments_.size() <= most_moments)
    return;
  std::deque<Moment> fewer;
  for (std::size_t i = 0; i < moments_.size(); ++i)
    if (i == 0 || i + 1 == moments_.size() ||
        moments_[i + 1].at - fewer.back().at > (now - moments_[i].at) / part_of_lag)
      fewer.push_back(moments_[i]);
  moments_ = std::move(fewer);
}

std::int64_t LagWatch::lag_us(std::int64_t now, const Receiver &receiver) const {
  const auto next = std::upper_bound(
      moments_.begin(), moments_.end(), receiver.replayed,
      [](std::int64_t replayed, const Moment &each) { return replayed < each.written; });
  if (next == moments_.end())
    return 0;
  // What has only just been written is on its way, however late it was an hour ago.
  const bool just_written = moments_.size() > 1 && next + 1 == moments_.end();
  return just_written ? now - next->at : std::max(now - next->at, receiver.lag_us);
}

Hold reason_to_hold(const Load &load, const Limits &limits, LagWatch &watch, std::int64_t now) {
  watch.note(now, load.written);
  if (limits.lag_us > 0)
    if (Hold lag = longest_lag(load, limits, watch, now); lag.reason != HoldReason::none)
      return lag;
  if (limits.wal > 0 && load.kept > limits.wal)
    return {HoldReason::slot, load.kept, limits.wal, 0, load.slot};
  if (limits.wal > 0 && load.unarchived > limits.wal)
    return {HoldReason::archiver, load.unarchived, limits.wal, 0, {}};
  if (limits.active > 0 && load.active > limits.active)
    return {HoldReason::sessions, load.active, limits.active, 0, {}};
  return {};
}

std::int64_t half_of_free_wal(const std::vector<Disk> &disks) {
  for (const Disk &each : disks)
    if (each.use == Disk::Use::wal)
      return std::max<std::int64_t>(1, each.free / 2);
  return 0;
}

} // namespace cowrie
