// Situation: a database against the declaration: where a migration stands.
//
// What it may know: the words of a schema and their diff. Error regime: never fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/schema/diff.hpp"
#include "core/schema/existing_objects.hpp"

namespace cowrie {

/** What kind of database this is. */
enum class SchemaState : std::uint8_t {
  version15,  ///< nothing that is declared is there
  resumable,  ///< phases 1 to k are complete and recorded, nothing later is there
  complete,   ///< everything declared is there and recorded
  incomplete, ///< anything else: repair or cleanup must decide
};

/** What an unfinished online migration has left: it is there to be resumed, or to be dropped. */
struct OnlineObjects {
  std::int64_t trigger = 0;   ///< OID of the trigger that catches changes; 0: none
  bool fires_always = false;  ///< for every writer, that is
  bool changes_table = false; ///< the table of changed keys
  std::int64_t changes = 0;   ///< OID of that
  std::int64_t queue = 0;     ///< OID of the table that gives the batches their order; 0: none
  /** Statements that drop indexes and foreign keys which partitions have and the whole not yet. */
  std::vector<std::string> loose;
  bool any() const noexcept { return trigger != 0 || changes_table || queue != 0; }
  /** Also where a migration that has its rows and changes the catalog alone has not ended. */
  bool any_or_loose() const noexcept { return any() || !loose.empty(); }
};

/** The state of a database against the declaration. */
struct Situation {
  SchemaState state = SchemaState::incomplete;
  int version = 0;                     ///< schema_version
  std::optional<int> subphase;         ///< the phase that schema_subphase says
  std::vector<Finding> findings;       ///< against all phases, the version included
  std::vector<ExistingObject> objects; ///< what exists of the declaration
  /** The phases that derive rows from the sessions are complete and recorded: what is left, if
   *  anything, changes the catalog alone. */
  bool derived = false;
  OnlineObjects online;
};

/** Compares, and tells where the migration stands. */
Situation classify(const Schema &declared, const Schema &observed, const std::string &schema_name,
                   int version, std::optional<int> subphase);

} // namespace cowrie
