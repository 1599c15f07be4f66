// Ledger store: rows of cowrie_migration_log, written as its owner.
#include "pg/ledger/ledger_store.hpp"

#include "core/base/figures.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/derivation.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {
namespace {

Parameter text_or_null(std::string_view text) {
  return text.empty() ? Parameter(nullptr) : Parameter(std::string(text));
}

Parameter number_or_null(const std::optional<std::int64_t> &number) {
  return number ? Parameter(*number) : Parameter(nullptr);
}

// statement_timestamp() and now() stand still inside one statement; the ledger wants real time.
constexpr const char *version_of_extension =
    "(SELECT extversion FROM pg_extension WHERE extname = 'cowrie_migrate')";

} // namespace

std::string ledger_place(const ResolvedTarget &target) {
  const auto number = [](auto value) { return std::to_string(value); };
  return R"({"database": ")" + number(call([] { return GetSystemIdentifier(); })) + "/" +
         number(MyDatabaseId) + R"(", "schema": )" + number(target.schema) + R"(, "sessions": )" +
         number(target.sessions) + "}";
}

LedgerStore::LedgerStore(const ResolvedTarget &target)
    : table_(target.extension.ledger), schema_(target.names.schema), place_(ledger_place(target)),
      evidence_(target), owner_(target.extension.owner) {
  caller_ = call([]() -> const char * { return GetUserNameFromId(GetUserId(), false); });
}

std::vector<Row> ledger_rows(Oid owner, const std::string &sql,
                             const std::vector<Parameter> &parameters, bool read_only) {
  const PinnedSettings settings;
  const AsUser acting(owner, settings);
  std::optional<FreshSnapshot> snapshot;
  if (read_only)
    snapshot.emplace();
  return spi_query(sql, parameters, read_only);
}

std::vector<Row> LedgerStore::rows(const std::string &sql, const std::vector<Parameter> &parameters,
                                   bool read_only) {
  return ledger_rows(owner_, sql, parameters, read_only);
}

std::int64_t LedgerStore::write(const std::string &sql, const std::vector<Parameter> &parameters) {
  const std::vector<Row> written = rows(sql, parameters, false);
  return written.empty() ? 0 : std::stoll(written.front().front().value_or("0"));
}

// A run that has ended early, or that nobody has led to its end, says nothing about another table.
// A cleanup that leaves what was derived has taken nothing of the sessions back.
std::vector<RecordedRun> LedgerStore::runs() {
  std::vector<RecordedRun> result;
  for (const Row &row :
       rows("SELECT l.log_id, l.mode = 'cleanup' AND COALESCE(substring(l.detail FROM"
            " '^to phase ([0-9]{1,4})$')::integer, 0) < " +
                std::to_string(newest_schema().last_deriving_phase()) +
                ", l.status = 'done', l.started_at, CASE"
                " WHEN l.resume ->> 'settled_until' ~ '^-?[0-9]{1,18}$'"
                " THEN (l.resume ->> 'settled_until')::int8 ELSE (EXTRACT(epoch FROM l.started_at -"
                " timestamptz '2000-01-01 00:00:00Z') * 1000000)::int8 END, l.settled_count IS NOT"
                " NULL, l.settled_count, l.settled_documents, l.settled_times FROM " +
                table_ + " AS l WHERE " + about_place + " AND l.phase IS NULL AND NOT (" +
                about_other_table + " AND l.mode <> 'cleanup' AND NOT EXISTS (SELECT FROM " +
                table_ +
                " AS f WHERE f.log_id >= l.log_id AND f.phase IS NULL AND f.status ="
                " 'done' AND f.mode <> 'cleanup' AND f.resume ->> 'sessions' = l.resume ->>"
                " 'sessions')) AND NOT EXISTS (SELECT FROM " +
                table_ +
                " AS s WHERE s.step = 'begin_again' AND s.target_schema ="
                " l.target_schema AND s.run_id > l.log_id) ORDER BY l.log_id",
            {schema_, place_}, true)) {
    RecordedRun run;
    run.id = row[0].value_or("");
    run.cleanup = row[1] == "t";
    run.done = row[2] == "t";
    run.started = row[3].value_or("");
    run.settled_us = std::stoll(row[4].value_or("0"));
    if (row[5] == "t")
      run.settled = fingerprint_in(row, 6);
    result.push_back(std::move(run));
  }
  return result;
}

