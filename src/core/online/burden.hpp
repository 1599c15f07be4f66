// Burden: what others bear, against what they shall bear at most: the reasons for a run to hold
// back.
//
// What it may know: numbers. Error regime: nothing fails.
#pragma once

#include <deque>

#include "core/online/pace.hpp"

namespace cowrie {

/**
 * Remembers when the WAL had come how far, so that it can be said since when a receiver is behind.
 * The server's own figure alone would not do: on a primary that writes nothing it stays as it was
 * when the receiver was last behind, and for one that has never replied it is not there.
 */
class LagWatch {
public:
  void note(std::int64_t now, std::int64_t written);
  /** How long ago what comes next for the receiver was written; 0: it has replayed all. */
  std::int64_t lag_us(std::int64_t now, const Receiver &receiver) const;

private:
  struct Moment {
    std::int64_t at;
    std::int64_t written;
  };
  std::deque<Moment> moments_;
};

/** What others shall bear at most; 0: as much as there is. */
struct Limits {
  std::int64_t lag_us = 0;
  std::int64_t wal = 0;
  std::int64_t active = 0;
  bool none() const noexcept { return lag_us == 0 && wal == 0 && active == 0; }
};

/** The first limit that is exceeded, and by whom most. */
Hold reason_to_hold(const Load &load, const Limits &limits, LagWatch &watch, std::int64_t now);

/** Half of the free space where the WAL is; 0: that is not known. */
std::int64_t half_of_free_wal(const std::vector<Disk> &disks);

} // namespace cowrie
