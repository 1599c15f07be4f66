// RepairPlan: the tables that are there, on their way to the declared shape.
#include "core/plan/repair.hpp"

#include <algorithm>
#include <optional>

#include "core/base/text.hpp"
#include "core/schema/ddl.hpp"
#include "core/schema/diff.hpp"
#include "core/sql/conversion.hpp"

namespace cowrie {

bool must_be_replaced(const Column &declared, const Column &observed) noexcept {
  return !declared.generated.empty() && (declared.type != observed.type ||
                                         !same_expression(declared.generated, observed.generated));
}

bool must_be_retyped(const Column &declared, const Column &observed) noexcept {
  return declared.generated.empty() && declared.type != observed.type;
}

std::string set_aside_name(const std::string &table) { return table + "_set_aside"; }

std::string free_column_name(const Table &observed, const std::string &name) {
  const std::string first = name + "_replaced";
  std::string result = first;
  for (int n = 2; observed.column(result); ++n)
    result = first + "_" + std::to_string(n);
  return result;
}

namespace {

template <typename Object> void erase_named(std::vector<Object> &objects, const std::string &name) {
  objects.erase(std::remove_if(objects.begin(), objects.end(),
                               [&](const Object &each) { return each.name == name; }),
                objects.end());
}

bool concerns(const Index &index, const std::string &column) {
  return std::any_of(index.columns.begin(), index.columns.end(),
                     [&](const IndexColumn &each) { return each.name == column; });
}

bool concerns(const Constraint &constraint, const std::string &column) {
  return std::find(constraint.columns.begin(), constraint.columns.end(), column) !=
         constraint.columns.end();
}

/** Follows what the server does with a column: with it go its indexes and constraints. */
void drop_column(Table &table, const std::string &column) {
  erase_named(table.columns, column);
  const auto with_it = [&](auto &objects) {
    objects.erase(std::remove_if(objects.begin(), objects.end(),
                                 [&](const auto &each) { return concerns(each, column); }),
                  objects.end());
  };
  with_it(table.constraints);
  with_it(table.indexes);
}

/** A foreign key of the user's that has to make way for a change of type. */
struct ForeignKey {
  std::string table;
  Constraint constraint;
};

Step repair_step(int phase, std::string name, const Table &table) {
  Step step;
  step.phase = phase;
  step.name = std::move(name);
  step.kind = StepKind::repair;
  step.table = table.name;
  step.lock_mode = "ACCESS EXCLUSIVE";
  return step;
}

/** The step that gives an existing table the declared columns: what stands alone first, then what
 *  loosens in one ALTER TABLE, then what changes types and adds columns in another. `seen` follows
 *  what the statements do. */
class TableRepair {
public:
  TableRepair(const Target &target, const Table &declared, Table &seen, bool filled)
      : target_(target), declared_(declared), seen_(seen), filled_(filled),
        step_(repair_step(0, "mend_" + declared.name, declared)) {}

  /** Nothing: there is nothing to repair. */
  std::optional<Step> step() {
    if (!seen_.logged)
      become_logged();
    for (const Column &each : declared_.columns)
      rename_former(each);
    if (holds_sessions())
      rename_list();
    relax();
    for (const Column &each : declared_.columns)
      if (Column *found = seen_.column(each.name))
        change(each, *found);
    alter(loosening_);
    // Session columns are filled in the one rewrite that follows.
    if (!holds_sessions()) {
      add_columns();
      alter(changes_);
    }
    if (step_.statements.empty() && step_.replaced.empty())
      return std::nullopt;
    return std::move(step_);
  }

private:
  bool holds_sessions() const { return declared_.phase == 0; }

  void say(const std::string &what) { append(step_.detail, what); }

  void alter(const std::vector<std::string> &clauses) {
    if (!clauses.empty())
      step_.statements.push_back(ddl::alter_table(target_.schema, declared_.name, clauses));
  }

  void rename(const std::string &from, const std::string &to) {
    step_.statements.push_back(ddl::rename_column(target_.schema, declared_.name, from, to));
  }

  void become_logged() {
    step_.statements.push_back(ddl::set_logged(target_.schema, declared_.name));
    seen_.logged = true;
    say("logged");
  }

  void rename_former(const Column &column) {
    for (const std::string &old : column.former_names) {
      if (seen_.column(column.name) || !seen_.column(old))
        continue;
      rename(old, column.name);
      seen_.column(old)->name = column.name;
      say(old + " named " + column.name);
    }
  }

