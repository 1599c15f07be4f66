// Dry run: what a plan would do, estimated.
#include "core/run/dry_run.hpp"

#include "core/base/figures.hpp"
#include "core/base/text.hpp"
#include "core/run/shared_steps.hpp"
#include "core/schema/schema.hpp"

namespace cowrie {

const char *const table_sizes_query =
    "SELECT sum(CASE WHEN reltuples < 0 THEN pg_relation_size(oid) / 1000 ELSE reltuples "
    "END)::int8,"
    " sum(pg_table_size(oid)) FROM pg_class WHERE relkind = 'r' AND (oid = $1::text::regclass"
    " OR oid IN (SELECT relid FROM pg_partition_tree($1::text::regclass)))";

std::vector<StepResult> estimate(Database &database, const std::vector<Step> &plan) {
  const std::vector<Row> sizes =
      database.query(table_sizes_query, {qualified(database.target().schema, "session_summaries")});
  const std::int64_t sessions = to_number(sizes.front()[0]);
  const std::int64_t bytes = to_number(sizes.front()[1]);
  std::vector<StepResult> rows;
  // One address per six sessions and one ASN per sixty addresses, as is typical of these databases.
  const auto rows_in = [&](const std::string &table) {
    return table == "session_summaries" ? sessions
           : table == "asn_inventory"   ? sessions / 360
                                        : sessions / 6;
  };
  for (const Step &step : plan) {
    StepResult row{step.phase, step.name, "planned", std::nullopt, 0, ""};
    row.detail = "lock " + step.lock_mode + " on " + step.table;
    if (!step.detail.empty())
      row.detail += ", " + step.detail;
    row.detail += in_words(carried_over(database, step));
    std::int64_t estimate = 0;
    if (step.kind == StepKind::fill_sessions)
      estimate = bytes;
    else if (step.kind == StepKind::load_rows || step.kind == StepKind::refresh_rows)
      estimate = rows_in(step.table) * (step.table == "ip_inventory" ? 2000 : 100);
    else if (step.kind == StepKind::create_index)
      estimate = rows_in(step.table) * 24;
    if (estimate > 0) {
      row.rows = rows_in(step.table);
      row.detail += ", about " + size_pretty(estimate);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace cowrie
