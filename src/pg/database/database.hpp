// Database: core's port into the server, for one target schema.
//
// Error regime: throws PgError or Failure.
#pragma once

#include "core/ports/ports.hpp"
#include "pg/ledger/progress.hpp"
#include "pg/catalog/target.hpp"

namespace cowrie::pg {

/** A relation, and the mode in which it is to be locked. */
struct RelationLock {
  std::string table; ///< the table that was asked for
  std::string name;  ///< quoted, with its schema: that table, or a partition below it
  std::string mode;
  Oid partition = InvalidOid; ///< InvalidOid: the table itself
  bool partitioned = false;   ///< what is below it is locked by itself
};

class ServerDatabase : public Database, Live {
public:
  /** `read_only`: queries see one snapshot and nothing may be changed. */
  ServerDatabase(const ResolvedTarget &target, Progress &progress, bool read_only);

  std::vector<Row> query(const std::string &sql, const std::vector<Parameter> &parameters) override;
  std::int64_t execute(const std::string &sql, const std::vector<Parameter> &parameters) override;
  std::int64_t insert(const std::string &sql) override;
  void in_subtransaction(const std::function<void()> &body) override;
  void in_passing(const std::function<void()> &body) override;
  Schema observe(const Schema &declared) override;
  Schema bind(const Schema &declared, const Schema &observed) override;
  FillResult fill(const std::string &sql, bool stage, std::optional<std::int64_t> start) override;
  void stage(const std::string &query) override;
  FillResult rewrite(const std::string &sql) override;
  FillResult rewrite_heap() override;
  Fingerprint stored_rows() override;
  FillCount count_unfilled(bool snapshots_are_final) override;
  std::int64_t note_sessions(const std::string &query) override;
  void remove_notes(const std::string &query, const std::vector<Parameter> &parameters) override;
  void lock_run() override;
  void refuse_other_run() override;
  void lock_tables(const std::vector<TableLock> &wanted) override;
  std::vector<std::string> users_of_columns(const std::string &table,
                                            const std::vector<std::string> &columns) override;
  void inspect_again() override;
  void upgrade_locks(const std::vector<TableLock> &wanted) override;
  std::vector<Dependent> dependents(const std::vector<ExistingObject> &objects) override;
  void copy_grants(const std::string &table) override;
  std::vector<Disk> disks() override;
  const Target &target() const override { return target_.names; }
  std::int64_t clock_us() const override;

private:
  std::int64_t expected_sessions();
  void lock_sessions_to_fill();
  /** How many sessions this transaction has updated, inserted and deleted so far. */
  std::array<std::int64_t, 3> written_sessions();
  void refuse_more_writes(const std::array<std::int64_t, 3> &before, std::int64_t rows);
  /** Locks tables as lock_tables() does, without looking at what was locked; returns what was. */
  std::vector<RelationLock> acquire(const std::vector<TableLock> &tables);
  /** Locks all tables that are there, so that they can be looked at as of one moment. */
  void lock_to_read();
  /** Locks one table for as long as that may take, the others at once; returns the one that could
   *  not be locked, nothing being locked then, or their number. */
  std::size_t try_to_lock(const std::vector<RelationLock> &wanted, std::size_t awaited,
                          int timeout_ms);
  Oid relation_of(const RelationLock &lock) const;
  /** The locks that these are: one for each table, and for each partition below it. */
  std::vector<RelationLock> in_full(const std::vector<TableLock> &wanted) const;
  /** Refuses what cannot be worked on, now that nobody can change it any more. */
  void inspect_locked(const std::vector<RelationLock> &locked);
  /** Refuses a declared table that is there and was not when the locks were asked for. */
  void refuse_unlocked_table(const std::string &table, const std::vector<RelationLock> &locked);
  /** Refuses a partition of the sessions that was not there then. */
  void refuse_unlocked_partitions(const std::vector<RelationLock> &locked);
  /** Throws who holds what conflicts with the lock. */
  [[noreturn]] void throw_locked(const RelationLock &wanted);
  /** Refuses (55006) what ALTER TABLE would refuse in the middle of the work. */
  void refuse_table_in_use(const RelationLock &locked);

  const ResolvedTarget &target_;
  Progress &progress_;
  bool read_only_;
};

/** Throws (55P03) that another migration runs. */
[[noreturn]] void refuse_run(const std::string &detail);

/** Learns by which indexes a session and its raw events are found; needs an SPI session. */
void inspect_indexes(ResolvedTarget &target);

} // namespace cowrie::pg
