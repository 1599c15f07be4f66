// Session readers: parallel workers that read the documents ahead of a rewrite.
//
// ALTER TABLE rewrites in one process. Half of its time would go to fetching, decompressing and
// reading documents, which other processes can do as well. They scan the table in its order, and
// hand what each document told through shared memory to the process that writes. Nothing depends on
// them: a session that they have not read is read by the writer.
//
// While they are at work this process is in parallel mode, in which sequences cannot be set and no
// command can begin. So they work in portions of about a second, and progress is shown in between.
// Error regime: throws; an error of a reader is raised here.
#pragma once

#include "core/live.hpp"
#include "core/session_reading.hpp"
#include "pg/target.hpp"

namespace cowrie::pg {

struct ReadingOrder;

class SessionReaders : Live {
public:
  /** Looks at the table. `by_table`: how raw events are looked up, as in EventLookup. */
  SessionReaders(const ResolvedTarget &target, bool by_table);
  SessionReaders(const SessionReaders &) = delete;
  SessionReaders &operator=(const SessionReaders &) = delete;

  /** Reads the next session in the order of the table; null: nothing more will be read. It stays
   *  valid until the next call. */
  const SessionReading *next();

  /** Tells whether they are at work: this process is in parallel mode then. */
  bool at_work() const noexcept { return context_ != nullptr; }

  /** Ends their work. What has been read and not been taken is lost. */
  void stop();

private:
  void begin_portion();
  void launch_unsafe();
  void receive();
  void end_portion();

  const ResolvedTarget &target_;
  const bool by_table_;
  int workers_ = 0; ///< as many as the settings allow; 0: there are none, or no more
  std::uint32_t blocks_ = 0;
  std::uint32_t position_ = 0; ///< the first block of the next portion
  std::uint32_t portion_ = 0;  ///< its length in blocks
  std::int64_t begun_ = 0;
  SessionReading reading_;
  std::string_view rest_; ///< of the message that is being taken
  std::string last_;      ///< the last message of a portion
  std::uint32_t stretch_ = 0, stretches_ = 0;
  int launched_ = 0;
  ParallelContext *context_ = nullptr; ///< belongs to the subtransaction
  shm_mq_handle *queues_[8] = {};
};

} // namespace cowrie::pg
