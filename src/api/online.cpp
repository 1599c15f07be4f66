// SQL online: the procedure that migrates beside a writing application, and how it is stopped.
//
// Error regime: every function runs in pg::entry. The procedure commits, so nothing of a
// transaction may be kept from one to the next but C++ values.
#include "pg/boundary/imports.h"

#include "core/online/online_run.hpp"
#include "core/sql/run_objects.hpp"
#include "pg/reading/fill_run.hpp"
#include "pg/ledger/online_state.hpp"
#include "pg/online/session.hpp"
#include "pg/reading/session_memo.hpp"
#include "api/calls.hpp"
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
    throw Failure(sqlstate::active_transaction,
                  named.function("migrate") + "_online must be called by a statement of its own",
                  "It commits after every batch, which cannot be done in a transaction block, a"
                  " function, a DO block, another procedure, a string of several statements, or a"
                  " pipeline.",
                  "Run nothing but " + named.online_call() +
                      " Settings come before it, in a statement of their own or with ALTER ROLE.");
  if (IsolationUsesXactSnapshot())
    throw Failure(
        sqlstate::active_transaction,
        "cannot migrate in a REPEATABLE READ or SERIALIZABLE transaction",
        "default_transaction_isolation of this session is not read committed.",
        "Run SET default_transaction_isolation = 'read committed'; and then, by itself, " +
            named.online_call());
}

OnlineOptions options_of(FunctionCallInfo fcinfo, const Target &named) {
  OnlineOptions options;
  options.repair = flag_argument(fcinfo, 1);
  if (!PG_ARGISNULL(2))
    options.batch_size = PG_GETARG_INT32(2);
  if (!PG_ARGISNULL(3)) {
    const Interval *pause = PG_GETARG_INTERVAL_P(3);
    options.pause_us =
        pause->time + (std::int64_t(pause->month) * DAYS_PER_MONTH + pause->day) * USECS_PER_DAY;
  }
  if (options.batch_size < 1)
    throw Failure(sqlstate::invalid_parameter, "batch_size must be at least 1",
                  "It is " + std::to_string(options.batch_size) + ".",
                  "Leave it out: " + named.online_call());
  if (options.pause_us < 0)
    throw Failure(sqlstate::invalid_parameter, "pause must not be negative",
                  "It is a time to wait between two batches.",
                  "Leave it out: " + named.online_call());
  return options;
}

Datum run_online(FunctionCallInfo fcinfo, const Target &named) {
  refuse_unless_bare_call(fcinfo, named);
  const OnlineOptions options = options_of(fcinfo, named);
  ResolvedTarget target =
      target_of(fcinfo, schema_argument(fcinfo, 0), Access::change, named.version);
  target.names.arguments = options.repair ? "repair => true" : "";
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
    inspect_raw_events(target);
    refuse_missing_privileges(target);
    refuse_unsuitable_tables(target);
  });
  migrate_online({database, ledger, memory, progress, progress, session}, options);
  return Datum(0);
}

// Whatever refuses or fails, in whichever module: the next command is this CALL.
Datum migrate_online_to(FunctionCallInfo fcinfo, int version) {
  const Target named = named_target(fcinfo, version);
  try {
    return run_online(fcinfo, named);
  } catch (Failure &failure) {
    failure.hint = hint_with_call(
        failure.hint, named.online_call(flag_argument(fcinfo, 1) ? "repair => true" : ""));
    throw;
  }
}

/** Who runs an online migration, and whose tables they are. */
struct RunningMigration {
  int pid;
  Oid caller;
  Oid owner;
};

/** The process that is in a run; 0: none. */
int running_process() {
  const std::vector<Row> found =
      spi_query("SELECT l.pid FROM pg_locks AS l WHERE l.pid IS NOT NULL AND " +
                    run_objects::is_run_lock("l"),
                {}, false);
  return found.empty() ? 0 : std::stoi(found.front()[0].value_or("0"));
}

/** The owner of the sessions that the latest online run is about. */
Oid owner_of_migrated(const Extension &extension) {
  const std::vector<Row> found = ledger_rows(
      extension.owner,
      "SELECT target_schema FROM " + extension.ledger +
          " WHERE phase IS NULL AND mode = 'online' AND status = 'running' ORDER BY log_id DESC"
          " LIMIT 1",
      {}, true);
  const std::string schema = found.empty() ? std::string() : found.front()[0].value_or("");
  const Oid sessions = call(
      [&] { return get_relname_relid(sessions_table, get_namespace_oid(schema.c_str(), true)); });
  return OidIsValid(sessions) ? relation_facts(sessions).owner : InvalidOid;
}

std::optional<RunningMigration> running_online_migration(const Extension &extension,
                                                         const Progress &progress) {
  const int pid = running_process();
  if (pid == 0 || progress.get("pid") != pid)
    return std::nullopt;
  if (progress.get("mode") != 1) {
    call([=] {
      ereport(NOTICE,
              (errmsg("the migration of process %d runs in one transaction", pid),
               errdetail("It has no batches between which it could stop."),
               errhint("Run SELECT pg_cancel_backend(%d); it rolls back what it did.", pid)));
    });
    return std::nullopt;
  }
  const Oid owner = owner_of_migrated(extension);
  if (!OidIsValid(owner))
    return std::nullopt;
  return RunningMigration{pid, static_cast<Oid>(progress.get("user")), owner};
}

Datum stop_migration(FunctionCallInfo fcinfo) {
  const Extension extension = find_extension(fcinfo->flinfo->fn_oid);
  Progress progress(extension);
  const PinnedSettings settings;
  const SpiSession spi;
  const std::optional<RunningMigration> running = running_online_migration(extension, progress);
  if (!running)
    PG_RETURN_BOOL(false);
  const bool allowed = call([&] {
    return has_privs_of_role(GetUserId(), running->owner) ||
           has_privs_of_role(GetUserId(), running->caller);
  });
  if (!allowed)
    throw Failure(sqlstate::insufficient_privilege, "must not stop a migration of somebody else",
                  "It was called by role \"" + name_of_role(running->caller) +
                      "\"; the tables belong to \"" + name_of_role(running->owner) + "\".",
                  "Run SELECT cowrie_stop_migration(); as one of these roles.");
  progress.request_stop(running->pid);
  PG_RETURN_BOOL(true);
}

[[noreturn]] void refuse_without_batch() {
  throw Failure(sqlstate::prerequisite_state,
                "functions that prove a batch are called by a migration only",
                "No batch has just written this session.", "Do not call them.");
}

[[noreturn]] void refuse_changed_session(std::string_view session_id) {
  throw Failure(sqlstate::data_corrupted,
                "zero-loss gate: a batch changed a session that it should only fill",
                "Session \"" + std::string(session_id) +
                    "\" is not written as it was read. The batch is rolled back.",
                "Look for triggers and rules on session_summaries with \\d session_summaries");
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

PG_FUNCTION_INFO_V1(cowrie_stop_migration);
PGDLLEXPORT Datum cowrie_stop_migration(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] { return cowrie::pg::stop_migration(fcinfo); });
}

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
