// DDL: a declared object, written as SQL.
#include "core/schema/ddl.hpp"

#include "core/base/text.hpp"
#include "core/schema/diff.hpp"

namespace cowrie::ddl {
namespace {

std::string alter_table(const std::string &schema, const std::string &table) {
  return "ALTER TABLE " + qualified(schema, table) + " ";
}

} // namespace

bool is_identity(const Column &observed) noexcept {
  return observed.default_value.form == identity_form;
}

std::string column_list(const std::vector<std::string> &names) {
  return join(names, ", ", [](const std::string &name) { return quote_identifier(name); });
}

std::string definition(const Column &column) {
  std::string result = column.type;
  if (column.not_null)
    result += " NOT NULL";
  if (!column.default_value.empty())
    result += " DEFAULT " + column.default_value.sql;
  if (!column.generated.empty())
    result += " GENERATED ALWAYS AS (" + column.generated.sql + ") STORED";
  return result;
}

std::string definition(const Index &index) {
  std::string result = index.unique ? "UNIQUE " : "";
  result += index.method + " (" + join(index.columns, ", ", [](const IndexColumn &each) {
              return quote_identifier(each.name) + (each.descending ? " DESC" : "");
            });
  result += ")";
  if (!index.predicate.empty())
    result += " WHERE " + index.predicate.sql;
  return result;
}

std::string definition(const Constraint &constraint) {
  switch (constraint.kind) {
  case ConstraintKind::primary_key:
    return "PRIMARY KEY (" + column_list(constraint.columns) + ")";
  case ConstraintKind::check:
    return "CHECK (" + constraint.check.sql + ")";
  case ConstraintKind::foreign_key:
    return "FOREIGN KEY (" + column_list(constraint.columns) + ") REFERENCES " +
           quote_identifier(constraint.target_table) + " (" +
           column_list(constraint.target_columns) + ")";
  }
  return {};
}

std::string column_clause(const Column &column) {
  return quote_identifier(column.name) + " " + definition(column);
}

std::string create_table(const std::string &schema, const Table &table) {
  return "CREATE TABLE " + qualified(schema, table.name) + " (" +
         join(table.columns, ", ", [](const Column &each) { return column_clause(each); }) + ")";
}

std::string comment_on_table(const std::string &schema, const Table &table) {
  return "COMMENT ON TABLE " + qualified(schema, table.name) + " IS " +
         quote_literal(table.comment);
}

std::string add_columns(const std::string &schema, const std::string &table,
                        const std::vector<const Column *> &columns) {
  return alter_table(schema, table) + join(columns, ", ", [](const Column *each) {
           return "ADD COLUMN " + column_clause(*each);
         });
}

std::string constraint_clause(const std::string &schema, const Constraint &constraint,
                              Validated validated) {
  std::string result = "CONSTRAINT " + quote_identifier(constraint.name) + " ";
  if (constraint.kind != ConstraintKind::foreign_key)
    return result + definition(constraint);
  // The target must be the table of the migrated schema, whatever the search_path says.
  return result + "FOREIGN KEY (" + column_list(constraint.columns) + ") REFERENCES " +
         qualified(schema, constraint.target_table) + " (" +
         column_list(constraint.target_columns) +
         (validated == Validated::yes ? ")" : ") NOT VALID");
}

std::string add_constraint(const std::string &schema, const std::string &table,
                           const Constraint &constraint, Validated validated) {
  return alter_table(schema, table) + "ADD " + constraint_clause(schema, constraint, validated);
}

std::string validate_constraint(const std::string &schema, const std::string &table,
                                const std::string &name) {
  return alter_table(schema, table) + "VALIDATE CONSTRAINT " + quote_identifier(name);
}

std::string create_index(const std::string &schema, const std::string &table, const Index &index,
                         Concurrently concurrently) {
  Index body = index;
  body.unique = false;
  return std::string(index.unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ") +
         (concurrently == Concurrently::yes ? "CONCURRENTLY " : "") + quote_identifier(index.name) +
         " ON " + qualified(schema, table) + " USING " + definition(body);
}

std::string reindex_concurrently(const std::string &schema, const std::string &name) {
  return "REINDEX INDEX CONCURRENTLY " + qualified(schema, name);
}

std::string drop_index(const std::string &schema, const std::string &name) {
  return "DROP INDEX " + qualified(schema, name);
}

std::string drop_constraint(const std::string &schema, const std::string &table,
                            const std::string &name) {
  return alter_table(schema, table) + "DROP CONSTRAINT " + quote_identifier(name);
}

std::string drop_columns(const std::string &schema, const std::string &table,
                         const std::vector<std::string> &columns) {
  return alter_table(schema, table) + join(columns, ", ", [](const std::string &each) {
           return "DROP COLUMN " + quote_identifier(each);
         });
}

std::string rename_column(const std::string &schema, const std::string &table,
                          const std::string &from, const std::string &to) {
  return alter_table(schema, table) + "RENAME COLUMN " + quote_identifier(from) + " TO " +
         quote_identifier(to);
}

std::string rename_table(const std::string &schema, const std::string &table,
                         const std::string &to) {
  return alter_table(schema, table) + "RENAME TO " + quote_identifier(to);
}

std::string set_logged(const std::string &schema, const std::string &table) {
  return alter_table(schema, table) + "SET LOGGED";
}

std::string drop_not_null(const std::string &schema, const std::string &table,
                          const std::string &column) {
  return alter_table(schema, table) + "ALTER COLUMN " + quote_identifier(column) + " DROP NOT NULL";
}

std::string plain_clause(const Column &observed) {
  const std::string alter = "ALTER COLUMN " + quote_identifier(observed.name);
  if (!observed.generated.empty())
    return alter + " DROP EXPRESSION";
  if (is_identity(observed))
    return alter + " DROP IDENTITY";
  return observed.default_value.empty() ? "" : alter + " DROP DEFAULT";
}

std::string retype_clause(const Column &declared, const std::string &values) {
  return "ALTER COLUMN " + quote_identifier(declared.name) + " TYPE " + declared.type + " USING " +
         values;
}

std::string alter_table(const std::string &schema, const std::string &table,
                        const std::vector<std::string> &clauses) {
  if (clauses.empty())
    return {};
  return alter_table(schema, table) + join(clauses);
}

std::string fill_nulls(const std::string &schema, const std::string &table,
                       const std::string &column, const std::string &value) {
  const std::string name = quote_identifier(column);
  return "UPDATE " + qualified(schema, table) + " SET " + name + " = " + value + " WHERE " + name +
         " IS NULL";
}

std::string drop_table(const std::string &schema, const std::string &table) {
  return "DROP TABLE " + qualified(schema, table);
}

std::string alter_column(const std::string &schema, const std::string &table,
                         const Column &declared, const Column &observed) {
  std::vector<std::string> changes;
  const std::string alter = "ALTER COLUMN " + quote_identifier(declared.name);
  if (is_identity(observed) || (declared.default_value.empty() && !observed.default_value.empty()))
    changes.push_back(plain_clause(observed));
  if (!declared.default_value.empty() &&
      !same_expression(declared.default_value, observed.default_value))
    changes.push_back(alter + " SET DEFAULT " + declared.default_value.sql);
  if (declared.not_null != observed.not_null)
    changes.push_back(alter + (declared.not_null ? " SET NOT NULL" : " DROP NOT NULL"));
  return alter_table(schema, table, changes);
}

} // namespace cowrie::ddl
