// Atomic fill: fills the session columns of an atomic run, and keeps what the inventories are
// loaded from.
//
// Error regime: throws what the ports throw; what it made goes with the rollback.
#pragma once

#include "core/plan/step.hpp"
#include "core/ports/ports.hpp"

namespace cowrie {

/** Asks for the triggers of the table $1 that fire, and how they are enabled. */
extern const char *const enabled_triggers_query;

class AtomicFill {
public:
  explicit AtomicFill(Database &database) : database_(database) {}

  /** Rewrites all sessions in the way that the step names, and stages them. */
  FillResult rewrite(const Step &step);
  /** Runs the step's UPDATE of the sessions that have come since. */
  FillResult update(const Step &step);
  /** Fills an inventory from the staged sessions; returns the number of its new rows. */
  std::int64_t load(const Step &step);
  /** Drops what was staged. Should that be rolled back, it is there again. */
  void drop_staging();

private:
  template <typename Pass> FillResult with_events(Pass pass);
  std::int64_t load_new_addresses();

  Database &database_;
  bool staged_ = false;
  bool analyzed_ = false;
};

} // namespace cowrie
