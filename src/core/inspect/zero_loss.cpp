// Zero loss: what proves that a run has lost or changed no session.
#include "core/inspect/zero_loss.hpp"

#include "core/sql/derivation.hpp"
#include "core/sql/derivation_parts.hpp"

namespace cowrie {
namespace {

Table base_sessions(Database &database) {
  return *database.observe(schema_v15()).table("session_summaries");
}

/** Whether the documents are what this run's rewrite has left, byte for byte, compressed as they
 *  are: equal bytes mean equal text, and need not be decompressed. */
bool kept_as_rewritten(Database &database, const FillResult &proof) {
  if (proof.kept.documents.empty())
    return false;
  const Row row =
      database.query(derivation::kept_fingerprint(database.target(), base_sessions(database)))
          .front();
  return differences(proof.kept, fingerprint_in(row, 0)).empty();
}

std::string ledger(const Target &target) {
  return qualified(target.extension_schema, "cowrie_migration_log");
}

std::string first_run_query(const Target &target) {
  return "SELECT log_id, mode = 'cleanup', status = 'done', settled_count IS NOT NULL,"
         " started_at, settled_count, settled_documents, settled_times FROM " +
         ledger(target) + " WHERE target_schema = $1::text AND phase IS NULL ORDER BY log_id";
}

} // namespace

std::string differences(const Fingerprint &before, const Fingerprint &now) {
  std::string result;
  const auto compare = [&](bool same, const std::string &what) {
    if (!same)
      result += (result.empty() ? "" : ", ") + what;
  };
  compare(now.sessions == before.sessions, "count (" + std::to_string(before.sessions) +
                                               " before, " + std::to_string(now.sessions) +
                                               " now)");
  compare(now.documents == before.documents, "documents");
  compare(now.times == before.times, "times");
  return result;
}

std::pair<Fingerprint, Fingerprint> scan_fingerprints(Database &database) {
  const Row row =
      database.query(derivation::fingerprint(database.target(), base_sessions(database))).front();
  return {fingerprint_in(row, 0), fingerprint_in(row, 3)};
}

// Where the heap alone was rewritten, equal rows with equal pointers into TOAST are all that need
// be seen. Where they differ the documents and the times tell more, and every other column nothing.
std::string lost_since(Database &database, const FillResult &proof) {
  if (!proof.stored.documents.empty()) {
    if (differences(proof.stored, database.stored_rows()).empty())
      return "";
    const std::string differs = differences(proof.before, scan_fingerprints(database).first);
    return differs.empty() ? "values of other columns" : differs;
  }
  return kept_as_rewritten(database, proof)
             ? ""
             : differences(proof.before, scan_fingerprints(database).first);
}

std::optional<FirstRun> first_run(Database &database) {
  const Target &target = database.target();
  std::optional<FirstRun> first;
  bool finished = false;
  for (const Row &run : database.query(first_run_query(target), {target.schema})) {
    const bool is_cleanup = run[1] == "t", done = run[2] == "t", has_proof = run[3] == "t";
    if (is_cleanup && done)
      first.reset();
    if (!is_cleanup && has_proof && (!first || finished)) {
      first = FirstRun{run[0].value_or(""), run[4].value_or(""), fingerprint_in(run, 5)};
      finished = false;
    }
    finished = finished || (done && !is_cleanup); // the run that ends it may be a later one
  }
  return first;
}

Comparison compare_with(Database &database, const FirstRun &first) {
  const Target &target = database.target();
  const Table sessions = base_sessions(database);
  const std::string start =
      "(SELECT started_at FROM " + ledger(target) + " WHERE log_id = " + first.run + ")";
  const Row scanned = database.query(derivation::fingerprint(target, sessions, start)).front();
  const Fingerprint now = fingerprint_in(scanned, 3);
  Comparison result{differences(first.settled, now), now.sessions, 0};
  if (!result.differs.empty())
    result.updated =
        std::stoll(database
                       .query("SELECT count(*) FROM " + derivation::sessions_of(target) +
                              " WHERE " + derivation::utc(sessions, "created_at") + " <= " + start +
                              " AND " + derivation::utc(sessions, "updated_at") + " > " + start)
                       .front()
                       .front()
                       .value_or("0"));
  return result;
}

} // namespace cowrie
