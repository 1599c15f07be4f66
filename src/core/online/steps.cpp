// Online steps: what every step of an online run goes through, whatever it does.
#include "core/online/steps.hpp"

#include "core/base/text.hpp"
#include "core/run/shared_steps.hpp"

namespace cowrie {
namespace {

/** `0.8 ms`. */
std::string milliseconds(std::int64_t microseconds) {
  const std::int64_t tenths = (microseconds + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

} // namespace

OnlineSteps::OnlineSteps(const OnlinePorts &ports)
    : ports_(ports), monitor_(ports.monitor),
      position_(ports.monitor, ports.database.target().again()), notices_(ports.monitor),
      lock_retry_(ports), hold_back_(ports) {}

void OnlineSteps::begin(std::int64_t run, const Pace &pace) {
  ports_.seat.begins(state.first_run, pace);
  hold_back_.set_pace(pace);
  run_ = run;
  begun_ = database().clock_us();
}

void OnlineSteps::lock(const std::string &table, const std::string &mode) {
  lock_retry_.awaits(table);
  database().execute("LOCK TABLE " + qualified(target().schema, table) + " IN " + mode + " MODE");
  database().inspect_again();
  locked_at_ = database().clock_us();
}

void OnlineSteps::report(StepResult &row) {
  row.elapsed_us = database().clock_us() - step_begun_;
  if (locked_at_)
    append(row.detail, "lock held for " + milliseconds(database().clock_us() - *locked_at_));
  if (const std::string waits = hold_back_.words_of_waits(); !waits.empty())
    append(row.detail, waits);
  notices_.step(row);
  ledger().record(run_, row);
}

void OnlineSteps::report_by_itself(StepResult &row) {
  in(TransactionKind::work, [&] { report(row); });
  remember(row);
}

// Only once it is committed: an attempt in vain has done nothing.
void OnlineSteps::remember(const StepResult &row) {
  if (row.status == "done")
    state.done.insert(row.step);
}

std::string OnlineSteps::words_of_position() const {
  if (state.origin == Origin::catalog)
    return "all rows were derived";
  if (state.done.count("cut_over"))
    return "the foreign keys were added";
  if (state.done.count("fill_columns"))
    return "all sessions were filled";
  return state.position == 0
             ? std::string("no session was filled")
             : "place " + std::to_string(state.position) + " of " +
                   std::to_string(state.queue.length) + " in the queue, " +
                   std::to_string(state.filled.before.sessions) + " sessions filled";
}

void OnlineSteps::record_stop() {
  const std::string words = words_of_position();
  in(TransactionKind::work, [&] {
    ledger().finish_run(
        run_, {0, "", "stopped", state.filled.before.sessions, elapsed_us(), position_.words()}, {},
        {});
  });
  in(TransactionKind::work, [&] { monitor_.stopped(); });
  monitor_.warning("the online migration has stopped on request",
                   "It was at " + position_.words() + ", after " + words + ".",
                   "Resume it with " + target().online_call());
}

void OnlineSteps::record(Failure &failure) {
  const bool refused = is_lock_failure(failure);
  if (refused && failure.from_server) // the server does not say who has the lock
    append(failure.detail, lock_retry_.who_holds(), "\n");
  if (run_ != 0) {
    failure.context = position_.words();
    try {
      in(TransactionKind::work, [&] {
        monitor_.failed(failure.sqlstate);
        const StepResult step{position_.phase(),
                              position_.step(),
                              "failed",
                              std::nullopt,
                              database().clock_us() - step_begun_,
                              failure.from_server && !refused ? std::string() : failure.detail};
        ledger().record(run_, step, failure.sqlstate, failure.message);
        // Whoever looks into the ledger next morning finds who was in the way.
        const StepResult outcome{0,
                                 "",
                                 "failed",
                                 state.filled.before.sessions,
                                 elapsed_us(),
                                 position_.words() + (refused ? ": " + failure.detail : "")};
        ledger().finish_run(run_, outcome, failure.sqlstate, failure.message);
      });
    } catch (const Failure &second) { // the first one is what matters
      failure.context += "\ncould not update the ledger: " + second.message;
    }
  }
  if (failure.detail.empty())
    failure.detail = run_ == 0 ? "Nothing has been changed."
                               : "What has been committed remains: " + words_of_position() + ".";
  if (failure.hint.empty())
    failure.hint = "Correct the cause, then run: " + target().again() +
                   (run_ == 0 ? "" : " it resumes where it stopped.");
}

} // namespace cowrie
