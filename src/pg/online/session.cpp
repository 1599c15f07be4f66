// Online session: the transactions of an online run.
#include "pg/online/session.hpp"

#include <algorithm>

#include "pg/database/database.hpp"
#include "pg/database/deferred.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"
#include "pg/online/statement_worker.hpp"
#include "pg/boundary/subtransaction.hpp"

namespace cowrie::pg {
namespace {

/** What one transaction runs under, whoever calls. */
class TransactionScope : Live {
public:
  TransactionScope(const ResolvedTarget &target, TransactionKind kind)
      : more_(kind), owner_(target.owner, settings_) {
    // Between two transactions the tables belong to everybody. Who takes a strong lock looks again
    // once it is granted; the others hold what they have seen, if that can be had at once.
    if (kind != TransactionKind::catalog)
      call([&] { (void)ConditionalLockRelationOid(target.sessions, AccessShareLock); });
    refuse_changed_sessions(target);
    inspect_target(target, Access::change);
    defer_nothing(target);
  }

private:
  PinnedSettings settings_;
  OnlineSettings more_;
  AsUser owner_;
};

constexpr long longest_nap_ms = 200;

} // namespace

OnlineSession::OnlineSession(const ResolvedTarget &target, Database &database, Progress &progress)
    : target_(target), database_(database), progress_(progress), lock_(target.extension.id) {
  transaction_context_ = call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "cowrie_migrate transaction",
                                 ALLOCSET_DEFAULT_SIZES);
  });
  // The lock of a transaction conflicts with that of a session, and says who holds it.
  while (!lock_.try_for_session())
    in_transaction(TransactionKind::work, [&] { database_.lock_run(); });
}

// The lock belongs to the session, which an error does not end.
OnlineSession::~OnlineSession() {
  try {
    lock_.release_of_session();
  } catch (...) {
    // It goes with the session.
  }
}

// What is not found may be in a schema that has another name by now: the next transaction says so.
void OnlineSession::in_transaction(TransactionKind kind, const std::function<void()> &body) {
  try {
    one_transaction(kind, body);
  } catch (const Failure &failure) {
    if (kind != TransactionKind::look && (failure.sqlstate == sqlstate::undefined_table ||
                                          failure.sqlstate == sqlstate::undefined_schema ||
                                          failure.sqlstate == sqlstate::prerequisite_state))
      one_transaction(TransactionKind::work, [] {});
    throw;
  }
}

// Whatever fails is rolled back with the subtransaction, and the transaction around it, in which
// nothing has happened, is committed: the abort of a transaction releases the session's locks, too,
// and with them the run lock.
void OnlineSession::one_transaction(TransactionKind kind, const std::function<void()> &body) {
  MemoryContext outer = CurrentMemoryContext;
  const auto end = [&] {
    // Before the call, which returns to the context that it was made in when the commit fails.
    MemoryContextSwitchTo(outer);
    call([&] {
      SPI_commit();
      MemoryContextReset(transaction_context_);
    });
  };
  try {
    // What is read without a statement of its own needs a snapshot as well.
    if (kind != TransactionKind::look)
      call([] { EnsurePortalSnapshotExists(); });
    Subtransaction all;
    if (kind == TransactionKind::look) {
      call([this] { MemoryContextSwitchTo(transaction_context_); });
      body();
    } else {
      const TransactionScope scope(target_, kind);
      call([this] { MemoryContextSwitchTo(transaction_context_); });
      body();
    }
    all.commit();
  } catch (...) {
    end();
    throw;
  }
  end();
}

// Between transactions: nothing is held but the run lock, so nobody waits for us.
void OnlineSession::wait_us(std::int64_t duration) {
  const TimestampTz until = GetCurrentTimestamp() + duration;
  for (;;) {
    const std::int64_t left_ms = (until - GetCurrentTimestamp() + 999) / 1000;
    if (left_ms <= 0)
      return;
    call([&] {
      (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                      std::min<long>(longest_nap_ms, left_ms), PG_WAIT_EXTENSION);
      ResetLatch(MyLatch);
      CHECK_FOR_INTERRUPTS();
    });
    if (stop_requested())
      return;
  }
}

// From shared memory: the view pg_stat_activity hides what other roles do. A process that does not
// publish when its transaction began (track_activities) has begun after it was started.
std::int64_t OnlineSession::settled_until_us() {
  return call([]() -> std::int64_t {
    TimestampTz until = GetCurrentStatementStartTimestamp();
    pgstat_clear_backend_activity_snapshot();
    for (int i = 1; i <= pgstat_fetch_stat_numbackends(); ++i) {
      const LocalPgBackendStatus *local = compat::backend_status_unsafe(i);
      if (!local || local->backendStatus.st_databaseid != MyDatabaseId ||
          local->backendStatus.st_procpid == MyProcPid ||
          local->backendStatus.st_backendType == B_AUTOVAC_WORKER)
        continue;
      const PgBackendStatus &each = local->backendStatus;
      const TimestampTz began = each.st_state == STATE_DISABLED ? each.st_proc_start_timestamp
                                                                : each.st_xact_start_timestamp;
      if (began != 0)
        until = std::min(until, began - 1);
    }
    return until;
  });
}

bool OnlineSession::stop_requested() {
  bool result = false;
  in_transaction(TransactionKind::look, [&] { result = progress_.stop_requested(); });
  return result;
}

void OnlineSession::execute_alone(const std::string &sql, const std::string &by_hand) {
  execute_in_worker(target_.owner, sql, by_hand, [this] {
    if (stop_requested())
      throw Stopped();
  });
}

} // namespace cowrie::pg
