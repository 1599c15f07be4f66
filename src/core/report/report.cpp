// Report: the evidence of a run as one page.
#include "core/report/report.hpp"

#include <algorithm>

#include "core/base/figures.hpp"
#include "core/base/text.hpp"
#include "core/report/of_run.hpp"
#include "core/report/sizes.hpp"
#include "core/report/of_tables.hpp"
#include "core/report/words.hpp"

namespace cowrie::report {
namespace {

std::int64_t failed_criteria(const std::vector<Criterion> &criteria) {
  return std::count_if(criteria.begin(), criteria.end(),
                       [](const Criterion &each) { return !each.passed; });
}

/** A run that has come to its end is judged by what is there now, too. */
Verdict judged(const Subject &subject, const Measures &measures) {
  Verdict verdict = verdict_of(subject);
  if (verdict.mark != Mark::good || subject.is_cleanup())
    return verdict;
  const std::int64_t failed = failed_criteria(measures.measured_criteria());
  if (measures.errors() > 0)
    return {Mark::bad, verdict.words + "; " + grouped(measures.errors()) +
                           " differences from the declaration now"};
  if (measures.differs() && !measures.differs()->empty())
    return {Mark::warning, verdict.words + "; sessions have changed since"};
  if (failed > 0)
    return {Mark::warning, verdict.words + "; " + std::to_string(failed) +
                               (failed == 1 ? " criterion is not met" : " criteria are not met")};
  return verdict;
}

Figures figures_of(const Subject &subject, const Measures &measures) {
  Figures figures;
  const RunRecord &run = *subject.run;
  const std::int64_t took = subject.elapsed_us();
  if (run.rows)
    figures.figures.push_back({"Sessions", grouped(*run.rows), "", Mark::none});
  if (took > 0)
    figures.figures.push_back(
        {"Time", duration(took),
         run.rows && *run.rows > 0 && run.status == "done"
             ? grouped(static_cast<std::int64_t>(static_cast<double>(*run.rows) * 1e6 /
                                                 static_cast<double>(took))) +
                   " sessions per second"
             : "",
         Mark::none});
  if (measures.differs())
    figures.figures.push_back(
        {"Lost", measures.differs()->empty() ? "nothing" : "different",
         measures.differs()->empty() ? "count, documents and times are equal" : *measures.differs(),
         measures.differs()->empty() ? Mark::good : Mark::bad});
  if (const auto &criteria = measures.measured_criteria(); !criteria.empty()) {
    const std::int64_t failed = failed_criteria(criteria);
    const auto all = static_cast<std::int64_t>(criteria.size());
    figures.figures.push_back({"Criteria met",
                               std::to_string(all - failed) + " of " + std::to_string(all), "",
                               failed > 0 ? Mark::warning : Mark::good});
  }
  if (const auto *rejects = subject.of(&RunRecord::rejects)) {
    std::int64_t sum = 0;
    for (const Counted &each : *rejects)
      sum += each.second;
    figures.figures.push_back(
        {"Rejected values", grouped(sum), "unchanged in the documents", Mark::none});
  }
  return figures;
}

std::string one_value(Database &database, const std::string &sql) {
  return database.query(sql).front().front().value_or("");
}

} // namespace

Page migration_report(Database &database, Ledger &ledger, Records &records,
                      std::optional<std::int64_t> run) {
  const Target &target = database.target();
  const Subject subject = find_subject(records, target, run);
  const bool locked = subject.latest.running && subject.latest.mode != "online";
  Measures measures(database, ledger, subject,
                    locked ? "a run is in progress, and its tables cannot be read before it ends"
                           : "");
  measures.measure();
  const std::string name = one_value(database, "SELECT current_database()");

  Page page;
  page.title =
      (subject.is_cleanup() ? "Cleanup of schema " : "Migration of schema ") + target.schema;
  const Verdict verdict = judged(subject, measures);
  page.mark = verdict.mark;
  page.verdict = verdict.words;
  page.lead = lead_of(subject, name);
  page.head = notes_of(subject, target);
  if (subject.run)
    page.head.emplace_back(figures_of(subject, measures));
  page.sections = {the_run(subject, name, target.schema),
                   phases_and_steps(subject),
                   measures.zero_loss(),
                   measures.criteria(),
                   measures.coverage(),
                   measures.rejects(),
                   measures.findings(),
                   sizes(subject, measures.sizes()),
                   measures.networks(),
                   measures.countries(),
                   settings(subject),
                   other_runs(subject)};
  page.sections.erase(std::remove_if(page.sections.begin(), page.sections.end(),
                                     [](const Section &each) { return each.blocks.empty(); }),
                      page.sections.end());
  page.foot = "Made " +
              one_value(database, "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC',"
                                  " 'YYYY-MM-DD HH24:MI:SS')") +
              " UTC on PostgreSQL " +
              one_value(database, "SELECT current_setting('server_version')") +
              " by cowrie_migration_report(). Steps and sizes are from the ledger; figures marked "
              "\"now\" were measured at that moment.";
  return page;
}

} // namespace cowrie::report
