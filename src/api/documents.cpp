// SQL functions over documents: the facts for analysts, and what the migration's own statements
// call: the fill functions, the provider data, the fingerprint, the words of the status view.
//
// Error regime: every function runs in pg::entry.
#include "pg/boundary/imports.h"

#include "core/document/fingerprint.hpp"
#include "core/plan/step_names.hpp"
#include "pg/reading/fill_run.hpp"
#include "pg/reading/session_memo.hpp"
#include "api/values.hpp"

namespace cowrie::pg {
namespace {

constexpr std::int64_t unix_to_postgres =
    (std::int64_t(POSTGRES_EPOCH_JDATE) - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

Datum enrichment_facts(FunctionCallInfo fcinfo, Oid type) {
  TupleDesc shape = result_shape(fcinfo);
  EnrichmentReader &reader =
      PG_ARGISNULL(0) ? read_no_document() : read_document(PG_GETARG_DATUM(0), type);
  const Facts &facts = reader.resolve();
  std::vector<std::string_view> types(facts.ip_types.begin(), facts.ip_types.end());
  std::vector<std::string_view> rejects;
  for (const RejectedValue &each : facts.rejects)
    rejects.push_back(reject_reason_name(each.reason));
  return call([&] {
    Columns row;
    row.put_text_unsafe(facts.source_ip);
    row.put(facts.asn != 0, Int32GetDatum(facts.asn));
    row.put_text_unsafe(facts.country);
    row.put_text_unsafe(facts.ip_type);
    row.put(true, text_array_unsafe(types.data(), static_cast<int>(types.size())));
    row.put_text_unsafe(facts.organization);
    row.put_text_unsafe(facts.registry);
    row.put(true, BoolGetDatum(facts.is_scanner));
    row.put(true, BoolGetDatum(facts.is_bogon));
    row.put(facts.enriched_at.has_value(),
            TimestampTzGetDatum(facts.enriched_at.value_or(0) - unix_to_postgres));
    row.put(true, text_array_unsafe(rejects.data(), static_cast<int>(rejects.size())));
    return row.row_unsafe(shape);
  });
}

// The arguments of the fill functions, in the order in which derivation.cpp writes them.
enum FillArgument {
  arg_enrichment,
  arg_session_id,
  arg_source_ip,
  arg_enrichment_at,
  arg_asn,
  arg_country,
  arg_ip_type,
  arg_first,
  arg_last,
  arg_created,
};

SessionArguments filled_session(FunctionCallInfo fcinfo) {
  return session_arguments(fcinfo, arg_enrichment);
}

// Evaluated for every row, also for one that has an address already: the proof and the progress
// must see each session once.
Datum fill_source_ip(FunctionCallInfo fcinfo) {
  const SessionArguments row = filled_session(fcinfo);
  const SessionFacts found = session_facts(row);
  if (FillRun *run = FillRun::current()) {
    FilledSession session = filled_session(
        row, found,
        PG_ARGISNULL(arg_asn) ? std::nullopt
                              : std::optional<std::int32_t>(PG_GETARG_INT32(arg_asn)));
    session.first = time_argument(fcinfo, arg_first);
    session.last = time_argument(fcinfo, arg_last);
    session.created = time_argument(fcinfo, arg_created);
    call([&] { run->take_unsafe(session); });
  }
  if (!PG_ARGISNULL(arg_source_ip))
    return PG_GETARG_DATUM(arg_source_ip);
  if (found.facts->source_ip.empty())
    PG_RETURN_NULL();
  return call([&] { return text_datum_unsafe(found.facts->source_ip); });
}

Datum fill_enrichment_at(FunctionCallInfo fcinfo) {
  if (!PG_ARGISNULL(arg_enrichment_at))
    return PG_GETARG_DATUM(arg_enrichment_at);
  const SessionFacts found = session_facts(filled_session(fcinfo));
  if (!found.facts->has_document)
    PG_RETURN_NULL();
  const auto moment = enrichment_moment(*found.facts, time_argument(fcinfo, arg_created),
                                        time_argument(fcinfo, arg_last));
  if (!moment)
    PG_RETURN_NULL();
  return TimestampTzGetDatum(*moment);
}

Datum fill_asn(FunctionCallInfo fcinfo) {
  if (!PG_ARGISNULL(arg_asn))
    return PG_GETARG_DATUM(arg_asn);
  const SessionFacts found = session_facts(filled_session(fcinfo));
  if (found.facts->asn == 0)
    PG_RETURN_NULL();
  return Int32GetDatum(found.facts->asn);
}

Datum fill_text(FunctionCallInfo fcinfo, FillArgument kept, const std::string Facts::*value) {
  if (!PG_ARGISNULL(kept))
    return PG_GETARG_DATUM(kept);
  const SessionFacts found = session_facts(filled_session(fcinfo));
  const std::string &text = found.facts->*value;
  if (text.empty())
    PG_RETURN_NULL();
  return call([&] { return text_datum_unsafe(text); });
}

/** cowrie_staged_facts(enrichment, source_ip, snapshot_asn): what staging needs beside the columns.
 */
Datum staged_facts(FunctionCallInfo fcinfo) {
  TupleDesc shape = result_shape(fcinfo);
  const Oid type = call([&] { return document_type_unsafe(fcinfo, 0); });
  EnrichmentReader &reader =
      PG_ARGISNULL(0) ? read_no_document() : read_document(PG_GETARG_DATUM(0), type);
  const Facts &facts = reader.resolve(text_argument(fcinfo, 1));
  const bool same_asn = !PG_ARGISNULL(2) && PG_GETARG_INT32(2) == facts.asn;
  return call([&] {
    Columns row;
    row.put_text_unsafe(same_asn ? provider_name(facts.asn_source) : std::string_view());
    row.put(true, BoolGetDatum(facts.has_provider_data));
    row.put_text_unsafe(facts.organization);
    row.put_text_unsafe(facts.organization_country);
    row.put_text_unsafe(facts.registry);
    return row.row_unsafe(shape);
  });
}

/** cowrie_needs_event(enrichment): whether the session's earliest raw event decides its address. */
Datum needs_event(FunctionCallInfo fcinfo) {
  const Oid type = call([&] { return document_type_unsafe(fcinfo, 0); });
  EnrichmentReader &reader =
      PG_ARGISNULL(0) ? read_no_document() : read_document(PG_GETARG_DATUM(0), type);
  return BoolGetDatum(reader.needs_event());
}

/** cowrie_derived_facts(enrichment, source_ip, event): what a migration would derive of a session,
 *  from scratch where source_ip is NULL, else with that address; event is the payload of its
 *  earliest raw event, where that decides. */
Datum derived_facts(FunctionCallInfo fcinfo) {
  TupleDesc shape = result_shape(fcinfo);
  const Oid type = call([&] { return document_type_unsafe(fcinfo, 0); });
  EnrichmentReader &reader =
      PG_ARGISNULL(0) ? read_no_document() : read_document(PG_GETARG_DATUM(0), type);
  std::optional<EventAddress> event;
  if (!PG_ARGISNULL(2) && reader.needs_event())
    event = reader.read_event(
        call([&] { return document_text_unsafe(PG_GETARG_DATUM(2), JSONOID); }).json());
  const Facts &facts = reader.resolve(text_argument(fcinfo, 1), event ? &*event : nullptr);
  std::vector<std::string_view> types(facts.ip_types.begin(), facts.ip_types.end());
  return call([&] {
    Columns row;
    row.put_text_unsafe(facts.source_ip);
    row.put(facts.asn != 0, Int32GetDatum(facts.asn));
    row.put_text_unsafe(facts.asn != 0 ? provider_name(facts.asn_source) : std::string_view());
    row.put_text_unsafe(facts.country);
    row.put_text_unsafe(facts.ip_type);
    row.put(true, text_array_unsafe(types.data(), static_cast<int>(types.size())));
    row.put_text_unsafe(facts.organization);
    row.put_text_unsafe(facts.organization_country);
    row.put_text_unsafe(facts.registry);
    row.put(facts.enriched_at.has_value(),
            TimestampTzGetDatum(facts.enriched_at.value_or(0) - unix_to_postgres));
    row.put(true, BoolGetDatum(facts.has_document));
    row.put(true, BoolGetDatum(facts.has_provider_data));
    return row.row_unsafe(shape);
  });
}

/** A part of a document as jsonb; NULL for SQL NULL. */
Datum document_part(FunctionCallInfo fcinfo, std::string (EnrichmentReader::*part)() const) {
  const Oid type = call([&] { return document_type_unsafe(fcinfo, 0); });
  EnrichmentReader &reader =
      PG_ARGISNULL(0) ? read_no_document() : read_document(PG_GETARG_DATUM(0), type);
  reader.resolve(text_argument(fcinfo, 1));
  const std::string json = (reader.*part)();
  return call([&] { return jsonb_datum_unsafe(json); });
}

// The aggregate cowrie_fingerprint: its state is plain data in the aggregate's memory context.

ProofSum *fingerprint_state_unsafe(FunctionCallInfo fcinfo) {
  if (!PG_ARGISNULL(0))
    return reinterpret_cast<ProofSum *>(PG_GETARG_POINTER(0));
  MemoryContext context;
  if (!AggCheckCallContext(fcinfo, &context))
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("this function must be called as part of an aggregate")));
  return new (MemoryContextAlloc(context, sizeof(ProofSum))) ProofSum();
}

/** Adds a session, its document by its text or by the bytes that a rewrite leaves as they are. What
 *  is fetched for it goes with the context that the executor resets for every row. */
Datum fingerprint_add(FunctionCallInfo fcinfo, bool kept) {
  const std::string_view session_id = text_argument(fcinfo, 1);
  return call([&]() -> Datum {
    ProofSum *state = fingerprint_state_unsafe(fcinfo);
    std::optional<std::string_view> document;
    if (!PG_ARGISNULL(2)) {
      const Datum datum = PG_GETARG_DATUM(2);
      const Oid type = document_type_unsafe(fcinfo, 2);
      document = kept ? kept_document_unsafe(datum, type).kept_bytes()
                      : document_text_unsafe(datum, type, false).bytes();
    }
    state->add(session_id, document_sum(session_id, document), time_argument(fcinfo, 3),
               time_argument(fcinfo, 4), !PG_ARGISNULL(5) && PG_GETARG_BOOL(5));
    return PointerGetDatum(state);
  });
}

Datum fingerprint_combine(FunctionCallInfo fcinfo) {
  return call([&]() -> Datum {
    ProofSum *state = fingerprint_state_unsafe(fcinfo);
    if (!PG_ARGISNULL(1))
      state->add(*reinterpret_cast<ProofSum *>(PG_GETARG_POINTER(1)));
    return PointerGetDatum(state);
  });
}

Datum fingerprint_serialize(FunctionCallInfo fcinfo) {
  return call([&]() -> Datum {
    bytea *bytes = static_cast<bytea *>(palloc(VARHDRSZ + sizeof(ProofSum)));
    SET_VARSIZE(bytes, VARHDRSZ + sizeof(ProofSum));
    std::memcpy(VARDATA(bytes), PG_GETARG_POINTER(0), sizeof(ProofSum));
    return PointerGetDatum(bytes);
  });
}

Datum fingerprint_deserialize(FunctionCallInfo fcinfo) {
  return call([&]() -> Datum {
    const bytea *bytes = PG_GETARG_BYTEA_PP(0);
    if (VARSIZE_ANY_EXHDR(bytes) != sizeof(ProofSum))
      ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("invalid fingerprint state")));
    void *state = palloc(sizeof(ProofSum));
    std::memcpy(state, VARDATA_ANY(bytes), sizeof(ProofSum));
    return PointerGetDatum(state);
  });
}

