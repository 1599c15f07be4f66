// Online catch-up: processes what the application has changed since the batches: the sessions whose
// keys the trigger has recorded, and the inventories that are derived from them.
//
// Error regime: throws Failure; Stopped when the run is asked to stop between two rounds.
#pragma once

#include "core/online/hold_back.hpp"
#include "core/online/inventories.hpp"
#include "core/online/lock_retry.hpp"

namespace cowrie {

class OnlineCatchUp {
public:
  OnlineCatchUp(const OnlinePorts &ports, LockRetry &lock_retry, HoldBack &hold_back, Origin origin,
                const Table &declared, const Table &base)
      : ports_(ports), lock_retry_(lock_retry), hold_back_(hold_back), origin_(origin),
        declared_(declared), base_(base) {}

  /** Works off changed keys until `enough` or fewer are left, or writers add them as fast;
   *  returns how many sessions there were. */
  std::int64_t work_off(std::int64_t enough);

  /** Works off all changed keys, to which nobody adds any more, and gives every address its row. */
  std::int64_t work_off_all();

  /** Adds the keys of sessions that nothing has been filled of although something is known, and
   * works off all keys; again for those that have come meanwhile, as long as they get fewer. */
  std::int64_t fill_rest();

private:
  /** What one round has taken on. */
  struct Round {
    std::vector<std::string> sessions; ///< their keys, each once
    std::vector<std::string> places;   ///< of these keys in their table
    std::string file;                  ///< and the file that these places are in
    std::int64_t before = 0;           ///< how many keys there were
  };
  /** Derives everything again where that is less work than the keys, or the only way; returns how
   *  many keys that has worked off. */
  std::int64_t start_over_if_less_work();
  std::int64_t work_off_keys(std::int64_t enough);
  Round derive();
  void fill(const std::vector<std::string> &sessions);
  std::int64_t forget(const Round &round);

  const OnlinePorts &ports_;
  LockRetry &lock_retry_;
  HoldBack &hold_back_;
  const Origin origin_;
  const Table &declared_;
  const Table &base_;
};

} // namespace cowrie
