// Refusals: what a run does not touch, said before anything changes.
#include "core/inspect/refusals.hpp"

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/inspect/row_conflicts.hpp"
#include "core/schema/v16.hpp"
#include "core/sql/fill.hpp"

namespace cowrie {
namespace {

constexpr const char *validate_function = "cowrie_validate_schema";
constexpr const char *cleanup_function = "cowrie_cleanup_v16";

} // namespace

void refuse_incomplete(const Target &target, const Situation &situation) {
  if (situation.state != SchemaState::incomplete)
    return;
  std::string detail = summary_by_table(situation.findings);
  for (const Finding &each : situation.findings)
    if (each.object_type == ObjectType::version)
      append(detail, each.object + ": " + (each.actual.empty() ? "missing" : each.actual), "\n");
  throw Failure(sqlstate::prerequisite_state, "incomplete v16 schema detected", detail,
                situation.online.any() && target.entry == Entry::atomic
                    ? "Resume the online migration that has not ended: run " +
                          target.online_call() +
                          " Other ways are in docs/RECOVERY.md, \"An online migration\"."
                    : "To complete it in place and keep every row, run " +
                          target.migration("repair => true") + " to go back to version 15, run " +
                          target.command(cleanup_function));
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
                  "Decide about these rows, as the remedies say in SELECT object_name, actual,"
                  " remedy FROM " +
                      target.call(validate_function) + " WHERE loses_data; then run " +
                      target.migration("repair => true"));
}

void refuse_name(const Target &target, const std::string &name, const std::string &what) {
  const std::string full_name = qualified(target.schema, name);
  throw Failure(sqlstate::duplicate_table, "relation " + full_name + " is in the way",
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

void refuse_taken_names(Database &database, const std::vector<Step> &plan) {
  // What the plan makes: indexes and keys by their own names, and tables set aside.
  std::string wanted;
  const auto want = [&](const std::string &name, const std::string &table) {
    append(wanted, "(" + quote_literal(name) + ", " + quote_literal(table) + ")");
  };
  for (const Step &step : plan) {
    const Table *table = schema_v16().table(step.table);
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
