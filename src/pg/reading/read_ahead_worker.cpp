// Read-ahead worker: the parallel worker that reads the documents of one portion of the table.
//
// Error regime: what it raises is raised in the process that it reads for.
#include "pg/reading/read_ahead_worker.hpp"

#include "pg/catalog/typed_columns.hpp"
#include "pg/reading/session_memo.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {

SessionColumns SessionColumns::of_unsafe(Relation sessions) {
  SessionColumns columns;
  TupleDesc shape = RelationGetDescr(sessions);
  const TypedColumn document = typed_column(shape, "enrichment", types::document);
  columns.session_id = typed_column(shape, "session_id", types::text).number;
  columns.enrichment = document.number;
  columns.document_type = document.type;
  columns.source_ip = any_column(shape, "source_ip").number; // only whether it is NULL
  return columns;
}

namespace {

/** Small against the queue: the writer shall not wait for a message while there is room. */
constexpr std::size_t message_size = std::size_t{16} * 1024;

class PortionReader : Live {
public:
  PortionReader(const ReadingOrder &order, shm_mq_handle *queue)
      : queue_(queue), share_(order.share) {
    if (order.ask_events) {
      Target names;
      names.schema = order.schema_name;
      events_.emplace(names, order.by_table);
      if (!order.by_table)
        events_->begin_scan(order.schema);
    }
  }

  void read(const ReadingOrder &order) {
    bool wanted = true;
    for (int i = 0; i < order.part_count && wanted; ++i)
      wanted = read(order.parts[i]);
    send(end_of_portion);
    if (events_)
      events_->finish_scan();
  }

private:
  /** Reads one part; false: nobody wants any more. */
  bool read(const ReadingPart &part) {
    call([&] {
      sessions_ = table_open(part.sessions, AccessShareLock);
      columns_ = SessionColumns::of_unsafe(sessions_);
      slot_ = table_slot_create(sessions_, nullptr);
      ItemPointerData from, to;
      ItemPointerSet(&from, part.first, FirstOffsetNumber);
      ItemPointerSet(&to, part.end - 1, MaxOffsetNumber);
      scan_ = compat::scan_range_unsafe(sessions_, GetActiveSnapshot(), &from, &to);
      row_memory_ = AllocSetContextCreate(CurrentMemoryContext, "cowrie_migrate read row",
                                          ALLOCSET_DEFAULT_SIZES);
    });
    bool wanted = true;
    while (wanted && call([this] { return next_unsafe(); })) {
      describe_in_memory_of_row();
      append(message_, reading_);
      wanted = message_.size() < message_size || send(more_follows);
    }
    call([this] {
      MemoryContextDelete(row_memory_);
      table_endscan(scan_);
      ExecDropSingleTupleTableSlot(slot_);
      table_close(sessions_, NoLock);
    });
    return wanted;
  }

  /** One row, as the scan shows it; nothing: SQL NULL. */
  struct StoredSession {
    std::optional<Datum> session_id, document;
    bool has_address = false;
  };

  bool next_unsafe() {
    CHECK_FOR_INTERRUPTS();
    if (!table_scan_getnextslot_tidrange(scan_, ForwardScanDirection, slot_))
      return false;
    const auto value = [this](AttrNumber column) -> std::optional<Datum> {
      bool is_null = true;
      const Datum datum = column > 0 ? slot_getattr(slot_, column, &is_null) : Datum(0);
      return is_null ? std::nullopt : std::optional<Datum>(datum);
    };
    row_.session_id = value(columns_.session_id);
    row_.document = value(columns_.enrichment);
    row_.has_address = value(columns_.source_ip).has_value();
    return true;
  }

  // The payload of an event is copied there. An error ends the process.
  void describe_in_memory_of_row() {
    MemoryContextReset(row_memory_);
    MemoryContext callers = MemoryContextSwitchTo(row_memory_);
    describe();
    MemoryContextSwitchTo(callers);
  }

  // A session that has an address already is left to the writer: it may be of another type.
  void describe() {
    SessionArguments row;
    row.has_session_id = row_.session_id.has_value();
    row.session_id = row_.session_id.value_or(0);
    if (row.has_session_id)
      row.session_id_text = text_of(row.session_id);
    reading_.session_id = row.session_id_text;
    reading_.read = row.has_session_id && !row_.has_address && is_mine();
    if (!reading_.read)
      return;
    row.document_type = columns_.document_type;
    row.has_document = row_.document.has_value();
    row.document = row_.document.value_or(0);
    row.events = events_ ? &*events_ : nullptr;
    const SessionFacts found = session_facts(row);
    const DocumentSums sums = document_sums(row, found);
    reading_.stored = stored_hash(row);
    reading_.document = sums.document;
    reading_.kept = sums.kept;
    reading_.null_escape = sums.null_escape;
    reading_.facts = *found.facts;
  }

  /** Tells whether the next session is in the share; spreads the others evenly. */
  bool is_mine() noexcept {
    position_ = (position_ + share_) % whole_share;
    return position_ < share_;
  }

  static std::string_view text_of(Datum value) {
    const varlena *text = call([&] { return PG_DETOAST_DATUM_PACKED(value); });
    return {VARDATA_ANY(text), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(text))};
  }

  bool send(char follows) {
    message_[0] = follows;
    const bool taken = call([this] {
      return shm_mq_send(queue_, message_.size(), message_.data(), false, true) == SHM_MQ_SUCCESS;
    });
    message_.resize(1);
    return taken;
  }

  shm_mq_handle *queue_;
  const int share_;
  int position_ = 0;
  std::optional<EventLookup> events_;
  Relation sessions_ = nullptr;
  SessionColumns columns_;
  TupleTableSlot *slot_ = nullptr;
  TableScanDesc scan_ = nullptr;
  MemoryContext row_memory_ = nullptr;
  StoredSession row_;
  SessionReading reading_;
  std::string message_ = std::string(1, more_follows);
};

void read_portion(dsm_segment *segment, shm_toc *contents) {
  shm_mq_handle *queue = call([&] {
    pgstat_report_activity(STATE_RUNNING, "reading documents ahead for cowrie_migrate");
    auto *shared = static_cast<shm_mq *>(shm_toc_lookup(contents, key_queue, false));
    shm_mq_set_sender(shared, MyProc);
    return shm_mq_attach(shared, segment, nullptr);
  });
  const auto *order =
      call([&] { return static_cast<ReadingOrder *>(shm_toc_lookup(contents, key_order, false)); });
  const SpiSession spi;
  PortionReader(*order, queue).read(*order);
}

} // namespace
} // namespace cowrie::pg

extern "C" {

PGDLLEXPORT void cowrie_read_ahead(dsm_segment *segment, shm_toc *contents);

void cowrie_read_ahead(dsm_segment *segment, shm_toc *contents) {
  (void)cowrie::pg::entry([&] {
    cowrie::pg::read_portion(segment, contents);
    return Datum(0);
  });
}

} // extern "C"
