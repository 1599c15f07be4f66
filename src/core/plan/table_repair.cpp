// Table repair: what one existing table needs to get the declared columns.
#include "core/plan/table_repair.hpp"

#include "core/base/text.hpp"
#include "core/schema/ddl.hpp"
#include "core/schema/diff.hpp"
#include "core/sql/conversion.hpp"

#include <algorithm>

namespace cowrie {

bool must_be_replaced(const Column &declared, const Column &observed) noexcept {
  return !declared.generated.empty() && (declared.type != observed.type ||
                                         !same_expression(declared.generated, observed.generated));
}

bool must_be_retyped(const Column &declared, const Column &observed) noexcept {
  return declared.generated.empty() && declared.type != observed.type;
}

std::string free_column_name(const Table &observed, const std::string &name) {
  const std::string first = name + "_replaced";
  std::string result = first;
  for (int n = 2; observed.column(result); ++n)
    result = first + "_" + std::to_string(n);
  return result;
}

Step repair_step(int phase, std::string name, const Table &table) {
  Step step;
  step.phase = phase;
  step.name = std::move(name);
  step.kind = StepKind::repair;
  step.table = table.name;
  step.lock_mode = "ACCESS EXCLUSIVE";
  return step;
}

namespace {

bool concerns(const Index &index, const std::string &column) {
  return std::any_of(index.columns.begin(), index.columns.end(),
                     [&](const IndexColumn &each) { return each.name == column; });
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

/** The step that gives an existing table the declared columns: what stands alone first, then what
 *  loosens in one ALTER TABLE, then what changes types and adds columns in another. `seen` follows
 *  what the statements do. */
class TableRepair {
public:
  TableRepair(const Target &target, const Table &declared, Table &seen, bool filled)
      : target_(target), declared_(declared), seen_(seen), filled_(filled),
        step_(repair_step(0, "repair_" + declared.name, declared)) {}

  /** Nothing: there is nothing to repair. */
  std::optional<Step> step() {
    if (!seen_.logged)
      become_logged();
    for (const Column &each : declared_.columns)
      rename_former(each);
    if (holds_sessions())
      rename_list();
    drop_identities();
    relax();
    for (const Column &each : declared_.columns)
      if (Column *found = seen_.column(each.name))
        change(each, *found);
    alter(loosening_);
    // Session columns are added before the one rewrite that fills them.
    if (!holds_sessions())
      add_columns();
    alter(changes_);
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
      if (!found || each.type != "text" || each.filled_by != FilledBy::migration ||
          !is_list_of_texts(*found))
        continue;
      const std::string &list = declared_.retired_columns.front();
      const std::string name = seen_.column(list) ? free_column_name(seen_, each.name) : list;
      rename(each.name, name);
      seen_.column(each.name)->name = name;
      say(each.name + " named " + name);
    }
  }

  /** First of all, as the server accepts neither DROP NOT NULL nor a default for an identity. */
  void drop_identities() {
    for (const Column &each : declared_.columns) {
      Column *found = seen_.column(each.name);
      if (!found || !ddl::is_identity(*found) || must_be_replaced(each, *found))
        continue;
      loosening_.push_back(ddl::plain_clause(*found));
      found->default_value = {};
      say(each.name + " no identity");
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

  /** A column that must become a generated one gives up its name; a generated one is dropped. What
   *  of the user's hangs on it is carried over by the run. */
  void make_way(const Column &column, const Column &found) {
    step_.replaces.push_back(column.name);
    if (!found.generated.empty()) {
      loosening_.push_back("DROP COLUMN " + quote_identifier(column.name));
    } else {
      const std::string name = free_column_name(seen_, column.name);
      for (const Index &each : seen_.indexes)
        if (concerns(each, column.name) && by_name(declared_.indexes, each.name))
          step_.statements.push_back(ddl::drop_index(target_.schema, each.name));
      rename(column.name, name);
      step_.replaced.push_back({column.name, name});
      // If it stays, new rows know nothing of it.
      loosening_.push_back("ALTER COLUMN " + quote_identifier(name) +
                           (ddl::is_identity(found) ? " DROP IDENTITY" : " DROP DEFAULT"));
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
    if (holds_sessions() && column.filled_by == FilledBy::migration)
      return; // the rewrite converts
    const Conversion how = conversion(target_, column, found);
    changes_.push_back(ddl::retype_clause(column, how.values));
    if (!how.adjusted.empty())
      step_.counts.push_back(
          {"SELECT count(*) FROM " + qualified(target_.schema, declared_.name) + " WHERE " +
               how.adjusted,
           "documents with characters that jsonb cannot hold, replaced by U+FFFD"});
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

} // namespace

std::optional<Step> repair_of(const Target &target, const Table &declared, Table &observed,
                              bool filled) {
  return TableRepair(target, declared, observed, filled).step();
}

} // namespace cowrie
