// HoldBack: what an online run does between two batches and between two steps: it looks at what the
// operator has ordered, pauses, and waits until others can bear more.
//
// A run that waits here holds nothing: no lock on a table, no snapshot. Error regime: throws
// Stopped when the run is asked to stop, and what the ports throw.
#pragma once

#include "core/base/live.hpp"
#include "core/online/burden.hpp"

namespace cowrie {

class HoldBack : Live {
public:
  explicit HoldBack(const OnlinePorts &ports) : ports_(ports) {}

  /** The pace as it was last ordered. */
  const Pace &pace() const noexcept { return pace_; }
  void set_pace(const Pace &pace) { pace_ = pace; }

  /** Waits as long as there is a reason to. */
  void wait_while_held();
  /** The same after the pause between two batches. */
  void rest();
  /** Waits until the cut-over is allowed, but not for longer than this; tells whether it is. */
  bool allowed_within(std::int64_t duration_us);
  /** From now on only an operator holds it back: little is left to do, and until it is done no
   *  session that comes has its values. */
  void hurry();

  /** `held back for 12.5 s`, where it was since this was last asked; else empty. */
  std::string words_of_waits();

private:
  Hold reason();
  Hold reason_of_others();
  Orders look();
  void show(const Hold &hold);
  void wait(std::int64_t duration_us);

  const OnlinePorts &ports_;
  Pace pace_;
  Hold shown_;
  HoldReason otherwise_ = HoldReason::none; ///< what is shown when nothing holds it back
  bool hurries_ = false;
  LagWatch lag_;
  std::optional<std::int64_t> looked_; ///< at others, when
  Hold others_;                        ///< what that has found
  std::int64_t held_us_ = 0;
};

} // namespace cowrie
