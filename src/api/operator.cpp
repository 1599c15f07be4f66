// SQL operator: what the operator of an online migration asks of the run that is going on: to stop,
// to pause and to go on, another pace, the cut-over.
//
// Orders are written to the progress sequences, which nobody but the owner of the extension can
// write: here it is decided who may. Error regime: every function runs in pg::entry.
#include "pg/boundary/imports.h"

#include "core/sql/run_objects.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"
#include "pg/catalog/refusals.hpp"
#include "pg/ledger/ledger_store.hpp"
#include "pg/ledger/progress.hpp"
#include "api/operator.hpp"
#include "api/values.hpp"

namespace cowrie::pg {
namespace {

/** The latest online migration: who has called it, whose tables it is about, who runs it. */
struct OnlineMigration {
  int pid = 0; ///< 0: nobody runs it
  Oid caller = InvalidOid;
  Oid owner = InvalidOid;
  std::int64_t first_run = 0;
};

/** The process that is in a run; 0: none. */
int running_process() {
  const std::vector<Row> found =
      spi_query("SELECT l.pid FROM pg_locks AS l WHERE l.pid IS NOT NULL AND " +
                    run_objects::is_run_lock("l"),
                {}, false);
  return found.empty() ? 0 : std::stoi(found.front()[0].value_or("0"));
}

/** The latest online run as the ledger has it: the one that runs, or one that is not at its end. */
OnlineMigration recorded(const Extension &extension, bool runs) {
  OnlineMigration result;
  const std::vector<Row> found = ledger_rows(
      extension.owner,
      "SELECT target_schema, CASE WHEN (resume ->> 'first_run') ~ '^\\d{1,18}$' THEN resume ->>"
      " 'first_run' ELSE '0' END FROM " +
          extension.ledger +
          " WHERE phase IS NULL AND run_id = log_id AND mode = 'online' AND status <> 'done'"
          " AND (status = 'running' OR NOT $1::bool) ORDER BY log_id DESC LIMIT 1",
      {std::string(runs ? "t" : "f")}, true);
  if (found.empty())
    return result;
  const std::string schema = found.front()[0].value_or("");
  result.first_run = to_number(found.front()[1]);
  const Oid sessions = call(
      [&] { return get_relname_relid(sessions_table, get_namespace_oid(schema.c_str(), true)); });
  if (OidIsValid(sessions))
    result.owner = relation_facts(sessions).owner;
  return result;
}

/** What an order is: its verb, and the call that gives it. */
struct Order {
  const char *verb;
  const char *call;
};

void refuse_stranger(const OnlineMigration &migration, const Order &order) {
  const bool allowed = call([&] {
    return has_privs_of_role(GetUserId(), migration.owner) ||
           has_privs_of_role(GetUserId(), migration.caller);
  });
  if (!allowed)
    throw Failure(sqlstate::insufficient_privilege,
                  "permission denied to " + std::string(order.verb) + " the migration",
                  "It was called by role \"" + name_of_role(migration.caller) +
                      "\"; the tables belong to \"" + name_of_role(migration.owner) + "\".",
                  "Run SELECT " + std::string(order.call) + "; as one of these roles.");
}

/** Which migration an order is for. */
enum class For : std::uint8_t {
  running,    ///< one that somebody runs now
  unfinished, ///< or that somebody will go on with
};

/** The migration that an order is for, where there is one and the caller may give orders. */
std::optional<OnlineMigration> ordered(const Extension &extension, const Progress &progress,
                                       const Order &order, For which) {
  const int pid = running_process();
  const bool runs = pid != 0 && progress.get("pid") == pid;
  if (progress.get("mode") != 1) {
    if (runs)
      call([=] {
        ereport(NOTICE, (errmsg("the migration of process %d runs in one transaction", pid),
                         errdetail("It has no batches, so it cannot stop between two of them."),
                         errhint("Cancel it with SELECT pg_cancel_backend(%d); everything that it "
                                 "did is rolled back.",
                                 pid)));
      });
    return std::nullopt;
  }
  if (!runs && (which == For::running || pid != 0))
    return std::nullopt;
  OnlineMigration migration = recorded(extension, runs);
  migration.pid = runs ? pid : 0;
  migration.caller = static_cast<Oid>(progress.get("user"));
  if (!OidIsValid(migration.owner))
    return std::nullopt;
  refuse_stranger(migration, order);
  return migration;
}

/** Gives an order; false: there is no such migration. */
template <typename Give>
Datum give(FunctionCallInfo fcinfo, const Order &order, For which, Give how) {
  const Extension extension = find_extension(fcinfo->flinfo->fn_oid);
  Progress progress(extension);
  const PinnedSettings settings;
  const SpiSession spi;
  const std::optional<OnlineMigration> migration = ordered(extension, progress, order, which);
  PG_RETURN_BOOL(migration && how(progress, *migration));
}

Datum stop_migration(FunctionCallInfo fcinfo) {
  return give(fcinfo, {"stop", "cowrie_stop_migration()"}, For::running,
              [](Progress &progress, const OnlineMigration &migration) {
                progress.request_stop(migration.pid);
                return true;
              });
}

Datum pause_migration(FunctionCallInfo fcinfo) {
  return give(fcinfo, {"pause", "cowrie_pause_migration()"}, For::running,
              [](Progress &progress, const OnlineMigration &migration) {
                if (migration.first_run == 0)
                  return false; // it is just beginning
                progress.request_pause(migration.first_run);
                return true;
              });
}

// Also where the run has ended while it was paused: the pause outlasts it.
Datum resume_migration(FunctionCallInfo fcinfo) {
  return give(fcinfo, {"resume", "cowrie_resume_migration()"}, For::unfinished,
              [](Progress &progress, const OnlineMigration &) {
                const bool paused = progress.get("paused") != 0;
                if (paused)
                  progress.request_pause(0);
                return paused;
              });
}

Datum allow_cut_over(FunctionCallInfo fcinfo) {
  return give(fcinfo, {"allow the cut-over of", "cowrie_allow_cut_over()"}, For::running,
              [](Progress &progress, const OnlineMigration &migration) {
                progress.request_cut_over(migration.pid);
                return true;
              });
}

Datum order_pace(FunctionCallInfo fcinfo) {
  Pace given;
  take_pace(fcinfo, 0, given);
  refuse_unfit(given,
               "Omit it to leave it unchanged, as in SELECT cowrie_pace(batch_size => 1000);");
  return give(fcinfo, {"change the pace of", "cowrie_pace()"}, For::running,
              [=](Progress &progress, const OnlineMigration &) {
                Pace pace = progress.pace();
                take_pace(fcinfo, 0, pace);
                progress.order_pace(pace);
                return true;
              });
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_stop_migration, stop_migration(fcinfo))
COWRIE_FUNCTION(cowrie_pause_migration, pause_migration(fcinfo))
COWRIE_FUNCTION(cowrie_resume_migration, resume_migration(fcinfo))
COWRIE_FUNCTION(cowrie_allow_cut_over, allow_cut_over(fcinfo))
COWRIE_FUNCTION(cowrie_pace, order_pace(fcinfo))
}
