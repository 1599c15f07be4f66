// Heap rewrite: a table gets a new heap and keeps its TOAST.
//
// ALTER TABLE … TYPE copies a table with everything that its rows keep in TOAST. Where only short
// columns change that is most of the work. Here the rows alone are copied into a new file of the
// same relation; the pointers in them lead to the same chunks as before. That is right because
// chunks carry the inserting transaction of their row, so that those of the rows that are copied
// are alive, and those of the others are dead already: see docs/DESIGN.md.
//
// It decides nothing about the values: the caller changes them row by row. It needs ACCESS
// EXCLUSIVE. Error regime: every function may longjmp; everything goes with the (sub)transaction.
#pragma once

#include "pg/rewrite/page_writer.hpp"
#include "pg/rewrite/stored_rows.hpp"

namespace cowrie::pg {

class HeapRewrite : Live {
public:
  HeapRewrite() = default;
  ~HeapRewrite() = default; // what is in the server goes with its (sub)transaction
  HeapRewrite(const HeapRewrite &) = delete;
  HeapRewrite &operator=(const HeapRewrite &) = delete;

  /** Opens and checks the table, and makes the new file. Not in parallel mode. */
  void open_unsafe(Oid table);

  /** Begins to read. */
  void begin_unsafe();

  Relation table() const noexcept { return table_; }

  /** The memory of one row: what is allocated in it is gone with the next one. */
  MemoryContext row_memory() const noexcept { return row_memory_; }

  /** Takes the next row apart; false: there is none. */
  bool next_unsafe();

  /** The values of the row, by the number of the column less one. A NULL may be replaced by a
   * value; what is there must stay as it is. */
  Datum *values() noexcept { return values_; }
  bool *nulls() noexcept { return nulls_; }

  /** Writes the row, after a look at whether it has the values that it had. */
  void put_unsafe();

  /** Writes what is left, and ends the reading. */
  void end_unsafe();

  /** What has been written, to be compared with what is there later. */
  const StoredRows &stored_rows() const noexcept { return stored_; }

  /** Makes what was written the table, whose indexes are to be built then. Not in parallel mode. */
  void finish_unsafe();

private:
  void refuse_unsuitable_unsafe();
  void refuse_foreign_chunks_unsafe();
  void refuse_changed_unsafe(HeapTuple row);
  HeapTuple with_short_values_unsafe(HeapTuple row);
  bool seen_by_everybody_unsafe(HeapTupleHeader old) const;
  void replace_file_unsafe();

  Relation table_ = nullptr;
  MemoryContext memory_ = nullptr, row_memory_ = nullptr;
  Snapshot snapshot_ = nullptr;
  TableScanDesc scan_ = nullptr;
  HeapTuple old_ = nullptr; ///< the row as it is stored, in the buffer of the scan
  Datum *values_ = nullptr, *old_values_ = nullptr, *new_values_ = nullptr;
  bool *nulls_ = nullptr, *old_nulls_ = nullptr, *new_nulls_ = nullptr;
  TransactionId xid_ = InvalidTransactionId; ///< the current (sub)transaction's
  CommandId command_ = FirstCommandId;
  TransactionId oldest_ = InvalidTransactionId; ///< nobody lacks what has committed before it
  compat::FileLocator file_ = {};
  PageWriter writer_;
  PageWriter::Written written_;
  StoredRows stored_;
};

} // namespace cowrie::pg
