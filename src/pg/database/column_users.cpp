// Column users: what makes the server refuse to change the type of a column, or to drop it.
#include "pg/database/database.hpp"
#include "core/schema/versions.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {

// Indexes, checks, keys and statistics follow a change of type; these do not. The expressions of
// generated columns are in pg_attrdef; those of declared columns are dropped before.
std::vector<std::string> ServerDatabase::users_of_columns(const std::string &table,
                                                          const std::vector<std::string> &columns) {
  std::string names = "ARRAY[", generated = "ARRAY[";
  for (const std::string &each : columns)
    names += (names.back() == '[' ? "" : ",") + quote_literal(each);
  for (const Column &each : newest_schema().table(table)->columns)
    if (!each.generated.empty())
      generated += (generated.back() == '[' ? "" : ",") + quote_literal(each.name);
  std::vector<std::string> tables; // foreign keys between them change their type together
  for (const Table &each : newest_schema().tables)
    tables.push_back(each.name);
  std::vector<std::string> found;
  for (const Row &row : query(
           "WITH columns AS (SELECT a.attrelid, a.attnum FROM pg_attribute AS a JOIN pg_class AS c"
           " ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE"
           " (n.nspname = $1::text AND c.relname = $2::text OR c.oid IN (SELECT relid FROM"
           " pg_partition_tree(to_regclass(format('%I.%I', $1::text, $2::text)))))"
           " AND a.attname = ANY (" +
               names +
               "]::text[])) SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)"
               " FROM pg_depend AS d JOIN columns AS c ON d.refclassid = 'pg_class'::regclass AND"
               " d.refobjid = c.attrelid AND d.refobjsubid = c.attnum WHERE d.classid IN"
               " ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_proc'::regclass,"
               " 'pg_publication_rel'::regclass) OR (d.classid = 'pg_trigger'::regclass AND EXISTS"
               " (SELECT FROM pg_trigger AS t WHERE t.oid = d.objid AND NOT t.tgisinternal)) OR"
               " (d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef AS f JOIN"
               " pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum WHERE f.oid ="
               " d.objid AND a.attgenerated <> '' AND NOT (a.attrelid = c.attrelid AND (a.attnum ="
               " c.attnum OR a.attname = ANY (" +
               generated +
               "]::text[]))))) OR (d.classid = 'pg_constraint'::regclass AND EXISTS (SELECT FROM"
               " pg_constraint AS k JOIN pg_class AS f ON f.oid = k.conrelid WHERE k.oid = d.objid"
               " AND k.contype = 'f' AND k.confrelid = c.attrelid AND NOT (f.relnamespace ="
               " (SELECT relnamespace FROM pg_class WHERE oid = c.attrelid) AND f.relname = ANY (" +
               text_array(tables) + ")))) ORDER BY 1",
           {target_.names.schema, table}))
    found.push_back(row[0].value_or(""));
  return found;
}

} // namespace cowrie::pg
