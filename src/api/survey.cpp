// SQL functions that look before and prove after: the preflight, the checkpoint, and the aggregate
// over documents that both count with.
//
// Error regime: every function runs in pg::entry.
#include "pg/boundary/imports.h"

#include "core/document/assessment.hpp"
#include "core/document/document.hpp"
#include "core/survey/checkpoint.hpp"
#include "core/base/live.hpp"
#include "core/survey/preflight.hpp"
#include "core/schema/versions.hpp"
#include "core/survey/probes.hpp"
#include "core/online/refusals.hpp"
#include "core/inspect/inspection.hpp"
#include "core/inspect/row_conflicts.hpp"
#include "api/row_builder.hpp"
#include "pg/catalog/distribution.hpp"
#include "pg/catalog/trust.hpp"
#include "pg/reading/session_memo.hpp"
#include "pg/boundary/subtransaction.hpp"
#include "api/calls.hpp"
#include "api/values.hpp"

#include <algorithm>

namespace cowrie::pg {
namespace {

// The aggregate cowrie_assessment. Its state is a C++ object that lives as long as the aggregate's
// memory context: that is reset at the end of the query, and when it fails.

struct AssessmentState : Live {
  Assessment sums;
  std::optional<EventLookup> events;
  MemoryContextCallback at_end{};
};

/** Gives an object to a memory context: it is destroyed with it. */
AssessmentState *owned_by(MemoryContext context, std::unique_ptr<AssessmentState> state) {
  AssessmentState *kept = state.get();
  kept->at_end.func = [](void *each) { delete static_cast<AssessmentState *>(each); };
  kept->at_end.arg = kept;
  call([&] { MemoryContextRegisterResetCallback(context, &kept->at_end); });
  (void)state.release();
  return kept;
}

AssessmentState *assessment_state(FunctionCallInfo fcinfo) {
  if (!PG_ARGISNULL(0))
    return reinterpret_cast<AssessmentState *>(PG_GETARG_POINTER(0));
  MemoryContext context = call([&] {
    MemoryContext found;
    if (!AggCheckCallContext(fcinfo, &found))
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("this function must be called as part of an aggregate")));
    return found;
  });
  return owned_by(context, std::make_unique<AssessmentState>());
}

/** cowrie_stored_size(jsonb): the bytes that it takes in an inventory, as the TOAST code decides.
 */
Datum stored_size(FunctionCallInfo fcinfo) {
  return call([&]() -> Datum {
    const Datum value = PG_GETARG_DATUM(0);
    constexpr int64_t other_columns = 160, chunk_overhead = 60, pointer = 18;
    constexpr int64_t chunk = TOAST_MAX_CHUNK_SIZE;
    constexpr int64_t most_inline = TOAST_TUPLE_THRESHOLD - other_columns;
    int64_t size = static_cast<int64_t>(VARSIZE_ANY(DatumGetPointer(value)));
    if (size > most_inline) {
      const Datum compressed = toast_compress_datum(value, InvalidCompressionMethod);
      if (DatumGetPointer(compressed))
        size = static_cast<int64_t>(VARSIZE_ANY(DatumGetPointer(compressed)));
    }
    if (size > most_inline)
      size += pointer + chunk_overhead * (1 + size / chunk);
    PG_RETURN_INT64(size);
  });
}

Datum assessment_add(FunctionCallInfo fcinfo) {
  enum Argument { // after the state
    arg_enrichment = 1,
    arg_session_id,
    arg_source_ip,
    arg_asn,
    arg_country,
    arg_ended,
    arg_events_schema,
  };
  if (PG_ARGISNULL(0))
    forget_memo(); // what another query read may have been read without raw events
  AssessmentState *state = assessment_state(fcinfo);
  if (PG_ARGISNULL(0) && !PG_ARGISNULL(arg_events_schema)) {
    Target place;
    place.schema = text_argument(fcinfo, arg_events_schema);
    const SpiSession spi;
    state->events.emplace(place, /* by_table: */ false);
  }
  SessionArguments row = session_arguments(fcinfo, arg_enrichment);
  row.events = state->events ? &*state->events : nullptr;
  const SessionFacts found = session_facts(row);

  AssessedSession session;
  session.session_id = row.session_id_text;
  session.ended = time_argument(fcinfo, arg_ended);
  session.facts = found.facts;
  session.null_escape =
      row.document_type == JSONOID && found.document && holds_null_escape(*found.document);
  session.encoded_twice = found.document && is_encoded_twice(*found.document);
  session.has_asn = !PG_ARGISNULL(arg_asn);
  session.has_country = !PG_ARGISNULL(arg_country);
  state->sums.add(session);
  return PointerGetDatum(state);
}

Datum assessment_combine(FunctionCallInfo fcinfo) {
  AssessmentState *state = assessment_state(fcinfo);
  if (!PG_ARGISNULL(1))
    state->sums.add(reinterpret_cast<AssessmentState *>(PG_GETARG_POINTER(1))->sums);
  return PointerGetDatum(state);
}

