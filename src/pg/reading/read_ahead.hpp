// Read ahead: a parallel worker that reads the documents in front of a rewrite.
//
// A rewrite is done by one process, and most of its time would go to fetching, decompressing and
// reading documents. Here another process scans the table in the same order, and hands what each
// document told through shared memory to the one that writes. While ALTER TABLE copies the
// documents, writing takes longer than reading; where the heap is copied alone it takes less, and
// the writer reads a part of the documents itself. Nothing depends on it: a session that the reader
// has not read is read by the writer.
//
// While it is at work this process is in parallel mode, in which no sequence can be set and no
// command can begin. So it works in portions of about a second, and progress is shown in between.
// Error regime: throws; an error of the reader is raised here.
#pragma once

#include "core/document/facts_message.hpp"
#include "pg/reading/read_ahead_worker.hpp"
#include "pg/catalog/target.hpp"

namespace cowrie::pg {

/** How a writer has its documents read. */
struct ReadingManner {
  int share = whole_share; ///< of every 16 so many; the writer reads the others
  /** The writer goes from one table to the next in parallel mode: a portion may be of several. */
  bool spans_tables = false;
};

class ReadAhead : Live {
public:
  /** Looks whether the tables, which are written in this order, are of a kind and size that a
   * reader is worth while for, and whether the settings allow one. `by_table`: how raw events are
   * looked up, as in EventLookup. */
  ReadAhead(const ResolvedTarget &target, const std::vector<Oid> &tables, bool by_table,
            const ReadingManner &manner);
  ~ReadAhead() = default; // what is in the server goes with its (sub)transaction
  ReadAhead(const ReadAhead &) = delete;
  ReadAhead &operator=(const ReadAhead &) = delete;

  /** Returns the next session in the order of the table, valid until the next call; null: there is
   *  nothing more to come. */
  const SessionReading *next();

  /** Tells whether the reader is at work: this process is in parallel mode then. */
  bool at_work() const noexcept { return context_ != nullptr; }

  /** Tells whether next() will set it to work again. */
  bool begins_portion() const noexcept {
    return !at_work() && rest_.empty() && table_ < tables_.size();
  }

  /** Ends it. What has been read and not been taken is forgotten. */
  void stop();

private:
  /** A table that is to be read, of so many blocks. */
  struct Part {
    Oid table;
    BlockNumber blocks;
  };

  void begin_portion();
  void choose_portion();
  bool launch_unsafe();
  void receive();
  void end_portion();

  const ResolvedTarget &target_;
  ReadingOrder order_; ///< of the portion that is being read, or has been
  const bool spans_tables_;
  std::vector<Part> tables_; ///< none of them empty
  std::size_t table_ = 0;    ///< where the next portion begins; behind the last: there is none
  BlockNumber block_ = 0;    ///< of that table
  BlockNumber portion_;      ///< how many blocks the next portion has
  TimestampTz begun_ = 0;    ///< when the present one began
  SessionReading reading_;
  std::string_view rest_;              ///< of the message that is being taken
  std::string last_message_;           ///< of a portion: the shared memory goes with it
  ParallelContext *context_ = nullptr; ///< like the queue it belongs to the subtransaction
  shm_mq_handle *queue_ = nullptr;
};

} // namespace cowrie::pg
