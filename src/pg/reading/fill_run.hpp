// Fill run: what happens beside the values while one statement fills the session columns. It stages
// a narrow row per session, sums the fingerprint, counts rejects, looks up raw events and shows
// progress, so that the documents need no second pass.
//
// One at a time per backend. Error regime: functions named _unsafe may longjmp; the run is dropped
// at the end of the (sub)transaction it was begun in, whatever happens.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "core/document/enrichment.hpp"
#include "core/document/fingerprint.hpp"
#include "core/ports/ports.hpp"
#include "pg/reading/event_lookup.hpp"
#include "pg/ledger/progress.hpp"
#include "pg/reading/session_memo.hpp"
#include "pg/reading/read_ahead.hpp"
#include "pg/catalog/target.hpp"

namespace cowrie::pg {

/** What a session has after the fill: values that were there are kept. Times are timestamptz. */
struct FilledSession {
  std::string_view session_id;
  std::string_view source_ip; ///< empty: none
  std::int32_t asn = 0;       ///< 0: none
  const Facts *facts = nullptr;
  DocumentSums sums;
  std::optional<std::int64_t> first, last, created;
};

/** What a run takes of a session that has been read; its times are left to the caller. */
inline FilledSession filled_session(const SessionArguments &row, const SessionFacts &found,
                                    std::optional<std::int32_t> kept_asn) noexcept {
  FilledSession session;
  session.session_id = row.session_id_text;
  session.source_ip = found.facts->source_ip;
  session.asn = kept_asn.value_or(found.facts->asn);
  session.facts = found.facts;
  session.sums = document_sums(row, found);
  return session;
}

class FillRun : Live {
public:
  /** The run of the statement that is being executed; null outside one. */
  static FillRun *current() noexcept;

  FillRun(const ResolvedTarget &target, Progress &progress, bool stage, std::int64_t expected_rows,
          std::optional<std::int64_t> start);
  ~FillRun();
  FillRun(const FillRun &) = delete;
  FillRun &operator=(const FillRun &) = delete;

  SubTransactionId begun_in() const noexcept { return begun_in_; }

  /** Closes the staging table and returns what was counted. */
  FillResult finish();

  /** Takes one session: stages it, adds it to the proof, counts its rejects. The same session
   *  again is a newer version of its row: it replaces what was taken. */
  void take_unsafe(const FilledSession &session);

  /** Has documents read by another process, for what takes the sessions once, in the order of these
   *  tables. */
  void have_read_ahead(const std::vector<Oid> &tables, const ReadingManner &manner);

  /** To be called after the last row: this process is in parallel mode no more. */
  void end_parallel_mode();

  /** What another process has read of the session that is to be filled next; null: it has not. To
   * be asked once for each. */
  const SessionReading *read_ahead(const SessionArguments &row);

  /** What the session that was taken last has been proved by; null: it was another one. */
  const SessionsFingerprint *latest(std::string_view session_id) const noexcept {
    return latest_.taken && latest_.session_id == session_id ? &latest_.proof.all : nullptr;
  }

  /** Notes the columns that no sum is over, of a session as it is read; a newer version of its row
   *  replaces what was noted. */
  void note_columns(std::string_view session_id, std::int64_t columns) {
    noted_columns_[std::string(session_id)] = columns;
  }
  std::optional<std::int64_t> noted_columns(std::string_view session_id) const {
    const auto found = noted_columns_.find(std::string(session_id));
    return found == noted_columns_.end() ? std::nullopt
                                         : std::optional<std::int64_t>(found->second);
  }

  /** Where sessions without a usable address are looked up; null where that is not wanted. */
  EventLookup *events() noexcept { return events_ ? &*events_ : nullptr; }

private:
  void open_staging_unsafe(const char *name);
  void stage_unsafe(const FilledSession &session);
  void settle_unsafe();
  /** Shows how far it is, unless that was done less than the interval ago. */
  void show_progress_unsafe(std::int64_t interval_us);
  void flush_unsafe();

  /** The session that was taken last: not counted yet, because its row may come again. */
  struct Latest {
    bool taken = false, staged = false;
    std::string session_id;
    ProofSum proof;
    SessionsFingerprint kept;
    RejectCounts rejects{};
    std::int64_t null_escapes = 0;
  };

  const ResolvedTarget &target_;
  Progress &progress_;
  Latest latest_;
  ProofSum proof_;
  SessionsFingerprint kept_; ///< the same over the bytes that a rewrite leaves as they are
  const TimestampTz start_;  ///< derivation::run_start, or that of an earlier call
  std::unordered_map<std::string, std::int64_t> noted_columns_;
  RejectCounts rejects_{};
  std::int64_t null_escapes_ = 0;
  std::int64_t expected_rows_;
  SubTransactionId begun_in_ = InvalidSubTransactionId;
  TimestampTz last_note_ = 0;
  std::optional<EventLookup> events_;
  std::optional<ReadAhead> ahead_;
  Relation staging_ = nullptr;
  BulkInsertState bulk_ = nullptr;
  MemoryContext batch_context_ = nullptr;
  TupleTableSlot **slots_ = nullptr;
  int buffered_ = 0;
};

/** Forgets the run without touching its relation when the subtransaction that is being rolled back
 *  is the run's own or one around it; InvalidSubTransactionId: the whole transaction ends. */
void abandon_fill_run(SubTransactionId ended) noexcept;

} // namespace cowrie::pg