Datum assessment_serialize(FunctionCallInfo fcinfo) {
  const std::string bytes = reinterpret_cast<AssessmentState *>(PG_GETARG_POINTER(0))->sums.bytes();
  return call([&]() -> Datum {
    bytea *result = static_cast<bytea *>(palloc(VARHDRSZ + bytes.size()));
    SET_VARSIZE(result, VARHDRSZ + bytes.size());
    std::memcpy(VARDATA(result), bytes.data(), bytes.size());
    return PointerGetDatum(result);
  });
}

Datum assessment_deserialize(FunctionCallInfo fcinfo) {
  auto state = std::make_unique<AssessmentState>();
  state->sums = Assessment::from_bytes(text_argument(fcinfo, 0)); // a bytea is stored as text is
  return PointerGetDatum(owned_by(CurrentMemoryContext, std::move(state)));
}

Datum assessment_result(FunctionCallInfo fcinfo) {
  TupleDesc shape = result_shape(fcinfo);
  const Assessment none;
  const Assessment &state =
      PG_ARGISNULL(0) ? none : reinterpret_cast<AssessmentState *>(PG_GETARG_POINTER(0))->sums;
  std::vector<std::string_view> names;
  std::vector<std::string> examples;
  std::vector<Datum> amounts;
  for (const Assessment::Amount &each : state.amounts()) {
    names.push_back(each.name);
    amounts.push_back(Int64GetDatum(each.amount));
    std::string listed;
    for (const std::string &id : each.examples.ids())
      listed += (listed.empty() ? "" : ", ") + quote_literal(id);
    examples.push_back(std::move(listed));
  }
  const std::vector<std::string_view> example_views(examples.begin(), examples.end());
  const int count = static_cast<int>(names.size());
  return call([&] {
    Columns row;
    row.put(true, text_array_unsafe(names.data(), count));
    row.put(true, PointerGetDatum(construct_array(amounts.data(), count, INT8OID, sizeof(int64_t),
                                                  true, TYPALIGN_DOUBLE)));
    row.put(true, server_text_array_unsafe(example_views.data(), count));
    return row.row_unsafe(shape);
  });
}

void put_hazards(ReturnSetInfo *result, const std::vector<Hazard> &hazards) {
  RowBuilder row(result);
  for (const HazardSeverity severity :
       {HazardSeverity::blocker, HazardSeverity::warning, HazardSeverity::info})
    for (const Hazard &each : hazards)
      if (each.severity == severity)
        row.text(name_of(each.severity))
            .text(each.hazard)
            .text_or_null(each.detail)
            .text_or_null(each.remedy)
            .put();
}

/** Runs a check; a refusal becomes a row. */
template <typename Check> void collect(std::vector<Hazard> &hazards, Check check) {
  try {
    const Subtransaction rolled_back;
    check();
  } catch (const Failure &refusal) {
    if (refusal.must_propagate)
      throw;
    hazards.push_back(blocker(refusal));
  }
}

/** What a migration refuses of session, caller and tables: everything, not only the first. */
void collect_refusals(std::vector<Hazard> &hazards, const ResolvedTarget &target) {
  // The transaction that migrates is another one: what counts is how it will begin.
  collect(hazards, [&] { refuse_read_only(target, DefaultXactReadOnly); });
  collect(hazards, [&] { refuse_unsuitable_isolation(target, DefaultXactIsoLevel); });
  collect(hazards, [&] { refuse_without_rights(target); });
  for (const Refusal refuse : privilege_refusals())
    collect(hazards, [&] { refuse(target); });
  for (const Refusal refuse : table_refusals())
    collect(hazards, [&] { refuse(target); });
}

/** What keeps the tables from being read at all, by a preflight or by a migration. */
std::vector<Hazard> unreadable(const ResolvedTarget &target) {
  std::vector<Hazard> hazards;
  try {
    refuse_unreadable_tables(target);
  } catch (const Failure &refusal) { // nothing to a migration: it is called by who owns the tables
    hazards.push_back({HazardSeverity::info, hazards::not_visible, refusal.message, refusal.hint});
  }
  collect(hazards, [&] { refuse_hidden_extension(target); });
  collect(hazards, [&] { refuse_distributed_tables(target); });
  for (const std::string &table : tables_of_the_schema())
    collect(hazards, [&] { refuse_untrusted_table(target, table); });
  collect(hazards, [&] { refuse_unreadable_raw_events(target); });
  return hazards;
}

