// Session memo: one document is detoasted and read once, however many columns ask for it.
#include "pg/reading/session_memo.hpp"

#include "pg/reading/fill_run.hpp"

namespace cowrie::pg {
namespace {

/** What identifies a row: its key, its stored document and the address it has already. */
struct Memo {
  bool valid = false;
  bool has_document = false;
  std::string session_id;
  std::string source_ip;
  std::string stored; ///< the toast pointer, or all inline bytes
  DocumentText text;  ///< lives in Workspace::documents until the next document is fetched
  const Facts *facts = nullptr;
  const SessionReading *reading = nullptr; ///< where another process has read it: the run's
};

/** The backend's reader and memo. Made when first needed, gone at the end of the transaction. */
struct Workspace : Live {
  EnrichmentReader reader;
  Memo memo;
  std::string read; ///< what the reader has read last, as stored; empty: not a document as such
  MemoryContext documents = nullptr; ///< detoasted text of the current document
};

std::unique_ptr<Workspace> workspace;

// A document larger than this does not leave its buffers behind.
constexpr std::size_t ordinary_document = 1 << 20;

Workspace &current_workspace() {
  if (!workspace) {
    auto made = std::make_unique<Workspace>();
    made->documents = call([] {
      return AllocSetContextCreate(TopTransactionContext, "cowrie_migrate documents",
                                   ALLOCSET_DEFAULT_SIZES);
    });
    workspace = std::move(made);
  }
  return *workspace;
}

std::string_view stored_bytes(Datum document) noexcept {
  const auto *pointer = reinterpret_cast<const char *>(DatumGetPointer(document));
  return {pointer, VARSIZE_ANY(pointer)};
}

/** Tells whether the stored bytes are the document or point to where it stays: not to memory. */
bool identifies_document(Datum document) noexcept {
  const auto *pointer = reinterpret_cast<const char *>(DatumGetPointer(document));
  return VARATT_IS_EXTERNAL(pointer) ? VARATT_IS_EXTERNAL_ONDISK(pointer)
                                     : VARSIZE_ANY(pointer) <= ordinary_document;
}

bool looking_up_event = false;

/** Set while SQL runs in the middle of a reading. */
class LookingUpEvent {
public:
  LookingUpEvent() noexcept { looking_up_event = true; }
  ~LookingUpEvent() { looking_up_event = false; }
  LookingUpEvent(const LookingUpEvent &) = delete;
  LookingUpEvent &operator=(const LookingUpEvent &) = delete;
};

/** A look-up of raw events that itself reads documents would take the reader away under us. */
void refuse_nested_reading() {
  if (looking_up_event)
    throw Failure(sqlstate::object_in_use,
                  "documents cannot be read while a raw event is looked up",
                  "Reading raw_events calls a function of cowrie_migrate.",
                  "Inspect it with \\d+ raw_events; it must be an ordinary table.");
}

/** Makes the text of a document, in place of the previous one. */
DocumentText fetch(Workspace &space, Datum document, Oid type) {
  return call([&]() -> DocumentText {
    MemoryContextReset(space.documents);
    MemoryContext previous = MemoryContextSwitchTo(space.documents);
    const DocumentText text = document_text_unsafe(document, type);
    MemoryContextSwitchTo(previous);
    return text;
  });
}

SessionFacts facts_of(const Memo &memo) noexcept {
  if (!memo.has_document || memo.reading)
    return {memo.facts, std::nullopt, std::nullopt, memo.reading};
  return {memo.facts, memo.text.bytes(), memo.text.kept_bytes(), nullptr};
}

void drop_workspace() noexcept { workspace.reset(); }

// The memory context of the documents belongs to the transaction and goes with it.
extern "C" void forget_at_transaction_end(XactEvent event, void *) {
  switch (event) {
  case XACT_EVENT_COMMIT:
  case XACT_EVENT_ABORT:
  case XACT_EVENT_PREPARE:
  case XACT_EVENT_PARALLEL_COMMIT:
  case XACT_EVENT_PARALLEL_ABORT:
    abandon_fill_run(InvalidSubTransactionId);
    drop_workspace();
    break;
  default:
    break;
  }
}

extern "C" void forget_at_subtransaction_end(SubXactEvent event, SubTransactionId ended,
                                             SubTransactionId, void *) {
  if (event == SUBXACT_EVENT_ABORT_SUB)
    abandon_fill_run(ended);
}

} // namespace

void register_memo_callbacks() {
  RegisterXactCallback(forget_at_transaction_end, nullptr);
  RegisterSubXactCallback(forget_at_subtransaction_end, nullptr);
}

EnrichmentReader &read_no_document() {
  refuse_nested_reading();
  Workspace &space = current_workspace();
  space.memo.valid = false;
  space.read.clear();
  space.reader.read("null");
  return space.reader;
}

std::optional<EventAddress> ask_event(EventLookup &events, EnrichmentReader &reader,
                                      Datum session_id) {
  if (!reader.needs_event())
    return std::nullopt;
  DocumentText payload;
  {
    const LookingUpEvent marked;
    if (!events.earliest(session_id, payload))
      return std::nullopt;
  }
  return reader.read_event(payload.json());
}

void forget_memo() noexcept {
  if (workspace)
    workspace->memo.valid = false;
}

EnrichmentReader &read_document(Datum document, Oid type) {
  refuse_nested_reading();
  Workspace &space = current_workspace();
  space.memo.valid = false;
  const std::string_view stored = stored_bytes(document);
  if (!space.read.empty() && space.read == stored)
    return space.reader;
  space.read.clear();
  const DocumentText text = fetch(space, document, type);
  space.reader.read(text.json());
  if (identifies_document(document))
    space.read = stored;
  return space.reader;
}

std::uint64_t stored_hash(const SessionArguments &row) noexcept {
  return row.has_document ? hash64(stored_bytes(row.document)) : 0;
}

DocumentSums document_sums(const SessionArguments &row, const SessionFacts &found) noexcept {
  if (found.reading)
    return {found.reading->document, found.reading->kept, found.reading->null_escape};
  return {document_sum(row.session_id_text, found.document),
          document_sum(row.session_id_text, found.kept),
          row.document_type == JSONOID && found.document && holds_null_escape(*found.document)};
}

bool is_last_document(std::string_view session_id, Datum document) noexcept {
  return workspace && workspace->memo.valid && workspace->memo.has_document &&
         !workspace->memo.reading && workspace->memo.session_id == session_id &&
         workspace->memo.stored == stored_bytes(document);
}

SessionFacts session_facts(const SessionArguments &row) {
  refuse_nested_reading();
  Workspace &space = current_workspace();
  Memo &memo = space.memo;
  const std::string_view stored = row.has_document ? stored_bytes(row.document) : "";
  if (memo.valid && memo.has_document == row.has_document && memo.stored == stored &&
      memo.session_id == row.session_id_text && memo.source_ip == row.source_ip)
    return facts_of(memo);

  memo.valid = false;
  space.read.clear();
  if (memo.text.size > ordinary_document)
    space.reader.release(); // not before: the facts of the previous document go with it
  FillRun *run = FillRun::current();
  const SessionReading *ahead = run ? run->read_ahead(row) : nullptr;
  DocumentText text;
  if (ahead) {
    memo.facts = &ahead->facts;
  } else {
    if (row.has_document)
      text = fetch(space, row.document, row.document_type);
    space.reader.read(row.has_document ? text.json() : "null");
    std::optional<EventAddress> event;
    EventLookup *events = row.events ? row.events : run ? run->events() : nullptr;
    if (events && row.source_ip.empty() && row.has_session_id)
      event = ask_event(*events, space.reader, row.session_id);
    memo.facts = &space.reader.resolve(row.source_ip, event ? &*event : nullptr);
  }
  memo.reading = ahead;
  memo.has_document = row.has_document;
  memo.stored = stored;
  memo.session_id = row.session_id_text;
  memo.source_ip = row.source_ip;
  memo.text = text;
  memo.valid = true;
  return facts_of(memo);
}

} // namespace cowrie::pg
