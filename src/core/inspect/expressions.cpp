// Expressions: what of the user's the server evaluates for every row that a run writes.
#include "core/inspect/expressions.hpp"

#include "core/base/failure.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/leaves.hpp"

namespace cowrie {
namespace {

/** The commands that give a search_path to the functions that the object {object} of the catalog
 *  {catalog} calls. */
constexpr const char *functions =
    R"((SELECT string_agg(format('ALTER FUNCTION %s SET search_path = %I, pg_temp;',
    p.oid::regprocedure, n.nspname), ' ' ORDER BY p.oid::regprocedure::text)
  FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.refobjid JOIN pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_language AS l ON l.oid = p.prolang
  WHERE d.classid = '{catalog}'::regclass AND d.objid = {object} AND d.refclassid = 'pg_proc'::regclass
  AND l.lanname NOT IN ('internal', 'c')
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS s WHERE starts_with(s, 'search_path=')))
)";

std::string functions_of(const char *catalog, const char *object) {
  return sql::fill(functions, {{"catalog", catalog}, {"object", object}});
}

// The first rows tell: a name is found for all rows or for none.
constexpr const char *some_rows = " LIMIT 10";

/** Evaluates an expression as a run will do; throws when that raises. */
void evaluate(Database &database, const std::string &sql, const std::string &what,
              const std::optional<std::string> &commands) {
  try {
    database.in_subtransaction([&] { database.query(sql); });
  } catch (const Failure &failure) {
    if (failure.must_propagate)
      throw;
    throw Failure(sqlstate::prerequisite_state,
                  what + " cannot be evaluated with the settings of the migration",
                  failure.message + ". Functions that it calls resolve unqualified names in "
                                    "pg_catalog only, the search_path of the migration.",
                  commands ? "Set a search_path for its functions: " + *commands
                           : "Drop it, migrate, and create it again.");
  }
}

} // namespace

std::string index_expressions_query(const Target &target) {
  std::vector<std::string> tables;
  for (const Table &each : target.declared().tables)
    tables.push_back(each.name);
  return sql::fill(
      R"(SELECT c.oid::regclass, i.indexrelid::regclass,
  concat_ws(', ', 'ROW(' || pg_get_expr(i.indexprs, i.indrelid) || ')::text', pg_get_expr(i.indpred, i.indrelid)),
  {functions}
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_index AS i ON i.indrelid = c.oid
WHERE (n.nspname = {schema} AND c.relname = ANY ({tables}) OR c.relispartition AND {is_below}
  AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid))
AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) ORDER BY 1, 2)",
      {{"functions", functions_of("pg_class", "i.indexrelid")},
       {"schema", quote_literal(target.schema)},
       {"tables", text_array(tables)},
       {"is_below",
        is_in_tree("c.oid", quote_literal(qualified(target.schema, "session_summaries")))}});
}

std::string checks_query(const Target &target) {
  std::vector<std::string> declared;
  for (const Constraint &each : target.declared().table("session_summaries")->constraints)
    declared.push_back(each.name);
  return sql::fill(R"(SELECT k.conname, pg_get_expr(k.conbin, k.conrelid), k.convalidated,
  {functions}
FROM pg_constraint AS k WHERE k.conrelid = {sessions}::regclass AND k.contype = 'c'
AND k.conname <> ALL ({declared}) ORDER BY k.conname)",
                   {{"functions", functions_of("pg_constraint", "k.oid")},
                    {"sessions", quote_literal(qualified(target.schema, "session_summaries"))},
                    {"declared", text_array(declared)}});
}

const char *const invalid_unique_query = R"(SELECT i.indexrelid::regclass, i.indrelid::regclass
FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
WHERE (i.indrelid = $1::text::regclass OR i.indrelid IN (SELECT relid FROM pg_partition_tree($1::text::regclass)))
AND NOT i.indisvalid AND (i.indisunique OR i.indisexclusion) AND x.relkind = 'i' ORDER BY 1 LIMIT 1)";

// A rewrite builds all indexes again, those as well that could not be built before.
void refuse_unusable_indexes(Database &database) {
  for (const Row &row : database.query(invalid_unique_query,
                                       {qualified(database.target().schema, "session_summaries")}))
    throw Failure(sqlstate::prerequisite_state,
                  "unique index " + row[0].value_or("") + " is invalid",
                  "An earlier attempt to build it on " + row[1].value_or("") +
                      " failed, usually because of duplicate keys. The migration would build it"
                      " again.",
                  "Run DROP INDEX " + row[0].value_or("") +
                      "; or, after removing the duplicates, REINDEX INDEX CONCURRENTLY " +
                      row[0].value_or("") + ";");
  for (const Row &row : database.query(index_expressions_query(database.target())))
    evaluate(database, "SELECT " + row[2].value_or("") + " FROM " + row[0].value_or("") + some_rows,
             "index " + row[1].value_or(""), row[3]);
}

void refuse_unusable_checks(Database &database) {
  const std::string sessions = qualified(database.target().schema, "session_summaries");
  for (const Row &row : database.query(checks_query(database.target()))) {
    const std::string name = row[0].value_or(""), expression = "(" + row[1].value_or("") + ")";
    evaluate(database, "SELECT " + expression + " FROM " + sessions + some_rows,
             "constraint \"" + name + "\"", row[3]);
    const std::int64_t violating =
        row[2] == "t"
            ? 0
            : database.number("SELECT count(*) FROM " + sessions + " WHERE NOT " + expression);
    const std::string alter = "ALTER TABLE " + sessions;
    if (violating > 0)
      throw Failure(sqlstate::prerequisite_state,
                    "rows of session_summaries violate constraint \"" + name + "\"",
                    std::to_string(violating) + " rows violate it; it has not been validated, and "
                                                "the server rejects any UPDATE of these rows.",
                    "Run " + alter + " DROP CONSTRAINT " + quote_identifier(name) +
                        "; and afterwards " + alter + " ADD CONSTRAINT " + quote_identifier(name) +
                        " CHECK " + expression +
                        " NOT VALID; or migrate in one transaction, which updates no row: " +
                        database.target().command(database.target().function("migrate")));
  }
}

} // namespace cowrie
