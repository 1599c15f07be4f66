// Online batches: they fill the session columns while an application goes on writing.
//
// Error regime: throws Failure; Stopped when the run is asked to stop between two batches.
#pragma once

#include <set>

#include "core/online/hold_back.hpp"
#include "core/online/lock_retry.hpp"
#include "core/online/online_run.hpp"
#include "core/sql/online.hpp"

namespace cowrie {

class OnlineBatches {
public:
  OnlineBatches(const OnlinePorts &ports, LockRetry &lock_retry, HoldBack &hold_back,
                OnlineState &state, std::int64_t run)
      : ports_(ports), lock_retry_(lock_retry), hold_back_(hold_back), state_(state), run_(run) {}

  /** Fills what comes after the position in the queue, batch by batch; the position moves with each
   *  commit. */
  void run(const Table &declared, const Table &base);

private:
  /** Fills one batch; nothing: a lock was not granted, `size` has been made smaller. */
  enum class Outcome : std::uint8_t { filled, refused, nothing_left };
  Outcome batch(const Table &declared, const Table &base);
  /** Has the dead rows of the batches removed, now and then, so that the table grows but little. */
  void vacuum_if_due();
  void refuse_other_queue(const online::Places &places);
  [[noreturn]] void throw_other_queue();
  std::int64_t heap_only(const online::Places &places);

  const OnlinePorts &ports_;
  LockRetry &lock_retry_;
  HoldBack &hold_back_;
  OnlineState &state_;
  const std::int64_t run_;
  std::int64_t size_ = 0;       ///< of the next batch
  std::int64_t first_size_ = 0; ///< as it was ordered
  std::int64_t number_ = 0;
  std::int64_t dead_rows_ = 0;    ///< that the batches have left to the next VACUUM
  std::set<std::string> written_; ///< the tables that these are in; empty: session_summaries
};

/** Tells whether places or keys of the queue are others than when it was made. Reads all of it. */
bool queue_is_other(Database &database, const Queue &made);

/** Adds what one statement has found to what others have. */
void add(FillResult &total, const FillResult &more);

} // namespace cowrie
