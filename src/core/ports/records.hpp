// Records: what is on record of runs that have been, and how the latest one goes: what a report
// reads.
//
// Times are texts in UTC. Error regime: as the ports.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/ports/ports.hpp"

namespace cowrie {

struct TableSize {
  std::string table;
  std::int64_t heap = 0, toast = 0, indexes = 0; ///< bytes
  std::int64_t total() const noexcept { return heap + toast + indexes; }
};

using Named = std::pair<std::string, std::string>;
using Counted = std::pair<std::string, std::int64_t>;

/** One run as the ledger has it. What an older version of the extension has not recorded is empty.
 */
struct RunRecord {
  std::int64_t id = 0;
  std::string schema;
  std::string mode;   ///< atomic | online | cleanup
  std::string status; ///< running | done | failed | stopped | interrupted
  std::string started, finished;
  std::optional<std::int64_t> elapsed_us, rows;
  std::string detail, sqlstate, message;
  std::string run_by, extension_version, server_version;
  std::optional<Fingerprint> before; ///< of all sessions, as they were read
  std::vector<Counted> rejects;
  std::string function; ///< that was called; empty: not recorded
  std::vector<Named> arguments, settings;
  std::vector<TableSize> sizes_before, sizes_after;
  std::vector<Counted> filled_before; ///< by column, and `sessions`: how many there were in all
  /** Of this schema, in this database: what the ledger binds by OID. */
  bool here = false;
  /** It ended after the latest run that the status view knows of began. */
  bool is_latest = false;
};

struct StepRecord {
  std::int64_t run = 0;
  int phase = 0;
  std::string step; ///< empty: the whole phase
  std::string status;
  std::optional<std::int64_t> rows, elapsed_us;
  std::string detail, sqlstate, message;
};

/** The latest run of the database, as the status view shows it: it may have left no record. */
struct LatestRun {
  bool running = false;
  std::string outcome; ///< empty: there has been none
  std::string mode, phase, step, started, updated, sqlstate, message, run_by, waiting_for;
  std::string rows_done, rows_total, percent;
};

class Records {
public:
  virtual ~Records() = default;
  /** All runs, of every schema, the oldest first. */
  virtual std::vector<RunRecord> runs() = 0;
  /** Adds to a run what is recorded beside it: arguments, settings, sizes, rejects. */
  virtual void complete(RunRecord &run) = 0;
  virtual std::vector<StepRecord> steps(std::int64_t run) = 0;
  virtual LatestRun latest() = 0;
};

} // namespace cowrie
