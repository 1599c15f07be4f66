// Partitions: the statements of an online migration that are about single partitions.
#include "core/sql/partitions.hpp"

#include "core/base/text.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/derivation_parts.hpp"
#include "core/sql/fill.hpp"

namespace cowrie::online {
namespace {

using derivation::sessions_of;

/** What a mark begins with: no organization has such a name. */
constexpr const char *mark_prefix = "cowrie_migrate partition ";

/** Every leaf, as `c` with its namespace `n`. */
std::string leaves(const Target &target) {
  return sql::fill(
      R"(pg_partition_tree({sessions}::regclass) AS p
JOIN pg_class AS c ON c.oid = p.relid AND p.isleaf JOIN pg_namespace AS n ON n.oid = c.relnamespace)",
      {{"sessions", quote_literal(sessions_of(target))}});
}

} // namespace

std::string leaf_of_places(const Target &target, const Places &places) {
  return sql::fill(target, R"(SELECT n.nspname, c.relname, (
    SELECT max(l.place) FROM {queue} AS l
    WHERE l.place > {after} AND l.place <= {last} AND l.leaf = q.leaf)
FROM {queue} AS q LEFT JOIN (pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace)
  ON c.oid = q.leaf AND pg_partition_root(q.leaf) = {whole}::regclass
WHERE q.place = {after} + 1)",
                   {{"after", std::to_string(places.after)},
                    {"last", std::to_string(places.last)},
                    {"whole", quote_literal(sessions_of(target))}});
}

// Who attaches a partition writes a new row of pg_inherits, and TRUNCATE moves it to another file.
// The mark without a partition tells that there are marks at all.
std::string marks(const Target &target) {
  return sql::fill(
      R"(SELECT {prefix} AS mark, 0::oid AS id
UNION ALL
SELECT {prefix} || concat_ws(' ', i.inhrelid, i.xmin, pg_relation_filenode(i.inhrelid)), i.inhrelid
FROM pg_partition_tree({sessions}::regclass) AS p JOIN pg_inherits AS i ON i.inhrelid = p.relid)",
      {{"prefix", quote_literal(mark_prefix)}, {"sessions", quote_literal(sessions_of(target))}});
}

std::string is_mark() {
  return "s.session_id = '' AND s.source_ip IS NULL AND s.asn IS NULL AND"
         " starts_with(s.organization, " +
         quote_literal(mark_prefix) + ")";
}

std::string unknown_partitions(const Target &target) {
  return sql::fill(target, R"(WITH known AS MATERIALIZED (
  SELECT s.organization AS mark FROM {staging} AS s WHERE {is_mark}
)
SELECT c.oid::int8, n.nspname, c.relname, p.isleaf FROM pg_partition_tree({whole}::regclass) AS p
JOIN pg_class AS c ON c.oid = p.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.parentrelid IS NOT NULL AND EXISTS (SELECT FROM known AS k WHERE k.mark = {prefix})
  AND NOT EXISTS (SELECT FROM known AS k WHERE starts_with(k.mark, {prefix} || c.oid || ' '))
ORDER BY c.oid)",
                   {{"is_mark", is_mark()},
                    {"prefix", quote_literal(mark_prefix)},
                    {"whole", quote_literal(sessions_of(target))}});
}

std::string mark_partition(const Target &target, std::int64_t id) {
  return sql::fill(target, R"(INSERT INTO {staging}
  (session_id, has_provider_data, organization) SELECT '', false, m.mark FROM ({marks}) AS m
WHERE m.id = {id})",
                   {{"marks", marks(target)}, {"id", std::to_string(id)}});
}

std::string sessions_of_leaf(const std::string &leaf) { return "SELECT session_id FROM " + leaf; }

std::string leaf_index_name(const std::string &index, const std::string &leaf_id) {
  return index + "_" + leaf_id;
}

std::string list_leaf_indexes(const Target &target, const std::string &index) {
  return sql::fill(R"(SELECT c.oid::int8, n.nspname, c.relname, x.usable FROM {leaves}
LEFT JOIN LATERAL (
  SELECT i.indisvalid AND i.indisready AND i.indislive AS usable
  FROM pg_index AS i JOIN pg_class AS o ON o.oid = i.indexrelid
  WHERE i.indrelid = c.oid AND o.relname = {index} || '_' || c.oid) AS x ON true
ORDER BY c.oid)",
                   {{"leaves", leaves(target)}, {"index", quote_literal(index)}});
}

std::string rename_leaf_indexes(const Target &target, const std::string &index) {
  return sql::fill(
      R"(SELECT format('ALTER INDEX %I.%I RENAME TO %I', n.nspname, o.relname, w.wanted)
FROM {leaves}
JOIN pg_index AS i ON i.indrelid = c.oid
JOIN pg_class AS o ON o.oid = i.indexrelid AND o.relispartition
  AND o.relname = {index} || '_' || c.oid
CROSS JOIN LATERAL (
  SELECT f.wanted FROM (
    SELECT k, c.relname || '_' || (
        SELECT string_agg(a.attname, '_' ORDER BY key.position)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS key (number, position)
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = key.number)
      || '_idx' || CASE WHEN k > 0 THEN k::text ELSE '' END AS wanted
    FROM generate_series(0, 99) AS k) AS f
  WHERE octet_length(f.wanted) < 64 AND NOT EXISTS (
    SELECT FROM pg_class AS t WHERE t.relnamespace = n.oid AND t.relname = f.wanted)
  ORDER BY f.k LIMIT 1) AS w)",
      {{"leaves", leaves(target)}, {"index", quote_literal(index)}});
}

std::string list_leaf_foreign_keys(const Target &target, const std::string &constraint) {
  return sql::fill(R"(SELECT n.nspname, c.relname, k.convalidated FROM {leaves}
LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'f' AND k.conname = {constraint}
ORDER BY c.oid)",
                   {{"leaves", leaves(target)}, {"constraint", quote_literal(constraint)}});
}

std::string loose_parts(const std::string &sessions) {
  std::string indexes, constraints;
  for (const Index &each : newest_schema().table("session_summaries")->indexes)
    append(indexes, quote_literal(each.name));
  for (const Constraint &each : newest_schema().table("session_summaries")->constraints)
    if (each.kind == ConstraintKind::foreign_key)
      append(constraints, quote_literal(each.name));
  return sql::fill(R"(SELECT 'pg_class'::regclass::oid AS classid, o.oid AS objid,
  format('DROP INDEX %s', o.oid::regclass) AS command
FROM pg_partition_tree({sessions}) AS p
JOIN pg_index AS i ON i.indrelid = p.relid
JOIN pg_class AS o ON o.oid = i.indexrelid AND NOT o.relispartition
WHERE p.isleaf AND o.relname IN (
  SELECT name || '_' || p.relid::oid FROM unnest(ARRAY[{indexes}]) AS name)
UNION ALL
SELECT 'pg_constraint'::regclass, k.oid,
  format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
FROM pg_partition_tree({sessions}) AS p
JOIN pg_constraint AS k ON k.conrelid = p.relid AND k.contype = 'f' AND k.conparentid = 0
WHERE p.isleaf AND k.conname = ANY (ARRAY[{constraints}]))",
                   {{"sessions", sessions}, {"indexes", indexes}, {"constraints", constraints}});
}

} // namespace cowrie::online
