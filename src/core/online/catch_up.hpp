// Online catch-up: brings up to date what the application has changed since the batches came by:
// the sessions whose keys the trigger has noted, and the inventories that are derived from them.
//
// Error regime: throws Failure; Stopped when the run is asked to stop between two rounds.
#pragma once

#include "core/online/inventories.hpp"
#include "core/online/lock_retry.hpp"

namespace cowrie {

class OnlineCatchUp {
public:
  OnlineCatchUp(const OnlinePorts &ports, LockRetry &lock_retry, Origin origin,
                const Table &declared, const Table &base)
      : ports_(ports), lock_retry_(lock_retry), origin_(origin), declared_(declared), base_(base) {}

  /** Works off notes until `enough` or fewer are left, or writers note as fast as this works off;
   *  returns how many sessions there were. */
  std::int64_t work_off(std::int64_t enough);

  /** Works off all notes, which nobody adds to any more, and gives every address its row. */
  std::int64_t work_off_all();

  /** Notes the sessions that nothing has been filled of although something is known, and works off
   *  all notes; again for those that have come meanwhile, as long as they get fewer. */
  std::int64_t fill_rest();

private:
  /** What one round has taken on. */
  struct Round {
    std::vector<std::string> sessions; ///< their keys, each once
    std::vector<std::string> notes;    ///< places of the notes
    std::string file;                  ///< and the file that these places are in
    std::int64_t before = 0;           ///< how many notes there were
  };
  /** Derives everything anew where that is less work than the notes, or the only way; returns how
   *  many notes that has worked off. */
  std::int64_t start_over_if_less_work();
  std::int64_t work_off_keys(std::int64_t enough);
  Round derive();
  void fill(const std::vector<std::string> &sessions);
  std::int64_t forget(const Round &round);

  const OnlinePorts &ports_;
  LockRetry &lock_retry_;
  const Origin origin_;
  const Table &declared_;
  const Table &base_;
};

} // namespace cowrie
