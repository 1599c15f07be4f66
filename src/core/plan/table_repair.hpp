// Table repair: what one existing table needs to get the declared columns.
//
// Error regime: never fails.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/plan/step.hpp"
#include "core/ports/target.hpp"
#include "core/schema/schema.hpp"

namespace cowrie {

/** Tells whether a column must be replaced by a generated one of the same name. */
bool must_be_replaced(const Column &declared, const Column &observed) noexcept;

/** Tells whether its values must become values of another type. */
bool must_be_retyped(const Column &declared, const Column &observed) noexcept;

/** A name that no column of the table has: `geo_country_replaced`, `geo_country_replaced_2`. */
std::string free_column_name(const Table &observed, const std::string &name);

template <typename Object> void erase_named(std::vector<Object> &objects, const std::string &name) {
  objects.erase(std::remove_if(objects.begin(), objects.end(),
                               [&](const Object &each) { return each.name == name; }),
                objects.end());
}

inline bool concerns(const Constraint &constraint, const std::string &column) {
  return std::find(constraint.columns.begin(), constraint.columns.end(), column) !=
         constraint.columns.end();
}

/** An empty step of a repair. */
Step repair_step(int phase, std::string name, const Table &table);

/** Returns the step that gives an existing table the declared columns; nothing: it needs none.
 *  `observed` becomes what the table is afterwards; `filled`: it holds rows. */
std::optional<Step> repair_of(const Target &target, const Table &declared, Table &observed,
                              bool filled);

} // namespace cowrie
