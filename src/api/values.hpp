// SQL values: what the SQL functions over documents share: arguments in, composite values out.
//
// Error regime: functions named _unsafe may longjmp; the others throw.
#pragma once

#include "pg/boundary/imports.h"

#include "core/document/enrichment.hpp"
#include "pg/reading/document.hpp"
#include "pg/boundary/guard.hpp"
#include "pg/reading/session_memo.hpp"

namespace cowrie::pg {

/** The tuple descriptor of a function's composite result, made once per call site. */
inline TupleDesc result_shape(FunctionCallInfo fcinfo) {
  FmgrInfo *info = fcinfo->flinfo;
  if (!info->fn_extra)
    info->fn_extra = call([&]() -> void * {
      TupleDesc shape;
      if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("function returning a row called in context that cannot accept one")));
      MemoryContext previous = MemoryContextSwitchTo(info->fn_mcxt);
      TupleDesc kept = BlessTupleDesc(CreateTupleDescCopy(shape));
      MemoryContextSwitchTo(previous);
      return kept;
    });
  return static_cast<TupleDesc>(info->fn_extra);
}

/** The type of a document argument: the functions are declared for json and for jsonb. Nothing is
 *  read before it is known, whatever somebody may have declared our functions with. */
inline Oid document_type_unsafe(FunctionCallInfo fcinfo, int position) {
  const Oid type = get_fn_expr_argtype(fcinfo->flinfo, position);
  if (type != JSONOID && type != JSONBOID)
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("an enrichment document must be of type json or jsonb"),
                    errhint("Cast it, as in enrichment::json.")));
  return type;
}

inline std::string_view text_argument(FunctionCallInfo fcinfo, int position) {
  if (PG_ARGISNULL(position))
    return {};
  const text *value = call([&] { return PG_GETARG_TEXT_PP(position); });
  return {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
}

inline std::optional<std::int64_t> time_argument(FunctionCallInfo fcinfo, int position) {
  return PG_ARGISNULL(position) ? std::nullopt
                                : std::optional<std::int64_t>(PG_GETARG_TIMESTAMPTZ(position));
}

inline Datum text_array_unsafe(const std::string_view *items, int count) {
  Datum *values = static_cast<Datum *>(palloc(sizeof(Datum) * (count + 1)));
  for (int i = 0; i < count; ++i)
    values[i] = text_datum_unsafe(items[i]);
  return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/** The same for texts that are in the database's encoding already. */
inline Datum server_text_array_unsafe(const std::string_view *items, int count) {
  Datum *values = static_cast<Datum *>(palloc(sizeof(Datum) * (count + 1)));
  for (int i = 0; i < count; ++i)
    values[i] = server_text_datum_unsafe(items[i]);
  return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/** Collects the columns of one composite value. */
struct Columns {
  Datum values[24] = {};
  bool nulls[24] = {};
  int count = 0;
  void put(bool present, Datum value) {
    nulls[count] = !present;
    values[count++] = value;
  }
  void put_text_unsafe(std::string_view text) {
    put(!text.empty(), text.empty() ? Datum(0) : text_datum_unsafe(text));
  }
  Datum row_unsafe(TupleDesc shape) {
    return HeapTupleGetDatum(heap_form_tuple(shape, values, nulls));
  }
};

/** Decodes document, key and address, which stand one after the other from `first` on. */
inline SessionArguments session_arguments(FunctionCallInfo fcinfo, int first) {
  const int id = first + 1, address = first + 2;
  SessionArguments row;
  row.document_type = call([&] { return document_type_unsafe(fcinfo, first); });
  row.has_document = !PG_ARGISNULL(first);
  if (row.has_document)
    row.document = PG_GETARG_DATUM(first);
  row.has_session_id = !PG_ARGISNULL(id);
  if (row.has_session_id)
    row.session_id = PG_GETARG_DATUM(id);
  row.session_id_text = text_argument(fcinfo, id);
  row.source_ip = text_argument(fcinfo, address);
  return row;
}

} // namespace cowrie::pg

// Declares one SQL-callable function whose body is an expression over fcinfo.
#define COWRIE_FUNCTION(name, body)                                                                \
  PG_FUNCTION_INFO_V1(name);                                                                       \
  PGDLLEXPORT Datum name(PG_FUNCTION_ARGS) {                                                       \
    using namespace cowrie;                                                                        \
    using namespace cowrie::pg;                                                                    \
    return entry([&] { return body; });                                                            \
  }
