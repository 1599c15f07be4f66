// SQL ledger trigger: keeps the rows of another database's ledger out of this one.
//
// A publication of all tables sends the ledger along. What comes by logical replication tells of
// runs of the publisher, under the keys of our own. The trigger fires in replica mode only; who
// restores a dump in that mode is let through. Error regime: runs in pg::entry.
#include "pg/boundary/imports.h"

#include "api/values.hpp"

extern "C" {

PG_FUNCTION_INFO_V1(cowrie_ledger_is_local);
PGDLLEXPORT Datum cowrie_ledger_is_local(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] {
    if (!CALLED_AS_TRIGGER(fcinfo))
      throw cowrie::Failure(
          cowrie::sqlstate::prerequisite_state,
          "cowrie_ledger_is_local can be called only by the trigger of the ledger",
          "It must be called by a BEFORE ROW trigger.",
          "Read the ledger with SELECT * FROM cowrie_migration_log;");
    const TriggerData *data = reinterpret_cast<const TriggerData *>(fcinfo->context);
    if (IsLogicalWorker())
      return Datum{0}; // the row is left out
    return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple
                                                                   : data->tg_trigtuple);
  });
}

} // extern "C"
