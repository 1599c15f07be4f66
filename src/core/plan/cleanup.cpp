// Cleanup plan: the steps that drop what exists of a version.
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
  std::vector<const ExistingObject *> columns;
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
      columns.push_back(&each);
    }
  }
  // Those of one phase of one table go together.
  for (auto each = columns.begin(); each != columns.end();) {
    const ExistingObject &first = **each;
    std::vector<std::string> names;
    for (; each != columns.end() && (*each)->phase == first.phase && (*each)->table == first.table;
         ++each)
      names.push_back((*each)->name);
    add(first.phase, "drop_columns", first.table,
        ddl::drop_columns(target.schema, first.table, names));
    steps.back().columns = std::move(names);
  }
  return steps;
}

} // namespace cowrie
