// SQL calls: what the functions that an operator calls share: their arguments, and core with its
// ports around it.
//
// Error regime: throws.
#pragma once

#include "pg/boundary/imports.h"

#include "pg/database/database.hpp"
#include "pg/database/deferred.hpp"
#include "pg/database/run_lock.hpp"
#include "pg/boundary/fault.hpp"
#include "pg/ledger/ledger_store.hpp"
#include "pg/catalog/call_arguments.hpp"
#include "pg/catalog/refusals.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {

inline std::optional<std::string> schema_argument(FunctionCallInfo fcinfo, int position) {
  if (PG_ARGISNULL(position))
    return std::nullopt;
  return std::string(NameStr(*PG_GETARG_NAME(position)));
}

inline bool flag_argument(FunctionCallInfo fcinfo, int position) {
  return !PG_ARGISNULL(position) && PG_GETARG_BOOL(position);
}

/** Finds the target of a call, and refuses what the call cannot work with. */
inline ResolvedTarget target_of(FunctionCallInfo fcinfo, const std::optional<std::string> &schema,
                                Access access, int version = Target().version) {
  ResolvedTarget target = find_target(schema ? &*schema : nullptr, fcinfo->flinfo->fn_oid, version);
  if (access == Access::change) {
    target.call = call_as_json(fcinfo);
    refuse_read_only(target, XactReadOnly);
    refuse_unsuitable_isolation(target, XactIsoLevel);
  }
  inspect_target(target, access);
  return target;
}

/** Runs core with everything it needs, as the owner of the tables, whoever calls: what that role
 * has made, index expressions for instance, runs with that role's rights at most. */
template <typename Body> auto with_database(ResolvedTarget &target, Access access, Body body) {
  std::optional<RunningHere> running;
  if (access == Access::change) {
    if (RunningHere::now())
      refuse_run("This session itself runs it.");
    running.emplace();
  }
  fault::begin_call();
  LedgerStore ledger(target);
  Progress progress(target.extension);
  const PinnedSettings settings;
  const SpiSession spi;
  const AsUser owner(target.owner, settings);
  inspect_indexes(target);
  ServerDatabase database(target, progress, access == Access::read);
  if (access != Access::read) {
    auto result = body(database, ledger, progress);
    if (access == Access::change)
      defer_again(target);
    return result;
  }
  decltype(body(database, ledger, progress)) result; // looked at in passing, no lock is kept
  database.in_passing([&] { result = body(database, ledger, progress); });
  return result;
}

} // namespace cowrie::pg
