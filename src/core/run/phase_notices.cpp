// Phase notices: what a run tells its caller while it goes.
#include "core/run/phase_notices.hpp"

#include "core/base/figures.hpp"
#include "core/base/text.hpp"
#include "core/run/shared_steps.hpp"

namespace cowrie {

void PhaseNotices::step(const StepResult &row) {
  constexpr std::int64_t long_step_us = 1'000'000;
  phase_ = row.phase;
  ++steps_;
  if (row.rows.value_or(0) > 0)
    append(rows_, row.step + " " + std::to_string(*row.rows) + " rows");
  if (row.notable || row.elapsed_us >= long_step_us)
    monitor_.notice(in_words(row));
}

void PhaseNotices::end_phase(std::int64_t elapsed_us, const char *done) {
  if (steps_ > 0 && phase_ > 0)
    monitor_.notice(in_words(phase_) + " " + done + " in " + duration(elapsed_us) + ": " +
                    std::to_string(steps_) + (steps_ == 1 ? " step" : " steps") +
                    (rows_.empty() ? "" : ", " + rows_));
  steps_ = 0;
  rows_.clear();
}

} // namespace cowrie
