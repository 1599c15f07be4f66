// Losses: what cleanup would drop and no migration can derive from the sessions again.
#include "core/run/losses.hpp"

#include <algorithm>

#include "core/base/text.hpp"
#include "core/schema/v15.hpp"

namespace cowrie {
namespace {

constexpr const char *sessions_table = "session_summaries";

/** `ip_inventory` has rows, `session_summaries` has sessions. */
std::string noun(const std::string &table, std::int64_t count) {
  const std::string one = table == sessions_table ? "session" : "row";
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

/** The observed columns of the sessions that would be dropped, the retired ones among them. */
std::vector<const Column *> session_columns(const CleanupScope &scope) {
  std::vector<const Column *> result;
  const Table &declared = *scope.declared.table(sessions_table);
  const Table *observed = scope.observed.table(sessions_table);
  if (!observed)
    return result;
  const auto add = [&](const std::string &name) {
    if (const Column *found = observed->column(name))
      result.push_back(found);
  };
  for (const Column &each : declared.columns)
    if (each.phase > scope.to_phase)
      add(each.name);
  if (scope.to_phase == 0)
    for (const std::string &each : declared.retired_columns)
      add(each);
  return result;
}

/** A value of this column that says something: an empty array does not. */
std::string holds_a_value(const Column &column) {
  const std::string name = quote_identifier(column.name);
  return column.type == "text[]" ? "cardinality(" + name + ") > 0" : name + " IS NOT NULL";
}

/** Values in a column that is not declared and that its default does not give. */
std::string is_no_default(const Column &column) {
  const std::string name = quote_identifier(column.name);
  const std::string &sql = column.default_value.sql;
  const bool constant = !sql.empty() && column.default_value.form != identity_form &&
                        sql.find('(') == std::string::npos;
  return constant ? name + "::text <> (" + sql + ")::text" : name + " IS NOT NULL";
}

/** Tells whether a column is a declared one, under its name or in its place under a former one. */
bool stands_for_declared(const Table &declared, const Table &observed, const std::string &name) {
  return std::any_of(declared.columns.begin(), declared.columns.end(), [&](const Column &each) {
    return each.name == name || (!observed.column(each.name) &&
                                 std::find(each.former_names.begin(), each.former_names.end(),
                                           name) != each.former_names.end());
  });
}

std::vector<const Column *> undeclared_columns(const Table &declared, const Table &observed) {
  std::vector<const Column *> result;
  for (const Column &each : observed.columns)
    if (each.generated.empty() && !stands_for_declared(declared, observed, each.name))
      result.push_back(&each);
  return result;
}

class Counter {
public:
  Counter(Database &database, const CleanupScope &scope)
      : database_(database), scope_(scope), target_(database.target()) {}

  std::vector<Loss> everything() {
    std::string any;
    for (const Column *each : session_columns(scope_))
      append(any, holds_a_value(*each), " OR ");
    if (!any.empty())
      add(sessions_table, "with values that would be dropped", count(sessions_table, any));
    for (const Table *each : removed_tables())
      add(each->name, "", count(each->name, "true"));
    return std::move(losses_);
  }

  std::vector<Loss> compared() {
    if (session_columns(scope_).empty() && removed_tables().empty())
      return {};
    values_of_the_application();
    if (scope_.to_phase >= scope_.declared.last_deriving_phase())
      return std::move(losses_);
    const Schema base = database_.observe(schema_v15());
    for (const Row &row :
         database_.query(unexplained_rows(target_, scope_, *base.table(sessions_table))))
      add(row.at(0).value_or(""), row.at(1).value_or(""), to_number(row.at(2)));
    for (const Table *each : removed_tables())
      for (const Column *column : undeclared_columns(*each, *scope_.observed.table(each->name)))
        add(each->name, "with a value in column " + quote_identifier(column->name),
            count(each->name, is_no_default(*column)));
    return std::move(losses_);
  }

private:
  /** Values that no session's document gives: only the application writes them. */
  void values_of_the_application() {
    std::string any;
    for (const Column *each : session_columns(scope_))
      if (const Column *declared = scope_.declared.table(sessions_table)->column(each->name);
          declared && declared->filled_by == FilledBy::application)
        append(any, holds_a_value(*each), " OR ");
    if (!any.empty())
      add(sessions_table, "with values that only the application writes",
          count(sessions_table, any));
  }

  /** The declared tables that are there and would be dropped. */
  std::vector<const Table *> removed_tables() const {
    std::vector<const Table *> result;
    for (const Table &each : scope_.declared.tables)
      if (each.phase > scope_.to_phase && scope_.observed.table(each.name))
        result.push_back(&each);
    return result;
  }

  std::int64_t count(const std::string &table, const std::string &condition) {
    return database_.number("SELECT count(*) FROM " + qualified(target_.schema, table) + " WHERE " +
                            condition);
  }

  void add(const std::string &table, std::string reason, std::int64_t rows) {
    if (rows > 0)
      losses_.push_back({table, rows, std::move(reason)});
  }

  Database &database_;
  const CleanupScope &scope_;
  const Target &target_;
  std::vector<Loss> losses_;
};

} // namespace

std::string Loss::words() const { return table + ": " + words_without_table(); }

std::string Loss::words_without_table() const {
  return noun(table, rows) + (reason.empty() ? "" : " " + reason);
}

std::vector<Loss> count_losses(Database &database, const CleanupScope &scope, bool on_record) {
  Counter counter(database, scope);
  return on_record ? counter.compared() : counter.everything();
}

std::string saving_statement(const Target &target, const CleanupScope &scope,
                             const std::string &table) {
  std::string columns;
  if (table == sessions_table) {
    columns = quote_identifier("session_id");
    for (const Column *each : session_columns(scope))
      columns += ", " + quote_identifier(each->name);
  }
  return "CREATE TABLE " + qualified(target.schema, "saved_" + table) + " AS SELECT " +
         (columns.empty() ? "*" : columns) + " FROM " + qualified(target.schema, table) + ";";
}

} // namespace cowrie