bool LedgerStore::knows_of_migration() {
  return !rows("SELECT FROM " + table_ + " AS l WHERE " + about_place +
                   " AND l.mode <> 'cleanup' AND l.phase IS NULL LIMIT 1",
               {schema_, place_}, true)
              .empty();
}

// The run's own row carries its id as run_id: one sequence serves both. It started when its
// statement did, not when the locks were granted: that is also what its proof is settled by.
std::int64_t LedgerStore::begin_run(std::string_view mode, std::string_view detail, bool fills) {
  mode_ = mode;
  const std::int64_t run = write(
      "INSERT INTO " + table_ +
          " (run_id, target_schema, mode, status, started_at, detail, run_by, extension_version,"
          " resume) VALUES (0, $1::text, $2::text, 'running', " +
          derivation::run_start + ", $3::text, $4::text, " + version_of_extension +
          ", $5::jsonb) RETURNING log_id",
      {schema_, mode_, text_or_null(detail), caller_, place_});
  write("UPDATE " + table_ + " SET run_id = log_id WHERE log_id = $1::int8", {run});
  evidence_.before(run, fills);
  return run;
}

void LedgerStore::record(std::int64_t run, const StepResult &step, std::string_view state,
                         std::string_view message) {
  write("INSERT INTO " + table_ +
            " (run_id, target_schema, mode, phase, step, status, rows, started_at, finished_at,"
            " elapsed, detail, sqlstate, message, run_by, extension_version) SELECT $1::int8,"
            " $2::text, $3::text, $4::int8, $5::text, $6::text, $7::int8,"
            " at - took, at, $13::int8 * interval '1 microsecond', $9::text, $10::text, $11::text, "
            "$12::text, " +
            version_of_extension +
            " FROM (SELECT clock_timestamp() AS at, $8::int8 * interval '1 microsecond' AS took)"
            " AS moment",
        {run, schema_, mode_, std::int64_t(step.phase), text_or_null(step.step), step.status,
         number_or_null(step.rows), step.elapsed_us, text_or_null(step.detail), text_or_null(state),
         text_or_null(message), caller_, whole_milliseconds(step.elapsed_us)});
}

void LedgerStore::record_proof(std::int64_t run, const FillResult &proof) {
  std::string rejects;
  for (std::size_t i = 0; i < proof.rejects.size(); ++i)
    if (proof.rejects[i] > 0)
      rejects += (rejects.empty() ? "" : ", ") +
                 ("\"" + std::string(reject_reason_name(static_cast<RejectReason>(i))) +
                  "\": " + std::to_string(proof.rejects[i]));
  write("UPDATE " + table_ +
            " SET session_count = $2::int8, documents_fingerprint = $3::text,"
            " times_fingerprint = $4::text, rejects = $5::text::jsonb, settled_count = $6::int8,"
            " settled_documents = $7::text, settled_times = $8::text WHERE log_id = $1::int8",
        {run, proof.before.sessions, proof.before.documents, proof.before.times,
         "{" + rejects + "}", proof.settled.sessions, proof.settled.documents,
         proof.settled.times});
}

void LedgerStore::finish_run(std::int64_t run, const StepResult &outcome, std::string_view state,
                             std::string_view message) {
  write("UPDATE " + table_ +
            " SET status = $2::text, rows = $3::int8, finished_at = clock_timestamp(),"
            " elapsed = $4::int8 * interval '1 microsecond', detail = COALESCE($5::text, detail),"
            " sqlstate = $6::text, message = $7::text WHERE log_id = $1::int8",
        {run, outcome.status, number_or_null(outcome.rows), whole_milliseconds(outcome.elapsed_us),
         text_or_null(outcome.detail), text_or_null(state), text_or_null(message)});
  // A table that somebody locks must not keep a failure from being recorded.
  if (outcome.status == "done")
    evidence_.after(run);
}

} // namespace cowrie::pg
