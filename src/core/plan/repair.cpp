// Mending: the tables that are there, on their way to the declared shape.
#include "core/plan/repair.hpp"

#include <algorithm>

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

class Mender {
public:
  Mender(const Schema &declared, const Schema &observed, const Target &target, const RowFacts &rows)
      : declared_(declared), target_(target), rows_(rows) {
    result_.after = observed;
  }

  Mending run() {
    for (const Table &table : declared_.tables)
      if (table.phase > 0 && result_.after.table(table.name))
        set_aside_without_key(table);
    for (const Table &table : declared_.tables)
      if (result_.after.table(table.name))
        mend_with_relatives(table);
    std::stable_sort(result_.steps.begin(), result_.steps.end(),
                     [](const Step &a, const Step &b) { return a.phase < b.phase; });
    return std::move(result_);
  }

private:
  static int phase_of(const Table &table) { return std::max(table.phase, 1); }

  Step &add(int phase, std::string name, const Table &table, StepKind kind = StepKind::mend) {
    Step step;
    step.phase = phase;
    step.name = std::move(name);
    step.kind = kind;
    step.table = table.name;
    step.lock_mode = "ACCESS EXCLUSIVE";
    result_.steps.push_back(std::move(step));
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
  std::vector<ForeignKey> in_the_way(const Table &table) const {
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
  void mend_with_relatives(const Table &table) {
    const std::vector<ForeignKey> keys = in_the_way(table);
    for (const ForeignKey &each : keys) {
      add(phase_of(table), "unlink_" + each.table, *declared_.table(each.table)).statements = {
          ddl::drop_constraint(target_.schema, each.table, each.constraint.name)};
      erase_named(result_.after.table(each.table)->constraints, each.constraint.name);
    }
    mend(table, phase_of(table));
    for (const ForeignKey &each : keys)
      for (const std::string &relative : {each.table, each.constraint.target_table})
        if (relative != table.name && declared_.table(relative) && result_.after.table(relative) &&
            !retyped(*declared_.table(relative)).empty())
          mend(*declared_.table(relative), phase_of(table));
    for (const ForeignKey &each : keys) {
      add(phase_of(table), "link_" + each.table, *declared_.table(each.table)).statements = {
          ddl::alter_table(target_.schema, each.table,
                           {"ADD CONSTRAINT " + quote_identifier(each.constraint.name) + " " +
                            each.constraint.shown})};
      result_.after.table(each.table)->constraints.push_back(each.constraint);
    }
  }

  void mend(const Table &table, int phase) {
    Table &seen = *result_.after.table(table.name);
    const bool sessions = table.phase == 0;
    Step step;
    std::vector<std::string> before, clauses;
    std::string words;
    const auto note = [&](const std::string &what) { words += (words.empty() ? "" : ", ") + what; };

    if (!seen.logged) {
      step.statements.push_back(ddl::set_logged(target_.schema, table.name));
      seen.logged = true;
      note("logged");
    }
    for (const Column &each : table.columns)
      rename_former(table, seen, each, step, note);
    if (sessions)
      rename_list(table, seen, step, note);
    relax(table, seen, before, note);
    std::vector<const Column *> added;
    for (const Column &each : table.columns) {
      Column *found = seen.column(each.name);
      if (found && must_be_replaced(each, *found))
        make_way(table, seen, each, *found, step, before, note);
      else if (found && must_be_retyped(each, *found))
        retype(table, each, *found, step, before, clauses, note);
      else if (found && each.generated.empty() && !found->generated.empty()) {
        before.push_back(ddl::plain_clause(*found));
        found->generated = {};
        note(each.name + " plain");
      }
      if (!seen.column(each.name) && !sessions)
        added.push_back(&each);
    }
    // Session columns are filled in the one rewrite that follows; a column without rows' values
    // needs no rewrite to be added.
    const std::string prepared = ddl::alter_table(target_.schema, table.name, before);
    if (!prepared.empty())
      step.statements.push_back(prepared);
    if (!sessions) {
      const bool filled = rows_.filled_tables.count(table.name) > 0;
      for (const Column *each : added) {
        Column made = *each;
        // What must not be NULL and has no default gets its values when the rows are loaded.
        if (filled && made.default_value.empty() && made.generated.empty())
          made.not_null = false;
        clauses.push_back("ADD COLUMN " + ddl::column_clause(made));
        seen.columns.push_back(made);
        note(each->name + " added");
      }
      const std::string changed = ddl::alter_table(target_.schema, table.name, clauses);
      if (!changed.empty())
        step.statements.push_back(changed);
    }
    if (step.statements.empty() && step.replaced.empty())
      return;
    Step &made = add(phase, "mend_" + table.name, table);
    made.statements = std::move(step.statements);
    made.counts = std::move(step.counts);
    made.replaced = std::move(step.replaced);
    made.detail = std::move(words);
  }

  /** Columns that may be NULL, before anything writes rows again: those of the user's too, without
   *  which no row could be added. What is in a key waits until the key is the declared one. */
  template <typename Note>
  void relax(const Table &table, Table &seen, std::vector<std::string> &before, Note note) {
    const Constraint *key = seen.primary_key();
    for (Column &each : seen.columns) {
      const Column *declared = table.column(each.name);
      const bool wanted = declared ? !declared->not_null && declared->generated.empty()
                                   : table.phase > 0 && forbids_rows(each);
      if (!wanted || !each.not_null || (key && concerns(*key, each.name)))
        continue;
      before.push_back("ALTER COLUMN " + quote_identifier(each.name) + " DROP NOT NULL");
      each.not_null = false;
      note(each.name + " nullable");
    }
  }

  template <typename Note>
  void rename_former(const Table &table, Table &seen, const Column &column, Step &step, Note note) {
    for (const std::string &old : column.former_names) {
      if (seen.column(column.name) || !seen.column(old))
        continue;
      step.statements.push_back(ddl::rename_column(target_.schema, table.name, old, column.name));
      seen.column(old)->name = column.name;
      note(old + " named " + column.name);
    }
  }

  // A list of types cannot become one text without a loss: it takes the name that lists had, and
  // the rewrite takes the strongest type from it.
  template <typename Note>
  void rename_list(const Table &table, Table &seen, Step &step, Note note) {
    for (const Column &each : table.columns) {
      const Column *found = seen.column(each.name);
      if (!found || each.type != "text" || !is_list_of_texts(*found))
        continue;
      const std::string &list = table.retired_columns.front();
      const std::string kept = seen.column(list) ? free_column_name(seen, each.name) : list;
      step.statements.push_back(ddl::rename_column(target_.schema, table.name, each.name, kept));
      seen.column(each.name)->name = kept;
      note(each.name + " named " + kept);
    }
  }

  /** A column that must become a generated one gives up its name; a generated one simply goes. */
  template <typename Note>
  void make_way(const Table &table, Table &seen, const Column &column, Column &found, Step &step,
                std::vector<std::string> &before, Note note) {
    if (!found.generated.empty()) {
      before.push_back("DROP COLUMN " + quote_identifier(column.name));
    } else {
      const std::string kept = free_column_name(seen, column.name);
      for (const Index &each : seen.indexes)
        if (concerns(each, column.name) && each.ordinary)
          step.statements.push_back(ddl::drop_index(target_.schema, each.name));
      step.statements.push_back(ddl::rename_column(target_.schema, table.name, column.name, kept));
      step.replaced.push_back({column.name, kept});
      // If it stays, new rows know nothing of it.
      before.push_back("ALTER COLUMN " + quote_identifier(kept) + " DROP DEFAULT");
      if (found.not_null)
        before.push_back("ALTER COLUMN " + quote_identifier(kept) + " DROP NOT NULL");
      note(column.name + " replaced");
    }
    drop_column(seen, column.name);
  }

  template <typename Note>
  void retype(const Table &table, const Column &column, Column &found, Step &step,
              std::vector<std::string> &before, std::vector<std::string> &clauses, Note note) {
    if (const std::string plain = ddl::plain_clause(found); !plain.empty())
      before.push_back(plain);
    found.default_value = {};
    found.generated = {};
    drop_checks(table, column.name, before);
    if (table.phase == 0)
      return; // the rewrite converts
    const Conversion how = conversion(target_, column, found);
    clauses.push_back(ddl::retype_clause(column, how.values));
    if (!how.adjusted.empty())
      step.counts.push_back({"SELECT count(*) FROM " + qualified(target_.schema, table.name) +
                                 " WHERE " + how.adjusted,
                             "documents with characters that jsonb lacks, now U+FFFD"});
    note(column.name + " " + found.type + " to " + column.type);
    found.type = column.type;
  }

  /** Checks on the column are parsed anew against its new type: dropped here, added by the plan. */
  void drop_checks(const Table &table, const std::string &column,
                   std::vector<std::string> &before) {
    Table &seen = *result_.after.table(table.name);
    const std::vector<Constraint> constraints = seen.constraints;
    for (const Constraint &each : constraints)
      if (each.kind == ConstraintKind::check && concerns(each, column) &&
          by_name(table.constraints, each.name)) {
        before.push_back("DROP CONSTRAINT " + quote_identifier(each.name));
        erase_named(seen.constraints, each.name);
      }
  }

  const Schema &declared_;
  const Target &target_;
  const RowFacts &rows_;
  Mending result_;
};

} // namespace

Mending plan_mending(const Schema &declared, const Schema &observed, const Target &target,
                     const RowFacts &rows) {
  return Mender(declared, observed, target, rows).run();
}

} // namespace cowrie
