// Checkpoint: the acceptance criteria of the migration, measured on the migrated database.
#include "core/survey/checkpoint.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/failure.hpp"
#include "core/base/figures.hpp"
#include "core/base/text.hpp"
#include "core/inspect/inspection.hpp"
#include "core/inspect/validate.hpp"
#include "core/inspect/zero_loss.hpp"
#include "core/schema/v15.hpp"
#include "core/sql/derivation_parts.hpp"
#include "core/survey/assessment_query.hpp"
#include "core/survey/checkpoint_queries.hpp"

namespace cowrie {
namespace {

constexpr std::int64_t longest_query_us = 10'000'000;

class CheckpointRun {
public:
  CheckpointRun(Database &database, Ledger &ledger, CheckpointFacts *facts)
      : database_(database), ledger_(ledger), target_(database.target()), facts_(facts) {}

  std::vector<Criterion> run() {
    database_.in_passing([this] { inspection_ = inspect(database_); });
    measure("ip_coverage", "> 90 %", [this](Criterion &row) { ip_coverage(row); });
    measure("api_call_reduction", "> 75 %", [this](Criterion &row) { api_call_reduction(row); });
    measure("zero_data_loss", "count, documents and times unchanged",
            [this](Criterion &row) { zero_data_loss(row); });
    query_performance();
    measure("schema_complete", "0 differences", [this](Criterion &row) { schema_complete(row); });
    measure("snapshot_coverage", ">= 95 %", [this](Criterion &row) { snapshot_coverage(row); });
    measure("no_orphans", "0 rows", [this](Criterion &row) { no_orphans(row); });
    measure("constraints_validated", "all", [this](Criterion &row) { constraints_validated(row); });
    return std::move(criteria_);
  }

private:
  std::string table(const std::string &name) const { return qualified(target_.schema, name); }

  /** Measures one criterion; one that cannot be measured has failed, and says why: a table or
   * column is not there, or there are values that a query cannot work with. */
  template <typename Body> void measure(const char *criterion, const char *target, Body body) {
    Criterion row;
    row.criterion = criterion;
    row.target = target;
    try {
      database_.in_passing([&] { body(row); });
    } catch (const Failure &failure) {
      const bool absent =
          failure.sqlstate == sqlstate::undefined_table || failure.sqlstate == "42703";
      const bool of_values = failure.sqlstate.compare(0, 2, "22") == 0;
      if (failure.must_propagate || (!absent && !of_values))
        throw;
      row.passed = false;
      row.measured.clear();
      row.detail = (row.detail.empty() ? "" : row.detail + ": ") + failure.message +
                   (absent ? "; run " + target_.command(target_.function("migrate")) : "");
    }
    criteria_.push_back(std::move(row));
  }

  void ip_coverage(Criterion &row) {
    const Row counts = database_
                           .query("SELECT count(*), count(*) FILTER (WHERE geo_country <> 'XX' AND"
                                  " current_asn IS NOT NULL), count(*) FILTER (WHERE geo_country ="
                                  " 'XX'), count(*) FILTER (WHERE current_asn IS NULL) FROM " +
                                  table("ip_inventory"))
                           .front();
    const std::int64_t ips = to_number(counts[0]), covered = to_number(counts[1]);
    const double share = ips > 0 ? static_cast<double>(covered) / static_cast<double>(ips) : 1;
    row.measured = percent(share);
    row.passed = share > 0.9;
    row.detail = std::to_string(covered) + " of " + std::to_string(ips) +
                 " IPs have country and ASN; " + number_text(counts[2]) + " have no country, " +
                 number_text(counts[3]) + " no ASN";
  }

  void api_call_reduction(Criterion &row) {
    const Row counts =
        database_
            .query("SELECT (SELECT count(*) FROM " + table("ip_inventory") +
                   "), (SELECT count(source_ip) FROM " + table("session_summaries") + ")")
            .front();
    const std::int64_t ips = to_number(counts[0]), sessions = to_number(counts[1]);
    const double share =
        sessions > 0 ? 1 - static_cast<double>(ips) / static_cast<double>(sessions) : 1;
    row.measured = percent(std::max(0.0, share));
    row.passed = share > 0.75;
    row.detail = std::to_string(ips) + " IPs to ask about instead of " + std::to_string(sessions) +
                 " sessions";
  }