  // A list of types cannot become one text without a loss: it takes the name that lists had, and
  // the rewrite takes the strongest type from it.
  void rename_list() {
    for (const Column &each : declared_.columns) {
      const Column *found = seen_.column(each.name);
      if (!found || each.type != "text" || !is_list_of_texts(*found))
        continue;
      const std::string &list = declared_.retired_columns.front();
      const std::string name = seen_.column(list) ? free_column_name(seen_, each.name) : list;
      rename(each.name, name);
      seen_.column(each.name)->name = name;
      say(each.name + " named " + name);
    }
  }

  /** Columns that may be NULL, before anything writes rows again: those of the user's too, without
   *  which no row could be added. What is in a key waits until the key is the declared one. */
  void relax() {
    const Constraint *key = seen_.primary_key();
    for (Column &each : seen_.columns) {
      const Column *declared = declared_.column(each.name);
      const bool wanted = declared ? !declared->not_null && declared->generated.empty()
                                   : !holds_sessions() && forbids_rows(each);
      if (!wanted || !each.not_null || (key && concerns(*key, each.name)))
        continue;
      loosening_.push_back("ALTER COLUMN " + quote_identifier(each.name) + " DROP NOT NULL");
      each.not_null = false;
      say(each.name + " nullable");
    }
  }

  void change(const Column &column, Column &found) {
    if (must_be_replaced(column, found)) {
      make_way(column, found);
    } else if (must_be_retyped(column, found)) {
      retype(column, found);
    } else if (column.generated.empty() && !found.generated.empty()) {
      loosening_.push_back(ddl::plain_clause(found));
      found.generated = {};
      say(column.name + " plain");
    }
  }

  /** A column that must become a generated one gives up its name; a generated one is dropped. */
  void make_way(const Column &column, const Column &found) {
    if (!found.generated.empty()) {
      loosening_.push_back("DROP COLUMN " + quote_identifier(column.name));
    } else {
      const std::string name = free_column_name(seen_, column.name);
      for (const Index &each : seen_.indexes)
        if (concerns(each, column.name) && each.ordinary)
          step_.statements.push_back(ddl::drop_index(target_.schema, each.name));
      rename(column.name, name);
      step_.replaced.push_back({column.name, name});
      // If it stays, new rows know nothing of it.
      loosening_.push_back("ALTER COLUMN " + quote_identifier(name) + " DROP DEFAULT");
      if (found.not_null)
        loosening_.push_back("ALTER COLUMN " + quote_identifier(name) + " DROP NOT NULL");
      say(column.name + " replaced");
    }
    drop_column(seen_, column.name);
  }

  void retype(const Column &column, Column &found) {
    if (const std::string plain = ddl::plain_clause(found); !plain.empty())
      loosening_.push_back(plain);
    found.default_value = {};
    found.generated = {};
    drop_checks(column.name);
    if (holds_sessions())
      return; // the rewrite converts
    const Conversion how = conversion(target_, column, found);
    changes_.push_back(ddl::retype_clause(column, how.values));
    if (!how.adjusted.empty())
      step_.counts.push_back({"SELECT count(*) FROM " + qualified(target_.schema, declared_.name) +
                                  " WHERE " + how.adjusted,
                              "documents with characters that jsonb lacks, now U+FFFD"});
    say(column.name + " " + found.type + " to " + column.type);
    found.type = column.type;
  }

  /** Checks on the column are parsed again against its new type: dropped here, added by the plan.
   */
  void drop_checks(const std::string &column) {
    const std::vector<Constraint> constraints = seen_.constraints;
    for (const Constraint &each : constraints)
      if (each.kind == ConstraintKind::check && concerns(each, column) &&
          by_name(declared_.constraints, each.name)) {
        loosening_.push_back("DROP CONSTRAINT " + quote_identifier(each.name));
        erase_named(seen_.constraints, each.name);
      }
  }

  /** A column without rows' values needs no rewrite to be added. */
  void add_columns() {
    for (const Column &each : declared_.columns) {
      if (seen_.column(each.name))
        continue;
      Column made = each;
      // What must not be NULL and has no default gets its values when the rows are loaded.
      if (filled_ && made.default_value.empty() && made.generated.empty())
        made.not_null = false;
      changes_.push_back("ADD COLUMN " + ddl::column_clause(made));
      seen_.columns.push_back(made);
      say(each.name + " added");
    }
  }

  const Target &target_;
  const Table &declared_;
  Table &seen_;
  const bool filled_; ///< there are rows
  Step step_;
  std::vector<std::string> loosening_, changes_; ///< clauses of the two ALTER TABLE
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
    step.detail = "its rows have lost their key; they are in " + aside;
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

  /** Foreign keys between tables of version 16, not declared, on a column that changes its type. */
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
    TableRepair repair(target_, table, *result_.after.table(table.name),
                       rows_.filled_tables.count(table.name) > 0);
    if (std::optional<Step> step = repair.step()) {
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
