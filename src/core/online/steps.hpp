// Online steps: what every step of an online run goes through, whatever it does: its transaction
// and the patience with that, the status, the ledger; and how a run ends before its end.
//
// Error regime: throws what the ports throw; Stopped before a step when the run is asked to stop.
#pragma once

#include "core/online/hold_back.hpp"
#include "core/online/lock_retry.hpp"
#include "core/run/phase_notices.hpp"
#include "core/run/run_position.hpp"

namespace cowrie {

class OnlineSteps : Live {
public:
  explicit OnlineSteps(const OnlinePorts &ports);

  /** What is remembered from one call to the next; each step remembers that it is done. */
  OnlineState state;

  const OnlinePorts &ports() const noexcept { return ports_; }
  Database &database() const noexcept { return ports_.database; }
  Monitor &monitor() const noexcept { return monitor_; }
  Ledger &ledger() const noexcept { return ports_.ledger; }
  const Target &target() const { return ports_.database.target(); }
  LockRetry &lock_retry() noexcept { return lock_retry_; }
  HoldBack &hold_back() noexcept { return hold_back_; }
  RunPosition &position() noexcept { return position_; }
  std::int64_t run() const noexcept { return run_; }
  /** Since the run began, as the ledger has it. */
  std::int64_t elapsed_us() const { return database().clock_us() - begun_; }

  /** Begins the ledger's row of this run: from now on something may have been changed, and the run
   *  takes orders. */
  void begin(std::int64_t run, const Pace &pace);

  template <typename Body> void in(TransactionKind kind, Body body) {
    ports_.transactions.in_transaction(kind, body);
  }

  /** Runs one step; the body is everything but saying where the run is, its report included. */
  template <typename Body> void step(int phase, const std::string &name, Body body) {
    hold_back_.wait_while_held();
    StepResult row{phase, name, "done", std::nullopt, 0, ""};
    step_begun_ = database().clock_us();
    locked_at_.reset();
    in(TransactionKind::work, [&] { position_.at(phase, name); });
    body(row);
  }

  /** A step that is one transaction: what it did and its report are committed together. */
  template <typename Body>
  void step_in(TransactionKind kind, int phase, const std::string &name, Body body) {
    step(phase, name, [&](StepResult &row) {
      const StepResult untouched = row;
      lock_retry_.until_locked(kind, [&] {
        row = untouched; // an attempt may have been in vain
        locked_at_.reset();
        body(row);
        report(row);
      });
      locked_at_.reset();
      remember(row);
    });
  }

  /** Locks a table that others may be using, by itself, so that the ledger can tell for how long.
   */
  void lock(const std::string &table, const std::string &mode);

  /** Says and records what a step did; in the transaction that did it. */
  void report(StepResult &row);
  /** The same in a transaction of its own, for a step that was several. */
  void report_by_itself(StepResult &row);
  /** Reports what a phase did. */
  void end_phase(std::int64_t elapsed_us) { notices_.end_phase(elapsed_us); }

  /** `place 500 of 4000 in the queue, 499 sessions filled`: how far it has come. */
  std::string words_of_position() const;

  /** Records that it has stopped as it was asked to, and says so. */
  void record_stop();
  /** Records a failure and gives it what it lacks. The ledger first: pg_cron keeps nothing of a
   *  failure but its message. */
  void record(Failure &failure);

private:
  void remember(const StepResult &row);

  const OnlinePorts &ports_;
  Monitor &monitor_;
  RunPosition position_;
  PhaseNotices notices_;
  LockRetry lock_retry_;
  HoldBack hold_back_;
  std::int64_t run_ = 0;
  std::int64_t begun_ = 0;
  std::int64_t step_begun_ = 0;
  std::optional<std::int64_t> locked_at_;
};

} // namespace cowrie
