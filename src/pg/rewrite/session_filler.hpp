// Session filler: gives the row of a session the values of its new columns, as the fill functions
// do in SQL.
//
// Error regime: throws; functions named _unsafe may longjmp.
#pragma once

#include "pg/reading/fill_run.hpp"

namespace cowrie::pg {

class SessionFiller {
public:
  /** Finds the columns of session_summaries; raises where one is not of the type that is read or
   *  written as it is. */
  void find_columns_unsafe(Relation sessions);

  /** Sets the values of a row that are NULL and that its document tells, and hands the session to
   *  the run. What is allocated for them is in the current memory context. */
  void fill(FillRun &run, Datum *values, bool *nulls) const;

private:
  /** Columns by their number less one, in the order of their names. */
  enum Place {
    session_id,
    enrichment,
    source_ip,
    enrichment_at,
    asn,
    country,
    ip_type,
    first,
    last,
    created,
    place_count
  };
  std::array<int, place_count> places_ = {};
  Oid document_type_ = InvalidOid;
};

} // namespace cowrie::pg
