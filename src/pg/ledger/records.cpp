// Records: the ledger and the status view, read for a report. Whoever owns the extension may have
// written to the ledger by hand, so nothing in it is taken for a number that does not look like
// one.
#include "pg/ledger/records.hpp"

#include "core/schema/schema.hpp"
#include "pg/ledger/ledger_store.hpp"

namespace cowrie::pg {
namespace {

/** A moment as text, whatever the session's time zone and date style are. */
std::string in_utc(const std::string &time) {
  return "to_char(" + time + " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')";
}

std::string microseconds(const std::string &interval) {
  return "CASE WHEN " + interval + " BETWEEN '0' AND '1000 years' THEN (EXTRACT(epoch FROM " +
         interval + ") * 1000000)::int8 END";
}

std::optional<std::int64_t> number(const std::optional<std::string> &text) {
  if (!text || text->empty() || text->size() > 18 ||
      text->find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return to_number(text);
}

/** The members of an object of jsonb; of anything else none. */
std::string members(const std::string &object, const char *function = "jsonb_each_text") {
  return std::string(function) + "(CASE jsonb_typeof(" + object + ") WHEN 'object' THEN " + object +
         " ELSE '{}' END)";
}

TableSize &size_of(std::vector<TableSize> &sizes, const std::string &table) {
  for (TableSize &each : sizes)
    if (each.table == table)
      return each;
  sizes.push_back({table});
  return sizes.back();
}

void note_size(std::vector<TableSize> &sizes, const std::string &table, const std::string &part,
               std::int64_t bytes) {
  TableSize &size = size_of(sizes, table);
  if (part == "heap")
    size.heap = bytes;
  else if (part == "toast")
    size.toast = bytes;
  else if (part == "indexes")
    size.indexes = bytes;
}

} // namespace

LedgerRecords::LedgerRecords(const ResolvedTarget &target)
    : ledger_(target.extension.ledger), schema_(target.names.schema), place_(ledger_place(target)),
      owner_(target.extension.owner) {
  const char *home = call([&] { return get_namespace_name(target.extension.schema); });
  status_view_ = qualified(home, "cowrie_migration_status");
  has_evidence_ = call([&] {
    return get_attnum(get_relname_relid("cowrie_migration_log", target.extension.schema),
                      "evidence") != InvalidAttrNumber;
  });
}

std::vector<Row> LedgerRecords::rows(const std::string &sql,
                                     const std::vector<Parameter> &parameters) const {
  return ledger_rows(owner_, sql, parameters, true);
}

// A run that has ended since the latest one began is the latest one; so is one that has not ended
// and has no other after it.
std::vector<RunRecord> LedgerRecords::runs() {
  std::vector<RunRecord> result;
  for (const Row &row :
       rows("SELECT l.log_id, l.target_schema, l.mode, l.status, " + in_utc("l.started_at") + ", " +
                in_utc("l.finished_at") + ", " + microseconds("l.elapsed") +
                ", l.rows, l.detail, l.sqlstate, l.message, l.run_by, l.extension_version,"
                " l.session_count, l.documents_fingerprint, l.times_fingerprint, " +
                about_place +
                ", COALESCE(l.finished_at >= s.started_at, l.mode = s.mode AND NOT"
                " EXISTS (SELECT FROM " +
                ledger_ +
                " AS n WHERE n.phase IS NULL AND n.run_id = n.log_id AND n.log_id >"
                " l.log_id)) FROM " +
                ledger_ + " AS l LEFT JOIN " + status_view_ +
                " AS s ON true WHERE l.phase IS NULL AND l.run_id = l.log_id ORDER BY l.log_id",
            {schema_, place_})) {
    RunRecord run;
    run.id = number(row[0]).value_or(0);
    std::size_t column = 1;
    for (std::string *each : {&run.schema, &run.mode, &run.status, &run.started, &run.finished})
      *each = row[column++].value_or("");
    run.elapsed_us = number(row[6]);
    run.rows = number(row[7]);
    column = 8;
    for (std::string *each :
         {&run.detail, &run.sqlstate, &run.message, &run.run_by, &run.extension_version})
      *each = row[column++].value_or("");
    if (const auto sessions = number(row[13]))
      run.before = Fingerprint{*sessions, row[14].value_or(""), row[15].value_or("")};
    run.here = row[16] == "t";
    run.is_latest = row[17] == "t";
    result.push_back(std::move(run));
  }
  return result;
}

// One row for each fact: what it is about, and a name with its value.
void LedgerRecords::complete(RunRecord &run) {
  std::string sql = "SELECT 'reject', NULL, m.key, m.value FROM " + ledger_ + " AS l, " +
                    members("l.rejects") + " AS m WHERE l.log_id = $1::int8";
  if (has_evidence_) {
    const auto add = [&](const std::string &kind, const std::string &object) {
      sql += " UNION ALL SELECT " + quote_literal(kind) + ", NULL, m.key, m.value FROM " + ledger_ +
             " AS l, " + members(object) + " AS m WHERE l.log_id = $1::int8";
    };
    add("server", "l.evidence");
    add("argument", "l.evidence -> 'arguments'");
    add("setting", "l.evidence -> 'settings'");
    add("filled", "l.evidence -> 'before' -> 'filled'");
    for (const char *when : {"before", "after"})
      sql += std::string(" UNION ALL SELECT '") + when + "', t.key, m.key, m.value FROM " +
             ledger_ + " AS l, " +
             members("l.evidence -> '" + std::string(when) + "' -> 'sizes'", "jsonb_each") +
             " AS t, " + members("t.value") + " AS m WHERE l.log_id = $1::int8";
  }
  for (const Row &row : rows(sql + " ORDER BY 1, 2, 3", {run.id})) {
    const std::string kind = row[0].value_or(""), name = row[2].value_or("");
    const std::optional<std::int64_t> amount = number(row[3]);
    if (kind == "server" && name == "server")
      run.server_version = row[3].value_or("");
    else if (kind == "server" && name == "function")
      run.function = row[3].value_or("");
    else if (kind == "argument")
      run.arguments.emplace_back(name, row[3].value_or("NULL"));
    else if (kind == "setting")
      run.settings.emplace_back(name, row[3].value_or(""));
    else if (!amount)
      continue;
    else if (kind == "reject")
      run.rejects.emplace_back(name, *amount);
    else if (kind == "filled")
      run.filled_before.emplace_back(name, *amount);
    else if (kind == "before")
      note_size(run.sizes_before, row[1].value_or(""), name, *amount);
    else if (kind == "after")
      note_size(run.sizes_after, row[1].value_or(""), name, *amount);
  }
}

std::vector<StepRecord> LedgerRecords::steps(std::int64_t run) {
  std::vector<StepRecord> result;
  for (const Row &row :
       rows("SELECT l.phase, l.step, l.status, l.rows, " + microseconds("l.elapsed") +
                ", l.detail, l.sqlstate, l.message FROM " + ledger_ +
                " AS l WHERE l.run_id = $1::int8 AND l.phase IS NOT NULL ORDER BY"
                " l.log_id LIMIT 1000",
            {run})) {
    StepRecord step;
    step.run = run;
    step.phase = static_cast<int>(number(row[0]).value_or(0) % 1000);
    step.step = row[1].value_or("");
    step.status = row[2].value_or("");
    step.rows = number(row[3]);
    step.elapsed_us = number(row[4]);
    step.detail = row[5].value_or("");
    step.sqlstate = row[6].value_or("");
    step.message = row[7].value_or("");
    result.push_back(std::move(step));
  }
  return result;
}

// By their names in jsonb, because the view of an older version has fewer columns.
LatestRun LedgerRecords::latest() {
  const std::vector<Row> found =
      rows("SELECT s.j ->> 'running', s.j ->> 'outcome', s.j ->> 'mode', s.j ->> 'phase', s.j ->>"
           " 'step', " +
               in_utc("s.started_at") + ", " + in_utc("s.updated_at") +
               ", s.j ->> 'last_sqlstate', s.j ->> 'last_message', s.j ->> 'run_by', s.j ->>"
               " 'waiting_for', s.j ->> 'rows_done', s.j ->> 'rows_total', s.j ->> 'percent' FROM"
               " (SELECT started_at, updated_at, to_jsonb(v) AS j FROM " +
               status_view_ + " AS v) AS s",
           {});
  LatestRun latest;
  if (found.empty())
    return latest;
  const Row &row = found.front();
  latest.running = row[0] == "true";
  std::size_t column = 1;
  for (std::string *each :
       {&latest.outcome, &latest.mode, &latest.phase, &latest.step, &latest.started,
        &latest.updated, &latest.sqlstate, &latest.message, &latest.run_by, &latest.waiting_for,
        &latest.rows_done, &latest.rows_total, &latest.percent})
    *each = row[column++].value_or("");
  return latest;
}

} // namespace cowrie::pg
