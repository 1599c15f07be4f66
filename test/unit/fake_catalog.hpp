// A catalog in memory: what a statement of this project does to a schema.
//
// It does not parse SQL. It knows the statements that core can write, because it asks the same
// functions (ddl, derivation) for their texts. What a statement does to a real catalog it does
// here, with the server's SQLSTATE where a real one would refuse.
#pragma once

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/schema/ddl.hpp"
#include "core/sql/derivation.hpp"
#include "core/base/failure.hpp"
#include "core/schema/v16.hpp"
#include "fake_schema.hpp"

namespace cowrie::test {

inline void require(bool condition, const char *sqlstate, const std::string &about) {
  if (!condition)
    throw Failure(sqlstate, "the fake server refuses: " + about);
}

class FakeCatalog {
public:
  FakeCatalog(Schema &schema, const Target &target) : schema_(schema), target_(target) {}

  /** Makes, fills or drops the tables that exist only during a run; false: it is none of that. */
  bool helper_table(const std::string &sql) {
    for (const char *helper :
         {derivation::staging_table, derivation::event_table, derivation::chosen_table}) {
      const std::string made = name(helper);
      if (makes(helper, sql)) {
        require(!schema_.table(helper), "42P07", helper);
        schema_.tables.emplace_back();
        schema_.tables.back().name = helper;
      } else if (sql == "DROP TABLE " + made) {
        require(erase_named(schema_.tables, helper), "42P01", helper);
      } else if (completes(helper, sql)) {
        require(schema_.table(helper), "42P01", helper);
      } else {
        continue;
      }
      return true;
    }
    return false;
  }

  /** Applies a statement about one declared table; nothing: it is about something else. */
  std::optional<std::int64_t> change(const Table &declared, const std::string &sql) {
    const std::string &schema = target_.schema;
    Table *seen = schema_.table(declared.name);
    if (sql == ddl::comment_on_table(schema, declared)) {
      require(seen, "42P01", sql);
      return 0;
    }
    if (sql == ddl::create_table(schema, declared)) {
      require(!seen, "42P07", sql);
      Table made = declared;
      made.constraints.clear();
      made.indexes.clear();
      schema_.tables.push_back(made);
      return 0;
    }
    for (const bool fits : {false, true})
      if (declared.name == "ip_inventory" && sql == derivation::load_chosen(target_, fits)) {
        require(seen && schema_.table(derivation::chosen_table), "42P01", sql);
        return 100;
      }
    const std::string load =
        derivation::load_rows(target_, declared.name, derivation::OnExisting::none_there);
    if (declared.phase > 0 && starts_with(sql, load)) {
      require(seen && schema_.table(derivation::staging_table), "42P01", sql);
      // ON CONFLICT needs the key that it names.
      require(sql == load || same_definition(*seen, *declared.primary_key()), "42P10", sql);
      return 100;
    }
    if (declared.name == "asn_inventory" && sql == derivation::add_missing_asns(target_)) {
      require(seen && schema_.table("ip_inventory"), "42P01", sql);
      return 0;
    }
    const std::string alter = "ALTER TABLE " + name(declared.name) + " ";
    const std::string analyze = "ANALYZE " + name(declared.name);
    const bool analyzes = sql == analyze || starts_with(sql, analyze + " (");
    if (analyzes || sql == ddl::drop_table(schema, declared.name) || starts_with(sql, alter))
      require(seen, "42P01", sql);
    if (!seen)
      return std::nullopt;
    if (analyzes)
      return 0;
    if (sql == ddl::drop_table(schema, declared.name)) {
      for (const Table &other : schema_.tables)
        for (const Constraint &each : other.constraints)
          require(&other == seen || each.target_table != declared.name, "2BP01", sql);
      erase_named(schema_.tables, declared.name);
      return 0;
    }
    const bool done = change_constraint(declared, *seen, sql) ||
                      change_index(declared, *seen, sql) ||
                      change_column(declared, *seen, alter, sql);
    return done ? std::optional<std::int64_t>(0) : std::nullopt;
  }

  /** DROP COLUMN takes the indexes and constraints on it along without a word. */
  static void drop_column(Table &table, const std::string &column) {
    erase_named(table.columns, column);
    const auto on_it = [&](const auto &each) {
      return std::find(each.columns.begin(), each.columns.end(), column) != each.columns.end();
    };
    table.constraints.erase(
        std::remove_if(table.constraints.begin(), table.constraints.end(), on_it),
        table.constraints.end());
    table.indexes.erase(
        std::remove_if(table.indexes.begin(), table.indexes.end(),
                       [&](const Index &each) {
                         return std::any_of(each.columns.begin(), each.columns.end(),
                                            [&](const IndexColumn &c) { return c.name == column; });
                       }),
        table.indexes.end());
  }

private:
  std::string name(const std::string &table) const { return qualified(target_.schema, table); }

  bool makes(const std::string &helper, const std::string &sql) const {
    if (helper == derivation::staging_table)
      return sql == derivation::create_staging(target_) ||
             sql == derivation::stage_from_documents(target_, *schema_.table("session_summaries"));
    return helper == derivation::event_table ? sql == derivation::create_event_table(target_)
                                             : sql == derivation::choose_sessions(target_).front();
  }

  bool completes(const std::string &helper, const std::string &sql) const {
    if (helper == derivation::staging_table)
      return sql == derivation::analyze_staging(target_);
    return helper == derivation::event_table ? sql == derivation::index_event_table(target_)
                                             : sql == derivation::choose_sessions(target_).back();
  }

