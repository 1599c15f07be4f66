// Leaves: the tables that the rows of a table are in.
#include "pg/catalog/leaves.hpp"

#include "core/base/failure.hpp"
#include "core/schema/v16.hpp"
#include "pg/boundary/spi.hpp"
#include "pg/catalog/refusals.hpp"

namespace cowrie::pg {
namespace {

bool is_partitioned(Oid table) {
  return call([=] { return get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE; });
}

std::string parent_of(Oid partition) {
  return name_of_relation(
      call([=] { return get_partition_parent(partition, /* even_if_detached: */ true); }));
}

} // namespace

std::vector<Oid> tree_of(Oid table) {
  if (!is_partitioned(table))
    return {table};
  struct Found {
    const ListCell *first;
    int count;
  };
  const Found found = call([=]() -> Found {
    const List *all = find_all_inheritors(table, NoLock, nullptr);
    return {all->elements, list_length(all)};
  });
  std::vector<Oid> result;
  result.reserve(static_cast<std::size_t>(found.count));
  for (int i = 0; i < found.count; ++i)
    result.push_back(found.first[i].oid_value);
  return result;
}

std::vector<Oid> leaves_of(Oid table) {
  if (!is_partitioned(table))
    return {table};
  std::vector<Oid> result;
  for (const Oid each : tree_of(table))
    if (!is_partitioned(each))
      result.push_back(each);
  return result;
}

void refuse_unsupported_partitions(const ResolvedTarget &target) {
  for (const Oid each : tree_of(target.sessions)) {
    const RelationFacts facts = relation_facts(each);
    if (each == target.sessions || is_ordinary(facts) ||
        (facts.kind == RELKIND_PARTITIONED_TABLE && facts.persistence == RELPERSISTENCE_PERMANENT))
      continue;
    const std::string name = name_of_relation(each);
    throw Failure(sqlstate::wrong_object_type,
                  "partition " + name + " of session_summaries is not an ordinary permanent table",
                  "It is " + kind_in_words(facts) + ".",
                  facts.persistence == RELPERSISTENCE_UNLOGGED
                      ? "Run ALTER TABLE " + name + " SET LOGGED;"
                      : "Only rows on this server can be migrated: run ALTER TABLE " +
                            parent_of(each) + " DETACH PARTITION " + name + ";");
  }
}

void refuse_unsuitable_partitions(const ResolvedTarget &target) {
  if (!is_partitioned(target.sessions))
    return;
  const Parameter sessions = std::int64_t(target.sessions);
  const std::string tree = "(SELECT relid FROM pg_partition_tree($1::int8::oid::regclass))";
  for (const Row &row : spi_query(
           "SELECT format('%I.%I', n.nspname, c.relname), format('%I.%I', m.nspname, p.relname)"
           " FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_namespace AS n"
           " ON n.oid = c.relnamespace JOIN pg_class AS p ON p.oid = i.inhparent JOIN pg_namespace"
           " AS m ON m.oid = p.relnamespace WHERE i.inhdetachpending AND i.inhparent IN " +
               tree + " ORDER BY 1 LIMIT 1",
           {sessions}, true))
    throw Failure(sqlstate::prerequisite_state,
                  "partition " + *row[0] + " of session_summaries is being detached",
                  "DETACH PARTITION CONCURRENTLY has not finished: some transactions see its rows "
                  "and others do not.",
                  "Run ALTER TABLE " + *row[1] + " DETACH PARTITION " + *row[0] + " FINALIZE;");
  std::vector<std::string> filled;
  for (const Column &each : schema_v16().table(sessions_table)->columns)
    filled.push_back(each.name);
  for (const Row &row : spi_query(
           "SELECT format('%I.%I', n.nspname, c.relname), a.attname FROM pg_partitioned_table AS p"
           " JOIN pg_class AS c ON c.oid = p.partrelid JOIN pg_namespace AS n ON n.oid ="
           " c.relnamespace JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid ="
           " c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype ="
           " 'i' JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND"
           " d.objsubid > 0 WHERE a.attname = ANY (" +
               text_array(filled) + ") AND c.oid IN " + tree + " ORDER BY 1, 2 LIMIT 1",
           {sessions}, true))
    throw Failure(sqlstate::feature_not_supported,
                  *row[0] + " is partitioned by column \"" + *row[1] +
                      "\", which the migration fills",
                  "Filling the column would move rows to other partitions, and the server cannot "
                  "change the type of such a column.",
                  "Partition the table by session_id or by a time of the events: see"
                  " docs/SCALING.md.");
}

} // namespace cowrie::pg
