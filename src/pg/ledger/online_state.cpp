// Online ledger: what an online migration remembers, in the ledger.
#include "pg/ledger/online_state.hpp"

#include <stdexcept>

#include "core/base/failure.hpp"
#include "pg/ledger/ledger_store.hpp"

namespace cowrie::pg {
namespace {

const char *origin_name(Origin origin) {
  switch (origin) {
  case Origin::version15:
    return "version 15";
  case Origin::phases:
    return "phases";
  case Origin::catalog:
    return "catalog";
  case Origin::repair:
    break;
  }
  return "repair";
}

Origin origin_of(const std::optional<std::string> &name) {
  for (const Origin each : {Origin::version15, Origin::phases, Origin::catalog})
    if (name == origin_name(each))
      return each;
  return Origin::repair;
}

} // namespace

OnlineLedger::OnlineLedger(const ResolvedTarget &target, Ledger &ledger)
    : target_(target.names), table_(target.extension.ledger), schema_(target.names.schema),
      place_(ledger_place(target)), ledger_(ledger), owner_(target.extension.owner) {}

std::vector<Row> OnlineLedger::rows(const std::string &sql,
                                    const std::vector<Parameter> &parameters) {
  return ledger_rows(owner_, sql, parameters, false);
}

// The ledger belongs to whoever owns the extension, and may have been written to by hand.
std::optional<OnlineState> OnlineLedger::unfinished() {
  std::string cause;
  try {
    return read_unfinished();
  } catch (const Failure &failure) {
    if (failure.sqlstate.compare(0, 2, "22") != 0) // a value that is not of its type
      throw;
    cause = failure.message;
  } catch (const std::logic_error &) {
    cause = "invalid number";
  }
  throw Failure(sqlstate::prerequisite_state,
                "position of the unfinished online migration is missing from the ledger",
                "Columns resume and position of its last run in " + table_ +
                    " have been changed: " + cause + ".",
                "Undo the migration with " + target_.command("cowrie_cleanup_v16") +
                    " and start it again.");
}

std::optional<OnlineState> OnlineLedger::read_unfinished() {
  // A run that nobody holds the lock of and that has not ended did not survive.
  rows("UPDATE " + table_ + " AS l SET status = 'interrupted' WHERE " + about_place +
           " AND l.mode = 'online' AND l.phase IS NULL AND l.status = 'running'",
       {schema_, place_});
  std::string rejects;
  for (std::size_t i = 0; i < reject_reason_count; ++i)
    rejects += ", COALESCE((f.rejects ->> " +
               quote_literal(reject_reason_name(static_cast<RejectReason>(i))) + ")::int8, 0)";
  const std::vector<Row> found = rows(
      "SELECT l.status, l.resume ->> 'first_run', l.resume ->> 'origin', l.resume ->>"
      " 'trigger', l.position, l.resume ->> 'completes', f.session_count, f.documents_fingerprint,"
      " f.times_fingerprint, f.settled_count, f.settled_documents, f.settled_times,"
      " COALESCE((f.resume ->> 'settled_until')::int8, (EXTRACT(epoch FROM f.started_at -"
      " timestamptz '2000-01-01 00:00:00Z') * 1000000)::int8), l.mode, l.resume ->> 'queue', "
      "l.resume ->> 'queue_length', l.resume ->> 'queue_sum', l.resume ->> 'changes', " +
          std::string(about_other_table) + rejects + " FROM " + table_ + " AS l LEFT JOIN " +
          table_ +
          " AS f ON f.log_id = (l.resume ->> 'first_run')::int8"
          " WHERE " +
          about_place +
          " AND l.phase IS NULL AND l.run_id = l.log_id ORDER BY l.log_id DESC LIMIT 1",
      {schema_, place_});
  if (found.empty() || found.front()[13] != "online" || found.front()[0] == "done" ||
      !found.front()[1])
    return std::nullopt;
  const Row &row = found.front();
  OnlineState state;
  state.first_run = to_number(row[1]);
  state.origin = origin_of(row[2]);
  state.trigger = to_number(row[3]);
  state.queue = {to_number(row[14]), to_number(row[15]), row[16].value_or("")};
  state.changes = to_number(row[17]);
  state.other_table = row[18] == "t";
  if (state.queue.table != 0) // before 1.1 it was the key of a session
    state.position = to_number(row[4]);
  state.completes_snapshots = row[5] == "t";
  state.filled.before = fingerprint_in(row, 6);
  state.filled.settled = fingerprint_in(row, 9);
  state.settled_until = to_number(row[12]);
  for (std::size_t i = 0; i < reject_reason_count; ++i)
    state.filled.rejects[i] = to_number(row[19 + i]);
  // What was loaded before the sessions were staged anew is to be loaded again.
  for (const Row &step :
       rows("WITH steps AS (SELECT s.step, s.log_id FROM " + table_ + " AS s JOIN " + table_ +
                " AS r ON r.log_id = s.run_id WHERE s.status = 'done' AND s.step IS NOT NULL AND"
                " (r.resume ->> 'first_run')::int8 = $1::int8 AND"
                " (r.resume ->> 'trigger')::int8 = $2::int8)"
                " SELECT DISTINCT step FROM steps WHERE step NOT LIKE 'load\\_%' OR log_id >"
                " COALESCE((SELECT max(log_id) FROM steps WHERE step = 'stage_documents'), 0)",
            {state.first_run, state.trigger}))
    state.done.insert(step[0].value_or(""));
  return state;
}

void OnlineLedger::remember(std::int64_t run, const OnlineState &state) {
  const std::int64_t until = state.settled_until.value_or(0); // where there is no queue, there is 0
  rows("UPDATE " + table_ +
           " SET position = $2::text, rows = $3::int8, resume = COALESCE(resume, '{}') ||"
           " jsonb_build_object('first_run', $4::int8, 'origin', $5::text, 'trigger', $6::int8,"
           " 'completes', $7::text, 'queue', $8::int8, 'queue_length', $9::int8, 'settled_until',"
           " NULLIF($10::int8, 0), 'queue_sum', $11::text, 'changes', $12::int8)"
           " WHERE log_id = $1::int8",
       {run, state.position != 0 ? Parameter(std::to_string(state.position)) : Parameter(nullptr),
        state.filled.before.sessions, state.first_run, std::string(origin_name(state.origin)),
        state.trigger, std::string(state.completes_snapshots ? "t" : "f"), state.queue.table,
        state.queue.length, until, state.queue.sum, state.changes});
  if (state.origin == Origin::catalog)
    return; // it proves nothing: the run that derived the rows has
  // What the sums count is said beside them.
  if (state.first_run != run)
    rows("UPDATE " + table_ +
             " SET resume = resume || jsonb_build_object('settled_until', NULLIF($2::int8, 0))"
             " WHERE log_id = $1::int8",
         {state.first_run, until});
  ledger_.record_proof(state.first_run, state.filled);
}

} // namespace cowrie::pg
