// Row conflicts: the stored rows and a repair.
#include "core/inspect/row_conflicts.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/inspect/replication.hpp"
#include "core/inspect/validate.hpp"
#include "core/plan/table_repair.hpp"
#include "core/schema/ddl.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/conversion.hpp"

namespace cowrie {
namespace {

/** One session in so many: below that an UPDATE is cheaper than writing the whole table. */
constexpr std::int64_t few = 10;

/** The rows of one table, as they would be with the declared types. */
class TableRows {
public:
  TableRows(Database &database, const Table &declared, const Table &seen)
      : database_(database), declared_(declared), seen_(seen),
        name_(qualified(database.target().schema, declared.name)) {}

  const std::string &name() const { return name_; }

  /** `"ip_address"`, or what it will be converted to. */
  std::string value(const std::string &column, const std::string &alias = {}) const {
    const Column &declared = *declared_.column(column);
    const Column &found = *seen_.column(column);
    return must_be_retyped(declared, found)
               ? conversion(database_.target(), declared, found, alias).values
               : alias + quote_identifier(column);
  }

  bool has(const std::vector<std::string> &columns) const {
    return std::all_of(columns.begin(), columns.end(),
                       [&](const std::string &each) { return seen_.column(each); });
  }

  /** Counts in a subtransaction; nothing when a value does not even let itself be converted. */
  std::optional<std::int64_t> count(const std::string &sql, std::string &problem) const {
    std::optional<std::int64_t> result;
    try {
      database_.in_subtransaction([&] { result = database_.number(sql); });
    } catch (const Failure &failure) {
      if (failure.must_propagate || !starts_with(failure.sqlstate, "22"))
        throw;
      problem = failure.message;
    }
    return result;
  }

private:
  Database &database_;
  const Table &declared_;
  const Table &seen_;
  const std::string name_;
};

class DataLossFinder {
public:
  DataLossFinder(Database &database, Inspection &inspection)
      : database_(database), inspection_(inspection) {}

  void run() {
    for (Finding &each : inspection_.situation.findings) {
      const Table *declared = inspection_.declared.table(each.table);
      const Table *seen = inspection_.observed.table(each.table);
      if (!declared || !seen)
        continue;
      if (each.object_type == ObjectType::column && each.problem == Problem::wrong)
        column(each, *declared, *seen);
      else if (each.object_type == ObjectType::constraint)
        constraint(each, *declared, *seen);
    }
  }

private:
  const Target &target() const { return database_.target(); }
  std::string repair() const { return repair_call(target(), inspection_.situation); }

  // The remedy only decides about the rows; repair does the rest.
  static void loses(Finding &finding, const std::string &what, std::string remedy) {
    finding.loses_data = true;
    finding.loss = what;
    append(finding.actual, what, "; ");
    finding.remedy = std::move(remedy);
  }

  void column(Finding &finding, const Table &table, const Table &seen) {
    const Column *declared = table.column(finding.object);
    const Column *found = seen.column(finding.object);
    if (!declared || !found)
      return; // an undeclared column: its remedy is complete
    const TableRows rows(database_, table, seen);
    if (must_be_replaced(*declared, *found)) {
      finding.remedy = repair();
      return;
    }
    if (must_be_retyped(*declared, *found)) {
      finding.remedy = repair();
      if (!(table.phase == 0 && declared->type == "text" && is_list_of_texts(*found)))
        values_that_do_not_survive(finding, rows, table, seen, *declared, *found);
      keys_that_become_one(finding, rows, table);
      return;
    }
    if (declared->not_null && !found->not_null)
      nulls(finding, rows, table, seen, *declared, *found);
  }

  void values_that_do_not_survive(Finding &finding, const TableRows &rows, const Table &table,
                                  const Table &seen, const Column &declared, const Column &found) {
    const Conversion how = conversion(target(), declared, found);
    if (how.survives.empty())
      return;
    const std::string name = quote_identifier(declared.name);
    std::string problem;
    const auto lost = rows.count("SELECT count(*) FROM " + rows.name() + " WHERE " + name +
                                     " IS NOT NULL AND (" + how.survives + ") IS NOT TRUE",
                                 problem);
    if (lost == 0)
      return;
    const std::string kept = free_column_name(seen, declared.name);
    std::string aside = ddl::rename_column(target().schema, table.name, declared.name, kept) + ";";
    if (found.not_null)
      aside += " " + ddl::drop_not_null(target().schema, table.name, kept) + ";";
    loses(finding,
          "values that are not valid as " + declared.type + ": " +
              (lost ? std::to_string(*lost) : problem),
          aside);
    unreadable_.push_back(table.name + "." + declared.name);
  }

