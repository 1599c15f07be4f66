// What the status view shows: the progress sequences, who runs now and what that waits for, how
// the latest run has ended, and of the ledger its message.
//
// The view is looked at by roles of every rank, while the sequences and the ledger belong to
// whoever owns the extension: both are read here, as that role. Error regime: every function runs
// in pg::entry.
#include "pg/boundary/imports.h"

#include "api/values.hpp"
#include "core/base/text.hpp"
#include "core/online/pace.hpp"
#include "core/plan/step_names.hpp"
#include "core/sql/run_objects.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"
#include "pg/ledger/ledger_store.hpp"
#include "pg/ledger/progress.hpp"

namespace cowrie::pg {
namespace {

constexpr std::int64_t unix_epoch_us =
    (std::int64_t(POSTGRES_EPOCH_JDATE) - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

/** The message that the ledger has of a failure of the latest run: only where the failure has left
 * a row, not after a rollback. */
std::string recorded_message(const Extension &extension, std::int64_t started_at,
                             const std::string &sqlstate) {
  if (sqlstate.empty())
    return {};
  const SpiSession spi;
  const std::vector<Row> found = ledger_rows(
      extension.owner,
      "SELECT message FROM " + extension.ledger +
          " WHERE phase IS NULL AND run_id = log_id AND sqlstate = $1::text AND finished_at >="
          " timestamptz '2000-01-01 00:00:00Z' + $2::int8 * interval '1 microsecond'"
          " ORDER BY log_id DESC LIMIT 1",
      {sqlstate, started_at - unix_epoch_us}, true);
  return found.empty() ? std::string() : found.front()[0].value_or("");
}

/** What is said where a rollback has taken the message along. */
std::string rolled_back_message(const std::string &sqlstate, const std::string &step) {
  return "SQLSTATE " + sqlstate + (step.empty() ? std::string() : " at step " + step) +
         "; everything was rolled back. The message is in the output of the call and in the"
         " server's log.";
}

/** Tells whether the ledger has a run that came to its end after this moment: one that was rolled
 *  back has left no row. */
bool is_recorded(const Extension &extension, std::int64_t started_at) {
  const SpiSession spi;
  return !ledger_rows(extension.owner,
                      "SELECT FROM " + extension.ledger +
                          " WHERE phase IS NULL AND run_id = log_id AND status = 'done' AND"
                          " finished_at >= timestamptz '2000-01-01 00:00:00Z' + $1::int8 * interval"
                          " '1 microsecond' LIMIT 1",
                      {started_at - unix_epoch_us}, true)
              .empty();
}

/** The run that is going on, as far as the caller may see it. */
struct Going {
  bool on = false;
  std::optional<std::int64_t> pid;
  std::string waits_for;
  HoldReason held = HoldReason::none;
};

Going going_on(const Progress &progress) {
  const PinnedSettings settings;
  const SpiSession spi;
  const std::vector<Row> found = spi_query(run_objects::state_query(),
                                           {progress.get("awaited"), progress.get("holder"),
                                            progress.get("attempt"), progress.get("attempts")},
                                           true);
  Going result;
  if (found.empty())
    return result;
  result.on = true;
  if (found.front()[0])
    result.pid = to_number(found.front()[0]);
  result.waits_for = found.front()[1].value_or("");
  // A run that has not said yet that it has started: what is there is that of the one before.
  if (result.waits_for.empty() && result.pid == progress.get("pid"))
    result.held = static_cast<HoldReason>(progress.get("held"));
  if (result.held == HoldReason::cut_over)
    result.waits_for = "SELECT cowrie_allow_cut_over();";
  return result;
}

/** The standby, subscriber or slot that a run waits for: their names are everybody's to see. */
std::string name_of(const Hold &hold) {
  if (!is_for_others(hold))
    return {};
  const PinnedSettings settings;
  const SpiSession spi;
  const std::vector<Row> found =
      hold.reason == HoldReason::slot
          ? spi_query("SELECT slot_name FROM pg_replication_slots WHERE restart_lsn IS NOT NULL AND"
                      " wal_status IS DISTINCT FROM 'lost' ORDER BY restart_lsn LIMIT 1",
                      {}, true)
          : spi_query("SELECT application_name FROM pg_stat_replication WHERE pid = $1::int8",
                      {hold.process}, true);
  return found.empty() ? std::string() : found.front()[0].value_or("");
}

/** Why the run holds back; or that the next call will, because a pause outlasts a run. */
std::string holding_back(const Progress &progress, const Going &going) {
  if (!going.on)
    return progress.get("paused") != 0 ? in_words(Hold::because_of(HoldReason::pause))
                                       : std::string();
  Hold hold{going.held,
            progress.get("held_value"),
            progress.get("held_limit"),
            progress.get("held_process"),
            {}};
  hold.name = name_of(hold);
  return in_words(hold);
}

std::string outcome_of_hold(HoldReason reason) {
  switch (reason) {
  case HoldReason::none:
    return "running";
  case HoldReason::pause:
    return "paused";
  case HoldReason::cut_over:
    return "waiting for cut-over";
  default:
    return "holding back";
  }
}

/** How the latest run has ended, or that it goes on. */
std::string outcome_of(const Extension &extension, const Progress &progress, const Going &going) {
  constexpr std::int64_t mode_cleanup = 2;
  if (going.on)
    return going.held != HoldReason::none || going.waits_for.empty() ? outcome_of_hold(going.held)
                                                                     : "waiting";
  const std::int64_t started_at = progress.get("started_at");
  if (started_at == 0)
    return {};
  if (progress.get("phase") >= finished_phase)
    return is_recorded(extension, started_at) && progress.get("mode") != mode_cleanup ? "done"
                                                                                      : "undone";
  if (progress.get("sqlstate") != 0)
    return "failed";
  return progress.get("stopped") != 0 ? "stopped" : "died";
}

std::string rejects_as_json(const Progress &progress) {
  std::string json;
  for (std::size_t i = 0; i < reject_reason_count; ++i) {
    const std::string name(reject_reason_name(static_cast<RejectReason>(i)));
    if (const std::int64_t count = progress.get(name.c_str()); count != 0)
      json += (json.empty() ? "\"" : ", \"") + name + "\": " + std::to_string(count);
  }
  return "{" + json + "}";
}

std::string step_name(std::int64_t number) {
  const std::vector<std::string> &names = step_names();
  return number > 0 && number < static_cast<std::int64_t>(names.size()) ? names[number]
                                                                        : std::string();
}

Datum progress_row(FunctionCallInfo fcinfo) {
  TupleDesc shape = result_shape(fcinfo);
  const Extension extension = find_extension(fcinfo->flinfo->fn_oid);
  const Progress progress(extension);
  const std::int64_t started_at = progress.get("started_at");
  const int packed = static_cast<int>(progress.get("sqlstate"));
  const std::string sqlstate = packed == 0 ? std::string() : unpack_sql_state(packed);
  const std::string step = step_name(progress.get("step"));
  const std::string rejects = rejects_as_json(progress);
  const Going going = going_on(progress);
  std::string message = recorded_message(extension, started_at, sqlstate);
  if (message.empty() && !sqlstate.empty() && !going.on)
    message = rolled_back_message(sqlstate, step);
  const std::string outcome = outcome_of(extension, progress, going);
  const std::string held = holding_back(progress, going);
  std::vector<std::int64_t> times_and_parts;
  const std::int64_t part = progress.get("part");
  for (const std::int64_t each :
       {progress.get("step_at"), part / part_unit, part % part_unit, progress.get("part_before")})
    times_and_parts.push_back(each);
  Columns row;
  const auto number = [&](const char *name) { row.put(true, Int64GetDatum(progress.get(name))); };
  number("pid");
  number("mode");
  number("phase");
  call([&] { row.put_text_unsafe(step); });
  for (const char *name :
       {"rows_done", "rows_total", "rows_before", "batch", "user", "started_at", "updated_at"})
    number(name);
  return call([&] {
    row.put_text_unsafe(sqlstate);
    row.put(true, jsonb_datum_unsafe(rejects));
    row.put(!message.empty(), message.empty() ? Datum(0) : server_text_datum_unsafe(message));
    row.put(true, BoolGetDatum(going.on));
    row.put(going.pid.has_value(), Int32GetDatum(static_cast<int>(going.pid.value_or(0))));
    row.put(!going.waits_for.empty(),
            going.waits_for.empty() ? Datum(0) : server_text_datum_unsafe(going.waits_for));
    row.put_text_unsafe(outcome);
    row.put_text_unsafe(held);
    for (const std::int64_t each : times_and_parts)
      row.put(true, Int64GetDatum(each));
    return row.row_unsafe(shape);
  });
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_progress, progress_row(fcinfo))
}
