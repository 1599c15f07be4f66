// Session arguments: a session as the SQL functions over sessions are given it.
//
// Error regime: throws.
#pragma once

#include "api/values.hpp"
#include "pg/reading/session_memo.hpp"

namespace cowrie::pg {

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
