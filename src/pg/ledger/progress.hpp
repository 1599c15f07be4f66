// Progress: what other sessions see of a migration before it commits, and after it failed.
//
// Sequences are not transactional: setval is seen at once and survives a rollback and a crash.
// Error regime: throws PgError, except note_rows_unsafe.
#pragma once

#include "core/ports/online_ports.hpp"
#include "pg/catalog/extension.hpp"

namespace cowrie::pg {

/** The sequence `part` holds how much of the run is done and how much the step is, where its rows
 * are counted, in one number, so that nobody reads one of them without the other: done * part_unit
 * + size, in millionths of the run. */
inline constexpr std::int64_t part_unit = 10'000'000;

class Progress : public Monitor, public OnlineMonitor, public Operator, Live {
public:
  explicit Progress(const Extension &extension);

  void started(std::string_view mode, std::int64_t rows_total) override;
  void planned(std::vector<Portion> portions) override;
  void at(int phase, std::string_view step) override;
  void finished() override;
  void failed(std::string_view sqlstate) override;
  void stopped() override;
  void notice(const std::string &message, const std::string &detail) override;
  void warning(const std::string &message, const std::string &detail,
               const std::string &hint) override;

  void at_batch(std::int64_t number, const FillResult &filled, std::int64_t rows_total) override;
  void hold_rows(const FillResult &filled) override;
  void waits(const LockWait &wait) override;
  void holds(const Hold &hold) override;

  void begins(std::int64_t first_run, const Pace &pace) override;
  Orders orders() override;

  /** The last value of a progress sequence, as it is now; 0: it has none. Read as its owner: nobody
   *  else's privileges matter, and a sequence has nothing that could run anybody's code. */
  std::int64_t get(const char *name) const;

  /** Tells whether cowrie_stop_migration() has been called for this process. */
  bool stop_requested() const { return get("stop") == MyProcPid; }
  /** Asks the run of a process to stop, or to cut over without waiting. */
  void request_stop(int pid);
  void request_cut_over(int pid);
  /** Orders a pause of the migration that began with this run; 0: no pause. */
  void request_pause(std::int64_t first_run);
  /** The pace as it is ordered. */
  Pace pace() const;
  void order_pace(const Pace &pace);
  /** Tells whether the objects of the extension are new enough for orders but to stop. */
  bool takes_orders() const;

  /** Says how many rows the current pass has done, and what it rejected; callable while a
   *  statement runs. */
  void note_rows_unsafe(std::int64_t done, std::int64_t total, const RejectCounts &rejects);

private:
  void set(const char *name, std::int64_t value);
  /** The same for a sequence that the objects of versions before 1.2 do not have. */
  void set_if_there(const char *name, std::int64_t value);
  Oid sequence_unsafe(const char *name) const;
  void set_unsafe(const char *name, std::int64_t value);
  void flush();

  /** What has been done before the current pass, where there are several. */
  struct Before {
    std::int64_t rows = 0;
    std::int64_t total = 0; ///< of all passes; 0: the pass knows it
    RejectCounts rejects{};
    bool hold = false;
  };

  /** Says how much of the run is done when a step begins, and how much the step is. */
  void portion(int phase, std::string_view step);

  const Extension extension_;
  std::vector<Portion> portions_;
  std::int64_t done_ = 0; ///< millionths of the run
  std::int64_t size_ = 0; ///< of the step, if its rows are counted
  Oid caller_ = GetUserId();
  Before before_;
  int phase_ = 0; ///< where it is
  std::int64_t held_since_ = 0;
  std::int64_t first_run_ = 0; ///< of the migration, by the ledger
  Pace given_;                 ///< by the call, where no orders can be taken
};

} // namespace cowrie::pg
