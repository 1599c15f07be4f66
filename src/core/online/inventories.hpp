// Online inventories: the inventories of an online migration, from the staged sessions: all at
// once, and then again for what has changed meanwhile.
//
// Every function runs in a transaction of the caller's. Error regime: throws what the port throws.
#pragma once

#include "core/ports/online_ports.hpp"
#include "core/sql/derivation.hpp"

namespace cowrie {

class OnlineInventories {
public:
  OnlineInventories(Database &database, Origin origin) : database_(database), origin_(origin) {}

  /** Tells whether the staging table is there and holds all that was staged; what partitions have
   *  brought that were attached since is noted. */
  bool staging_is_whole(Monitor &monitor);
  /** Stages all sessions from their documents, as they are now. */
  void stage_all(const Table &base);

  /** Derives all rows of an inventory; `existed`: it may have rows. */
  std::int64_t load_all(const std::string &table, bool existed);

  /** Stages all sessions as they are now, and derives all rows anew: for so many changes that this
   * is less work than to look at each. */
  void refresh_all(const Table &base);
  /** Stages these sessions as they are now, and derives anew what they and what they were before
   *  count for. */
  void refresh(const std::vector<std::string> &sessions, const Table &declared, const Table &base);
  /** Counts the changes that are left. */
  std::int64_t pending();

private:
  const Target &target() const { return database_.target(); }
  derivation::OnExisting existing() const;
  /** Makes the delta table the staged sessions of these keys, and a target that reads it. */
  Target delta(const std::string &key, const std::vector<std::string> &values);
  void refresh_asns(const std::vector<std::string> &asns);
  void refresh_addresses(const std::vector<std::string> &addresses);

  Database &database_;
  const Origin origin_;
};

} // namespace cowrie
