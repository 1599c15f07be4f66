// The function cowrie_rejected_values: what of the documents a migration cannot use.
//
// Error regime: every function runs in pg::entry.
#include "pg/boundary/imports.h"

#include "api/calls.hpp"
#include "api/row_builder.hpp"
#include "api/values.hpp"
#include "pg/catalog/typed_columns.hpp"
#include "pg/reading/session_memo.hpp"

namespace cowrie::pg {
namespace {

/** A cursor over the sessions in the order of their keys, and the memory of one of them. */
class SessionCursor : Live {
public:
  explicit SessionCursor(const ResolvedTarget &target) : target_(target) {
    const std::string sql = "SELECT session_id, enrichment FROM " +
                            qualified(target.names.schema, "session_summaries") +
                            " ORDER BY session_id";
    fault::statement();
    portal_ = call([&] {
      SPIPlanPtr plan = SPI_prepare(sql.c_str(), 0, nullptr);
      return SPI_cursor_open(nullptr, plan, nullptr, nullptr, true);
    });
    session_ = call([] {
      return AllocSetContextCreate(CurrentMemoryContext, "cowrie_migrate rejected values",
                                   ALLOCSET_DEFAULT_SIZES);
    });
    const FreshSnapshot snapshot; // now that the tables are locked
    refuse_changed_target(target, Access::read);
  }

  /** Calls the body for every session, in memory that goes before the next one, until it returns
   *  false: body(session_id, document type or InvalidOid, document). */
  template <typename Body> void for_each(Body body) {
    for (;;) {
      const Batch batch = fetch();
      bool more = batch.count > 0;
      for (std::uint64_t i = 0; more && i < batch.count; ++i)
        more = visit(batch, i, body);
      call([&] { SPI_freetuptable(batch.rows); });
      if (!more)
        break;
    }
    call([this] { SPI_cursor_close(portal_); });
  }

private:
  struct Batch {
    SPITupleTable *rows;
    std::uint64_t count;
    TypedColumn id, document;
  };

  Batch fetch() {
    constexpr long batch_size = 1000;
    const Batch batch = call([this]() -> Batch {
      CHECK_FOR_INTERRUPTS();
      SPI_cursor_fetch(portal_, true, batch_size);
      TupleDesc shape = SPI_tuptable->tupdesc;
      return {SPI_tuptable, SPI_processed, typed_column(shape, "session_id", types::text),
              typed_column(shape, "enrichment", types::document)};
    });
    if (!batch.id || !batch.document) // altered since it was inspected
      refuse_changed_target(target_, Access::read);
    return batch;
  }

  template <typename Body> bool visit(const Batch &batch, std::uint64_t i, Body body) {
    MemoryContext outer = call([&] {
      MemoryContextReset(session_);
      return MemoryContextSwitchTo(session_);
    });
    const auto value = [&](const TypedColumn &column) {
      return call([&] {
        NullableDatum found;
        found.value =
            SPI_getbinval(batch.rows->vals[i], batch.rows->tupdesc, column.number, &found.isnull);
        return found;
      });
    };
    const NullableDatum id = value(batch.id), document = value(batch.document);
    const bool more =
        id.isnull ||
        body(id.value, document.isnull ? InvalidOid : batch.document.type, document.value);
    MemoryContextSwitchTo(outer);
    return more;
  }

  const ResolvedTarget &target_;
  Portal portal_ = nullptr;
  MemoryContext session_ = nullptr;
};

void list_rejected_values(const ResolvedTarget &target, ReturnSetInfo *result,
                          std::int64_t max_rows) {
  SessionCursor sessions(target);
  std::optional<EventLookup> events;
  // Without an index every look-up would read the whole table.
  if (target.names.raw_events_indexed)
    events.emplace(target.names, /* by_table: */ false);
  RowBuilder row(result);
  std::int64_t left = max_rows;
  sessions.for_each([&](Datum session_id, Oid type, Datum document) {
    EnrichmentReader &reader =
        OidIsValid(type) ? read_document(document, type) : read_no_document();
    std::optional<EventAddress> event;
    if (events)
      event = ask_event(*events, reader, session_id);
    const Facts &facts = reader.resolve({}, event ? &*event : nullptr);
    const std::string id = call([&]() -> const char * { return TextDatumGetCString(session_id); });
    for (auto each = facts.rejects.begin(); each != facts.rejects.end() && left > 0; ++each, --left)
      row.text(id)
          .text(reject_reason_name(each->reason))
          .document_text(each->field)
          .document_text(each->value)
          .put();
    return left > 0;
  });
}

Datum rejected_values(FunctionCallInfo fcinfo) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  const std::int64_t max_rows = PG_ARGISNULL(1) ? PG_INT64_MAX : std::int64_t(PG_GETARG_INT32(1));
  ResolvedTarget target = target_of(fcinfo, schema, Access::read);
  if (max_rows <= 0)
    return Datum(0);
  fault::begin_call();
  const PinnedSettings settings;
  const SpiSession spi;
  const AsUser owner(target.owner, settings);
  inspect_indexes(target);
  // Where a run has the tables it says so; the server would say no more than that it has waited.
  Progress progress(target.extension);
  ServerDatabase(target, progress, true).in_passing([] {});
  list_rejected_values(target, result, max_rows);
  return Datum(0);
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_rejected_values, rejected_values(fcinfo))
}
