// Presence: what exists of the declaration, in whatever shape.
#include <algorithm>

#include "core/schema_diff.hpp"

namespace cowrie {

std::vector<Presence> present(const Schema &declared, const Schema &observed, int after_phase) {
  std::vector<Presence> result;
  for (const Table &table : declared.tables) {
    const Table *found = observed.table(table.name);
    if (!found)
      continue;
    if (table.phase > after_phase) {
      result.push_back({ObjectType::table, table.name, table.name, table.phase, table.name});
      continue; // its parts go with it
    }
    for (const Column &each : table.columns)
      if (each.phase > after_phase && found->column(each.name))
        result.push_back({ObjectType::column, table.name, each.name, each.phase, each.name});
    if (after_phase == 0)
      for (const std::string &retired : table.retired_columns)
        if (found->column(retired))
          result.push_back({ObjectType::column, table.name, retired, 1, retired});
    for (const Constraint &each : table.constraints) {
      if (each.phase <= after_phase)
        continue;
      const Constraint *same = same_definition(*found, each);
      if (!same)
        same = by_name(found->constraints, each.name);
      if (same)
        result.push_back({ObjectType::constraint, table.name, same->name, each.phase, each.name});
    }
    for (const Index &each : table.indexes) {
      if (each.phase <= after_phase)
        continue;
      const Index *same = by_name(found->indexes, each.name);
      const bool ours = std::any_of(each.columns.begin(), each.columns.end(),
                                    [&](const IndexColumn &c) { return table.column(c.name); });
      if (!same && ours)
        same = same_definition(*found, each);
      if (same)
        result.push_back({ObjectType::index, table.name, same->name, each.phase, each.name});
    }
  }
  return result;
}

} // namespace cowrie
