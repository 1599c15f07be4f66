// Catalog steps: what an online run changes in the catalog: columns and trigger in one transaction,
// the tables and indexes of the plan, the cut-over in one transaction.
//
// A strong lock is requested in short attempts, and held for catalog work only. Error
// regime: throws what the ports throw; Stopped before a step.
#pragma once

#include "core/inspect/inspection.hpp"
#include "core/online/partitions.hpp"
#include "core/plan/row_facts.hpp"
#include "core/plan/step.hpp"

namespace cowrie {

/** What an online run has seen of the tables. */
struct OnlineView {
  Inspection inspection;            ///< as of the last look
  OnlineObjects found;              ///< at the beginning
  std::optional<Table> base;        ///< the sessions as version 15 knows them
  RowFacts rows;                    ///< what the plan depends on beside the catalog
  std::vector<std::string> skipped; ///< indexes
};

class OnlineCatalogSteps {
public:
  OnlineCatalogSteps(OnlineSteps &steps, OnlineView &view)
      : steps_(steps), partitions_(steps), view_(view) {}

  /** What is missing, as at once: of all phases, whatever of them is there. */
  std::vector<Step> planned() const;

  /** Runs the steps of a phase that change the catalog; `load` runs those that load rows. */
  void run_phase(int phase, const std::function<void(const Step &)> &load);
  /** Drops what is in the way of columns or constraints of a phase. */
  void drop_obstacles(int phase);

  /** Makes the tables that the trigger and the batches write to. `unfilled`: no session has been
   *  filled, so nothing is missing in an empty staging table. */
  void create_work_tables(bool unfilled);
  /** The columns and the trigger: nobody can write between them. */
  void add_columns();
  /** Puts all sessions into the queue that the batches follow, unless they are in it. After the
   *  trigger: whatever comes later is filled by that. */
  void queue_sessions();
  /** Tells whether the position that is remembered is a place in a queue that is no longer there,
   *  or not as it was. In a transaction. */
  bool queue_is_lost();
  /** Tells whether notes are missing: their table is gone, or another one. */
  bool changes_are_other() const;
  /** Makes the tables again that a call which resumes does not find. What was staged is missing
   * then, and will be staged from the documents. */
  void restore_work_tables();
  void validate_constraints(int phase);
  /** The foreign keys come, the trigger goes: after it nobody but this run sets a source_ip, so
   *  nobody but this run can violate them. */
  void cut_over();

private:
  using Kind = TransactionKind;

  void run_statements(const Step &planned);
  void create_index(const Step &planned);
  /** Builds one beside writers, and has the transaction that follows it report. */
  void create_index_concurrently(const Step &planned, StepResult &row);
  /** Refuses a relation of somebody else that has the name of a work table. */
  void refuse_taken(const std::string &table);
  void add_foreign_keys(const Table &table);
  bool in_partitions(const Table &table) const {
    return steps_.target().partitioned && table.name == "session_summaries";
  }
  int deriving_phase() const { return view_.inspection.declared.last_deriving_phase(); }
  void refuse_other_trigger();

  Database &database() const noexcept { return steps_.database(); }
  std::string name_of(const std::string &table) const {
    return qualified(steps_.target().schema, table);
  }

  OnlineSteps &steps_;
  OnlinePartitions partitions_;
  OnlineView &view_;
};

} // namespace cowrie
