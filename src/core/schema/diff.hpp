// Schema diff: declared x observed -> findings. The one comparison that migrate, validate and
// cleanup all rest on.
//
// What it may know: the words of a schema and their DDL. Error regime: never fails.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "core/schema/schema.hpp"

namespace cowrie {

enum class Severity : std::uint8_t { error, warning };
enum class ObjectType : std::uint8_t { table, column, index, constraint, version, data };
enum class Problem : std::uint8_t { missing, wrong, invalid };

std::string_view name_of(Severity) noexcept;
std::string_view name_of(ObjectType) noexcept;
std::string_view name_of(Problem) noexcept;

/** One difference between a database and the declaration. */
struct Finding {
  Severity severity = Severity::error;
  ObjectType object_type = ObjectType::table;
  Problem problem = Problem::missing;
  std::string table;  ///< the table it belongs to; empty for version findings
  std::string object; ///< its own name within the table; the table's name for tables
  std::string expected;
  std::string actual; ///< empty: nothing is there
  std::string remedy; ///< SQL that repairs it
  bool loses_data = false;
  std::string loss;          ///< what would be lost: `keys that occur more than once: 3`
  int phase = 0;             ///< the phase that declares the object
  std::string observed_name; ///< of the index or constraint found in its place, where there is one

  /** `ip_inventory.geo_country` for columns; the object's own name for everything else. */
  std::string object_name() const;
};

/** Tells whether no row can be added without a value for it: of a column that is not declared. */
bool forbids_rows(const Column &column) noexcept;

inline constexpr int every_phase = std::numeric_limits<int>::max();

/** Compares; findings of the phases up to `last_phase`, in the order of the declaration. */
std::vector<Finding> diff(const Schema &declared, const Schema &observed,
                          const std::string &schema_name, int last_phase = every_phase);

/** Finds the observed index or constraint that has the declared definition; null: none. */
const Index *same_definition(const Table &observed, const Index &declared) noexcept;
const Constraint *same_definition(const Table &observed, const Constraint &declared) noexcept;

/** Tells whether an observed object has the declared definition, whatever its name. */
bool same_index(const Index &declared, const Index &observed) noexcept;
bool same_constraint(const Constraint &declared, const Constraint &observed) noexcept;

/** Tells whether two expressions are the same: by the server's form where both have one. */
bool same_expression(const Expression &declared, const Expression &observed) noexcept;

/** `Incomplete schema of "ip_inventory": missing geo_country, …`, a line per table with errors. */
std::string summary_by_table(const std::vector<Finding> &findings);

} // namespace cowrie
