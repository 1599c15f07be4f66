// Progress: what other sessions see of a migration before it commits, and after it failed.
#include "pg/ledger/progress.hpp"

#include <algorithm>

#include "core/plan/step_names.hpp"
#include "pg/boundary/fault.hpp"
#include "pg/boundary/settings.hpp"

namespace cowrie::pg {
namespace {

std::int64_t unix_microseconds() noexcept {
  constexpr std::int64_t epoch_difference =
      (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
  return GetCurrentTimestamp() + epoch_difference;
}

} // namespace

Progress::Progress(const Extension &extension) : extension_(extension) {}

Oid Progress::sequence_unsafe(const char *name) const {
  const Oid sequence = get_relname_relid(psprintf("cowrie_progress_%s", name), extension_.internal);
  if (get_rel_relkind(sequence) != RELKIND_SEQUENCE)
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT),
             errmsg("sequence cowrie_progress_%s of extension cowrie_migrate does not exist", name),
             errhint("Reinstall it: DROP EXTENSION cowrie_migrate; CREATE EXTENSION "
                     "cowrie_migrate;")));
  return sequence;
}

std::int64_t Progress::get(const char *name) const {
  const PrivilegesOf owner(extension_.owner);
  return call([&]() -> std::int64_t {
    LOCAL_FCINFO(arguments, 1);
    InitFunctionCallInfoData(*arguments, nullptr, 1, InvalidOid, nullptr, nullptr);
    arguments->args[0].value = ObjectIdGetDatum(sequence_unsafe(name));
    arguments->args[0].isnull = false;
    const Datum last = pg_sequence_last_value(arguments);
    return arguments->isnull ? 0 : DatumGetInt64(last);
  });
}

void Progress::set_unsafe(const char *name, std::int64_t value) {
  // Not with a destructor: setval may raise.
  Oid user;
  int security;
  GetUserIdAndSecContext(&user, &security);
  SetUserIdAndSecContext(extension_.owner, security | SECURITY_LOCAL_USERID_CHANGE);
  DirectFunctionCall2(setval_oid, ObjectIdGetDatum(sequence_unsafe(name)), Int64GetDatum(value));
  SetUserIdAndSecContext(user, security);
}

void Progress::set(const char *name, std::int64_t value) {
  const PrivilegesOf restored(extension_.owner); // also when setval raises
  call([&] { set_unsafe(name, value); });
}

void Progress::set_if_there(const char *name, std::int64_t value) {
  const std::string sequence = std::string("cowrie_progress_") + name;
  if (OidIsValid(call([&] { return get_relname_relid(sequence.c_str(), extension_.internal); })))
    set(name, value);
}

// Without this a crash within the next fraction of a second would forget where it happened.
void Progress::flush() {
  call([] { XLogFlush(XactLastRecEnd); });
}

void Progress::started(std::string_view mode, std::int64_t rows_total) {
  set("phase", 0);
  set("step", 0);
  set("mode", mode == "cleanup" ? 2 : mode == "online" ? 1 : 0);
  set("pid", MyProcPid);
  set("rows_done", 0);
  set("rows_total", rows_total);
  set("rows_before", 0);
  set("batch", 0);
  set("user", caller_);
  set("stop", 0);
  set("sqlstate", 0);
  set_if_there("stopped", 0);
  set_if_there("step_at", 0);
  planned({});
  set_if_there("part_before", 0);
  waits({});
  holds({});
  set_if_there("allowed", 0);
  if (mode != "online")
    set_if_there("paused", 0);
  for (std::size_t i = 0; i < reject_reason_count; ++i)
    set(reject_reason_name(static_cast<RejectReason>(i)).data(), 0);
  set("started_at", unix_microseconds());
  set("updated_at", unix_microseconds());
  flush();
}

void Progress::planned(std::vector<Portion> portions) {
  portions_ = std::move(portions);
  done_ = size_ = 0;
  set_if_there("part", 0);
}

// A step that is not in the plan, or that comes earlier than planned, changes nothing.
void Progress::portion(int phase, std::string_view step) {
  double before = 0, all = 0;
  const Portion *found = nullptr;
  for (const Portion &each : portions_) {
    if (each.phase == phase && each.step == step)
      found = &each;
    if (!found)
      before += each.effort;
    all += each.effort;
  }
  if (!found || all <= 0)
    return;
  const auto millionths = [&](double effort) {
    return static_cast<std::int64_t>(1'000'000 * effort / all);
  };
  if (millionths(before) < done_)
    return;
  done_ = millionths(before);
  size_ = millionths(found->counted);
  set_if_there("part", done_ * part_unit + size_);
}

void Progress::at(int phase, std::string_view step) {
  const std::vector<std::string> &names = step_names();
  const auto found = std::find(names.begin(), names.end(), step);
  set_if_there("step_at", unix_microseconds());
  set("phase", phase_ = phase);
  set("step", found == names.end() ? 0 : found - names.begin());
  portion(phase, step);
  set("updated_at", unix_microseconds());
  flush();
  fault::at(phase, step);
}