  bool change_constraint(const Table &declared, Table &seen, const std::string &sql) {
    const std::string &schema = target_.schema;
    for (Constraint each : declared.constraints) {
      if (sql != ddl::add_constraint(schema, seen.name, each))
        continue;
      require(find_named(seen.constraints, each.name) == seen.constraints.end(), "42710", sql);
      for (const std::string &column : each.columns)
        require(seen.column(column), "42703", sql);
      if (each.kind == ConstraintKind::foreign_key) {
        const Table *target = schema_.table(each.target_table);
        require(target && target->column(each.target_columns.front()), "42P01", sql);
        each.validated = false;
      }
      seen.constraints.push_back(each);
      return true;
    }
    for (Constraint &each : seen.constraints) {
      if (sql == ddl::validate_constraint(schema, seen.name, each.name)) {
        each.validated = true;
        return true;
      }
      if (sql == ddl::drop_constraint(schema, seen.name, each.name))
        return erase_named(seen.constraints, std::string(each.name));
    }
    return false;
  }

  bool change_index(const Table &declared, Table &seen, const std::string &sql) {
    for (const Index &each : declared.indexes) {
      if (sql != ddl::create_index(target_.schema, seen.name, each))
        continue;
      for (Table &table : schema_.tables) // names of indexes are unique in a schema
        require(find_named(table.indexes, each.name) == table.indexes.end(), "42P07", sql);
      for (const IndexColumn &column : each.columns)
        require(seen.column(column.name), "42703", sql);
      seen.indexes.push_back(each);
      return true;
    }
    for (const Index &each : seen.indexes)
      if (sql == ddl::drop_index(target_.schema, each.name))
        return erase_named(seen.indexes, std::string(each.name));
    return false;
  }

  /** The clauses of an ALTER TABLE: split at commas outside of brackets and quotes. */
  static std::vector<std::string> clauses_of(const std::string &text) {
    std::vector<std::string> result(1);
    int depth = 0;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (quote)
        quote = c == quote ? 0 : quote;
      else if (c == '\'' || c == '"')
        quote = c;
      else if (c == '(' || c == '[')
        ++depth;
      else if (c == ')' || c == ']')
        --depth;
      else if (c == ',' && depth == 0) {
        result.emplace_back();
        ++i; // the space behind it
        continue;
      }
      result.back() += c;
    }
    return result;
  }

  /** The column that a clause names after a verb; null: it is another clause. */
  Column *named_after(Table &seen, const std::string &verb, const std::string &clause) {
    for (Column &each : seen.columns)
      if (clause == verb + quote_identifier(each.name) ||
          starts_with(clause, verb + quote_identifier(each.name) + " "))
        return &each;
    return nullptr;
  }

  bool change_column(const Table &declared, Table &seen, const std::string &alter,
                     const std::string &sql) {
    if (starts_with(sql, "UPDATE " + name(declared.name) + " SET ")) {
      for (const Column &each : declared.columns)
        for (const std::string &value : {each.default_value.sql, each.fallback})
          if (!value.empty() &&
              sql == ddl::fill_nulls(target_.schema, declared.name, each.name, value)) {
            require(seen.column(each.name), "42703", sql);
            return true;
          }
      return false;
    }
    if (!starts_with(sql, alter))
      return false;
    const std::string rest = sql.substr(alter.size());
    if (rest == "SET LOGGED")
      return seen.logged = true;
    if (starts_with(rest, "RENAME TO ")) {
      seen.name = rest.substr(11, rest.size() - 12);
      return true;
    }
    if (Column *column = named_after(seen, "RENAME COLUMN ", rest)) {
      const std::string from = column->name;
      const std::size_t at = rest.find(" TO ") + 5;
      column->name = rest.substr(at, rest.size() - at - 1);
      for (Index &index : seen.indexes)
        for (IndexColumn &each : index.columns)
          each.name = each.name == from ? column->name : each.name;
      return true;
    }
    for (const std::string &clause : clauses_of(rest))
      if (!apply_clause(declared, seen, clause))
        throw std::logic_error("the fake does not know the clause: " + clause);
    return true;
  }

  bool apply_clause(const Table &declared, Table &seen, const std::string &clause) {
    if (const Column *column = named_after(seen, "DROP COLUMN ", clause)) {
      drop_column(seen, std::string(column->name));
      return true;
    }
    for (const Constraint &each : seen.constraints)
      if (clause == "DROP CONSTRAINT " + quote_identifier(each.name))
        return erase_named(seen.constraints, std::string(each.name));
    for (Column each : declared.columns)
      for (const bool nullable : {false, true}) {
        each.not_null = each.not_null && !nullable;
        if (clause != "ADD COLUMN " + ddl::column_clause(each))
          continue;
        require(!seen.column(each.name), "42701", clause);
        seen.columns.push_back(each);
        return true;
      }
    Column *column = named_after(seen, "ALTER COLUMN ", clause);
    if (!column)
      return false;
    const std::string change =
        clause.substr(("ALTER COLUMN " + quote_identifier(column->name) + " ").size());
    const Column *wanted = declared.column(column->name);
    if (change == "DROP DEFAULT" || change == "DROP IDENTITY")
      column->default_value = {};
    else if (change == "DROP EXPRESSION")
      column->generated = {};
    else if (change == "SET NOT NULL" || change == "DROP NOT NULL")
      column->not_null = change == "SET NOT NULL";
    else if (wanted && change == "SET DEFAULT " + wanted->default_value.sql)
      column->default_value = wanted->default_value;
    else if (wanted && starts_with(change, "TYPE " + wanted->type + " USING "))
      column->type = wanted->type;
    else
      return false;
    return true;
  }

  Schema &schema_;
  const Target &target_;
};

} // namespace cowrie::test