/** What only the online mode refuses is no blocker, but a warning to who wants to use it. */
void collect_online_refusals(std::vector<Hazard> &hazards, ServerDatabase &database) {
  std::vector<Hazard> said, refused; // what keeps from looking has been said
  const auto look = [&] {
    const Inspection seen = inspect(database);
    const bool derived = seen.situation.derived; // no row will be written
    if (!derived)
      for (const OnlineRefusal refuse : online_refusals())
        collect(refused, [&] { refuse(database, seen); });
    RowFacts rows;
    std::vector<Step> plan;
    collect(said, [&] {
      if (seen.situation.state == SchemaState::incomplete)
        rows = row_facts(database, seen);
      rows.complete = derived;
      rows.fill_by = derived ? FillBy::nothing : FillBy::rewrite;
      plan = plan_online(seen, database.target(), rows);
    });
    collect(refused, [&] { refuse_rewrites(database.target(), plan, seen); });
  };
  collect(said, [&] { database.in_passing(look); });
  for (const Hazard &each : refused)
    hazards.push_back(
        {HazardSeverity::warning, hazards::online, each.hazard + ": " + each.detail, each.remedy});
}

/** The refusal of another run, where one is going on; asked as the owner, as the run would. */
std::vector<Hazard> other_run(ServerDatabase &database, const ResolvedTarget &target,
                              const PinnedSettings &settings) {
  std::vector<Hazard> hazards;
  const AsUser owner(target.owner, settings);
  collect(hazards, [&] { database.refuse_other_run(); });
  return hazards;
}

/** Reads the tables as their owner. */
std::vector<Hazard> inspect_as_owner(ServerDatabase &database, ResolvedTarget &target,
                                     const PinnedSettings &settings) {
  const AsUser owner(target.owner, settings);
  inspect_indexes(target);
  PreflightOptions options;
  options.sample = setting_preflight_sample;
  std::vector<Hazard> found = inspect_tables(database, options);
  const bool complete = std::any_of(found.begin(), found.end(), [](const Hazard &each) {
    return each.hazard == hazards::nothing_to_do;
  });
  if (!complete)
    collect_online_refusals(found, database);
  return found;
}

/** Sees as much of the server and its sessions as the caller may. */
std::vector<Hazard> hazards_of(ResolvedTarget &target) {
  Progress progress(target.extension);
  const PinnedSettings settings;
  const SpiSession spi;
  ServerDatabase database(target, progress, true);
  // A running migration holds its locks to its end, and what it changes cannot be judged yet: it is
  // the one blocker, and its tables are not read.
  if (std::vector<Hazard> found = other_run(database, target, settings); !found.empty()) {
    const std::vector<Hazard> more = probe_server(database);
    found.insert(found.end(), more.begin(), more.end());
    return found;
  }
  const std::vector<Hazard> kept_from_reading = unreadable(target);
  std::vector<Hazard> inspected;
  if (kept_from_reading.empty())
    inspected = inspect_as_owner(database, target, settings);
  if (inspected.size() == 1 && inspected.front().hazard == hazards::nothing_to_do)
    return inspected;
  std::vector<Hazard> found;
  collect_refusals(found, target);
  found.insert(found.end(), kept_from_reading.begin(), kept_from_reading.end());
  for (std::vector<Hazard> more : {probe_server(database), std::move(inspected)})
    found.insert(found.end(), more.begin(), more.end());
  return found;
}

Datum preflight_of(FunctionCallInfo fcinfo, int version) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  fault::begin_call();
  std::vector<Hazard> hazards;
  std::optional<ResolvedTarget> target;
  collect(hazards, [&] {
    target = find_target(schema ? &*schema : nullptr, fcinfo->flinfo->fn_oid, version);
  });
  if (target) {
    target->repeat = target->names.migration(); // what the refusals are about
    hazards = hazards_of(*target);
  }
  put_hazards(result, hazards);
  return Datum(0);
}

Datum checkpoint_of(FunctionCallInfo fcinfo, int version) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  ResolvedTarget target = target_of(fcinfo, schema, Access::read, version);
  const std::vector<Criterion> criteria =
      with_database(target, Access::measure, [&](auto &database, auto &ledger, auto &) {
        return checkpoint(database, ledger);
      });
  RowBuilder row(result);
  for (const Criterion &each : criteria)
    row.text(each.criterion)
        .flag(each.passed)
        .text_or_null(each.measured)
        .text(each.target)
        .text_or_null(each.detail)
        .put();
  return Datum(0);
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_preflight_v16, preflight_of(fcinfo, 16))
COWRIE_FUNCTION(cowrie_preflight_v17, preflight_of(fcinfo, 17))
COWRIE_FUNCTION(cowrie_checkpoint_v16, checkpoint_of(fcinfo, 16))
COWRIE_FUNCTION(cowrie_checkpoint_v17, checkpoint_of(fcinfo, 17))
COWRIE_FUNCTION(cowrie_stored_size, stored_size(fcinfo))
COWRIE_FUNCTION(cowrie_assessment_add, assessment_add(fcinfo))
COWRIE_FUNCTION(cowrie_assessment_combine, assessment_combine(fcinfo))
COWRIE_FUNCTION(cowrie_assessment_serialize, assessment_serialize(fcinfo))
COWRIE_FUNCTION(cowrie_assessment_deserialize, assessment_deserialize(fcinfo))
COWRIE_FUNCTION(cowrie_assessment_result, assessment_result(fcinfo))
}
