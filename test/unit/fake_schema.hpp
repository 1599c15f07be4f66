// Observed schemas for the unit tests: what a catalog holds after a phase, without a server.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "core/plan/plan.hpp"
#include "core/schema/schema.hpp"
#include "core/schema/diff.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/v16.hpp"
#include "core/schema/versions.hpp"

namespace cowrie {

/** The phases of version 16. */
inline constexpr int phase_count = 5;

namespace test {

/** Gives every expression the form that this server parses it to: its text in braces. */
inline Schema with_forms(Schema schema) {
  const auto parse = [](Expression &each) { each.form = each.empty() ? "" : "{" + each.sql + "}"; };
  for (Table &table : schema.tables) {
    for (Column &each : table.columns) {
      parse(each.default_value);
      parse(each.generated);
    }
    for (Constraint &each : table.constraints)
      parse(each.check);
    for (Index &each : table.indexes)
      parse(each.predicate);
  }
  return schema;
}

/** The same of the schema of a version, made once. */
inline const Schema &forms_of(const Schema &schema) {
  static std::map<int, Schema> made;
  const auto found = made.find(schema.version);
  return found != made.end() ? found->second
                             : made.emplace(schema.version, with_forms(schema)).first->second;
}

inline const Schema &declared_v16() { return forms_of(schema_v16()); }

/** A database as the newest version leaves it after `last_phase`; 0: version 15. */
inline Schema observed_after(int last_phase) {
  const auto keep = [last_phase](const auto &from, auto &to) {
    for (const auto &each : from)
      if (each.phase <= last_phase)
        to.push_back(each);
  };
  Schema result = schema_v15();
  for (const Table &declared : forms_of(newest_schema()).tables) {
    if (declared.phase > last_phase)
      continue;
    if (!result.table(declared.name)) {
      result.tables.emplace_back();
      result.tables.back().name = declared.name;
    }
    Table &table = *result.table(declared.name);
    keep(declared.columns, table.columns);
    keep(declared.constraints, table.constraints);
    keep(declared.indexes, table.indexes);
  }
  return result;
}

template <typename Objects> auto find_named(Objects &objects, const std::string &name) {
  return std::find_if(objects.begin(), objects.end(),
                      [&](const auto &each) { return each.name == name; });
}

template <typename Object> bool erase_named(std::vector<Object> &objects, const std::string &name) {
  const auto found = find_named(objects, name);
  if (found == objects.end())
    return false;
  objects.erase(found);
  return true;
}

inline bool starts_with(const std::string &text, const std::string &prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

inline bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

inline Target test_target() {
  Target target;
  target.schema = "public";
  target.owner = "cowrie";
  target.extension_schema = "ext";
  return target;
}

} // namespace test
} // namespace cowrie
