// Online ports: what an online migration needs beside the ports of every migration.
//
// Error regime: as ports.hpp; Stopped is no failure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "core/ports/ports.hpp"

namespace cowrie {

/** What the transaction is for: how long it may wait, and for what. */
enum class TransactionKind : std::uint8_t {
  work,    ///< waits for locks that stand in nobody's way as long as the setting says
  catalog, ///< short attempts: whoever waits for a strong lock stalls all writers behind it
  batch,   ///< short attempts, and plans that look every session up by its key
  /** Between two of the others: takes no lock on a table. What waits, waits between two of these.
   */
  look,
};

/** Thrown through a run when somebody has asked it to stop. */
struct Stopped {};

/** Transactions, one after the other, and what is done between them. */
class Transactions {
public:
  virtual ~Transactions() = default;

  /** Runs the body in a transaction of its own: committed when it returns, rolled back when it
   *  throws. */
  virtual void in_transaction(TransactionKind kind, const std::function<void()> &body) = 0;
  /** Waits without a snapshot or a lock; returns early when the run is asked to stop. */
  virtual void wait_us(std::int64_t duration) = 0;
  /** Returns the last moment, as clock_us(), up to which everybody's transactions have ended and
   *  this call had not begun: a session that is inserted from now on is created later. */
  virtual std::int64_t settled_until_us() = 0;
  /** Tells whether somebody has asked this run to stop. */
  virtual bool stop_requested() = 0;
  /** Executes a statement that no transaction may contain in a process of its own, and waits for
   *  its end; `by_hand` is what the operator can do where no such process is to be had. Throws
   *  Stopped as well. */
  virtual void execute_alone(const std::string &sql, const std::string &by_hand) = 0;
};

/** Where an unfinished online migration came from: what its rows may be replaced by. */
enum class Origin : std::uint8_t {
  version15, ///< nothing declared was there: this migration has made all of it
  phases,    ///< phases 1 to k were complete
  repair,    ///< objects and values of earlier attempts: they are kept
  catalog,   ///< all rows were derived: only the catalog changes
};

/** The sessions in the order in which the batches fill them: a table of its own, by places 1, 2, …
 */
struct Queue {
  std::int64_t table = 0;  ///< its OID; 0: none yet
  std::int64_t length = 0; ///< places
  std::string sum;         ///< over places and keys, to notice that somebody has changed them
};

/** max_wal where nobody has said it. */
inline constexpr std::int64_t half_of_free_space = -1;

/** How fast an online run may go. cowrie_pace() changes it while it runs. */
struct Pace {
  std::int64_t batch_size = 10'000;          ///< sessions of the first batch
  std::int64_t pause_us = 0;                 ///< between two batches
  std::int64_t target_batch_us = 1'000'000;  ///< that a batch should take; 0: its size stays
  std::int64_t max_lag_us = 30'000'000;      ///< of a standby or a subscriber; 0: any
  std::int64_t max_wal = half_of_free_space; ///< bytes that are kept or not archived; 0: any
  std::int64_t max_active = 0;               ///< sessions that are busy; 0: any
};

/** What an operator has asked of the run that is going on. */
struct Orders {
  bool stop = false;
  bool pause = false;
  bool cut_over = false; ///< it need not wait for it any more
  Pace pace;
};

/** Whoever may stop a run gives it orders; they are kept outside of transactions. */
class Operator {
public:
  virtual ~Operator() = default;
  /** A run begins, at this pace; it continues the migration that began with this run. A pause of
   *  another migration is over, one of this migration lasts. */
  virtual void begins(std::int64_t first_run, const Pace &pace) = 0;
  /** The orders as they are now; without a snapshot. */
  virtual Orders orders() = 0;
};

/** What a run waits for that is no lock. The status has its number. */
enum class HoldReason : std::uint8_t {
  none,
  pause,      ///< cowrie_pause_migration()
  cut_over,   ///< cowrie_allow_cut_over()
  standby,    ///< value and limit: microseconds
  subscriber, ///< likewise
  slot,       ///< value and limit: bytes of WAL
  archiver,   ///< likewise
  sessions,   ///< value and limit: sessions that are busy
};

struct Hold {
  HoldReason reason = HoldReason::none;
  std::int64_t value = 0;
  std::int64_t limit = 0;   ///< that the value exceeds
  std::int64_t process = 0; ///< that sends WAL to the standby or subscriber
  std::string name;         ///< of it, or of the slot; empty: not known

