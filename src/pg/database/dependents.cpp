// Dependents: what would go, or stand in the way, when declared objects are dropped.
#include "core/sql/dependents.hpp"
#include "core/sql/partitions.hpp"

#include "pg/database/database.hpp"

namespace cowrie::pg {
namespace {

/** The names of objects of one kind and of their tables, as two arrays. */
struct Names {
  std::vector<std::string> tables, objects;
};

std::string text_array(const std::vector<std::string> &items) {
  std::string result = "ARRAY[";
  for (const std::string &each : items)
    result += (result.back() == '[' ? "" : ",") + quote_literal(each);
  return result + "]::text[]";
}

std::string pairs(const Names &names) {
  return "(SELECT * FROM unnest(" + text_array(names.tables) + ", " + text_array(names.objects) +
         "))";
}

} // namespace

std::vector<Dependent> ServerDatabase::dependents(const std::vector<ExistingObject> &objects) {
  Names relations, columns, constraints;
  for (const ExistingObject &each : objects) {
    Names &names = each.object_type == ObjectType::column       ? columns
                   : each.object_type == ObjectType::constraint ? constraints
                                                                : relations;
    names.tables.push_back(each.table);
    names.objects.push_back(each.name);
  }
  const std::string in_schema = " JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname ="
                                " $1::text ";
  // What a partitioned table loses its partitions lose: with the same name, inherited.
  const std::string in_partition =
      " JOIN pg_class AS c ON c.relname = 'session_summaries'" + in_schema +
      "CROSS JOIN LATERAL pg_partition_tree(c.oid) AS p WHERE p.parentrelid IS NOT NULL AND ";
  const std::string removed =
      "SELECT 'pg_class'::regclass::oid, c.oid, 0 FROM pg_class AS c" + in_schema +
      "WHERE c.relname = ANY (" + text_array(relations.objects) +
      ") UNION ALL SELECT 'pg_class'::regclass::oid, a.attrelid, a.attnum::integer FROM"
      " pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid" +
      in_schema + "WHERE (c.relname, a.attname) IN " + pairs(columns) +
      " UNION ALL SELECT 'pg_constraint'::regclass::oid, k.oid, 0 FROM pg_constraint AS k"
      " JOIN pg_class AS c ON c.oid = k.conrelid" +
      in_schema + "WHERE (c.relname, k.conname) IN " + pairs(constraints) +
      " UNION ALL SELECT 'pg_class'::regclass::oid, a.attrelid, a.attnum::integer FROM"
      " pg_attribute AS a" +
      in_partition + "a.attrelid = p.relid AND a.attinhcount > 0 AND (c.relname, a.attname) IN " +
      pairs(columns) +
      " UNION ALL SELECT 'pg_constraint'::regclass::oid, k.oid, 0 FROM pg_constraint AS k" +
      in_partition + "k.conrelid = p.relid AND k.coninhcount > 0 AND (c.relname, k.conname) IN " +
      pairs(constraints) + " UNION ALL SELECT l.classid, l.objid, 0 FROM (" +
      online::loose_parts("(SELECT c.oid::regclass FROM pg_class AS c" + in_schema +
                          "WHERE c.relname = 'session_summaries')") +
      ") AS l";

  std::vector<Dependent> found;
  for (const Row &row : query(dependents_query(removed), {target_.names.schema}))
    found.push_back({row[0].value_or(""), row[1].value_or("")});
  return found;
}

} // namespace cowrie::pg