void Progress::finished() {
  set_if_there("paused", 0);
  set("phase", finished_phase + phase_);
  set("step", 0);
  set("updated_at", unix_microseconds());
}

void Progress::at_batch(std::int64_t number, const FillResult &filled, std::int64_t rows_total) {
  if (number == 1) {
    set("rows_before", filled.before.sessions);
    if (rows_total > 0)
      set_if_there("part_before", done_ + size_ * filled.before.sessions / rows_total);
  }
  set("batch", number);
  before_ = {filled.before.sessions, rows_total, filled.rejects, false};
}

void Progress::hold_rows(const FillResult &filled) {
  before_ = {0, 0, filled.rejects, false};
  call([&] { note_rows_unsafe(filled.before.sessions, filled.before.sessions, RejectCounts{}); });
  before_.hold = true;
}

void Progress::waits(const LockWait &wait) {
  set_if_there("awaited", wait.table);
  set_if_there("holder", wait.holder);
  set_if_there("attempts", wait.most);
  set_if_there("attempt", wait.attempt);
  if (wait.attempt > 0)
    set("updated_at", unix_microseconds());
}

void Progress::holds(const Hold &hold) {
  set_if_there("held_process", hold.process);
  set_if_there("held_value", hold.value);
  set_if_there("held_limit", hold.limit);
  set_if_there("held", static_cast<std::int64_t>(hold.reason));
  const std::int64_t now = unix_microseconds();
  if (hold.reason != HoldReason::none) {
    if (held_since_ == 0)
      held_since_ = now;
    set("updated_at", now);
  } else if (held_since_ != 0) { // the time that it waited does not count for the rate of the step
    set_if_there("step_at", get("step_at") + now - held_since_);
    held_since_ = 0;
  }
}

bool Progress::takes_orders() const {
  return OidIsValid(
      call([&] { return get_relname_relid("cowrie_progress_paused", extension_.internal); }));
}

void Progress::begins(std::int64_t first_run, const Pace &pace) {
  first_run_ = first_run;
  given_ = pace;
  if (!takes_orders())
    return;
  if (get("paused") != first_run)
    set("paused", 0);
  order_pace(pace);
  flush();
}

Orders Progress::orders() {
  Orders result;
  result.stop = stop_requested();
  result.pace = given_;
  if (takes_orders() && first_run_ != 0) {
    result.pause = get("paused") == first_run_;
    result.cut_over = get("allowed") == MyProcPid;
    result.pace = pace();
  }
  return result;
}

Pace Progress::pace() const {
  return {get("batch_size"), get("pause"),   get("target_batch"),
          get("max_lag"),    get("max_wal"), get("max_active")};
}

void Progress::order_pace(const Pace &pace) {
  set("batch_size", pace.batch_size);
  set("pause", pace.pause_us);
  set("target_batch", pace.target_batch_us);
  set("max_lag", pace.max_lag_us);
  set("max_wal", pace.max_wal);
  set("max_active", pace.max_active);
}

// It outlasts the process and a crash.
void Progress::request_pause(std::int64_t first_run) {
  set("paused", first_run);
  flush();
}

void Progress::request_cut_over(int pid) { set("allowed", pid); }

void Progress::stopped() {
  set_if_there("stopped", 1);
  set("updated_at", unix_microseconds());
  flush();
}

void Progress::request_stop(int pid) { set("stop", pid); }

void Progress::failed(std::string_view sqlstate) {
  const char *state = sqlstate.data();
  set("sqlstate",
      sqlstate.size() == 5 ? MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]) : 0);
  set("updated_at", unix_microseconds());
  flush();
}

void Progress::notice(const std::string &message, const std::string &detail) {
  call([&] {
    ereport(NOTICE, (errmsg_internal("%s", message.c_str()),
                     detail.empty() ? 0 : errdetail_internal("%s", detail.c_str())));
  });
}

void Progress::warning(const std::string &message, const std::string &detail,
                       const std::string &hint) {
  call([&] {
    ereport(WARNING, (errmsg_internal("%s", message.c_str()),
                      detail.empty() ? 0 : errdetail_internal("%s", detail.c_str()),
                      hint.empty() ? 0 : errhint("%s", hint.c_str())));
  });
}

void Progress::note_rows_unsafe(std::int64_t done, std::int64_t total,
                                const RejectCounts &rejects) {
  if (!before_.hold) {
    done += before_.rows;
    set_unsafe("rows_done", done);
    set_unsafe("rows_total", before_.total > 0 ? std::max(before_.total, done) : total);
    for (std::size_t i = 0; i < rejects.size(); ++i)
      if (const std::int64_t count = rejects[i] + before_.rejects[i]; count > 0)
        set_unsafe(reject_reason_name(static_cast<RejectReason>(i)).data(), count);
  }
  set_unsafe("updated_at", unix_microseconds());
}

} // namespace cowrie::pg
