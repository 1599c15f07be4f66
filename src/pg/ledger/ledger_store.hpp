// Ledger store: rows of cowrie_migration_log, written as its owner.
//
// Error regime: throws PgError.
#pragma once

#include "core/ports/ports.hpp"
#include "pg/catalog/target.hpp"

namespace cowrie::pg {

/** Rows of a statement over the ledger, executed as its owner. */
std::vector<Row> ledger_rows(Oid owner, const std::string &sql,
                             const std::vector<Parameter> &parameters, bool read_only);

class LedgerStore : public Ledger, Live {
public:
  explicit LedgerStore(const ResolvedTarget &target);

  std::vector<RecordedRun> runs() override;
  bool knows_of_migration() override;
  std::int64_t begin_run(std::string_view mode, std::string_view detail) override;
  void record(std::int64_t run, const StepResult &step, std::string_view sqlstate,
              std::string_view message) override;
  void record_proof(std::int64_t run, const FillResult &proof) override;
  void finish_run(std::int64_t run, const StepResult &outcome, std::string_view sqlstate,
                  std::string_view message) override;

private:
  std::vector<Row> rows(const std::string &sql, const std::vector<Parameter> &parameters,
                        bool read_only);
  std::int64_t write(const std::string &sql, const std::vector<Parameter> &parameters);

  std::string table_;
  std::string schema_;
  std::string caller_;
  std::string mode_;
  Oid owner_;
};

} // namespace cowrie::pg
