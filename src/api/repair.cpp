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

/** A function that nothing calls any more: the scripts of earlier versions create it. */
Datum retired(FunctionCallInfo fcinfo) { PG_RETURN_NULL(); }

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_as_jsonb, as_jsonb(fcinfo))
COWRIE_FUNCTION(cowrie_unfit_for_jsonb, unfit_for_jsonb(fcinfo))
COWRIE_FUNCTION(cowrie_strongest_type, strongest_type(fcinfo))
COWRIE_FUNCTION(cowrie_lacks_snapshot, retired(fcinfo))
}
