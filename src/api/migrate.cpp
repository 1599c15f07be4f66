// SQL API: the functions that an operator calls. Decodes arguments, calls core, encodes rows.
//
// Error regime: every function runs in pg::entry.
#include "pg/boundary/imports.h"

#include "core/inspect/validate.hpp"
#include "core/run/atomic_run.hpp"
#include "core/run/cleanup.hpp"
#include "pg/database/database.hpp"
#include "pg/boundary/fault.hpp"
#include "pg/ledger/ledger_store.hpp"
#include "pg/catalog/refusals.hpp"
#include "pg/catalog/typed_columns.hpp"
#include "api/row_builder.hpp"
#include "pg/reading/session_memo.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"
#include "api/calls.hpp"

namespace cowrie::pg {
namespace {

void put_steps(ReturnSetInfo *result, const std::vector<StepResult> &steps) {
  RowBuilder row(result);
  for (const StepResult &each : steps)
    row.integer(each.phase)
        .text(each.step)
        .text(each.status)
        .bigint_or_null(each.rows)
        .interval_us(each.elapsed_us)
        .text_or_null(each.detail)
        .put();
}

OnFailure on_failure_argument(FunctionCallInfo fcinfo, int position,
                              const std::optional<std::string> &schema) {
  const std::string policy = PG_ARGISNULL(position) ? "abort" : call([&]() -> const char * {
    return text_to_cstring(PG_GETARG_TEXT_PP(position));
  });
  if (policy == "abort")
    return OnFailure::abort;
  if (policy == "keep")
    return OnFailure::keep;
  Target target;
  target.named_schema = schema.value_or("");
  throw Failure(sqlstate::invalid_parameter, "on_failure must be 'abort' or 'keep'",
                "It is \"" + policy + "\".",
                "Run " + target.command("cowrie_migrate_v16", "on_failure => 'abort'"));
}

Datum migrate_v16(FunctionCallInfo fcinfo) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  MigrateOptions options;
  options.repair = flag_argument(fcinfo, 1);
  options.dry_run = flag_argument(fcinfo, 2);
  options.on_failure = on_failure_argument(fcinfo, 3, schema);
  const Access access = options.dry_run ? Access::read : Access::change;
  ResolvedTarget target = target_of(fcinfo, schema, access);
  put_steps(result, with_database(target, access, [&](auto &database, auto &ledger, auto &monitor) {
              refuse_missing_privileges(target);
              refuse_unsuitable_tables(target);
              return migrate(database, ledger, monitor, options);
            }));
  return Datum(0);
}

Datum cleanup_v16(FunctionCallInfo fcinfo) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  CleanupOptions options;
  options.to_phase = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
  options.dry_run = flag_argument(fcinfo, 2);
  options.force = flag_argument(fcinfo, 3);
  const Access access = options.dry_run ? Access::read : Access::change;
  ResolvedTarget target = target_of(fcinfo, schema, access);
  target.written = false;
  put_steps(result, with_database(target, access, [&](auto &database, auto &ledger, auto &monitor) {
              refuse_unsuitable_tables(target);
              return cleanup(database, ledger, monitor, options);
            }));
  return Datum(0);
}

Datum validate_schema(FunctionCallInfo fcinfo) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  const int version = PG_ARGISNULL(1) ? 16 : PG_GETARG_INT32(1);
  ResolvedTarget target = target_of(fcinfo, schema, Access::read);
  const std::vector<Finding> findings =
      with_database(target, Access::read,
                    [&](auto &database, auto &, auto &) { return validate(database, version); });
  RowBuilder row(result);
  for (const Finding &each : findings)
    row.text(name_of(each.severity))
        .text(name_of(each.object_type))
        .text(each.object_name())
        .text(name_of(each.problem))
        .text_or_null(each.expected)
        .text_or_null(each.actual)
        .text_or_null(each.remedy)
        .flag(each.loses_data)
        .put();
  return Datum(0);
}

