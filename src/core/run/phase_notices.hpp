// Phase notices: what a run tells its caller while it goes. One NOTICE for each phase says what the
// phase did; a step has one of its own only where that is worth reading.
//
// Error regime: throws what the Monitor throws.
#pragma once

#include <cstdint>
#include <string>

#include "core/ports/ports.hpp"

namespace cowrie {

class PhaseNotices {
public:
  explicit PhaseNotices(Monitor &monitor) : monitor_(monitor) {}

  /** Counts a step for its phase, and reports it where it is notable or took over a second. */
  void step(const StepResult &row);

  /** Reports the phase of the steps counted since the last call, if there are any. `done` says what
   *  has become of the phase. */
  void end_phase(std::int64_t elapsed_us, const char *done = "done");

private:
  Monitor &monitor_;
  int phase_ = 0;
  int steps_ = 0;
  std::string rows_; ///< of the steps that wrote or compared rows
};

} // namespace cowrie
