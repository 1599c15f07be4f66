// SQL calls: what the functions that an operator calls share: their arguments, and core with its
// ports around it.
//
// Error regime: throws.
#pragma once

#include "pg/boundary/imports.h"

#include "pg/database/database.hpp"
#include "pg/boundary/fault.hpp"
#include "pg/ledger/ledger_store.hpp"
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

/** Resolves the target of a call and learns what the run must know of it. */
inline ResolvedTarget target_of(FunctionCallInfo fcinfo, const std::optional<std::string> &schema,
                                Access access) {
  return resolve_target(schema ? &*schema : nullptr, fcinfo->flinfo->fn_oid, access);
}

/** Acts as the owner of the tables, whoever calls: what the owner has made, index expressions for
 *  instance, runs with that role's rights at most. A caller who may only read stays what it is. */
inline void become_owner(std::optional<AsUser> &owner, const ResolvedTarget &target) {
  if (!may_act_as_owner(target))
    return;
  refuse_hidden_extension(target);
  owner.emplace(target.owner);
}

/** Runs core with everything it needs. */
template <typename Body> auto with_database(ResolvedTarget &target, Access access, Body body) {
  fault::begin_call();
  const Oid owner_of_extension = extension_owner(target);
  LedgerStore ledger(target.names, owner_of_extension);
  Progress progress(target.extension_schema, owner_of_extension);
  const PinnedSettings settings;
  const SpiSession spi;
  std::optional<AsUser> owner;
  become_owner(owner, target);
  inspect_raw_events(target);
  ServerDatabase database(target, progress, access == Access::read);
  if (access == Access::change)
    return body(database, ledger, progress);
  decltype(body(database, ledger, progress)) result; // looked at in passing, no lock is kept
  database.in_passing([&] { result = body(database, ledger, progress); });
  return result;
}

} // namespace cowrie::pg
