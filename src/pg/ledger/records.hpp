// Records: the ledger and the status view, read for a report.
//
// Error regime: throws PgError.
#pragma once

#include "core/ports/records.hpp"
#include "pg/catalog/target.hpp"

namespace cowrie::pg {

class LedgerRecords : public Records {
public:
  explicit LedgerRecords(const ResolvedTarget &target);

  std::vector<RunRecord> runs() override;
  void complete(RunRecord &run) override;
  std::vector<StepRecord> steps(std::int64_t run) override;
  LatestRun latest() override;

private:
  std::vector<Row> rows(const std::string &sql, const std::vector<Parameter> &parameters) const;

  std::string ledger_;
  std::string status_view_;
  std::string schema_;
  std::string place_;
  Oid owner_;
  bool has_evidence_;
};

} // namespace cowrie::pg
