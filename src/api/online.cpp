// SQL online: the procedure that migrates beside a writing application.
//
// Error regime: every function runs in pg::entry. The procedure commits, so nothing of a
// transaction may be kept from one to the next but C++ values.
#include "pg/boundary/imports.h"

#include "core/online/online_run.hpp"
#include "pg/reading/fill_run.hpp"
#include "pg/ledger/online_state.hpp"
#include "pg/online/server_load.hpp"
#include "pg/online/session.hpp"
#include "pg/reading/session_memo.hpp"
#include "api/calls.hpp"
#include "api/operator.hpp"
#include "api/values.hpp"

namespace cowrie::pg {
namespace {

/** What a call is about, before its tables are known: the version, and the schema as it is named.
 */
Target named_target(FunctionCallInfo fcinfo, int version) {
  Target target;
  target.version = version;
  target.entry = Entry::online;
  target.named_schema = schema_argument(fcinfo, 0).value_or("");
  return target;
}

/** Tells whether the client's statement is this CALL itself: not a block, a function or another
 *  procedure around it, nor a string of several statements. */
bool is_bare_call(FunctionCallInfo fcinfo) {
  if (!fcinfo->context || !IsA(fcinfo->context, CallContext) ||
      reinterpret_cast<CallContext *>(fcinfo->context)->atomic)
    return false;
  if (GetCurrentTransactionNestLevel() > 1 || !ActivePortal ||
      list_length(ActivePortal->stmts) != 1)
    return false;
  const Node *statement = linitial_node(PlannedStmt, ActivePortal->stmts)->utilityStmt;
  return statement && IsA(statement, CallStmt) &&
         reinterpret_cast<const CallStmt *>(statement)->funcexpr->funcid == fcinfo->flinfo->fn_oid;
}

void refuse_unless_bare_call(FunctionCallInfo fcinfo, const Target &named) {
  // A pipeline is a transaction of all its statements: the first commit would end that of those
  // before.
  if (!is_bare_call(fcinfo) || (MyXactFlags & XACT_FLAGS_PIPELINING) != 0)
    throw Failure(
        sqlstate::active_transaction,
        named.function("migrate") +
            "_online must be called as a single statement outside a transaction block",
        "It commits after every batch, which is not possible in a transaction block, a function, a "
        "DO block, another procedure, a string of several statements, or a pipeline.",
        "Run only " + named.online_call() +
            " Change settings before it, in a separate statement or with ALTER ROLE.");
  if (IsolationUsesXactSnapshot())
    throw Failure(sqlstate::active_transaction,
                  "cannot migrate in a REPEATABLE READ or SERIALIZABLE transaction",
                  "default_transaction_isolation of this session is not read committed.",
                  "Run SET default_transaction_isolation = 'read committed'; and then, as a "
                  "separate statement, " +
                      named.online_call());
}

/** The arguments of every online procedure, one after the other: target_schema, repair, the six of
 * a pace, cut_over. The first four are all that objects of versions before 1.2 declare. */
OnlineOptions options_of(FunctionCallInfo fcinfo, const Target &named) {
  constexpr int first_of_pace = 2, max_lag = 5, cut_over = 8;
  const std::string without = "Omit it: " + named.online_call();
  OnlineOptions options;
  options.repair = flag_argument(fcinfo, 1);
  take_pace(fcinfo, first_of_pace, options.pace);
  if (max_lag < PG_NARGS() && PG_ARGISNULL(max_lag))
    options.pace.max_lag_us = 0;
  refuse_unfit(options.pace, without);
  if (is_given(fcinfo, cut_over)) {
    const std::string_view when = text_argument(fcinfo, cut_over);
    if (when != "now" && when != "wait")
      throw Failure(sqlstate::invalid_parameter, "cut_over must be now or wait",
                    "now: as soon as everything else is done. wait: after SELECT "
                    "cowrie_allow_cut_over(); has been run.",
                    without);
    options.waits_for_cut_over = when == "wait";
  }
  return options;
}

/** Those of the call's arguments that say what is to be done: a HINT repeats them. */
std::string arguments_of(FunctionCallInfo fcinfo) {
  std::string result = flag_argument(fcinfo, 1) ? "repair => true" : "";
  if (is_given(fcinfo, 8) && text_argument(fcinfo, 8) == "wait")
    append(result, "cut_over => 'wait'");
  return result;
}

Datum run_online(FunctionCallInfo fcinfo, const Target &named) {
  refuse_unless_bare_call(fcinfo, named);
  const OnlineOptions options = options_of(fcinfo, named);
  ResolvedTarget target =
      target_of(fcinfo, schema_argument(fcinfo, 0), Access::change, named.version);
  target.names.arguments = arguments_of(fcinfo);
  fault::begin_call();
  if (RunningHere::now())
    refuse_run("This session itself runs it.");
  const RunningHere running;
  LedgerStore ledger(target);
  OnlineLedger memory(target, ledger);
  Progress progress(target.extension);
  const SpiSession spi(true);
  ServerDatabase database(target, progress, false);
  OnlineSession session(target, database, progress);
  session.in_transaction(TransactionKind::work, [&] {
    inspect_indexes(target);
    refuse_missing_privileges(target);
    refuse_unsuitable_tables(target);
  });
  ServerLoad surroundings;
  migrate_online({database, ledger, memory, progress, progress, session, progress, surroundings},
                 options);
  return Datum(0);
}

// Whatever refuses or fails, in whichever module: the next command is this CALL.
Datum migrate_online_to(FunctionCallInfo fcinfo, int version) {
  const Target named = named_target(fcinfo, version);
  try {
    return run_online(fcinfo, named);
  } catch (Failure &failure) {
    failure.hint = hint_with_call(failure.hint, named.online_call(arguments_of(fcinfo)));
    throw;
  }
}

[[noreturn]] void refuse_without_batch() {
  throw Failure(sqlstate::prerequisite_state,
                "functions that verify a batch can be called only by a migration",
                "No batch of this session has written that row.", "Do not call them directly.");
}

[[noreturn]] void refuse_changed_session(std::string_view session_id) {
  throw Failure(sqlstate::data_corrupted,
                "zero-loss gate: a batch changed a session that it should only fill",
                "Session \"" + std::string(session_id) +
                    "\" was written with other values than those that were read. The batch has "
                    "been rolled back.",
                "Check session_summaries for triggers and rules with \\d session_summaries");
}

/** Called for every row that a batch has written: document and times must be as they were read. */
Datum session_unchanged(FunctionCallInfo fcinfo) {
  const std::string_view session_id = text_argument(fcinfo, 0);
  const FillRun *run = FillRun::current();
  const SessionsFingerprint *before = run ? run->latest(session_id) : nullptr;
  if (!before)
    refuse_without_batch();
  std::optional<std::string_view> document;
  Sum128 documents = before->documents;
  const auto first = time_argument(fcinfo, 2), last = time_argument(fcinfo, 3);
  SessionsFingerprint now;
  if (!PG_ARGISNULL(1) && is_last_document(session_id, PG_GETARG_DATUM(1))) {
    now.add(session_id, std::nullopt, first, last);
  } else {
    const DocumentText text = call([&]() -> DocumentText {
      const Oid type = document_type_unsafe(fcinfo, 1);
      return PG_ARGISNULL(1) ? DocumentText()
                             : document_text_unsafe(PG_GETARG_DATUM(1), type, false);
    });
    if (!PG_ARGISNULL(1))
      document = text.bytes();
    now.add(session_id, document, first, last);
    documents = now.documents;
  }
  if (documents.hex() != before->documents.hex() || now.times.hex() != before->times.hex())
    refuse_changed_session(session_id);
  PG_RETURN_BOOL(true);
}

/** Called for every row that a batch is going to write. */
Datum columns_as_read(FunctionCallInfo fcinfo) {
  FillRun *run = FillRun::current();
  if (!run)
    refuse_without_batch();
  run->note_columns(text_argument(fcinfo, 0), PG_GETARG_INT64(1));
  PG_RETURN_BOOL(true);
}

/** Called for every row that a batch has written: the columns that no other sum is over. */
Datum columns_unchanged(FunctionCallInfo fcinfo) {
  const std::string_view session_id = text_argument(fcinfo, 0);
  const FillRun *run = FillRun::current();
  const std::optional<std::int64_t> before =
      run ? run->noted_columns(session_id) : std::optional<std::int64_t>();
  if (!before)
    refuse_without_batch();
  if (*before != PG_GETARG_INT64(1))
    refuse_changed_session(session_id);
  PG_RETURN_BOOL(true);
}

} // namespace
} // namespace cowrie::pg

extern "C" {

COWRIE_FUNCTION(cowrie_migrate_v16_online, migrate_online_to(fcinfo, 16))
COWRIE_FUNCTION(cowrie_migrate_v17_online, migrate_online_to(fcinfo, 17))

PG_FUNCTION_INFO_V1(cowrie_session_unchanged);
PGDLLEXPORT Datum cowrie_session_unchanged(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] { return cowrie::pg::session_unchanged(fcinfo); });
}

PG_FUNCTION_INFO_V1(cowrie_columns_as_read);
PGDLLEXPORT Datum cowrie_columns_as_read(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] { return cowrie::pg::columns_as_read(fcinfo); });
}

PG_FUNCTION_INFO_V1(cowrie_columns_unchanged);
PGDLLEXPORT Datum cowrie_columns_unchanged(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] { return cowrie::pg::columns_unchanged(fcinfo); });
}

} // extern "C"