  static Hold because_of(HoldReason why) {
    Hold result;
    result.reason = why;
    return result;
  }
};

/** Somebody who receives WAL and says how far it is replayed: a standby or a subscriber. */
struct Receiver {
  std::int64_t process = 0; ///< that sends it
  bool logical = false;
  std::int64_t replayed = 0; ///< up to this position
  std::int64_t lag_us = 0;   ///< as the server has measured it last, perhaps long ago
  std::string name;
};

/** What others have to bear. */
struct Load {
  std::int64_t written = 0; ///< WAL, up to this position
  std::vector<Receiver> receivers;
  std::int64_t kept = 0; ///< bytes of WAL, by the slot that keeps most
  std::string slot;
  std::int64_t unarchived = 0; ///< bytes of WAL that wait for the archiver
  std::int64_t active = 0;     ///< sessions of clients that are busy, but for this one
};

/** Looks at the server around the run, whatever the caller may see. */
class Surroundings {
public:
  virtual ~Surroundings() = default;
  virtual Load load() = 0;
};

/** What an online migration remembers from one call to the next. */
struct OnlineState {
  std::int64_t first_run = 0; ///< the ledger's id of its first run; 0: none yet
  Origin origin = Origin::version15;
  bool completes_snapshots = false; ///< they come from attempts that nobody knows the end of
  /** As clock_us(): no transaction that began up to then inserts a session that the queue does not
   *  have, so what was created up to then is settled; nothing: there is no queue yet. */
  std::optional<std::int64_t> settled_until;
  bool other_table = false; ///< it began with another session_summaries than there is
  std::int64_t changes = 0; ///< OID of the table that the trigger notes changes in
  std::int64_t trigger = 0; ///< OID of the trigger that has caught all changes since
  Queue queue;
  std::int64_t position = 0;  ///< the last place of the queue that the batches have filled
  FillResult filled;          ///< by the batches so far
  std::set<std::string> done; ///< steps that its runs have done
};

/** The part of the ledger that resumption reads. */
class OnlineMemory {
public:
  virtual ~OnlineMemory() = default;
  /** Returns the unfinished online migration of this schema, if the ledger's last run is one. */
  virtual std::optional<OnlineState> unfinished() = 0;
  /** Writes what is remembered to the row of the run. */
  virtual void remember(std::int64_t run, const OnlineState &state) = 0;
};

/** A lock that was not granted, and the attempt that is made for it. */
struct LockWait {
  int attempt = 0;         ///< of these in a row; 0: it was granted
  int most = 0;            ///< attempts, then the run gives up
  std::int64_t table = 0;  ///< OID of the table, as far as that is known
  std::int64_t holder = 0; ///< process that holds it
};

/** What the status view shows of the batches, in this call and in earlier ones. */
class OnlineMonitor {
public:
  virtual ~OnlineMonitor() = default;
  /** A batch begins: its rows are counted on from what has been filled before. */
  virtual void at_batch(std::int64_t number, const FillResult &filled, std::int64_t rows_total) = 0;
  /** There are no more batches: from now on the numbers of rows stay as they are. */
  virtual void hold_rows(const FillResult &filled) = 0;
  /** A lock was not granted, or is granted at last; said when either happens. */
  virtual void waits(const LockWait &wait) = 0;
  /** The run waits for something else than a lock, or for nothing any more. */
  virtual void holds(const Hold &hold) = 0;
};

/** Everything that an online run works with. */
struct OnlinePorts {
  Database &database;
  Ledger &ledger;
  OnlineMemory &memory;
  Monitor &monitor;
  OnlineMonitor &online_monitor;
  Transactions &transactions;
  Operator &seat;
  Surroundings &surroundings;
};

} // namespace cowrie
