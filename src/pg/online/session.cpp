// Online session: the transactions of an online run.
#include "pg/online/session.hpp"

#include <algorithm>

#include "pg/database/database.hpp"
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
    // What is read without a statement of its own needs a snapshot as well.
    call([] { EnsurePortalSnapshotExists(); });
    // Between two transactions the tables belong to everybody. Who takes a strong lock looks again
    // once it is granted; the others hold what they have seen, if that can be had at once.
    if (kind != TransactionKind::catalog)
      call([&] { (void)ConditionalLockRelationOid(target.sessions, AccessShareLock); });
    refuse_changed_sessions(target);
    inspect_target(target, Access::change);
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

// A transaction that aborts gives up the locks of its session, too: the run lock would go with an
// attempt that was in vain. So the body is rolled back as a subtransaction, and the transaction
// around it, which has done nothing, is committed.
void OnlineSession::in_transaction(TransactionKind kind, const std::function<void()> &body) {
  MemoryContext outer = CurrentMemoryContext;
  bool rolled_back = false;
  try {
    const TransactionScope scope(target_, kind);
    call([this] { MemoryContextSwitchTo(transaction_context_); });
    try {
      Subtransaction all;
      body();
      all.commit();
    } catch (...) {
      rolled_back = true;
      throw;
    }
  } catch (...) {
    call([&] {
      MemoryContextSwitchTo(outer);
      if (rolled_back)
        SPI_commit();
      else
        SPI_rollback();
      MemoryContextReset(transaction_context_);
    });
    if (!rolled_back && !lock_.try_for_session())
      refuse_run("It has begun while this one was being rolled back.");
    throw;
  }
  call([&] {
    MemoryContextSwitchTo(outer);
    SPI_commit();
    MemoryContextReset(transaction_context_);
  });
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

bool OnlineSession::stop_requested() {
  bool result = false;
  in_transaction(TransactionKind::work, [&] { result = progress_.stop_requested(); });
  return result;
}

void OnlineSession::execute_alone(const std::string &sql, const std::string &by_hand) {
  execute_in_worker(target_.owner, sql, by_hand, [this] {
    if (stop_requested())
      throw Stopped();
  });
}

} // namespace cowrie::pg
