// Session reader: a parallel worker that reads the documents of its stretches of the table.
#include "pg/session_reader.hpp"

#include "core/session_reading.hpp"
#include "pg/session_memo.hpp"
#include "pg/spi.hpp"

namespace cowrie::pg {

SessionColumns SessionColumns::of_unsafe(Relation sessions) {
  SessionColumns columns;
  TupleDesc shape = RelationGetDescr(sessions);
  for (int i = 0; i < shape->natts; ++i) {
    const Form_pg_attribute each = TupleDescAttr(shape, i);
    if (each->attisdropped)
      continue;
    const auto named = [&](const char *name) {
      return std::strcmp(NameStr(each->attname), name) == 0;
    };
    if (named("session_id") && (each->atttypid == VARCHAROID || each->atttypid == TEXTOID)) {
      columns.session_id = each->attnum;
    } else if (named("enrichment") && (each->atttypid == JSONOID || each->atttypid == JSONBOID)) {
      columns.enrichment = each->attnum;
      columns.document_type = each->atttypid;
    } else if (named("source_ip")) {
      columns.source_ip = each->attnum;
    }
  }
  return columns;
}

namespace {

/** Small against a queue, so that the writer never waits for a whole one. */
constexpr std::size_t message_size = 16 * 1024;

/** One row, as the scan shows it. */
struct StoredSession {
  bool found = false, has_id = false, has_document = false, has_address = false;
  Datum session_id = 0, document = 0;
};

class SessionReader : Live {
public:
  SessionReader(const ReadingOrder &order, shm_mq_handle *queue) : order_(order), queue_(queue) {
    call([this] {
      sessions_ = table_open(order_.sessions, AccessShareLock);
      columns_ = SessionColumns::of_unsafe(sessions_);
      slot_ = table_slot_create(sessions_, nullptr);
    });
    if (order.ask_events) {
      Target names;
      names.schema = order.schema_name;
      events_.emplace(names, order.by_table);
      if (!order.by_table)
        events_->begin_scan(order.schema);
    }
  }

  void read() {
    const auto workers = static_cast<BlockNumber>(order_.workers.load());
    for (std::uint64_t first =
             order_.first + std::uint64_t(ParallelWorkerNumber) * blocks_per_stretch;
         listened_to_ && first < order_.end; first += std::uint64_t(workers) * blocks_per_stretch)
      read_stretch(static_cast<BlockNumber>(first));
    if (events_)
      events_->finish_scan();
    call([this] {
      ExecDropSingleTupleTableSlot(slot_);
      table_close(sessions_, NoLock);
    });
  }

private:
  void read_stretch(BlockNumber first) {
    TableScanDesc scan = call([&] {
      ItemPointerData from, to;
      ItemPointerSet(&from, first, FirstOffsetNumber);
      ItemPointerSet(&to, std::min(first + blocks_per_stretch, order_.end) - 1, MaxOffsetNumber);
      return table_beginscan_tidrange(sessions_, GetActiveSnapshot(), &from, &to);
    });
    message_.assign(1, more_follows);
    while (listened_to_) {
      const StoredSession row = call([&] { return next_unsafe(scan); });
      if (!row.found)
        break;
      append(message_, reading_of(row));
      if (message_.size() >= message_size)
        send(more_follows);
    }
    send(end_of_stretch);
    call([&] { table_endscan(scan); });
  }

  StoredSession next_unsafe(TableScanDesc scan) {
    CHECK_FOR_INTERRUPTS();
    StoredSession row;
    row.found = table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot_);
    if (!row.found)
      return row;
    bool is_null = false;
    row.session_id = slot_getattr(slot_, columns_.session_id, &is_null);
    row.has_id = !is_null;
    row.document = slot_getattr(slot_, columns_.enrichment, &is_null);
    row.has_document = !is_null;
    if (columns_.source_ip > 0) {
      (void)slot_getattr(slot_, columns_.source_ip, &is_null);
      row.has_address = !is_null;
    }
    return row;
  }

  /** A session that has an address already is left to the writer: it may be of another type. */
  const SessionReading &reading_of(const StoredSession &row) {
    SessionArguments arguments;
    if (row.has_id)
      arguments.session_id_text = stored_text(row.session_id);
    reading_.session_id = arguments.session_id_text;
    reading_.read = row.has_id && !row.has_address;
    if (!reading_.read)
      return reading_;
    arguments.document_type = columns_.document_type;
    arguments.has_document = row.has_document;
    arguments.document = row.document;
    arguments.has_session_id = true;
    arguments.session_id = row.session_id;
    arguments.events = events_ ? &*events_ : nullptr;
    const SessionFacts found = session_facts(arguments);
    const DocumentSums sums = document_sums(arguments, found);
    reading_.stored = stored_hash(arguments);
    reading_.document = sums.document;
    reading_.kept = sums.kept;
    reading_.null_escape = sums.null_escape;
    reading_.facts = *found.facts;
    return reading_;
  }

  /** A key is short: it stands in its row as it is, or compressed. */
  static std::string_view stored_text(Datum value) {
    const varlena *text = call([&] { return PG_DETOAST_DATUM_PACKED(value); });
    return {VARDATA_ANY(text), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(text))};
  }

  void send(char follows) {
    message_[0] = follows;
    listened_to_ = call([this] {
      return shm_mq_send(queue_, message_.size(), message_.data(), false, true) == SHM_MQ_SUCCESS;
    });
    message_.assign(1, more_follows);
  }

  const ReadingOrder &order_;
  shm_mq_handle *queue_;
  Relation sessions_ = nullptr;
  SessionColumns columns_;
  TupleTableSlot *slot_ = nullptr;
  std::optional<EventLookup> events_;
  SessionReading reading_;
  std::string message_;
  bool listened_to_ = true;
};

void read_sessions(dsm_segment *segment, shm_toc *contents) {
  struct Shared {
    ReadingOrder *order;
    shm_mq_handle *queue;
  };
  const Shared shared = call([&]() -> Shared {
    auto *order = static_cast<ReadingOrder *>(shm_toc_lookup(contents, key_order, false));
    char *queues = static_cast<char *>(shm_toc_lookup(contents, key_queues, false));
    auto *queue = reinterpret_cast<shm_mq *>(queues + ParallelWorkerNumber * order->queue_size);
    shm_mq_set_sender(queue, MyProc);
    shm_mq_handle *handle = shm_mq_attach(queue, segment, nullptr);
    ConditionVariablePrepareToSleep(&order->launched);
    while (order->workers.load() == 0)
      ConditionVariableSleep(&order->launched, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
    return {order, handle};
  });
  const SpiSession spi;
  SessionReader(*shared.order, shared.queue).read();
}

} // namespace
} // namespace cowrie::pg

extern "C" {

PGDLLEXPORT void cowrie_read_sessions(dsm_segment *segment, shm_toc *contents);

void cowrie_read_sessions(dsm_segment *segment, shm_toc *contents) {
  (void)cowrie::pg::entry([&] {
    cowrie::pg::read_sessions(segment, contents);
    return Datum(0);
  });
}

} // extern "C"