  // Two masks of one address are two values of inet and one text.
  void keys_that_become_one(Finding &finding, const TableRows &rows, const Table &table) {
    const Constraint *key = table.primary_key();
    if (key && rows.has(key->columns) && !unreadable(table.name, key->columns) &&
        std::find(key->columns.begin(), key->columns.end(), finding.object) != key->columns.end())
      duplicates(finding, rows, *key);
  }

  void nulls(Finding &finding, const TableRows &rows, const Table &table, const Table &seen,
             const Column &declared, const Column &found) {
    const std::string alter = ddl::alter_column(target().schema, table.name, declared, found) + ";";
    const std::string value =
        declared.default_value.empty() ? declared.fallback : declared.default_value.sql;
    // Only other declared columns can tell: where one of them is missing, repair adds it first.
    const bool known = std::all_of(table.columns.begin(), table.columns.end(),
                                   [&](const Column &each) { return seen.column(each.name); });
    if (!value.empty() && known)
      finding.remedy =
          ddl::fill_nulls(target().schema, table.name, declared.name, value) + "; " + alter;
    if (!value.empty())
      return;
    const std::string condition = quote_identifier(declared.name) + " IS NULL";
    std::string problem;
    const auto keyless =
        rows.count("SELECT count(*) FROM " + rows.name() + " WHERE " + condition, problem);
    if (keyless.value_or(0) > 0)
      loses(finding, "rows with NULL: " + std::to_string(*keyless),
            "DELETE FROM " + rows.name() + " WHERE " + condition + ";");
  }

  bool unreadable(const std::string &table, const std::vector<std::string> &columns) const {
    return std::any_of(columns.begin(), columns.end(), [&](const std::string &each) {
      return std::find(unreadable_.begin(), unreadable_.end(), table + "." + each) !=
             unreadable_.end();
    });
  }

  void constraint(Finding &finding, const Table &table, const Table &seen) {
    const Constraint *declared = by_name(table.constraints, finding.object);
    const TableRows rows(database_, table, seen);
    if (!declared || !rows.has(declared->columns) || unreadable(table.name, declared->columns))
      return;
    if (declared->kind == ConstraintKind::primary_key)
      duplicates(finding, rows, *declared);
    else if (declared->kind == ConstraintKind::check)
      violations(finding, rows, table, *declared);
  }

  void duplicates(Finding &finding, const TableRows &rows, const Constraint &key) {
    const std::string values =
        join(key.columns, ", ", [&](const std::string &each) { return rows.value(each); });
    const std::string same = join(key.columns, " AND ", [&](const std::string &each) {
      return rows.value(each, "a.") + " = " + rows.value(each, "b.");
    });
    std::string problem;
    const auto twice = rows.count("SELECT count(*) FROM (SELECT FROM " + rows.name() +
                                      " GROUP BY " + values + " HAVING count(*) > 1) AS repeated",
                                  problem);
    if (twice.value_or(0) > 0)
      loses(finding, "keys that occur more than once: " + std::to_string(*twice),
            "DELETE FROM " + rows.name() + " AS a USING " + rows.name() + " AS b WHERE " + same +
                " AND a.ctid < b.ctid;");
  }

  void violations(Finding &finding, const TableRows &rows, const Table &table,
                  const Constraint &check) {
    const std::string values = join(check.columns, ", ", [&](const std::string &each) {
      return rows.value(each) + " AS " + quote_identifier(each);
    });
    std::string problem;
    const auto violating =
        rows.count("SELECT count(*) FROM (SELECT " + values + " FROM " + rows.name() +
                       ") AS converted WHERE NOT (" + check.check.sql + ")",
                   problem);
    if (violating.value_or(0) == 0)
      return;
    const Column &column = *table.column(check.columns.front());
    const std::string where = " WHERE NOT (" + check.check.sql + ");";
    loses(finding, "rows that violate it: " + std::to_string(*violating),
          column.not_null && column.default_value.empty()
              ? "DELETE FROM " + rows.name() + where
              : "UPDATE " + rows.name() + " SET " + quote_identifier(column.name) + " = " +
                    (column.not_null ? "DEFAULT" : "NULL") + where);
  }

