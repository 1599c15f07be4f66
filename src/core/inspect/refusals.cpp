// Refusals: what a run does not touch, said before anything changes.
#include "core/inspect/refusals.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/inspect/row_conflicts.hpp"
#include "core/sql/derivation.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/online.hpp"

namespace cowrie {
namespace {

/** The first version of which something is missing or wrong: what its cleanup takes away is what
 *  makes the schema incomplete. */
int first_incomplete_version(const Target &target, const Situation &situation) {
  const Schema &declared = target.declared();
  int result =
      situation.derived ? target.version : declared.version_after(declared.last_deriving_phase());
  for (const Finding &each : situation.findings)
    if (each.severity == Severity::error && each.phase > 0)
      result = std::min(result, declared.phases[each.phase - 1].version);
  return result;
}

} // namespace

void refuse_incomplete(const Target &target, const Situation &situation) {
  if (situation.state != SchemaState::incomplete)
    return;
  std::string detail = summary_by_table(situation.findings);
  for (const Finding &each : situation.findings)
    if (each.object_type == ObjectType::version)
      append(detail, each.object + ": " + (each.actual.empty() ? "missing" : each.actual), "\n");
  const Target cleaned = target.for_version(first_incomplete_version(target, situation));
  throw Failure(
      sqlstate::prerequisite_state,
      "incomplete v" + std::to_string(target.version) + " schema detected", detail,
      situation.online.any() && target.entry == Entry::atomic
          ? "Resume the unfinished online migration: run " + target.online_call() +
                " For other ways, see section \"An online migration\" of the recovery guide."
          : "To complete the schema in place and keep all rows, run " +
                target.migration("repair => true") + " to return to version " +
                std::to_string(cleaned.version - 1) + ", run " +
                cleaned.command(cleaned.function("cleanup")));
}

void refuse_losses(Database &database, Inspection &inspection) {
  if (inspection.situation.state != SchemaState::incomplete)
    return;
  find_data_losses(database, inspection);
  const Target &target = database.target();
  std::string detail;
  for (const Finding &each : inspection.situation.findings)
    if (each.loses_data)
      append(detail, each.table + "." + each.object + ": " + each.loss, "\n");
  if (!detail.empty())
    throw Failure(sqlstate::prerequisite_state, "repair would lose data", detail,
                  "Decide about these rows with the remedies that are listed by SELECT "
                  "object_name, actual, remedy FROM " +
                      target.validation() + " WHERE loses_data; then run " +
                      target.migration("repair => true"));
}

const char *const unique_sessions_query =
    R"(SELECT EXISTS (SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid
  AND a.attnum = i.indkey[0] WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indisvalid
  AND i.indpred IS NULL AND i.indnkeyatts = 1 AND a.attname = 'session_id'))";

// Only where a restore or somebody has lost the key of the table are all sessions looked at.
void refuse_duplicates(Database &database) {
  const std::string sessions = qualified(database.target().schema, "session_summaries");
  if (database.query(unique_sessions_query, {sessions}).front()[0] == "t")
    return;
  const Row found = database
                        .query(sql::fill(R"(SELECT count(*), min(d.session_id::text)
FROM (SELECT session_id FROM {sessions} GROUP BY session_id HAVING count(*) > 1) AS d)",
                                         {{"sessions", sessions}}))
                        .front();
  if (to_number(found[0]) == 0)
    return;
  throw Failure(sqlstate::prerequisite_state, "session_summaries contains duplicate sessions",
                sessions + " has several rows for " + found[0].value_or("") +
                    " values of session_id," + " such as \"" + found[1].value_or("") +
                    "\"; it has no unique index on session_id.",
                "List them with SELECT session_id, count(*) FROM " + sessions +
                    " GROUP BY session_id HAVING count(*) > 1; keep one row of each, then ALTER"
                    " TABLE " +
                    sessions + " ADD CONSTRAINT pk_session_summaries PRIMARY KEY (session_id);");
}

