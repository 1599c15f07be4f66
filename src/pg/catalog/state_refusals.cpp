// Refusals, continued: columns and constraints of schema_state that what a run writes there would
// violate. Asked of the catalog, without a lock. (Triggers: table_refusals.cpp.)
#include "pg/catalog/refusals.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/schema/versions.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {
namespace {

constexpr const char *from_columns =
    " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON"
    " a.attrelid = c.oid AND a.attname IN ('key', 'value') AND NOT a.attisdropped JOIN pg_type AS t"
    " ON t.oid = a.atttypid ";
constexpr const char *where_state = " WHERE n.nspname = $1::text AND c.relname = 'schema_state' ";

struct Written {
  std::vector<std::string> keys, values;
};

Written written_by(const Schema &declared) {
  Written result{{"schema_version", "schema_subphase"}, {std::to_string(declared.version)}};
  for (int phase = 1; phase <= declared.last_phase(); ++phase)
    result.values.push_back(subphase_text(phase));
  return result;
}

std::string longest(const std::vector<std::string> &texts) {
  return *std::max_element(texts.begin(), texts.end(), [](const auto &one, const auto &other) {
    return one.size() < other.size();
  });
}

/**
 * Returns the first of some rows for which a condition is not true; nothing: it is for all. The
 * condition is that of a CHECK, so it is evaluated as the owner of the sessions, whoever asks:
 * functions of the server, too, can do much on behalf of a superuser.
 */
std::vector<Row> first_rejected(const ResolvedTarget &target, const std::string &rows,
                                const std::string &names, const std::string &condition) {
  const PinnedSettings settings;
  const AsUser owner(target.owner, settings);
  return spi_query("SELECT * FROM (VALUES " + rows + ") AS " + names + " WHERE NOT (" + condition +
                       ") LIMIT 1",
                   {}, true);
}

[[noreturn]] void refuse_column(const std::string &table, const std::string &column,
                                const std::string &type, const std::string &rejected) {
  throw Failure(sqlstate::datatype_mismatch,
                "column " + column + " of " + table + " cannot hold what the migration writes",
                "It is of type " + type + ", which does not accept " + quote_literal(rejected) +
                    ".",
                "Run ALTER TABLE " + table + " ALTER COLUMN " + quote_identifier(column) +
                    " TYPE character varying(" + (column == "key" ? "128" : "256") + ");");
}

} // namespace

// A string without a limit, or with a sufficient one.
void refuse_types_of_state(const ResolvedTarget &target) {
  const std::string table = qualified(target.names.schema, "schema_state");
  const Written written = written_by(target.names.declared());
  const std::string key = longest(written.keys), value = longest(written.values);
  for (const Row &row : spi_query_often(
           std::string("SELECT a.attname, format_type(a.atttypid, a.atttypmod)") + from_columns +
               where_state +
               "AND (t.typcategory <> 'S' OR CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE"
               " a.atttypmod END BETWEEN 4 AND 3 + CASE a.attname WHEN 'key' THEN $2::int8 ELSE"
               " $3::int8 END) ORDER BY a.attname LIMIT 1",
           {target.names.schema, std::int64_t(key.size()), std::int64_t(value.size())}, true))
    refuse_column(table, *row[0], *row[1], row[0] == "key" ? key : value);
  // The CHECKs of a domain, as those of the table: where no function of the user's is called.
  for (const Row &row : spi_query_often(
           std::string("SELECT a.attname, format_type(a.atttypid, a.atttypmod),"
                       " pg_get_expr(k.conbin, 0)") +
               from_columns + "JOIN pg_constraint AS k ON k.contypid = t.oid AND k.contype = 'c'" +
               where_state +
               "AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid ="
               " 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid <>"
               " 'pg_type'::regclass) ORDER BY a.attname, k.conname",
           {target.names.schema}, true)) {
    const std::vector<std::string> &all = row[0] == "key" ? written.keys : written.values;
    const std::string rows = join(all, ", ", [](const std::string &each) {
      return "(" + quote_literal(each) + "::varchar)";
    });
    for (const Row &rejected : first_rejected(target, rows, "written (value)", row[2].value_or("")))
      refuse_column(table, *row[0], *row[1], rejected[0].value_or(""));
  }
}

