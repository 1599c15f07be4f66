// Catalog reader: pg_catalog -> core's Schema.
#include "pg/catalog/catalog_reader.hpp"

#include "pg/catalog/expression_form.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {
namespace {

/** Which relations are asked for: the schema's name and the tables' names. */
std::vector<Parameter> asked_for(const std::string &schema_name, const Schema &wanted) {
  return {schema_name, join(wanted.tables, ",", [](const Table &each) { return each.name; })};
}

/** The relations asked for; every query below starts from them. */
constexpr const char *asked =
    "WITH asked AS (SELECT c.oid, c.relname, c.relkind, c.relpersistence FROM pg_class AS c"
    " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1::text AND c.relname = ANY (string_to_array($2::text, ','))) ";

std::vector<Row> ask(const char *query, const std::vector<Parameter> &relations, bool read_only) {
  return spi_query_often(std::string(asked) + query, relations, read_only);
}

bool is_true(const std::optional<std::string> &value) { return value && *value == "t"; }

Expression expression(const std::optional<std::string> &sql,
                      const std::optional<std::string> &tree) {
  Expression result;
  if (sql && tree) {
    result.sql = *sql;
    result.form = normal_form(*tree);
  }
  return result;
}

void read_tables(Schema &schema, const std::vector<Parameter> &relations, bool read_only) {
  for (const Row &row :
       ask("SELECT relname, relkind, relpersistence FROM asked", relations, read_only)) {
    Table table;
    table.name = *row[0];
    table.kind = row[1]->front();
    table.logged = row[2] != "u";
    schema.tables.push_back(std::move(table));
  }
}

void read_columns(Schema &schema, const std::vector<Parameter> &relations, bool read_only) {
  const std::vector<Row> rows =
      ask("SELECT t.relname, a.attname, format_type(a.atttypid, a.atttypmod) || CASE WHEN"
          " a.attcollation <> y.typcollation THEN ' COLLATE ' || quote_ident(l.collname) "
          "ELSE '' END,"
          " a.attnotnull,"
          " a.attgenerated <> '', a.attidentity <> '', a.attinhcount > 0,"
          " pg_get_expr(d.adbin, d.adrelid), d.adbin::text"
          " FROM asked AS t JOIN pg_attribute AS a ON a.attrelid = t.oid"
          " JOIN pg_type AS y ON y.oid = a.atttypid"
          " LEFT JOIN pg_collation AS l ON l.oid = a.attcollation"
          " LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
          " WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY t.relname, a.attnum",
          relations, read_only);
  for (const Row &row : rows) {
    Column column;
    column.name = *row[1];
    column.type = *row[2];
    column.not_null = is_true(row[3]);
    if (is_true(row[4]))
      column.generated = expression(row[7], row[8]);
    else if (is_true(row[5]))
      column.default_value = {"an identity sequence", identity_form};
    else
      column.default_value = expression(row[7], row[8]);
    column.inherited = is_true(row[6]);
    schema.table(*row[0])->columns.push_back(std::move(column));
  }
}

void read_constraints(Schema &schema, const std::vector<Parameter> &relations, bool read_only) {
  const std::vector<Row> rows =
      ask("SELECT t.relname, c.conname, c.contype, c.convalidated,"
          " NOT c.condeferrable AND (c.contype <> 'f' OR (c.confupdtype = 'a'"
          " AND c.confdeltype = 'a' AND c.confmatchtype = 's'"
          " AND f.relnamespace = o.relnamespace)),"
          " pg_get_expr(c.conbin, c.conrelid), c.conbin::text, f.relname, a.attname, fa.attname,"
          " pg_get_constraintdef(c.oid)"
          " FROM asked AS t JOIN pg_class AS o ON o.oid = t.oid"
          " JOIN pg_constraint AS c ON c.conrelid = t.oid AND c.contype IN ('p', 'c', 'f')"
          " LEFT JOIN pg_class AS f ON f.oid = c.confrelid"
          " LEFT JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (attnum, fattnum,"
          " position) ON true"
          " LEFT JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum"
          " LEFT JOIN pg_attribute AS fa ON fa.attrelid = c.confrelid AND fa.attnum = k.fattnum"
          " ORDER BY t.relname, c.conname, c.oid, k.position",
          relations, read_only);
  for (const Row &row : rows) {
    std::vector<Constraint> &constraints = schema.table(*row[0])->constraints;
    if (constraints.empty() || constraints.back().name != *row[1]) {
      Constraint made;
      made.name = *row[1];
      made.kind = *row[2] == "p"   ? ConstraintKind::primary_key
                  : *row[2] == "f" ? ConstraintKind::foreign_key
                                   : ConstraintKind::check;
      made.validated = is_true(row[3]);
      made.ordinary = is_true(row[4]);
      made.check = expression(row[5], row[6]);
      made.target_table = row[7].value_or("");
      made.shown = row[10].value_or("");
      constraints.push_back(std::move(made));
    }
    if (row[8])
      constraints.back().columns.push_back(*row[8]);
    if (row[9])
      constraints.back().target_columns.push_back(*row[9]);
  }
}

void read_indexes(Schema &schema, const std::vector<Parameter> &relations, bool read_only) {
  // indoption 0 is ascending, 3 is descending with NULLs first: what ASC and DESC mean by default.
  const std::vector<Row> rows =
      ask("SELECT t.relname, ic.relname, am.amname, i.indisunique,"
          " i.indisvalid AND i.indisready AND i.indislive,"
          " i.indnatts = i.indnkeyatts AND i.indexprs IS NULL,"
          " pg_get_expr(i.indpred, i.indrelid), i.indpred::text, a.attname, k.option,"
          " oc.opcdefault AND (k.collated = a.attcollation OR k.collated = 0),"
          " pg_get_indexdef(i.indexrelid)"
          " FROM asked AS t JOIN pg_index AS i ON i.indrelid = t.oid"
          " JOIN pg_class AS ic ON ic.oid = i.indexrelid JOIN pg_am AS am ON am.oid = ic.relam"
          " CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indoption::int2[], i.indclass::oid[],"
          " i.indcollation::oid[]) WITH ORDINALITY AS k (attnum, option, opclass, collated,"
          " position)"
          " LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
          " LEFT JOIN pg_opclass AS oc ON oc.oid = k.opclass"
          " WHERE NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid"
          " AND c.contype IN ('p', 'u', 'x'))"
          " ORDER BY t.relname, ic.relname, k.position",
          relations, read_only);
  for (const Row &row : rows) {
    std::vector<Index> &indexes = schema.table(*row[0])->indexes;
    if (indexes.empty() || indexes.back().name != *row[1]) {
      Index made;
      made.name = *row[1];
      made.method = *row[2];
      made.unique = is_true(row[3]);
      made.valid = is_true(row[4]);
      made.ordinary = is_true(row[5]);
      made.predicate = expression(row[6], row[7]);
      made.shown = row[11].value_or("");
      indexes.push_back(std::move(made));
    }
    const std::string option = row[9].value_or("0");
    indexes.back().columns.push_back({row[8].value_or(""), option == "3"});
    if (!is_true(row[10]) || (option != "0" && option != "3"))
      indexes.back().ordinary = false;
  }
}

/** Tells whether every declared column that the expression mentions is there with its type. */
bool can_parse(const Table &declared, const Table &observed, const std::string &sql) {
  for (const Column &each : declared.columns) {
    if (sql.find(each.name) == std::string::npos)
      continue;
    const Column *found = observed.column(each.name);
    if (!found || found->type != each.type)
      return false;
  }
  return true;
}

} // namespace

