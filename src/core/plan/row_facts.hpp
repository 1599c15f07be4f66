// Row facts: what a plan depends on beside the catalog.
//
// Error regime: plain data.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace cowrie {

/** How the session columns are filled. */
enum class FillBy : std::uint8_t {
  rewrite, ///< all rows are written once more: the heap alone, or all by ALTER TABLE
  update,  ///< few rows, or something of the user's forbids the rewrite
  nothing, ///< they are filled
};

/** What a repair has read from the rows. */
struct RowFacts {
  FillBy fill_by = FillBy::rewrite;
  bool complete =
      false; ///< a completed run has left every row, only indexes or keys are to be repaired
  std::string alter_table_reason;      ///< what forbids to copy the heap alone; empty: nothing
  std::set<std::string> filled_tables; ///< declared tables that hold rows
};

} // namespace cowrie
