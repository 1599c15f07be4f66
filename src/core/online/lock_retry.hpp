// LockRetry: transactions that may have to be tried again, because a lock was not to be had at
// once.
//
// Whoever waits for a strong lock stalls every writer that comes after, so an attempt is short and
// between two attempts there is time for others. Error regime: throws Failure when the attempts are
// used up, Stopped when the run is asked to stop.
#pragma once

#include <random>

#include "core/base/failure.hpp"
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

  /** The table that the next attempt will lock, where one statement locks one table. */
  void awaits(const std::string &table) { awaited_ = table; }

  /** Says who holds locks on the tables now, a line each, or who did when it was last asked. */
  std::string who_holds();

private:
  [[noreturn]] void give_up(int attempts);
  /** Asks who holds the lock that was not granted, and says so in the status. Returns how many
   *  attempts there are. */
  int report(TransactionKind kind);

  const OnlinePorts &ports_;
  std::minstd_rand random_;
  int failures_ = 0;    ///< attempts in a row that were in vain
  std::string awaited_; ///< a table; empty: not known
  std::string holders_; ///< of the last attempt that was in vain, in words
};

/** Tells whether a lock was not granted. */
bool is_lock_failure(const Failure &failure);

} // namespace cowrie
