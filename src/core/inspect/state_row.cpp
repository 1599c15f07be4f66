// State row: what a row of key and value would get in the other columns of schema_state.
#include "core/inspect/state_row.hpp"

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/schema/versions.hpp"

namespace cowrie {

// A default that depends on a sequence would use up a number of it.
#define COWRIE_TAKES_FROM_SEQUENCE                                                                 \
  "(a.attidentity <> '' OR EXISTS (SELECT FROM pg_depend AS p JOIN pg_class AS s ON s.oid ="       \
  " p.refobjid WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid ="    \
  " 'pg_class'::regclass AND s.relkind = 'S'))"

const char *const state_columns_query =
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), COALESCE(pg_get_expr(d.adbin,"
    " d.adrelid), pg_get_expr(t.typdefaultbin, 0)), a.attgenerated <> '', CASE WHEN t.typtype = 'd'"
    " THEN format('TYPE %s', format_type(t.typbasetype, t.typtypmod)) WHEN a.attgenerated <> ''"
    " THEN 'DROP EXPRESSION' ELSE 'DROP DEFAULT' END FROM pg_attribute AS a JOIN pg_type AS t ON"
    " t.oid = a.atttypid LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname"
    " NOT IN ('key', 'value') AND NOT " COWRIE_TAKES_FROM_SEQUENCE
    " AND NOT EXISTS (SELECT FROM pg_depend AS p JOIN pg_attribute AS b ON b.attrelid = p.refobjid"
    " AND b.attnum = p.refobjsubid LEFT JOIN pg_attrdef AS e ON e.adrelid = b.attrelid AND e.adnum "
    "="
    " b.attnum WHERE a.attgenerated <> '' AND p.classid = 'pg_attrdef'::regclass AND p.objid = "
    "d.oid"
    " AND p.refclassid = 'pg_class'::regclass AND p.refobjid = a.attrelid AND b.attnum <> a.attnum"
    " AND b.attname NOT IN ('key', 'value') AND (b.attidentity <> '' OR e.oid IS NOT NULL))"
    " ORDER BY a.attgenerated <> '', a.attnum";

const char *const state_checks_query =
    "SELECT k.conname, pg_get_expr(k.conbin, k.conrelid), pg_get_constraintdef(k.oid)"
    " FROM pg_constraint AS k WHERE k.conrelid = $1::text::regclass AND k.contype = 'c'"
    " AND NOT EXISTS (SELECT FROM unnest(k.conkey) AS c (number) LEFT JOIN pg_attribute AS a ON"
    " a.attrelid = k.conrelid AND a.attnum = c.number AND a.attnum > 0 LEFT JOIN pg_attrdef AS d ON"
    " d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attnum IS NULL OR a.attgenerated <> ''"
    " OR " COWRIE_TAKES_FROM_SEQUENCE
    ") AND (EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid"
    " = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname NOT IN ('key', 'value')) OR EXISTS"
    " (SELECT FROM pg_depend AS p WHERE p.classid = 'pg_constraint'::regclass AND p.objid = k.oid"
    " AND p.refclassid <> 'pg_class'::regclass)) ORDER BY k.conname";

#undef COWRIE_TAKES_FROM_SEQUENCE

namespace {

/** Asks without a trace; returns the words of an error, and the rows in `found`. */
std::string raised_by(Database &database, const std::string &sql, std::vector<Row> &found) {
  try {
    database.in_passing([&] { found = database.query(sql); });
  } catch (const Failure &failure) {
    if (failure.must_propagate)
      throw;
    return failure.message;
  }
  return {};
}

} // namespace

void refuse_unwritable_state(Database &database) {
  const Target &target = database.target();
  const std::string table = qualified(target.schema, "schema_state");
  std::string values = "written.*",
              from = "(VALUES " + state_values(target.declared()) + ") AS written (key, value)";
  const auto rows = [&] {
    return " FROM (SELECT " + values + " FROM " + from + ") AS schema_state";
  };
  std::vector<Row> found;
  for (const Row &row : database.query(state_columns_query, {table})) {
    const std::string name = quote_identifier(row[0].value_or(""));
    const bool generated = row[3] == "t";
    const std::string value = "(" + row[2].value_or("NULL") + ")::" + row[1].value_or("");
    const std::string raised =
        raised_by(database, "SELECT " + value + (generated ? rows() : ""), found);
    if (!raised.empty())
      throw Failure(sqlstate::datatype_mismatch,
                    "column " + row[0].value_or("") + " of " + table +
                        " cannot hold what the migration writes",
                    "The migration inserts rows with only key and value; the value that this column"
                    " would get raised: " +
                        raised + ".",
                    "Run ALTER TABLE " + table + " ALTER COLUMN " + name + " " +
                        row[4].value_or("") + ";");
    if (!generated)
      values += ", " + value + " AS " + name;
  }
  for (const Row &row : database.query(state_checks_query, {table})) {
    const std::string raised = raised_by(
        database, "SELECT key, value" + rows() + " WHERE NOT (" + row[1].value_or("") + ") LIMIT 1",
        found);
    if (raised.empty() && found.empty())
      continue;
    const std::string name = quote_identifier(row[0].value_or(""));
    throw Failure(sqlstate::prerequisite_state,
                  "constraint " + name + " on " + table + " rejects what the migration writes",
                  raised.empty()
                      ? "The rejected row is " + found[0][0].value_or("") + " = " +
                            found[0][1].value_or("") + ", with " + row[2].value_or("") + "."
                      : "It raised: " + raised + ".",
                  "Run ALTER TABLE " + table + " DROP CONSTRAINT " + name + ";");
  }
}

} // namespace cowrie
