// RepairPlan: the tables that are there, on their way to the declared shape.
#include "core/plan/repair.hpp"

#include <algorithm>
#include <optional>

#include "core/plan/table_repair.hpp"
#include "core/schema/ddl.hpp"
#include "core/schema/diff.hpp"

namespace cowrie {

std::string set_aside_name(const std::string &table) { return table + "_set_aside"; }

namespace {

/** A foreign key of the user's that has to make way for a change of type. */
struct ForeignKey {
  std::string table;
  Constraint constraint;
};

class RepairPlanner {
public:
  RepairPlanner(const Schema &declared, const Schema &observed, const Target &target,
                const RowFacts &rows)
      : declared_(declared), target_(target), rows_(rows) {
    result_.after = observed;
  }

  RepairPlan run() {
    for (const Table &table : declared_.tables)
      if (table.phase > 0 && result_.after.table(table.name))
        set_aside_without_key(table);
    for (const Table &table : declared_.tables)
      if (result_.after.table(table.name))
        repair_with_relatives(table);
    std::stable_sort(result_.steps.begin(), result_.steps.end(),
                     [](const Step &a, const Step &b) { return a.phase < b.phase; });
    return std::move(result_);
  }

private:
  static int phase_of(const Table &table) { return std::max(table.phase, 1); }

  Step &add(int phase, std::string name, const Table &table) {
    result_.steps.push_back(repair_step(phase, std::move(name), table));
    return result_.steps.back();
  }

  // Rows without their key cannot be told apart any more, but they may hold what nobody else
  // knows: the table keeps them under another name.
  void set_aside_without_key(const Table &table) {
    const Table &seen = *result_.after.table(table.name);
    const std::vector<std::string> &key = table.primary_key()->columns;
    const bool whole = std::all_of(key.begin(), key.end(), [&](const std::string &each) {
      const Column &column = *table.column(each);
      return seen.column(each) ||
             std::any_of(column.former_names.begin(), column.former_names.end(),
                         [&](const std::string &old) { return seen.column(old); });
    });
    if (whole || rows_.filled_tables.count(table.name) == 0)
      return;
    const std::string aside = set_aside_name(table.name);
    Step &step = add(phase_of(table), "set_aside_" + table.name, table);
    // Names of keys and indexes are unique in a schema: the new table needs them. The declared
    // foreign keys have been set aside before.
    for (const Constraint &each : seen.constraints)
      if (by_name(table.constraints, each.name) && each.kind != ConstraintKind::foreign_key)
        step.statements.push_back(ddl::drop_constraint(target_.schema, table.name, each.name));
    for (const Index &each : seen.indexes)
      if (by_name(table.indexes, each.name))
        step.statements.push_back(ddl::drop_index(target_.schema, each.name));
    step.statements.push_back(ddl::rename_table(target_.schema, table.name, aside));
    step.detail = "its rows have no key and are now in " + aside;
    step.aside = aside;
    auto &tables = result_.after.tables;
    tables.erase(std::remove_if(tables.begin(), tables.end(),
                                [&](const Table &each) { return each.name == table.name; }),
                 tables.end());
  }

  /** The columns of a table whose type will change. */
  std::vector<const Column *> retyped(const Table &table) const {
    std::vector<const Column *> result;
    const Table *seen = result_.after.table(table.name);
    for (const Column &each : table.columns)
      if (const Column *found = seen ? seen->column(each.name) : nullptr)
        if (must_be_retyped(each, *found))
          result.push_back(found);
    return result;
  }

  /** Foreign keys between declared tables, not declared, on a column that changes its type. */
  std::vector<ForeignKey> keys_on_retyped(const Table &table) const {
    std::vector<ForeignKey> result;
    for (const Table &from : result_.after.tables)
      for (const Constraint &each : from.constraints) {
        if (each.kind != ConstraintKind::foreign_key || is_declared(from, each))
          continue;
        for (const Column *column : retyped(table)) {
          const bool refers = from.name == table.name && concerns(each, column->name);
          const bool referred = each.target_table == table.name &&
                                std::find(each.target_columns.begin(), each.target_columns.end(),
                                          column->name) != each.target_columns.end();
          if (refers || referred) {
            result.push_back({from.name, each});
            break;
          }
        }
      }
    return result;
  }

  bool is_declared(const Table &from, const Constraint &constraint) const {
    const Table *table = declared_.table(from.name);
    return table && std::any_of(table->constraints.begin(), table->constraints.end(),
                                [&](const Constraint &each) {
                                  return each.name == constraint.name ||
                                         same_definition(from, each) == &constraint;
                                });
  }

  // Both ends of a foreign key change their type together, in one phase: between two phases the
  // key could not exist, and would be forgotten if the second one failed.
  void repair_with_relatives(const Table &table) {
    const std::vector<ForeignKey> keys = keys_on_retyped(table);
    for (const ForeignKey &each : keys) {
      add(phase_of(table), "unlink_" + each.table, *declared_.table(each.table)).statements = {
          ddl::drop_constraint(target_.schema, each.table, each.constraint.name)};
      erase_named(result_.after.table(each.table)->constraints, each.constraint.name);
    }
    repair(table, phase_of(table));
    for (const ForeignKey &each : keys)
      for (const std::string &relative : {each.table, each.constraint.target_table})
        if (relative != table.name && declared_.table(relative) && result_.after.table(relative) &&
            !retyped(*declared_.table(relative)).empty())
          repair(*declared_.table(relative), phase_of(table));
    for (const ForeignKey &each : keys) {
      add(phase_of(table), "link_" + each.table, *declared_.table(each.table)).statements = {
          ddl::alter_table(target_.schema, each.table,
                           {"ADD CONSTRAINT " + quote_identifier(each.constraint.name) + " " +
                            each.constraint.shown})};
      result_.after.table(each.table)->constraints.push_back(each.constraint);
    }
  }

  void repair(const Table &table, int phase) {
    if (std::optional<Step> step = repair_of(target_, table, *result_.after.table(table.name),
                                             rows_.filled_tables.count(table.name) > 0)) {
      step->phase = phase;
      result_.steps.push_back(*std::move(step));
    }
  }

  const Schema &declared_;
  const Target &target_;
  const RowFacts &rows_;
  RepairPlan result_;
};

} // namespace

RepairPlan plan_repair(const Schema &declared, const Schema &observed, const Target &target,
                       const RowFacts &rows) {
  return RepairPlanner(declared, observed, target, rows).run();
}

} // namespace cowrie
