// Online session: the transactions of an online run, and what has to outlive each of them.
//
// A procedure's commit ends everything that belongs to a transaction: the role that is acted as,
// the pinned settings, snapshots. They are set up anew for every transaction and put back before
// its end. Error regime: throws PgError; after an error the transaction has been rolled back and a
// new one begun.
#pragma once

#include "core/ports/online_ports.hpp"
#include "pg/database/run_lock.hpp"
#include "pg/ledger/progress.hpp"
#include "pg/catalog/target.hpp"

namespace cowrie::pg {

class OnlineSession : public Transactions, Live {
public:
  /** Takes the run lock for the session; throws who holds it. Needs a nonatomic SPI session. */
  OnlineSession(const ResolvedTarget &target, Database &database, Progress &progress);
  ~OnlineSession() override;
  OnlineSession(const OnlineSession &) = delete;
  OnlineSession &operator=(const OnlineSession &) = delete;

  void in_transaction(TransactionKind kind, const std::function<void()> &body) override;
  void wait_us(std::int64_t duration) override;
  std::int64_t settled_until_us() override;
  bool stop_requested() override;
  void execute_alone(const std::string &sql, const std::string &by_hand) override;

private:
  void one_transaction(TransactionKind kind, const std::function<void()> &body);

  const ResolvedTarget &target_;
  Database &database_;
  Progress &progress_;
  const RunLock lock_;
  MemoryContext transaction_context_ = nullptr; ///< emptied at the end of every transaction
};

} // namespace cowrie::pg
