// Statement worker: a statement that no transaction may contain, in a process of its own.
#include "pg/online/statement_worker.hpp"

#include "core/base/failure.hpp"

#include <algorithm>

namespace cowrie::pg {
namespace {

constexpr int poll_ms = 100;
constexpr int polls_between_looks = 5;
constexpr int slot_attempts = 20;
constexpr int slot_pause_ms = 500;
constexpr int end_polls = 100;

/** What the process is to do, and what came of it: plain data in shared memory. */
struct Order {
  enum State : int { given, done, failed };
  Oid database;
  Oid owner;
  int maintenance_work_mem_kb;
  int parallel_workers;
  char tablespace[NAMEDATALEN];
  volatile State state;
  char sqlstate[6];
  char message[1024];
  char detail[1024];
  char sql[4096];
};

void copy(char *to, std::size_t size, const std::string &from) noexcept {
  const std::size_t length = std::min(size - 1, from.size());
  std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

/** The process that this backend waits for; it must not outlive it. */
BackgroundWorkerHandle *awaited = nullptr;

extern "C" void end_awaited_worker(int, Datum) {
  if (awaited)
    TerminateBackgroundWorker(awaited);
}

/** The shared memory of one order, mapped until the end of the scope, whatever transactions end. */
class SharedOrder : Live {
public:
  SharedOrder(Oid owner, const std::string &sql) {
    // First: what a constructor that throws has mapped, nobody would give back.
    if (sql.size() >= sizeof Order::sql)
      throw Failure("54000", "statement is too long for the background worker",
                    "It has " + std::to_string(sql.size()) + " bytes.", "Run it manually: " + sql);
    segment_ = call([] {
      dsm_segment *made = dsm_create(sizeof(Order), 0);
      dsm_pin_mapping(made);
      return made;
    });
    Order *made = new (dsm_segment_address(segment_)) Order();
    made->state = Order::given;
    made->database = MyDatabaseId;
    made->owner = owner;
    made->maintenance_work_mem_kb = maintenance_work_mem;
    made->parallel_workers = max_parallel_maintenance_workers;
    copy(made->tablespace, sizeof made->tablespace,
         call([] { return GetConfigOption("default_tablespace", true, false); }));
    copy(made->sql, sizeof made->sql, sql);
  }
  ~SharedOrder() { dsm_detach(segment_); }
  SharedOrder(const SharedOrder &) = delete;
  SharedOrder &operator=(const SharedOrder &) = delete;

  const Order &order() const { return *static_cast<Order *>(dsm_segment_address(segment_)); }
  dsm_handle handle() const { return dsm_segment_handle(segment_); }

private:
  dsm_segment *segment_ = nullptr;
};

void nap(int milliseconds) {
  call([=] {
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
                    PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  });
}

/** A started process; ended and waited for at the end of the scope, if it has not ended itself. */
class Process : Live {
public:
  explicit Process(dsm_handle order) {
    static bool registered = false;
    started_ = call([=] {
      if (!registered)
        before_shmem_exit(end_awaited_worker, Datum(0));
      registered = true;
      BackgroundWorker worker;
      std::memset(&worker, 0, sizeof worker);
      worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
      worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
      worker.bgw_restart_time = BGW_NEVER_RESTART;
      worker.bgw_main_arg = UInt32GetDatum(order);
      worker.bgw_notify_pid = MyProcPid;
      strlcpy(worker.bgw_name, "cowrie_migrate", BGW_MAXLEN);
      strlcpy(worker.bgw_type, "cowrie_migrate", BGW_MAXLEN);
      strlcpy(worker.bgw_library_name, "$libdir/cowrie_migrate", sizeof worker.bgw_library_name);
      strlcpy(worker.bgw_function_name, "cowrie_statement_worker", sizeof worker.bgw_function_name);
      MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
      const bool result = RegisterDynamicBackgroundWorker(&worker, &awaited);
      MemoryContextSwitchTo(previous);
      return result;
    });
  }

  ~Process() {
    if (!started_)
      return;
    TerminateBackgroundWorker(awaited);
    for (int i = 0; i < end_polls && !ended(); ++i)
      pg_usleep(poll_ms * 1000L);
    pfree(awaited);
    awaited = nullptr;
  }
  Process(const Process &) = delete;
  Process &operator=(const Process &) = delete;

  bool started() const noexcept { return started_; }

  bool ended() const noexcept {
    pid_t pid;
    const BgwHandleStatus status = GetBackgroundWorkerPid(awaited, &pid);
    return status == BGWH_STOPPED || status == BGWH_POSTMASTER_DIED;
  }

private:
  bool started_ = false;
};

/** What the process has raised, in its own words. */
Failure raised_by(const Order &order) {
  Failure failure{order.sqlstate, order.message, order.detail};
  failure.from_server = true;
  return failure;
}

} // namespace

void execute_in_worker(Oid owner, const std::string &sql, const std::string &by_hand,
                       const std::function<void()> &while_waiting) {
  const SharedOrder shared(owner, sql);
  for (int attempt = 1;; ++attempt) {
    const Process process(shared.handle());
    if (!process.started()) {
      if (attempt == slot_attempts)
        throw Failure(sqlstate::configuration_limit, "no background worker slot is free",
                      "max_worker_processes is " + std::to_string(max_worker_processes) +
                          ", and all of them are in use.",
                      "Run it manually: " + by_hand +
                          " or raise max_worker_processes and restart the server; then repeat the"
                          " call.");
      nap(slot_pause_ms);
      while_waiting();
      continue;
    }
    for (int polls = 1; !process.ended(); ++polls) {
      nap(poll_ms);
      if (polls % polls_between_looks == 0)
        while_waiting();
    }
    break;
  }
  const Order &order = shared.order();
  if (order.state == Order::done)
    return;
  if (order.state == Order::failed)
    throw raised_by(order);
  throw Failure(sqlstate::operator_intervention,
                "background worker terminated before its statement finished",
                "The statement was: " + sql, "Check the server log, then repeat the call.");
}

namespace {

/** Executes one utility statement as a client's statement would be. May longjmp. */
void execute_at_top_level_unsafe(const char *sql) {
  StartTransactionCommand();
  // The statement ends transactions: its tree must not belong to one.
  MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
  RawStmt *parsed = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
  PlannedStmt *statement = makeNode(PlannedStmt);
  statement->commandType = CMD_UTILITY;
  statement->canSetTag = true;
  statement->utilityStmt = parsed->stmt;
  statement->stmt_location = parsed->stmt_location;
  statement->stmt_len = parsed->stmt_len;
  List *statements = list_make1(statement);
  MemoryContextSwitchTo(previous);
  Portal portal = CreatePortal("", true, true);
  portal->visible = false;
  PortalDefineQuery(portal, nullptr, sql, CreateCommandTag(parsed->stmt), statements, nullptr);
  PortalStart(portal, nullptr, 0, InvalidSnapshot);
  compat::run_portal_unsafe(portal);
  PortalDrop(portal, false);
  CommitTransactionCommand();
}

void set_unsafe(const char *name, const char *value) {
  SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

void prepare_worker_unsafe(const Order &order) {
  BackgroundWorkerInitializeConnectionByOid(order.database, InvalidOid, 0);
  set_unsafe("search_path", "pg_catalog, pg_temp");
  set_unsafe("default_tablespace", order.tablespace);
  set_unsafe("maintenance_work_mem", psprintf("%dkB", order.maintenance_work_mem_kb));
  set_unsafe("max_parallel_maintenance_workers", psprintf("%d", order.parallel_workers));
  // It waits for transactions that began before it, and holds up nobody meanwhile.
  set_unsafe("lock_timeout", "0");
  set_unsafe("statement_timeout", "0");
  set_unsafe("default_transaction_isolation", "read committed");
  set_unsafe("default_transaction_read_only", "off");
  pgstat_report_appname("cowrie_migrate");
  pgstat_report_activity(STATE_RUNNING, order.sql);
  SetUserIdAndSecContext(order.owner, 0);
}

void run_worker(Order &order) noexcept {
  try {
    call([&] { prepare_worker_unsafe(order); });
    call([&] { execute_at_top_level_unsafe(order.sql); });
    order.state = Order::done;
  } catch (const Failure &failure) {
    copy(order.sqlstate, sizeof order.sqlstate, failure.sqlstate);
    copy(order.message, sizeof order.message, failure.message);
    copy(order.detail, sizeof order.detail, failure.detail);
    order.state = Order::failed;
  } catch (...) {
    // No memory: the caller sees that the statement has not been done.
  }
}

} // namespace
} // namespace cowrie::pg

extern "C" {

PGDLLEXPORT void cowrie_statement_worker(Datum argument);

// What it does not finish, the end of the process rolls back.
void cowrie_statement_worker(Datum argument) {
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
  CurrentResourceOwner = ResourceOwnerCreate(nullptr, "cowrie_migrate");
  dsm_segment *segment = dsm_attach(DatumGetUInt32(argument));
  if (!segment)
    proc_exit(0); // who gave the order has gone
  cowrie::pg::run_worker(*static_cast<cowrie::pg::Order *>(dsm_segment_address(segment)));
  proc_exit(0);
}

} // extern "C"
