// Dependents: what would go, or stand in the way, when declared objects are dropped.
#include "pg/database.hpp"
#include "pg/spi.hpp"

namespace cowrie::pg {

namespace {

std::string text_array(const std::vector<std::string> &items) {
  std::string result = "ARRAY[";
  for (const std::string &each : items)
    result += (result.back() == '[' ? "" : ",") + quote_literal(each);
  return result + "]::text[]";
}

} // namespace

std::vector<std::string>
ServerDatabase::undeclared_dependents(const std::vector<Presence> &objects) {
  std::vector<std::string> tables, columns, indexes, constraints;
  for (const Presence &each : objects) {
    switch (each.object_type) {
    case ObjectType::table:
      tables.push_back(each.name);
      break;
    case ObjectType::column:
      columns.push_back(each.name);
      break;
    case ObjectType::index:
      indexes.push_back(each.name);
      break;
    default:
      constraints.push_back(each.name);
    }
  }
  // DROP COLUMN takes indexes, constraints and statistics along without a word (their dependency
  // is automatic), so every kind of dependency counts here; what belongs to a table that goes as a
  // whole (its keys, its toast table, its row type) does not.
  std::vector<std::string> found;
  for (const Row &row : query(
           "WITH tables AS (SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid ="
           " c.relnamespace WHERE n.nspname = $1::text AND c.relname = ANY (" +
               text_array(tables) +
               ")), columns AS (SELECT a.attrelid, a.attnum FROM pg_attribute AS a WHERE"
               " a.attrelid = $2::int8::oid AND a.attname = ANY (" +
               text_array(columns) +
               ")), dependents AS (SELECT d.classid, d.objid, d.objsubid FROM pg_depend AS d JOIN"
               " columns AS c ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.attrelid"
               " AND d.refobjsubid = c.attnum WHERE"
               " NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT oid FROM pg_class"
               " WHERE relname = ANY (" +
               text_array(indexes) +
               "))) AND NOT (d.classid = 'pg_constraint'::regclass AND d.objid IN (SELECT oid FROM"
               " pg_constraint WHERE conrelid = c.attrelid AND conname = ANY (" +
               text_array(constraints) +
               "))) AND NOT (d.classid = 'pg_attrdef'::regclass AND d.objid IN (SELECT oid FROM"
               " pg_attrdef AS f WHERE f.adrelid = c.attrelid AND f.adnum IN (SELECT attnum FROM"
               " columns))) UNION SELECT d.classid, d.objid, d.objsubid FROM pg_depend AS d JOIN"
               " tables AS t ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid WHERE"
               " d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass,"
               " 'pg_statistic_ext'::regclass, 'pg_publication_rel'::regclass)"
               " OR (d.classid = 'pg_trigger'::regclass AND d.objid IN (SELECT oid FROM pg_trigger"
               " WHERE NOT tgisinternal)) OR (d.classid = 'pg_constraint'::regclass AND d.objid IN"
               " (SELECT k.oid FROM pg_constraint AS k WHERE k.conrelid <> ALL (SELECT oid FROM"
               " tables) AND NOT (k.conrelid = $2::int8::oid AND k.conname = ANY (" +
               text_array(constraints) +
               ")))))"
               " SELECT DISTINCT pg_describe_object(classid, objid, objsubid) FROM dependents"
               " WHERE classid <> 'pg_trigger'::regclass OR objid NOT IN (SELECT oid FROM"
               " pg_trigger WHERE tgisinternal) ORDER BY 1",
           {target_.names.schema, std::int64_t(target_.sessions)}))
    found.push_back(row[0].value_or(""));
  return found;
}

} // namespace cowrie::pg
