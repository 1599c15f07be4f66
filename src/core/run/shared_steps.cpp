// Shared steps: what a step of the plan does where all ways of migrating do the same.
#include "core/run/shared_steps.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/base/figures.hpp"
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

std::string in_words(int phase) {
  return "phase " + std::to_string(phase) + " (" + std::string(phase_name(phase)) + ")";
}

std::string in_words(const StepResult &step) {
  std::string result =
      (step.phase == 0 ? "" : in_words(step.phase) + ": ") + step.step + " " + step.status;
  if (step.status == "done")
    result += " in " + duration(step.elapsed_us);
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
                  "The phase has been rolled back. List all differences with SELECT * FROM " +
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
                        "\" has been created again: its former rows have no key and are now in \"" +
                        step.aside + "\"",
                    "The new table is filled from session_summaries.",
                    "Check the former rows, and drop their table when it is no longer needed.");
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
            "::text; drop the old column when it is no longer needed.");
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
  monitor.warning(
      "skipping index \"" + step.name + "\": column \"" + *missing + "\" is missing",
      "Table \"" + step.table + "\" has no such column; the schema version will not be raised.",
      "List what is missing with SELECT * FROM " + database.target().validation() + ";");
  return true;
}

const char *const sample_query = R"(WITH tables AS (
  SELECT c.oid, c.oid = $1::text::regclass AS whole, c.relkind, c.relname, n.nspname,
    GREATEST(c.reltuples, 0) AS rows
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.oid = $1::text::regclass OR c.oid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))
)
SELECT current_setting('default_statistics_target')::integer,
  COALESCE(sum(pg_relation_size(oid)), 0)::bigint,
  COALESCE(sum(rows) FILTER (WHERE relkind = 'r'), 0)::bigint, count(*),
  CASE WHEN bool_and(relkind IN ('r', 'p')
      AND NOT EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = tables.oid)
      AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = tables.oid AND indexprs IS NOT NULL))
  THEN (
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute AS a
    WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
      AND (a.attname = ANY (string_to_array($2, ',')) OR EXISTS (
        SELECT FROM tables AS c WHERE (c.whole OR c.relkind = 'p' OR c.rows > 0) AND NOT EXISTS (
          SELECT FROM pg_stats AS s WHERE s.schemaname = c.nspname
            AND s.tablename = c.relname AND s.attname = a.attname)))
  ) END AS columns
FROM tables)";
const char *const set_sample_query = "SELECT set_config('default_statistics_target', $1, true)";

// ANALYZE keeps its sample of 300 rows for each unit of the target in memory, and rows of documents
// are wide: the target is lowered for them, and set back. Of partitions the server takes a sample
// of each and one of the whole: together they shall take the time of a few. Where the columns that
// have changed are known, the statistics of the others still hold: only those that have none are
// asked for besides.
void analyze(Database &database, const Step &step) {
  constexpr std::int64_t sample_bytes = 24 << 20;
  constexpr std::int64_t rows_per_unit = 300;
  constexpr std::int64_t least_target = 10;
  constexpr std::int64_t few_samples = 4;
  const Row row = database
                      .query(sample_query, {qualified(database.target().schema, step.table),
                                            join(step.columns, ",")})
                      .front();
  const std::int64_t target = to_number(row[0]), bytes = to_number(row[1]),
                     rows = to_number(row[2]), samples = to_number(row[3]);
  // as wide as a row can be before it goes to TOAST, where nobody has counted them yet
  const std::int64_t row_bytes = rows > 0 ? bytes / rows + 1 : 2048;
  const std::int64_t bounded =
      std::max(least_target, sample_bytes * few_samples / std::max(samples, few_samples) /
                                 (rows_per_unit * row_bytes));
  const bool lowers = bytes > sample_bytes && bounded < target;
  const auto set_target = [&](std::int64_t value) {
    database.query(set_sample_query, {std::to_string(value)});
  };
  if (lowers)
    set_target(bounded);
  const bool narrow = !step.columns.empty() && row[4];
  for (const std::string &sql : step.statements)
    database.execute(narrow ? sql + " (" + *row[4] + ")" : sql);
  if (lowers)
    set_target(target);
}

} // namespace cowrie
