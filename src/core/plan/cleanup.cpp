// Cleanup plan: the steps that drop what exists of version 16.
#include "core/plan/cleanup.hpp"

#include <algorithm>

#include "core/schema/ddl.hpp"
#include "core/schema/existing_objects.hpp"

namespace cowrie {

std::vector<Step> plan_cleanup(const Schema &declared, const Schema &observed, const Target &target,
                               int to_phase) {
  std::vector<Step> steps;
  const auto add = [&](int phase, std::string name, const std::string &table, std::string sql,
                       std::string detail = {}, std::string relation = {}) {
    Step step;
    step.phase = phase;
    step.kind = StepKind::drop;
    step.name = std::move(name);
    step.table = table;
    step.lock_mode = "ACCESS EXCLUSIVE";
    step.statements = {std::move(sql)};
    step.detail = std::move(detail);
    step.relation = std::move(relation);
    steps.push_back(std::move(step));
  };
  std::vector<ExistingObject> objects = existing_objects(declared, observed, to_phase);
  // Backwards: constraints before the tables they point to, columns last.
  std::stable_sort(
      objects.begin(), objects.end(),
      [](const ExistingObject &a, const ExistingObject &b) { return a.phase > b.phase; });
  std::vector<std::string> columns;
  for (const ExistingObject &each : objects) {
    const std::string detail =
        each.name == each.declared ? "" : "named " + quote_identifier(each.name);
    switch (each.object_type) {
    case ObjectType::constraint:
      add(each.phase, "drop_" + each.declared, each.table,
          ddl::drop_constraint(target.schema, each.table, each.name), detail);
      break;
    case ObjectType::index:
      add(each.phase, "drop_" + each.declared, each.table,
          ddl::drop_index(target.schema, each.name), detail, each.name);
      break;
    case ObjectType::table:
      add(each.phase, "drop_" + each.name, each.name, ddl::drop_table(target.schema, each.name),
          detail, each.name);
      break;
    default:
      columns.push_back(each.name);
    }
  }
  if (!columns.empty()) {
    add(1, "drop_columns", "session_summaries",
        ddl::drop_columns(target.schema, "session_summaries", columns));
    steps.back().columns = std::move(columns);
  }
  return steps;
}

} // namespace cowrie
