// Shared steps: what a step of the plan does where all ways of migrating do the same.
#include "core/run/shared_steps.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/inspect/replication.hpp"
#include "core/schema/ddl.hpp"
#include "core/schema/diff.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/carried_over.hpp"

namespace cowrie {
std::string describe(const RejectCounts &rejects) {
  std::string result;
  for (std::size_t i = 0; i < rejects.size(); ++i)
    if (rejects[i] > 0)
      append(result, std::string(reject_reason_name(static_cast<RejectReason>(i))) + " " +
                         std::to_string(rejects[i]));
  return result;
}

std::string in_words(const StepResult &step) {
  std::string result = "phase " + std::to_string(step.phase) + " (" +
                       std::string(phase_name(step.phase)) + "): " + step.step + " " + step.status;
  if (step.rows)
    result += ", " + std::to_string(*step.rows) + " rows";
  if (!step.detail.empty())
    result += " (" + step.detail + ")";
  return result;
}

std::vector<TableLock> locks_of_run(Database &database, const Schema &observed,
                                    const std::string &mode) {
  std::vector<TableLock> wanted = {{"session_summaries", mode}};
  for (const Table &table : newest_schema().tables)
    if (table.phase > 0 && observed.table(table.name))
      wanted.push_back({table.name, mode});
  // What is published becomes unlogged for a moment: see version_record.cpp.
  const bool rewrites_state = mode == "ACCESS EXCLUSIVE" && state_is_published(database);
  wanted.push_back({"schema_state", rewrites_state ? mode : "SHARE ROW EXCLUSIVE"});
  if (database.target().has_raw_events)
    wanted.push_back({"raw_events", "ACCESS SHARE"});
  return wanted;
}

void verify_phase(Database &database, int phase, const std::vector<std::string> &skipped) {
  const Schema &declared = database.target().declared();
  const Schema observed = database.observe(declared);
  std::vector<Finding> findings =
      diff(database.bind(declared, observed), observed, database.target().schema, phase);
  // What was skipped has been warned of, and keeps the version from being raised.
  findings.erase(std::remove_if(findings.begin(), findings.end(),
                                [&](const Finding &each) {
                                  return std::find(skipped.begin(), skipped.end(), each.object) !=
                                         skipped.end();
                                }),
                 findings.end());
  if (!findings.empty())
    throw Failure(sqlstate::prerequisite_state,
                  "verification of phase " + std::to_string(phase) + " failed",
                  summary_by_table(findings),
                  "Nothing of this phase was kept. See every difference with SELECT * FROM " +
                      database.target().validation() + ";");
}

std::vector<CarriedOver> carried_over(Database &database, const Step &step) {
  std::vector<CarriedOver> result;
  if (step.replaces.empty())
    return result;
  const Table &declared = *database.target().declared().table(step.table);
  std::vector<std::string> names;
  for (const Index &each : declared.indexes)
    names.push_back(each.name);
  for (const Constraint &each : declared.constraints)
    names.push_back(each.name);
  for (const Row &row : database.query(carried_over_query(step.replaces, names),
                                       {qualified(database.target().schema, step.table)}))
    result.push_back({row[0].value_or(""), row[1].value_or(""), row[2].value_or("")});
  return result;
}

std::string in_words(const std::vector<CarriedOver> &carried) {
  std::string result, last;
  for (const CarriedOver &each : carried)
    if (each.words != last)
      append(result, last = each.words);
  return result.empty() ? result : "; carried over: " + result;
}

void repair_table(Database &database, Monitor &monitor, const Step &step, StepResult &row) {
  row.detail = step.detail;
  const std::string table = qualified(database.target().schema, step.table);
  for (const Count &each : step.counts)
    if (const std::int64_t counted = database.number(each.query); counted > 0)
      row.detail += "; " + each.words + ": " + std::to_string(counted);
  const std::vector<CarriedOver> carried = carried_over(database, step);
  for (const CarriedOver &each : carried)
    if (!each.drop.empty())
      database.execute(each.drop);
  for (const std::string &sql : step.statements)
    database.execute(sql);
  for (const CarriedOver &each : carried)
    database.execute(each.make);
  row.detail += in_words(carried);
  if (!step.aside.empty())
    monitor.warning("\"" + step.table +
                        "\" is made anew: the rows that were there have lost their key and are"
                        " kept in \"" +
                        step.aside + "\"",
                    "The new table is filled from the sessions.",
                    "Look at the old rows, and drop their table when you need it no more.");
  for (const Replaced &each : step.replaced) {
    const std::string old = quote_identifier(each.renamed);
    const std::int64_t differing = database.number(
        "SELECT count(*) FROM " + table + " WHERE " + old + " IS NOT NULL AND " + old +
        "::text IS DISTINCT FROM " + quote_identifier(each.column) + "::text");
    if (differing == 0) {
      database.execute(ddl::drop_columns(database.target().schema, step.table, {each.renamed}));
      continue;
    }
    row.detail += "; " + std::to_string(differing) + " old values of " + each.column +
                  " differ and are kept in " + each.renamed;
    monitor.warning(
        "old values of column \"" + each.column + "\" of \"" + step.table +
            "\" differ from the generated ones",
        std::to_string(differing) + " of them; the old column is kept as \"" + each.renamed + "\".",
        "Compare them: SELECT " + old + ", " + quote_identifier(each.column) + " FROM " + table +
            " WHERE " + old + "::text IS DISTINCT FROM " + quote_identifier(each.column) +
            "::text; drop the old column when you"
            " need it no more.");
  }
}

bool skipped_for_missing_column(Database &database, Monitor &monitor, const Step &step,
                                StepResult &row) {
  const Schema now = database.observe({{*database.target().declared().table(step.table)}});
  const Table *table = now.table(step.table);
  const auto missing =
      std::find_if(step.columns.begin(), step.columns.end(),
                   [&](const std::string &column) { return !table || !table->column(column); });
  if (missing == step.columns.end())
    return false;
  row.status = "skipped";
  row.detail = "column \"" + *missing + "\" is missing";
  monitor.warning("skipping index \"" + step.name + "\": column \"" + *missing + "\" is missing",
                  "Table \"" + step.table +
                      "\" has no such column; the version will not be raised.",
                  "See what is missing: SELECT * FROM " + database.target().validation() + ";");
  return true;
}

const char *const sample_query = R"(SELECT
  current_setting('default_statistics_target')::integer, l.bytes, l.rows,
  CASE WHEN t.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = t.oid)
    AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = t.oid AND indexprs IS NOT NULL)
  THEN (
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute AS a
    WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND (a.attname = ANY (string_to_array($2, ',')) OR NOT EXISTS (
        SELECT FROM pg_stats AS s WHERE s.schemaname = n.nspname
          AND s.tablename = t.relname AND s.attname = a.attname))
  ) END AS columns
FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = t.relnamespace
CROSS JOIN LATERAL (
  SELECT COALESCE(sum(pg_relation_size(c.oid)), 0) AS bytes,
    COALESCE(sum(GREATEST(c.reltuples, 0)), 0)::bigint AS rows
  FROM pg_class AS c
  WHERE c.relkind = 'r' AND (c.oid = t.oid OR c.oid IN (SELECT relid FROM pg_partition_tree(t.oid)))
) AS l WHERE t.oid = $1::text::regclass)";
const char *const set_sample_query = "SELECT set_config('default_statistics_target', $1, true)";

// ANALYZE keeps its sample of 300 rows for each unit of the target in memory, and rows of documents
// are wide: the target is lowered for them, and set back. Where the columns that have changed are
// known, the statistics of the others still hold: only those that have none are asked for besides.
void analyze(Database &database, const Step &step) {
  constexpr std::int64_t sample_bytes = 24 << 20;
  constexpr std::int64_t rows_per_unit = 300;
  constexpr std::int64_t least_target = 10;
  const Row row = database
                      .query(sample_query, {qualified(database.target().schema, step.table),
                                            join(step.columns, ",")})
                      .front();
  const std::int64_t target = to_number(row[0]), bytes = to_number(row[1]),
                     rows = to_number(row[2]);
  // as wide as a row can be before it goes to TOAST, where nobody has counted them yet
  const std::int64_t row_bytes = rows > 0 ? bytes / rows + 1 : 2048;
  const std::int64_t bounded = std::max(least_target, sample_bytes / (rows_per_unit * row_bytes));
  const bool lowers = bytes > sample_bytes && bounded < target;
  const auto set_target = [&](std::int64_t value) {
    database.query(set_sample_query, {std::to_string(value)});
  };
  if (lowers)
    set_target(bounded);
  const bool narrow = !step.columns.empty() && row[3];
  for (const std::string &sql : step.statements)
    database.execute(narrow ? sql + " (" + *row[3] + ")" : sql);
  if (lowers)
    set_target(target);
}

} // namespace cowrie
