// Plan: findings -> ordered steps by phase; also the reverse, for cleanup.
//
// What it may know: the declaration, what was observed, and the DDL and derivation texts. Error
// regime: throws Failure for what cannot be mended; changes nothing.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/sql/derivation.hpp"
#include "core/schema/schema.hpp"
#include "core/schema/diff.hpp"

namespace cowrie {

/** What kind of database this is. */
enum class SchemaState : std::uint8_t {
  version15,  ///< nothing of version 16 is there
  resumable,  ///< phases 1 to k are complete and recorded, nothing later is there
  complete,   ///< everything declared is there and recorded
  incomplete, ///< anything else: repair or cleanup must decide
};

/** What an unfinished online migration has left: it is there to be resumed, or to be dropped. */
struct OnlineObjects {
  std::int64_t trigger = 0;   ///< OID of the trigger that catches changes; 0: none
  bool fires_always = false;  ///< for every writer, that is
  bool changes_table = false; ///< the table of changed keys
  std::int64_t queue = 0;     ///< OID of the table that gives the batches their order; 0: none
  bool any() const noexcept { return trigger != 0 || changes_table || queue != 0; }
};

/** The state of a database against the declaration. */
struct Situation {
  SchemaState state = SchemaState::incomplete;
  int version = 0;               ///< schema_version
  std::optional<int> subphase;   ///< k of schema_subphase `16.k`
  std::vector<Finding> findings; ///< against all phases, the version included
  std::vector<Presence> objects; ///< what exists of version 16
  OnlineObjects online;
};

Situation assess(const Schema &declared, const Schema &observed, const std::string &schema_name,
                 int version, std::optional<int> subphase);

enum class StepKind : std::uint8_t {
  statement,     ///< plain DDL
  mend,          ///< columns of a table that is there become the declared ones
  fill_sessions, ///< the one rewrite
  fill_new_rows, ///< UPDATE of rows that came since
  load_rows,
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
  std::string column; ///< the generated one
  std::string kept;   ///< the new name of the plain one
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
  std::vector<std::string> columns; ///< of an index, looked up before it is created
  std::string detail;               ///< what it does, where the name does not tell
  std::string relation;             ///< the table or index that a step of cleanup drops
  // Of a mend.
  std::vector<Count> counts;      ///< asked before the statements
  std::vector<Replaced> replaced; ///< compared and dropped, or kept, after the statements
  std::string aside;              ///< the name under which a table without its key is kept
};

/** How the session columns are filled. */
enum class FillBy : std::uint8_t {
  rewrite, ///< all rows are written once more: the heap alone, or all by ALTER TABLE
  update,  ///< few rows, or something of the user's forbids the rewrite
  nothing, ///< they are filled
};

/** What only the rows can tell, and a repair depends on. */
struct RowFacts {
  FillBy fill_by = FillBy::rewrite;
  std::string alter_table_reason;      ///< what forbids to copy the heap alone; empty: nothing
  std::set<std::string> filled_tables; ///< tables of version 16 that hold rows
};

/** Plans what is missing of phases 1 to 5, or of k + 1 to 5 for a resumable database. Objects may
 *  exist already; their rows are kept. */
std::vector<Step> plan_migration(const Schema &declared, const Schema &observed,
                                 const Target &target, const Situation &situation,
                                 const RowFacts &rows = {});

/** Tells which column of the sessions ALTER TABLE must convert or a copy of the heap cannot read as
 * it is, and why; empty: there is none. */
std::string unfit_column(const Table &declared, const Table &observed);

/** Plans the way back to the end of `to_phase`. */
std::vector<Step> plan_cleanup(const Schema &declared, const Schema &observed, const Target &target,
                               int to_phase);

/** The step names of the migration in a fixed order: a number in the status means one of them. */
const std::vector<std::string> &step_names();

} // namespace cowrie
