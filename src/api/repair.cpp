// SQL functions that repair calls: values of other types and of older attempts become the declared
// ones.
//
// Error regime: every function runs in pg::entry.
#include "pg/boundary/imports.h"

#include "core/document/json_text.hpp"
#include "core/document/fact_finder.hpp"
#include "pg/reading/session_memo.hpp"
#include "api/values.hpp"

namespace cowrie::pg {
namespace {

/** The JSON text of a document argument, in the current memory context. */
std::string_view json_argument(FunctionCallInfo fcinfo) {
  const DocumentText text = call(
      [&] { return document_text_unsafe(PG_GETARG_DATUM(0), document_type_unsafe(fcinfo, 0)); });
  return text.json();
}

/** cowrie_as_jsonb(json): the same value; what jsonb cannot hold is replaced by U+FFFD. */
Datum as_jsonb(FunctionCallInfo fcinfo) {
  std::string fit;
  json::append_for_jsonb(fit, json_argument(fcinfo));
  return call([&] { return jsonb_datum_unsafe(fit); });
}

/** cowrie_unfit_for_jsonb(json): tells whether cowrie_as_jsonb() has something to replace. */
Datum unfit_for_jsonb(FunctionCallInfo fcinfo) {
  return BoolGetDatum(json::unfit_for_jsonb(json_argument(fcinfo)));
}

/** cowrie_strongest_type(text[]): of several IP types the one that counts; NULL: none. */
Datum strongest_type(FunctionCallInfo fcinfo) {
  struct Items {
    Datum *values;
    bool *nulls;
    int count;
  };
  const Items items = call([&]() -> Items {
    Items found{};
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &found.values,
                      &found.nulls, &found.count);
    return found;
  });
  std::vector<std::string_view> types;
  for (int i = 0; i < items.count; ++i) {
    const Datum value = items.values[i];
    if (items.nulls[i]) {
      types.emplace_back();
      continue;
    }
    const text *packed = call([&] { return DatumGetTextPP(value); });
    types.emplace_back(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
  }
  const std::size_t best = strongest_of(types);
  if (best == std::string_view::npos)
    PG_RETURN_NULL();
  return items.values[best];
}

/** Tells whether a session lacks something that its document tells. A snapshot that was taken is
 *  final where the caller says so: what it has no value for was not known at the time. */
Datum lacks_snapshot(FunctionCallInfo fcinfo) {
  // in the order of the declared session columns
  enum Argument { arg_document, arg_ip, arg_at, arg_asn, arg_country, arg_type, arg_final };
  const Oid type = call([&] { return document_type_unsafe(fcinfo, arg_document); });
  if (PG_ARGISNULL(arg_document))
    return BoolGetDatum(false);
  EnrichmentReader &reader = read_document(PG_GETARG_DATUM(arg_document), type);
  const Facts &facts = reader.resolve(text_argument(fcinfo, arg_ip));
  const bool taken = !PG_ARGISNULL(arg_at);
  const bool final_snapshot = taken && PG_GETARG_BOOL(arg_final);
  const bool lacks_value = (PG_ARGISNULL(arg_asn) && facts.asn != 0) ||
                           (PG_ARGISNULL(arg_country) && !facts.country.empty()) ||
                           (PG_ARGISNULL(arg_type) && !facts.ip_type.empty());
  return BoolGetDatum((PG_ARGISNULL(arg_ip) && !facts.source_ip.empty()) ||
                      (!taken && facts.has_document) || (!final_snapshot && lacks_value));
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_as_jsonb, as_jsonb(fcinfo))
COWRIE_FUNCTION(cowrie_unfit_for_jsonb, unfit_for_jsonb(fcinfo))
COWRIE_FUNCTION(cowrie_strongest_type, strongest_type(fcinfo))
COWRIE_FUNCTION(cowrie_lacks_snapshot, lacks_snapshot(fcinfo))
}
