// Evidence: what a run records for those who ask for a report: how it was called, under which
// settings, and how the tables were before and after it.
//
// Error regime: throws PgError.
#pragma once

#include <string>

#include "pg/catalog/target.hpp"

namespace cowrie::pg {

class Evidence {
public:
  explicit Evidence(const ResolvedTarget &target);

  /** Writes to the row of a run that has just begun. `fills`: it writes columns of the sessions,
   *  which are counted; that reads all of them. */
  void before(std::int64_t run, bool fills);
  /** Writes to the row of a run that has come to its end. */
  void after(std::int64_t run);

private:
  bool goes_on(std::int64_t run) const;
  std::string filled() const;
  std::string sizes() const;
  void write(std::int64_t run, const std::string &value, std::vector<Parameter> parameters) const;

  std::string ledger_;
  std::string sessions_; ///< qualified
  std::string schema_;
  std::string place_;
  std::string call_;
  Oid ledger_owner_;
  Oid tables_owner_;
  std::int64_t schema_oid_;
  std::int64_t sessions_oid_;
  bool kept_; ///< the ledger is new enough to have a column for it
};

} // namespace cowrie::pg
