// Fill run: what happens beside the values while one statement fills the session columns.
#include "pg/reading/fill_run.hpp"

#include "pg/catalog/typed_columns.hpp"
#include "pg/reading/session_memo.hpp"

namespace cowrie::pg {
namespace {

FillRun *active = nullptr;

constexpr int batch_size = 1000;
constexpr std::int64_t rows_between_clock_readings = 128;
constexpr std::int64_t note_interval_us = 200'000;

} // namespace

FillRun *FillRun::current() noexcept { return active; }

// Subtransactions are numbered in the order in which they begin: one with a larger number is inside
// the run (an exception block of somebody's trigger, say) and none of its business.
void abandon_fill_run(SubTransactionId ended) noexcept {
  if (active && (ended == InvalidSubTransactionId || ended <= active->begun_in()))
    active = nullptr;
}

FillRun::FillRun(const ResolvedTarget &target, Progress &progress, bool stage,
                 std::int64_t expected_rows, std::optional<std::int64_t> start)
    : target_(target), progress_(progress),
      start_(start.value_or(GetCurrentStatementStartTimestamp())), expected_rows_(expected_rows) {
  if (target.names.has_raw_events) {
    events_.emplace(target.names, /* by_table: */ !target.names.raw_events_indexed);
    if (target.names.raw_events_indexed)
      events_->begin_scan(target.schema);
  }
  if (stage)
    call([&] { open_staging_unsafe(target.names.staging.c_str()); });
  call([&] { progress_.note_rows_unsafe(0, expected_rows_, rejects_); });
  begun_in_ = call([] { return GetCurrentSubTransactionId(); });
  forget_memo(); // every session must be seen by this run
  active = this;
}

FillRun::~FillRun() {
  active = nullptr;
  forget_memo(); // it may hold what a reader of this run has read
  // Relation, slots and plan go with their (sub)transaction when finish() was not reached.
}

void FillRun::have_read_ahead(const std::vector<Oid> &tables, const ReadingManner &manner) {
  ahead_.emplace(target_, tables, target_.names.has_raw_events && !target_.names.raw_events_indexed,
                 manner);
}

// The reader has ended with the last row, unless it has seen rows that the writer has not.
void FillRun::end_parallel_mode() {
  if (ahead_ && ahead_->at_work())
    ahead_->stop();
}

const SessionReading *FillRun::read_ahead(const SessionArguments &row) {
  if (!ahead_)
    return nullptr;
  if (ahead_->begins_portion())
    call([this] { show_progress_unsafe(0); }); // the last chance for a while
  const SessionReading *reading = ahead_->next();
  if (!reading)
    return nullptr;
  // Another order of the rows than expected: what was read is of no use.
  if (reading->session_id != row.session_id_text ||
      (reading->read && reading->stored != stored_hash(row))) {
    ahead_->stop();
    return nullptr;
  }
  // A session that has an address is read with it.
  return reading->read && row.source_ip.empty() ? reading : nullptr;
}

FillResult FillRun::finish() {
  end_parallel_mode();
  call([&] {
    settle_unsafe();
    if (staging_) {
      flush_unsafe();
      for (int i = 0; i < batch_size; ++i)
        ExecDropSingleTupleTableSlot(slots_[i]);
      table_finish_bulk_insert(staging_, 0);
      FreeBulkInsertState(bulk_);
      table_close(staging_, NoLock);
      MemoryContextDelete(batch_context_);
      staging_ = nullptr;
    }
    progress_.note_rows_unsafe(proof_.all.sessions, proof_.all.sessions, rejects_);
  });
  if (events_)
    events_->finish_scan();
  events_.reset();
  active = nullptr;
  FillResult result;
  result.rejects = rejects_;
  result.null_escapes = null_escapes_;
  const auto in_words = [](const SessionsFingerprint &sum) -> Fingerprint {
    return {sum.sessions, sum.documents.hex(), sum.times.hex()};
  };
  result.before = in_words(proof_.all);
  result.settled = in_words(proof_.settled());
  result.stored = in_words(kept_);
  return result;
}

void FillRun::open_staging_unsafe(const char *name) {
  staging_ = open_work_table_unsafe(name, target_.schema, target_.owner,
                                    {types::text, types::text, types::int4, types::text,
                                     types::timestamptz, types::timestamptz, types::boolean,
                                     types::text, types::text, types::text});
  if (!staging_)
    ereport(
        ERROR,
        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
         errmsg("work table %s of the migration is missing or has been changed", name),
         errdetail("It was dropped or altered, or its owner was changed, during the migration."),
         errhint("Do not modify the work tables of a migration. Then repeat the call.")));
  bulk_ = GetBulkInsertState();
  batch_context_ =
      AllocSetContextCreate(CurrentMemoryContext, "cowrie_migrate staging", ALLOCSET_DEFAULT_SIZES);
  slots_ = static_cast<TupleTableSlot **>(palloc(sizeof(TupleTableSlot *) * batch_size));
  for (int i = 0; i < batch_size; ++i)
    slots_[i] =
        MakeSingleTupleTableSlot(RelationGetDescr(staging_), table_slot_callbacks(staging_));
}