/** Reads sessions by a cursor and lists their rejected values until there are max_rows. */
void list_rejected_values(const ResolvedTarget &target, ReturnSetInfo *result,
                          std::int64_t max_rows) {
  std::optional<EventLookup> events;
  // Without an index every look-up would read the whole table.
  if (target.names.raw_events_indexed)
    events.emplace(target.names, /* by_table: */ false);
  const std::string sql = "SELECT session_id, enrichment FROM " +
                          qualified(target.names.schema, "session_summaries") +
                          " ORDER BY session_id";
  fault::statement();
  Portal portal = call([&] {
    SPIPlanPtr plan = SPI_prepare(sql.c_str(), 0, nullptr);
    return SPI_cursor_open(nullptr, plan, nullptr, nullptr, true);
  });
  // Documents, payloads and texts of one session.
  MemoryContext session = call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "cowrie_migrate rejected values",
                                 ALLOCSET_DEFAULT_SIZES);
  });
  RowBuilder row(result);
  constexpr long batch = 1000;
  std::int64_t listed = 0;
  while (listed < max_rows) {
    struct Batch {
      SPITupleTable *rows;
      std::uint64_t count;
      TypedColumn id, document;
    };
    const Batch fetched = call([&]() -> Batch {
      CHECK_FOR_INTERRUPTS();
      SPI_cursor_fetch(portal, true, batch);
      TupleDesc shape = SPI_tuptable->tupdesc;
      return {SPI_tuptable, SPI_processed, typed_column(shape, "session_id", types::text),
              typed_column(shape, "enrichment", types::document)};
    });
    if (!fetched.id || !fetched.document) // altered since it was inspected
      refuse_changed_target(target, Access::read);
    for (std::uint64_t i = 0; i < fetched.count && listed < max_rows; ++i) {
      MemoryContext outer = call([&] {
        MemoryContextReset(session);
        return MemoryContextSwitchTo(session);
      });
      bool no_document = false, no_id = false;
      const Datum document = call([&] {
        return SPI_getbinval(fetched.rows->vals[i], fetched.rows->tupdesc, fetched.document.number,
                             &no_document);
      });
      const Datum session_id = call([&] {
        return SPI_getbinval(fetched.rows->vals[i], fetched.rows->tupdesc, fetched.id.number,
                             &no_id);
      });
      EnrichmentReader &reader =
          no_document ? read_no_document() : read_document(document, fetched.document.type);
      std::optional<EventAddress> event;
      if (events)
        event = ask_event(*events, reader, session_id);
      const Facts &facts = reader.resolve({}, event ? &*event : nullptr);
      const std::string id =
          no_id ? std::string()
                : call([&]() -> const char * { return TextDatumGetCString(session_id); });
      for (const RejectedValue &each : facts.rejects) {
        if (listed == max_rows)
          break;
        row.text(id)
            .text(reject_reason_name(each.reason))
            .document_text(each.field)
            .document_text(each.value)
            .put();
        ++listed;
      }
      MemoryContextSwitchTo(outer);
    }
    call([&] { SPI_freetuptable(fetched.rows); });
    if (fetched.count == 0)
      break;
  }
  call([&] { SPI_cursor_close(portal); });
}

Datum rejected_values(FunctionCallInfo fcinfo) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  const std::int64_t max_rows = PG_ARGISNULL(1) ? PG_INT64_MAX : std::int64_t(PG_GETARG_INT32(1));
  ResolvedTarget target = target_of(fcinfo, schema, Access::read);
  fault::begin_call();
  const PinnedSettings settings;
  const SpiSession spi;
  const AsUser owner(target.owner, settings);
  inspect_raw_events(target);
  list_rejected_values(target, result, max_rows);
  return Datum(0);
}

} // namespace
} // namespace cowrie::pg

extern "C" {

PG_FUNCTION_INFO_V1(cowrie_migrate_v16);
PGDLLEXPORT Datum cowrie_migrate_v16(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] { return cowrie::pg::migrate_v16(fcinfo); });
}

PG_FUNCTION_INFO_V1(cowrie_cleanup_v16);
PGDLLEXPORT Datum cowrie_cleanup_v16(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] { return cowrie::pg::cleanup_v16(fcinfo); });
}

PG_FUNCTION_INFO_V1(cowrie_validate_schema);
PGDLLEXPORT Datum cowrie_validate_schema(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] { return cowrie::pg::validate_schema(fcinfo); });
}

PG_FUNCTION_INFO_V1(cowrie_rejected_values);
PGDLLEXPORT Datum cowrie_rejected_values(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] { return cowrie::pg::rejected_values(fcinfo); });
}

} // extern "C"
