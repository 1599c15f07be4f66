// Stored rows: a sum over rows byte by byte as a heap stores them, all columns with the pointers
// into TOAST.
//
// Where TOAST is not touched an equal pointer is equal content: two equal sums tell that no value
// of any row has changed. Transaction numbers and places are not in it. Error regime: never fails
// but for the functions named _unsafe, which may longjmp.
#pragma once

#include "core/document/fingerprint.hpp"
#include "core/ports/ports.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

class StoredRows {
public:
  void add(HeapTuple row) noexcept;

  void add(const StoredRows &others) noexcept {
    sum_.add(others.sum_);
    rows_ += others.rows_;
  }

  /** Adds all rows of a heap that are visible now. */
  void add_all_unsafe(Oid table);

  /** The count and the sum; there are no times. */
  Fingerprint fingerprint() const { return {rows_, sum_.hex(), ""}; }

private:
  std::int64_t rows_ = 0;
  Sum128 sum_;
};

} // namespace cowrie::pg