  Database &database_;
  Inspection &inspection_;
  std::vector<std::string> unreadable_; ///< columns whose values cannot be converted
};

} // namespace

void find_data_losses(Database &database, Inspection &inspection) {
  DataLossFinder(database, inspection).run();
}

FillCount count_unfilled(Database &database, const Situation &situation) {
  return database.count_unfilled(situation.subphase.has_value());
}

std::string has_rows_query(const Target &target, const std::string &table) {
  return "SELECT EXISTS (SELECT FROM " + qualified(target.schema, table) + ")";
}

namespace {

/** The declared tables that hold rows. */
std::set<std::string> filled_tables(Database &database, const Inspection &inspection) {
  std::set<std::string> result;
  for (const Table &table : inspection.declared.tables)
    if (table.phase > 0 && inspection.observed.table(table.name) &&
        database.query(has_rows_query(database.target(), table.name)).front().front() == "t")
      result.insert(table.name);
  return result;
}

/** Columns must change their type or be replaced, and something of the user's forbids it. */
void refuse_dependent_columns(Database &database, const Inspection &inspection) {
  for (const Table &table : inspection.declared.tables) {
    const Table *seen = inspection.observed.table(table.name);
    std::vector<std::string> changing;
    for (const Column &each : table.columns)
      if (const Column *found = seen ? seen->column(each.name) : nullptr)
        if (must_be_retyped(each, *found) || must_be_replaced(each, *found))
          changing.push_back(each.name);
    if (changing.empty())
      continue;
    const std::vector<std::string> users = database.users_of_columns(table.name, changing);
    if (!users.empty())
      throw Failure(sqlstate::dependent_objects,
                    "other objects depend on columns of \"" + table.name + "\" that must change",
                    join(users, "\n"),
                    "Save their definitions and drop them, run " +
                        database.target().migration("repair => true") + " and create them again.");
  }
}

FillBy choose_fill(Database &database, const Inspection &inspection) {
  const Table &sessions = filled_sessions(database.target().version);
  const Table &seen = *inspection.observed.table(sessions.name);
  std::vector<std::string> existing;
  bool whole = true;
  for (const Column &each : sessions.columns) {
    const Column *found = seen.column(each.name);
    whole = whole && found && !must_be_retyped(each, *found);
    if (found)
      existing.push_back(each.name);
  }
  // Without a record of phase 1 nobody has looked the raw events up for every session.
  if (whole && inspection.situation.subphase.value_or(0) >= 1) {
    const FillCount unfilled = count_unfilled(database, inspection.situation);
    if (unfilled.sessions == 0)
      return FillBy::nothing;
    // Subscribers have migrated as well, and are to have what is completed here.
    if (unfilled.sessions * few < unfilled.of || updates_are_sent(database))
      return FillBy::update;
  }
  return existing.empty() || database.users_of_columns(sessions.name, existing).empty()
             ? FillBy::rewrite
             : FillBy::update;
}

/** Tells whether the rows were derived by a run that has come to its end, and nothing differs since
 *  but indexes, constraints, and columns that are missing and that no session fills. */
bool only_catalog_differs(const Inspection &inspection) {
  const Situation &situation = inspection.situation;
  const int deriving = inspection.declared.last_deriving_phase();
  return situation.version >= inspection.declared.version_after(deriving) &&
         situation.subphase.value_or(0) >= deriving &&
         std::all_of(situation.findings.begin(), situation.findings.end(),
                     [&](const Finding &each) {
                       return each.object_type == ObjectType::index ||
                              each.object_type == ObjectType::constraint ||
                              each.object_type == ObjectType::version ||
                              (each.object_type == ObjectType::column && each.phase > deriving &&
                               each.problem == Problem::missing);
                     });
}

/** Where a foreign key is there and validated, there is none. */
bool has_orphans(Database &database, const Inspection &inspection) {
  for (const Table &table : inspection.declared.tables)
    for (const Constraint &each : table.constraints) {
      if (each.kind != ConstraintKind::foreign_key)
        continue;
      const Constraint *same = same_definition(*inspection.observed.table(table.name), each);
      if ((!same || !same->validated) && orphans_of(database, table, each) > 0)
        return true;
    }
  return false;
}

} // namespace

RowFacts row_facts(Database &database, const Inspection &inspection) {
  RowFacts facts;
  facts.filled_tables = filled_tables(database, inspection);
  refuse_dependent_columns(database, inspection);
  facts.fill_by = choose_fill(database, inspection);
  facts.complete = facts.fill_by == FillBy::nothing && only_catalog_differs(inspection) &&
                   !has_orphans(database, inspection);
  return facts;
}

} // namespace cowrie
