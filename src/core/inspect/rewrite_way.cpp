// Rewrite way: whether the heap of the sessions can be copied alone.
#include "core/inspect/rewrite_way.hpp"

#include "core/base/text.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/leaves.hpp"

namespace cowrie {

// A heap of its own: another access method stores rows in another way; what is not logged has an
// init fork; logical decoding looks into catalogs. Somebody who is to be asked: a CHECK or a
// foreign key on the columns that are filled, an event trigger, an extension that distributes the
// statement. (A declared foreign key is added, validated, when its target has its rows.)
std::string alter_table_reason_query(const Target &target) {
  std::string filled;
  for (const Column &each : filled_sessions(target.version).columns)
    append(filled, quote_literal(each.name));
  std::string declared;
  for (const Constraint &each : filled_sessions(target.version).constraints)
    if (each.kind == ConstraintKind::foreign_key)
      append(declared,
             "a.attname = " + quote_literal(each.columns.front()) +
                 " AND k.confrelid = to_regclass(" +
                 quote_literal(qualified(target.schema, each.target_table)) + ")",
             " OR ");
  return sql::fill(
      target, R"(SELECT max(CASE
  WHEN current_setting('cowrie_migrate.rewrite') = 'alter_table'
    THEN 'cowrie_migrate.rewrite is alter_table'
  WHEN m.amname <> 'heap' THEN format('the access method is %s', m.amname)
  WHEN c.relpersistence <> 'p' THEN 'the table is not logged'
  WHEN 'user_catalog_table=true' = ANY (c.reloptions) THEN 'the table is a catalog'
  WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')
    THEN 'extension citus may have distributed the table'
  ELSE COALESCE((
    SELECT format('event trigger %I', evtname) FROM pg_event_trigger
    WHERE evtevent = 'table_rewrite' AND evtenabled <> 'D' ORDER BY evtname LIMIT 1), (
    SELECT format('constraint %I checks a column that is filled', k.conname)
    FROM pg_constraint AS k
    JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
    WHERE k.conrelid = c.oid AND a.attname IN ({filled})
    AND (k.contype = 'c' OR k.contype = 'f' AND k.convalidated AND ({declared}) IS NOT TRUE)
    ORDER BY k.conname LIMIT 1)) END) AS reason
FROM pg_class AS c JOIN pg_am AS m ON m.oid = c.relam WHERE c.relkind = 'r' AND {is_leaf})",
      {{"filled", filled},
       {"declared", declared},
       {"is_leaf",
        is_in_tree("c.oid", quote_literal(qualified(target.schema, "session_summaries")))}});
}

std::string alter_table_reason(Database &database) {
  return database.query(alter_table_reason_query(database.target())).front()[0].value_or("");
}

} // namespace cowrie
