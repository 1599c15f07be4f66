// Zero loss: what proves that a run has lost or changed no session.
#include "core/inspect/zero_loss.hpp"

#include "core/base/text.hpp"
#include "core/document/fingerprint.hpp"
#include "core/schema/v15.hpp"
#include "core/sql/derivation.hpp"
#include "core/sql/derivation_parts.hpp"

namespace cowrie {
namespace {

Table base_sessions(Database &database) {
  return *database.observe(schema_v15()).table("session_summaries");
}

/** Whether the documents are what this run's rewrite has left, byte for byte, compressed as they
 *  are: equal bytes mean equal text, and need not be decompressed. */
bool stored_as_rewritten(Database &database, const FillResult &proof) {
  if (proof.stored.documents.empty())
    return false;
  const Row row =
      database.query(derivation::stored_fingerprint(database.target(), base_sessions(database)))
          .front();
  return differences(proof.stored, fingerprint_in(row, 0)).empty();
}

/** A moment as a constant of SQL, exact whatever the session's time zone and date style are. */
std::string moment(std::int64_t us) {
  return "(timestamptz '2000-01-01 00:00:00Z' + " + std::to_string(us) +
         " * interval '1 microsecond')";
}

} // namespace

std::string differences(const Fingerprint &before, const Fingerprint &now) {
  std::string result;
  // The sum over no session is 0; an online run that has made no batch has none.
  const auto sum = [](const std::string &text) { return text.empty() ? Sum128().hex() : text; };
  const auto compare = [&](bool same, const std::string &what) {
    if (!same)
      append(result, what);
  };
  compare(now.sessions == before.sessions, "count (" + std::to_string(before.sessions) +
                                               " before, " + std::to_string(now.sessions) +
                                               " now)");
  compare(sum(now.documents) == sum(before.documents), "documents");
  compare(sum(now.times) == sum(before.times), "times");
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
  if (!proof.heap.documents.empty()) {
    if (differences(proof.heap, database.stored_rows()).empty())
      return "";
    const std::string differs = differences(proof.before, scan_fingerprints(database).first);
    return differs.empty() ? "values of other columns" : differs;
  }
  return stored_as_rewritten(database, proof)
             ? ""
             : differences(proof.before, scan_fingerprints(database).first);
}

std::optional<FirstRun> first_run(Ledger &ledger) {
  std::optional<FirstRun> first;
  bool finished = false;
  for (const RecordedRun &run : ledger.runs()) {
    if (run.cleanup && run.done)
      first.reset();
    if (!run.cleanup && run.settled && (!first || finished)) {
      first = FirstRun{run.id, run.started, run.settled_us, *run.settled};
      finished = false;
    }
    finished = finished || (run.done && !run.cleanup); // the run that ends it may be a later one
  }
  return first;
}

Comparison compare_with(Database &database, const FirstRun &first) {
  const Target &target = database.target();
  const Table sessions = base_sessions(database);
  const std::string start = moment(first.settled_us);
  const Row scanned = database.query(derivation::fingerprint(target, sessions, start)).front();
  const Fingerprint now = fingerprint_in(scanned, 3);
  Comparison result{differences(first.settled, now), now.sessions, 0, now};
  if (!result.differs.empty())
    result.updated =
        database.number("SELECT count(*) FROM " + derivation::sessions_of(target) + " WHERE " +
                        derivation::utc(sessions, "created_at") + " <= " + start + " AND " +
                        derivation::utc(sessions, "updated_at") + " > " + start);
  return result;
}

} // namespace cowrie
