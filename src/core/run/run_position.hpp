// Run position: where a run is, for the status view and for the errors it leaves with.
//
// Error regime: at() throws what the Monitor throws.
#pragma once

#include <string>

#include "core/base/failure.hpp"
#include "core/ports/ports.hpp"
#include "core/schema/versions.hpp"

namespace cowrie {

class RunPosition {
public:
  /** `command` is what to run again once the cause of a failure is removed. */
  RunPosition(Monitor &monitor, std::string command)
      : monitor_(monitor), command_(std::move(command)) {}

  void at(int phase, const std::string &step) {
    phase_ = phase;
    step_ = step;
    monitor_.at(phase, step);
  }

  int phase() const noexcept { return phase_; }
  const std::string &step() const noexcept { return step_; }
  bool begun() const noexcept { return !step_.empty(); }

  /** `cowrie_migrate phase 3 (ip_inventory), step load_ip_inventory`. */
  std::string words() const {
    return phase_ == 0 ? "cowrie_migrate step " + step_
                       : "cowrie_migrate phase " + std::to_string(phase_) + " (" +
                             std::string(phase_name(phase_)) + "), step " + step_;
  }

  /** Runs a whole call in a subtransaction. When it fails, what it did is rolled back first: only
   *  then is the server fit to be told of it. The failure leaves with its place. */
  template <typename Body> auto all_or_nothing(Database &database, Body body) {
    decltype(body()) result;
    try {
      database.in_subtransaction([&] { result = body(); });
    } catch (Failure &failure) {
      annotate(failure);
      throw;
    }
    return result;
  }

private:
  /** Gives a failure that takes everything with it its place, and a next command if it has none. */
  void annotate(Failure &failure) const {
    if (begun()) {
      failure.context = words();
      try {
        monitor_.failed(failure.sqlstate);
      } catch (const Failure &second) { // the first one is what matters
        failure.context += "\ncould not update the status view: " + second.message;
      }
    }
    if (failure.detail.empty())
      failure.detail = "Everything that this call did has been rolled back.";
    if (failure.hint.empty())
      failure.hint = "Correct the cause, then run: " + command_;
  }

  Monitor &monitor_;
  std::string command_;
  int phase_ = 0;
  std::string step_;
};

} // namespace cowrie
