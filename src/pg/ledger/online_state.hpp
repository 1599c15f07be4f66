// Online ledger: what an online migration remembers from one call to the next, in the ledger.
//
// Error regime: throws PgError.
#pragma once

#include "core/ports/online_ports.hpp"
#include "pg/catalog/target.hpp"

namespace cowrie::pg {

class OnlineLedger : public OnlineMemory {
public:
  OnlineLedger(const ResolvedTarget &target, Ledger &ledger);

  std::optional<OnlineState> unfinished() override;
  void remember(std::int64_t run, const OnlineState &state) override;

private:
  std::optional<OnlineState> read_unfinished();
  std::vector<Row> rows(const std::string &sql, const std::vector<Parameter> &parameters);

  const Target &target_;
  std::string table_;
  std::string schema_;
  std::string place_; ///< ledger_place()
  Ledger &ledger_;
  Oid owner_;
};

} // namespace cowrie::pg