Datum fingerprint_result(FunctionCallInfo fcinfo) {
  TupleDesc shape = result_shape(fcinfo);
  ProofSum sum;
  if (!PG_ARGISNULL(0))
    sum = *reinterpret_cast<ProofSum *>(PG_GETARG_POINTER(0));
  const SessionsFingerprint settled = sum.settled();
  const std::string texts[] = {sum.all.documents.hex(), sum.all.times.hex(),
                               settled.documents.hex(), settled.times.hex()};
  return call([&] {
    Columns row;
    row.put(true, Int64GetDatum(sum.all.sessions));
    row.put_text_unsafe(texts[0]);
    row.put_text_unsafe(texts[1]);
    row.put(true, Int64GetDatum(settled.sessions));
    row.put_text_unsafe(texts[2]);
    row.put_text_unsafe(texts[3]);
    return row.row_unsafe(shape);
  });
}

/** The name of a step by its number in the status; NULL for 0 and for unknown numbers. */
Datum step_name(FunctionCallInfo fcinfo) {
  const std::vector<std::string> &names = step_names();
  const std::int64_t number = PG_GETARG_INT64(0);
  if (number < 0 || number >= static_cast<std::int64_t>(names.size()))
    PG_RETURN_NULL();
  return call([&] { return text_datum_unsafe(names[number]); });
}