const char *const row_type_users_query = R"(WITH RECURSIVE kinds (id) AS (
  SELECT reltype FROM pg_class WHERE oid = $1::text::regclass
    OR oid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))
  UNION SELECT t.oid FROM kinds AS k JOIN pg_type AS t ON t.typelem = k.id OR t.typbasetype = k.id
    OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.atttypid = k.id
               AND NOT a.attisdropped AND a.attnum > 0)
)
SELECT format('column %I of %s', a.attname, c.oid::regclass),
  format('ALTER TABLE %s DROP COLUMN %I;', c.oid::regclass, a.attname)
FROM kinds AS k JOIN pg_attribute AS a ON a.atttypid = k.id AND NOT a.attisdropped AND a.attnum > 0
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm', 'p', 'f') ORDER BY 1)";

void refuse_row_type_users(Database &database, const std::vector<Step> &plan) {
  const auto rewrites = [](const Step &each) {
    return (each.kind == StepKind::fill_sessions && !each.heap_only) ||
           each.kind == StepKind::repair;
  };
  for (const Step &each : plan) {
    if (!rewrites(each))
      continue;
    std::string found, commands;
    for (const Row &row :
         database.query(row_type_users_query, {qualified(database.target().schema, each.table)})) {
      append(found, row[0].value_or(""), "\n");
      append(commands, row[1].value_or(""), " ");
    }
    if (!found.empty())
      throw Failure(sqlstate::dependent_objects,
                    "other tables have columns of the row type of \"" + each.table + "\"",
                    found +
                        "\nThe server cannot change the type of a column of such a table, which "
                        "this run must do" +
                        (each.detail.empty() ? "." : ": " + each.detail + "."),
                    "Save their contents and drop them if they are no longer needed: " + commands);
  }
}

void refuse_name(const Target &target, const std::string &name, const std::string &what) {
  const std::string full_name = qualified(target.schema, name);
  throw Failure(sqlstate::duplicate_table, "relation " + full_name + " already exists",
                "The migration needs this name for " + what + ".",
                "Rename it: ALTER TABLE " + full_name + " RENAME TO other_name;");
}

std::string taken_names_query(const std::string &wanted) {
  return sql::fill(R"(SELECT w.name, w.on_table
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN (VALUES {wanted}) AS w (name, on_table) ON c.relname = w.name
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_class AS t ON t.oid = i.indrelid
WHERE n.nspname = $1::text AND t.relname IS DISTINCT FROM w.on_table)",
                   {{"wanted", wanted}});
}

std::string taken_constraints_query(const std::string &wanted) {
  return sql::fill(R"(SELECT k.conname, c.relname, pg_get_constraintdef(k.oid)
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN (VALUES {wanted}) AS w (name, on_table) ON k.conname = w.name AND c.relname = w.on_table
WHERE n.nspname = $1::text AND k.contype NOT IN ('c', 'f') ORDER BY 1, 2 LIMIT 1)",
                   {{"wanted", wanted}});
}

const char *const type_names_query = R"(SELECT t.typname FROM pg_type AS t
JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE n.nspname = $1::text AND t.typname = ANY ($2::text::name[]) AND t.typrelid = 0
AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = t.oid) ORDER BY t.typname LIMIT 1)";

const char *const room_for_columns_query =
    R"(SELECT c.relnatts, (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attisdropped),
  (SELECT count(*) FROM unnest($2::text::name[]) AS w (name) WHERE NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = w.name AND NOT attisdropped))
FROM pg_class AS c WHERE c.oid = $1::text::regclass)";

