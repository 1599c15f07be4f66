// LockRetry: transactions that may have to be tried again, because a lock was not to be had at
// once.
//
// Whoever waits for a strong lock stalls every writer that comes after, so an attempt is short and
// between two attempts there is time for others. Error regime: throws Failure when the attempts are
// used up, Stopped when the run is asked to stop.
#pragma once

#include <random>

#include "core/ports/online_ports.hpp"

namespace cowrie {

class LockRetry {
public:
  explicit LockRetry(const OnlinePorts &ports);

  /** Runs the body in a transaction, again and again until its locks were granted. */
  void until_locked(TransactionKind kind, const std::function<void()> &body);

  /** Runs the body in a transaction, once; false: a lock was not granted, nothing was done. Raises
   *  when that has happened too often in a row. */
  bool if_locked(TransactionKind kind, const std::function<void()> &body);

private:
  [[noreturn]] void give_up(int attempts);

  const OnlinePorts &ports_;
  std::minstd_rand random_;
  int failures_ = 0; ///< attempts in a row that were in vain
};

} // namespace cowrie
