// Step: one thing that a plan does.
//
// Error regime: plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cowrie {

enum class StepKind : std::uint8_t {
  statement,     ///< plain DDL
  create_table,  ///< it gets the grants of session_summaries
  drop,          ///< of a constraint or index that is not as declared
  repair,        ///< columns of an existing table become the declared ones
  fill_sessions, ///< the one rewrite
  fill_new_rows, ///< UPDATE of rows that came since
  load_rows,
  refresh_rows, ///< load_rows again, for rows that came since
  create_index,
  analyze,
  verify, ///< the declaration against the catalog once more
  zero_loss_gate,
  set_version,
};

/** Something to be counted, and what to say of it when there is any. */
struct Count {
  std::string query;
  std::string words;
};

/** A plain column that gave its name to a generated one. */
struct Replaced {
  std::string column;  ///< the generated one
  std::string renamed; ///< the new name of the plain one
};

struct Step {
  int phase = 0;
  std::string name;
  StepKind kind = StepKind::statement;
  std::string table;
  std::vector<std::string> statements;
  std::string lock_mode;            ///< the strongest lock it takes
  bool new_table = false;           ///< of load_rows: the table was just made
  bool heap_only = false;           ///< of fill_sessions: the heap is copied, the statements follow
  std::vector<std::string> columns; ///< of an index: looked up first; of ANALYZE: all that changed;
                                    ///< in a cleanup: dropped
  std::string detail;               ///< what it does, where the name does not tell
  std::string relation;             ///< the table or index that a step of cleanup drops
  // Of a repair.
  std::vector<Count> counts;         ///< asked before the statements
  std::vector<std::string> replaces; ///< columns that give way to new ones of the same names
  std::vector<Replaced> replaced;    ///< compared and dropped, or kept, after the statements
  std::string aside;                 ///< the new name of a table that has lost its key
};

} // namespace cowrie