Schema observe_schema(const std::string &schema_name, const Schema &wanted, bool read_only) {
  const std::vector<Parameter> relations = asked_for(schema_name, wanted);
  Schema schema;
  read_tables(schema, relations, read_only);
  read_columns(schema, relations, read_only);
  read_constraints(schema, relations, read_only);
  read_indexes(schema, relations, read_only);
  return schema;
}

Schema bind_schema(Oid schema, const Schema &declared, const Schema &observed) {
  Schema bound = declared;
  for (Table &table : bound.tables) {
    const Table *found = observed.table(table.name);
    if (!found || (found->kind != 'r' && found->kind != 'p'))
      continue;
    const Oid relation = call([&] { return get_relname_relid(table.name.c_str(), schema); });
    const auto bind = [&](Expression &expression, ExpressionKind kind, const std::string &column) {
      if (!expression.empty() && can_parse(table, *found, expression.sql))
        expression.form = parsed_form(relation, expression.sql, kind, column);
    };
    for (Column &each : table.columns) {
      const Column *there = found->column(each.name);
      if (!there || there->type != each.type)
        continue;
      bind(each.default_value, ExpressionKind::default_value, each.name);
      bind(each.generated, ExpressionKind::generated, each.name);
    }
    for (Constraint &each : table.constraints)
      bind(each.check, ExpressionKind::check, {});
    for (Index &each : table.indexes)
      bind(each.predicate, ExpressionKind::index_predicate, {});
  }
  return bound;
}

} // namespace cowrie::pg