// In READ COMMITTED an UPDATE that finds a row changed by somebody else computes its values once
// more from the newer version, before it looks at the next row.
void FillRun::take_unsafe(const FilledSession &session) {
  if (session.session_id != latest_.session_id)
    settle_unsafe();
  latest_.taken = true;
  latest_.session_id = session.session_id;
  latest_.proof = ProofSum();
  latest_.proof.add(session.session_id, session.sums.document, session.first, session.last,
                    session.created && *session.created <= start_);
  latest_.kept = SessionsFingerprint();
  latest_.kept.add(session.session_id, session.sums.kept, session.first, session.last);
  latest_.null_escapes = session.sums.null_escape ? 1 : 0;
  latest_.rejects = {};
  if (session.facts)
    for (const RejectedValue &each : session.facts->rejects)
      ++latest_.rejects[static_cast<std::size_t>(each.reason)];
  latest_.staged = staging_ && (!session.source_ip.empty() || session.asn != 0);
  if (latest_.staged)
    stage_unsafe(session);
}

void FillRun::settle_unsafe() {
  if (!latest_.taken)
    return;
  latest_.taken = false;
  proof_.add(latest_.proof);
  kept_.add(latest_.kept);
  null_escapes_ += latest_.null_escapes;
  for (std::size_t i = 0; i < rejects_.size(); ++i)
    rejects_[i] += latest_.rejects[i];
  if (latest_.staged && ++buffered_ == batch_size)
    flush_unsafe();

  // Sequences cannot be set while another process reads ahead: see ReadAhead.
  if (proof_.all.sessions % rows_between_clock_readings == 0 && !(ahead_ && ahead_->at_work()))
    show_progress_unsafe(note_interval_us);
}

void FillRun::show_progress_unsafe(std::int64_t interval_us) {
  const TimestampTz now = GetCurrentTimestamp();
  if (now - last_note_ >= interval_us) {
    last_note_ = now;
    progress_.note_rows_unsafe(proof_.all.sessions, expected_rows_, rejects_);
  }
}

// The order is that of derivation::create_staging().
void FillRun::stage_unsafe(const FilledSession &session) {
  MemoryContext previous = MemoryContextSwitchTo(batch_context_);
  TupleTableSlot *slot = slots_[buffered_];
  ExecClearTuple(slot);
  int column = 0;
  const auto put = [&](bool present, Datum value) {
    slot->tts_isnull[column] = !present;
    slot->tts_values[column++] = value;
  };
  const auto put_text = [&](std::string_view text) {
    put(!text.empty(), text.empty() ? Datum(0) : text_datum_unsafe(text));
  };
  const auto first_of = [](std::initializer_list<std::optional<std::int64_t>> times) {
    for (const auto &each : times)
      if (each)
        return each;
    return std::optional<std::int64_t>();
  };
  const auto started = first_of({session.first, session.last, session.created});
  const auto ended = first_of({session.last, session.first, session.created});
  const Facts &facts = *session.facts;

  put(true, server_text_datum_unsafe(session.session_id));
  put_text(session.source_ip);
  put(session.asn != 0, Int32GetDatum(session.asn));
  // A kept ASN that the document does not give has no known source.
  put_text(session.asn != 0 && session.asn == facts.asn ? provider_name(facts.asn_source)
                                                        : std::string_view());
  put(started.has_value(), TimestampTzGetDatum(started.value_or(0)));
  put(ended.has_value(), TimestampTzGetDatum(ended.value_or(0)));
  put(true, BoolGetDatum(facts.has_provider_data));
  put_text(facts.organization);
  put_text(facts.organization_country);
  put_text(facts.registry);
  ExecStoreVirtualTuple(slot);
  MemoryContextSwitchTo(previous);
}

void FillRun::flush_unsafe() {
  if (buffered_ == 0)
    return;
  MemoryContext previous = MemoryContextSwitchTo(batch_context_);
  table_multi_insert(staging_, slots_, buffered_, GetCurrentCommandId(true), 0, bulk_);
  for (int i = 0; i < buffered_; ++i)
    ExecClearTuple(slots_[i]);
  MemoryContextSwitchTo(previous);
  MemoryContextReset(batch_context_);
  buffered_ = 0;
}

} // namespace cowrie::pg