Datum sqlstate_text(FunctionCallInfo fcinfo) {
  const int packed = static_cast<int>(PG_GETARG_INT64(0));
  if (packed == 0)
    PG_RETURN_NULL();
  return call([&] { return text_datum_unsafe(unpack_sql_state(packed)); });
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_enrichment_facts_json, enrichment_facts(fcinfo, JSONOID))
COWRIE_FUNCTION(cowrie_enrichment_facts_jsonb, enrichment_facts(fcinfo, JSONBOID))
COWRIE_FUNCTION(cowrie_fill_source_ip, fill_source_ip(fcinfo))
COWRIE_FUNCTION(cowrie_fill_enrichment_at, fill_enrichment_at(fcinfo))
COWRIE_FUNCTION(cowrie_fill_snapshot_asn, fill_asn(fcinfo))
COWRIE_FUNCTION(cowrie_fill_snapshot_country, fill_text(fcinfo, arg_country, &Facts::country))
COWRIE_FUNCTION(cowrie_fill_snapshot_ip_type, fill_text(fcinfo, arg_ip_type, &Facts::ip_type))
COWRIE_FUNCTION(cowrie_staged_facts, staged_facts(fcinfo))
COWRIE_FUNCTION(cowrie_needs_event, needs_event(fcinfo))
COWRIE_FUNCTION(cowrie_derived_facts, derived_facts(fcinfo))
COWRIE_FUNCTION(cowrie_provider_data, document_part(fcinfo, &EnrichmentReader::provider_data))
COWRIE_FUNCTION(cowrie_asn_data, document_part(fcinfo, &EnrichmentReader::asn_data))
COWRIE_FUNCTION(cowrie_fingerprint_add, fingerprint_add(fcinfo, false))
COWRIE_FUNCTION(cowrie_fingerprint_add_kept, fingerprint_add(fcinfo, true))
COWRIE_FUNCTION(cowrie_fingerprint_combine, fingerprint_combine(fcinfo))
COWRIE_FUNCTION(cowrie_fingerprint_serialize, fingerprint_serialize(fcinfo))
COWRIE_FUNCTION(cowrie_fingerprint_deserialize, fingerprint_deserialize(fcinfo))
COWRIE_FUNCTION(cowrie_fingerprint_result, fingerprint_result(fcinfo))
COWRIE_FUNCTION(cowrie_step_name, step_name(fcinfo))
COWRIE_FUNCTION(cowrie_sqlstate_text, sqlstate_text(fcinfo))
}