// A CHECK of key and value is asked about every row that a run writes.
void refuse_checks_of_state(const ResolvedTarget &target) {
  const std::string table = qualified(target.names.schema, "schema_state");
  const std::string rows = state_values(target.names.declared());
  for (const Row &row : spi_query_often(
           "SELECT k.conname, pg_get_expr(k.conbin, k.conrelid) FROM pg_class AS c JOIN"
           " pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_constraint AS k ON k.conrelid ="
           " c.oid AND k.contype = 'c'" +
               std::string(where_state) +
               "AND (SELECT bool_and(a.attname IN ('key', 'value')) FROM pg_attribute AS a WHERE"
               " a.attrelid = c.oid AND a.attnum = ANY (k.conkey)) AND NOT EXISTS (SELECT FROM"
               " pg_depend AS d WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND"
               " d.refclassid <> 'pg_class'::regclass) ORDER BY k.conname",
           {target.names.schema}, true)) {
    const std::string name = quote_identifier(*row[0]);
    for (const Row &rejected :
         first_rejected(target, rows, "schema_state (key, value)", row[1].value_or("")))
      throw Failure(sqlstate::prerequisite_state,
                    "constraint " + name + " on " + table + " rejects what the migration writes",
                    "The rejected row is " + rejected[0].value_or("") + " = " +
                        rejected[1].value_or("") + ".",
                    "Run ALTER TABLE " + table + " DROP CONSTRAINT " + name + ";");
  }
}

// Which other rows there are, and will be, nobody knows before the version is written: what
// compares them is not asked whether it would accept it.
void refuse_constraints_of_state(const ResolvedTarget &target) {
  const std::string table = qualified(target.names.schema, "schema_state");
  for (
      const Row &row : spi_query_often(
          "WITH state AS (SELECT c.oid, (SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND"
          " attname = 'key') AS key, (SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND"
          " attname = 'value') AS value FROM pg_class AS c JOIN pg_namespace AS n ON n.oid ="
          " c.relnamespace" +
              std::string(where_state) +
              ") SELECT quote_ident(k.conname), pg_get_constraintdef(k.oid),"
              " format('ALTER TABLE %s DROP CONSTRAINT %I;', k.conrelid::regclass, k.conname)"
              " FROM state AS s JOIN pg_constraint AS k ON k.conrelid = s.oid AND (k.contype = 'x' "
              "OR"
              " k.contype IN ('p', 'u') AND s.value = ANY (k.conkey) AND s.key <> ALL (k.conkey) OR"
              " k.contype = 'f' AND k.conkey && ARRAY[s.key, s.value]) OR k.confrelid = s.oid AND"
              " k.contype = 'f' AND s.value = ANY (k.confkey) AND k.confupdtype <> 'c'"
              " UNION ALL SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid),"
              " format('DROP INDEX %s;', i.indexrelid::regclass)"
              " FROM state AS s JOIN pg_index AS i ON i.indrelid = s.oid AND i.indisunique AND"
              " (s.value = ANY (i.indkey::int2[]) OR i.indexprs IS NOT NULL) AND"
              " s.key <> ALL (i.indkey::int2[]) AND NOT EXISTS (SELECT FROM pg_constraint WHERE"
              " conindid = i.indexrelid) ORDER BY 1 LIMIT 1",
          {target.names.schema}, true))
    throw Failure(sqlstate::prerequisite_state,
                  "constraint " + *row[0] + " on " + table + " rejects what the migration writes",
                  "It compares keys or values with other rows: " + *row[1] + ".",
                  "Run " + *row[2] +
                      " and, where it still holds after the migration, create it"
                      " again.");
}

} // namespace cowrie::pg