  void zero_data_loss(Criterion &row) {
    const std::optional<FirstRun> first = first_run(ledger_);
    if (!first) {
      const bool none =
          database_.query("SELECT FROM " + table("session_summaries") + " LIMIT 1").empty();
      row.passed = none;
      row.measured = none ? "no sessions" : "not measured";
      row.detail = "the ledger has no run that recorded the state before it";
      return;
    }
    const Comparison compared = compare_with(database_, *first);
    if (facts_) {
      facts_->first = first;
      facts_->comparison = compared;
    }
    row.passed = compared.differs.empty();
    row.measured = row.passed ? "no difference" : "different: " + compared.differs;
    row.detail = "compared with run " + first->run + ", over " + std::to_string(compared.sessions) +
                 " sessions with created_at up to its start, " + first->started;
    // What the application has done since is no loss, and this is how it can be told.
    if (!row.passed)
      row.detail +=
          "; " + std::to_string(compared.updated) + " of them have an updated_at after it";
  }

  void query_performance() {
    for (const CheckpointQuery &each : checkpoint_queries())
      measure("query_performance", "< 10 s", [&](Criterion &row) {
        row.detail = each.name;
        const std::vector<Parameter> parameters = each.parameters(database_);
        const std::int64_t begun = database_.clock_us();
        const std::vector<Row> plan = database_.query(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + each.sql(database_),
            parameters);
        const std::int64_t took = database_.clock_us() - begun;
        row.measured = duration(took);
        row.passed = took < longest_query_us;
        row.detail = each.name + "; plan: " + plan.front().front().value_or("");
      });
  }

  /** That the version is not recorded is a difference of its own only where there is no other. */
  void schema_complete(Criterion &row) {
    std::size_t differences = 0, versions = 0;
    std::string listed;
    for (const Finding &each : inspection_.situation.findings) {
      if (each.severity != Severity::error)
        continue;
      if (each.object_type == ObjectType::version)
        ++versions;
      else if (++differences <= 5)
        listed += "; " + each.object_name() + " " + std::string(name_of(each.problem));
    }
    if (differences == 0)
      differences = versions;
    row.measured = std::to_string(differences) + " differences";
    row.passed = differences == 0;
    row.detail = "schema version " + std::to_string(inspection_.situation.version) + listed;
    if (differences > 0)
      row.detail += "; see SELECT * FROM " + target_.validation() + ";";
  }

  void snapshot_coverage(Criterion &row) {
    const Amounts amounts =
        assess_sessions(database_, *inspection_.observed.table("session_summaries"),
                        SessionsAssessed::filled_columns, 1);
    if (facts_)
      facts_->documents = amounts;
    const std::int64_t due = amounts.of(Measure::snapshots_due);
    const std::int64_t there = amounts.of(Measure::snapshots_there);
    const double share = due > 0 ? static_cast<double>(there) / static_cast<double>(due) : 1;
    row.measured = percent(share);
    row.passed = share >= 0.95;
    row.detail = std::to_string(there) + " of " + std::to_string(due) +
                 " sessions with an IP and a usable country or ASN in their document have both as"
                 " a snapshot";
  }

  void no_orphans(Criterion &row) {
    std::int64_t orphans = 0;
    for (const Table &each : target_.declared().tables)
      for (const Constraint &key : each.constraints)
        if (key.kind == ConstraintKind::foreign_key) {
          const std::int64_t rows = orphans_of(database_, each, key);
          orphans += rows;
          append(row.detail, std::to_string(rows) + " rows of " + each.name + " without a row in " +
                                 key.target_table);
        }
    row.measured = std::to_string(orphans) + " rows";
    row.passed = orphans == 0;
  }

  void constraints_validated(Criterion &row) {
    std::int64_t declared = 0, validated = 0;
    for (const Table &each : inspection_.declared.tables)
      for (const Constraint &constraint : each.constraints) {
        ++declared;
        const Table *seen = inspection_.observed.table(each.name);
        const Constraint *same = seen ? same_definition(*seen, constraint) : nullptr;
        if (same && same->validated)
          ++validated;
        else
          append(row.detail, constraint.name + (same ? " is not validated" : " is missing"));
      }
    row.measured = std::to_string(validated) + " of " + std::to_string(declared);
    row.passed = validated == declared;
  }

  static std::string number_text(const std::optional<std::string> &value) {
    return value.value_or("0");
  }

  Database &database_;
  Ledger &ledger_;
  const Target &target_;
  CheckpointFacts *facts_; ///< null: nobody wants them
  Inspection inspection_;
  std::vector<Criterion> criteria_;
};

} // namespace

std::vector<Criterion> checkpoint(Database &database, Ledger &ledger, CheckpointFacts *facts) {
  return CheckpointRun(database, ledger, facts).run();
}

} // namespace cowrie
