// What the status view shows: the progress sequences, who runs now and what that waits for, how
// the latest run has ended, and of the ledger its message.
//
// The view is looked at by roles of every rank, while the sequences and the ledger belong to
// whoever owns the extension: both are read here, as that role. Error regime: every function runs
// in pg::entry.
#include "pg/boundary/imports.h"

#include "api/values.hpp"
#include "core/base/text.hpp"
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
  return result;
}

/** How the latest run has ended, or that it goes on. */
std::string outcome_of(const Extension &extension, const Progress &progress, const Going &going) {
  constexpr std::int64_t mode_cleanup = 2;
  if (going.on)
    return going.waits_for.empty() ? "running" : "waiting";
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
    return row.row_unsafe(shape);
  });
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_progress, progress_row(fcinfo))
}
