// Online partitions: what an online migration does partition by partition, where the sessions are
// in such: indexes that are built while others write, foreign keys that are validated while they
// do, and the partitions that come and go meanwhile.
//
// A plain table has nothing of this. Error regime: throws what the ports throw; Stopped.
#pragma once

#include "core/online/steps.hpp"
#include "core/schema/schema.hpp"
#include "core/sql/online.hpp"

namespace cowrie {

class OnlinePartitions {
public:
  explicit OnlinePartitions(OnlineSteps &steps) : steps_(steps) {}

  /** Builds an index of every partition that lacks it, one after the other, and nobody waits. */
  void build_indexes(const Index &index);
  /** Makes the index of the whole, which takes in those of the partitions: in the transaction of
   *  the caller, which has no other lock. False: a partition has come that has none. */
  bool unite_indexes(const Index &index, const std::string &statement);

  /** Adds a foreign key to every partition that lacks it, NOT VALID: a partitioned table takes no
   *  such before PostgreSQL 18. In the transaction of the caller. */
  void add_foreign_key(const Constraint &constraint);
  /** Validates those, and adds the foreign key of the whole, which takes them in. */
  void unite_foreign_keys(const Table &table, const Constraint &constraint);

private:
  Database &database() const noexcept { return steps_.database(); }
  const Target &target() const { return steps_.target(); }

  OnlineSteps &steps_;
};

/** Notes the sessions of partitions that have been attached since the others were staged, so that
 *  they are staged and filled like changed ones; says so. In a transaction, with the staging table.
 */
void note_attached(Database &database, Monitor &monitor);

/** Cuts places down to those of one leaf, and names it. False: it is no partition any more, and its
 *  sessions are none. In a transaction. */
bool cut_to_leaf(Database &database, online::Places &places);

} // namespace cowrie
