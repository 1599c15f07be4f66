// Of the tables: the parts of a report that are measured when it is made.
//
// Changes nothing. What cannot be measured is a sentence that says why. Error regime: throws what
// must end the call.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "core/ports/ports.hpp"
#include "core/report/subject.hpp"
#include "core/survey/checkpoint.hpp"

namespace cowrie::report {

class Measures {
public:
  /** `blocked`: why nothing is to be read now; empty: all is. */
  Measures(Database &database, Ledger &ledger, const Subject &subject, std::string blocked);

  /** Reads everything that the sections tell. */
  void measure();

  Section zero_loss() const;
  Section criteria() const;
  Section coverage() const;
  Section rejects() const;
  Section findings() const;
  Section networks() const;
  Section countries() const;

  const std::vector<TableSize> &sizes() const noexcept { return sizes_; }
  const std::vector<Criterion> &measured_criteria() const noexcept { return criteria_; }
  const std::optional<std::string> &differs() const noexcept { return differs_; }
  std::int64_t errors() const noexcept;
  bool is_version15() const noexcept { return version15_; }

private:
  /** Runs a measurement that keeps no lock; why it failed is remembered under its name. */
  void attempt(const char *name, const std::function<void()> &body);
  /** Whether something was measured; else a sentence about that is added. */
  bool was_measured(const char *name, Section &section) const;
  void count_filled();
  void read_networks();
  void read_countries();
  Table rejects_table() const;

  Database &database_;
  Ledger &ledger_;
  const Subject &subject_;
  std::string blocked_;
  bool version15_ = false;
  std::vector<std::pair<std::string, std::string>> failures_;
  std::vector<Criterion> criteria_;
  CheckpointFacts facts_;
  std::optional<std::string> differs_; ///< empty text: nothing
  std::vector<Finding> findings_;
  std::vector<Counted> filled_;
  std::vector<TableSize> sizes_;
  std::vector<Row> networks_, countries_;
};

} // namespace cowrie::report