namespace {

// A table has a type of its name. (The server gives way with a type that it has made for arrays.)
void refuse_taken_types(Database &database, const std::vector<Step> &plan) {
  std::string names;
  for (const char *each :
       {derivation::staging_table, derivation::event_table, derivation::chosen_table,
        online::changes_table, online::queue_table, online::delta_table})
    append(names, each);
  for (const Step &step : plan)
    if (step.kind == StepKind::create_table)
      append(names, step.table);
  const Target &target = database.target();
  for (const Row &row : database.query(type_names_query, {target.schema, "{" + names + "}"})) {
    const std::string full_name = qualified(target.schema, row[0].value_or(""));
    throw Failure(sqlstate::duplicate_object, "type " + full_name + " already exists",
                  "The migration needs this name for a table, which has a type of the same name.",
                  "Rename it: ALTER TYPE " + full_name + " RENAME TO other_name;");
  }
}

// A key or CHECK of the user's: what has the name and is of the declared kind, a repair replaces.
void refuse_taken_constraints(Database &database) {
  std::string wanted;
  for (const Table &table : database.target().declared().tables)
    for (const Constraint &each : table.constraints)
      if (each.kind != ConstraintKind::primary_key)
        append(wanted, "(" + quote_literal(each.name) + ", " + quote_literal(table.name) + ")");
  if (wanted.empty())
    return;
  const std::string &schema = database.target().schema;
  for (const Row &row : database.query(taken_constraints_query(wanted), {schema})) {
    const std::string table = qualified(schema, row[1].value_or(""));
    const std::string name = quote_identifier(row[0].value_or(""));
    throw Failure(
        sqlstate::duplicate_object, "constraint " + name + " on " + table + " already exists",
        "It is " + row[2].value_or("") +
            "; the migration needs the name for a constraint of this table.",
        "Rename it: ALTER TABLE " + table + " RENAME CONSTRAINT " + name + " TO other_name;");
  }
}

// A column that is dropped keeps its number for ever.
void refuse_full_table(Database &database) {
  constexpr std::int64_t most_columns = 1600; // of the server
  const Target &target = database.target();
  const std::string sessions = qualified(target.schema, "session_summaries");
  const std::string names = join(target.declared().table("session_summaries")->columns, ",",
                                 [](const Column &each) { return each.name; });
  const Row row = database.query(room_for_columns_query, {sessions, "{" + names + "}"}).front();
  if (to_number(row[0]) + to_number(row[2]) > most_columns)
    throw Failure(sqlstate::too_many_columns, "table " + sessions + " has no room for new columns",
                  "It has had " + row[0].value_or("") + " columns, of which " +
                      row[1].value_or("") + " are dropped and still count; the migration adds " +
                      row[2].value_or("") + ", and the server allows " +
                      std::to_string(most_columns) + ".",
                  "Make the table again, for example by pg_dump and pg_restore of the database: a"
                  " restored table has no dropped columns.");
}

} // namespace

void refuse_taken_names(Database &database, const std::vector<Step> &plan) {
  refuse_taken_types(database, plan);
  refuse_taken_constraints(database);
  refuse_full_table(database);
  // What the plan makes: indexes and keys by their own names, and tables set aside.
  std::string wanted;
  const auto want = [&](const std::string &name, const std::string &table) {
    append(wanted, "(" + quote_literal(name) + ", " + quote_literal(table) + ")");
  };
  for (const Step &step : plan) {
    const Table *table = database.target().declared().table(step.table);
    if (table && (by_name(table->indexes, step.name) ||
                  (table->primary_key() && table->primary_key()->name == step.name)))
      want(step.name, table->name);
    if (!step.aside.empty())
      want(step.aside, "");
  }
  if (wanted.empty())
    return;
  const std::vector<Row> found =
      database.query(taken_names_query(wanted), {database.target().schema});
  for (const Row &row : found)
    refuse_name(database.target(), row[0].value_or(""),
                row[1] == "" ? std::string("a table of its own")
                             : "an index of " + row[1].value_or(""));
}

const char *const work_table_query =
    "SELECT relpersistence FROM pg_class WHERE oid = to_regclass($1::text)";

// An unlogged table of that name is what a run left that the server did not survive, or one with
// on_failure => 'keep'; anything else is somebody's and is not touched.
bool has_work_table(Database &database, const std::string &name) {
  const std::vector<Row> found =
      database.query(work_table_query, {qualified(database.target().schema, name)});
  if (!found.empty() && found.front().front() != "u")
    refuse_name(database.target(), name);
  return !found.empty();
}

} // namespace cowrie
