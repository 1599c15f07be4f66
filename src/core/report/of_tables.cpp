// Of the tables: the parts of a report that are measured when it is made.
#include "core/report/of_tables.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/inspect/inspection.hpp"
#include "core/inspect/validate.hpp"
#include "core/report/words.hpp"
#include "core/schema/v16.hpp"
#include "core/sql/evidence.hpp"
#include "core/sql/fill.hpp"

namespace cowrie::report {
namespace {

constexpr std::size_t longest_cell = 300; ///< of a text that others have written
constexpr std::size_t most_findings = 50;

constexpr const char *inspection = "inspection";
constexpr const char *criteria_part = "criteria";
constexpr const char *findings_part = "findings";
constexpr const char *coverage_part = "coverage";
constexpr const char *networks_part = "networks";
constexpr const char *countries_part = "countries";

std::string text_in(const Row &row, std::size_t column) { return row[column].value_or(""); }

double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

/** `1,874 (93.7 %)`. */
std::string part_of(std::int64_t part, std::int64_t whole) {
  return grouped(part) + (whole > 0 ? " (" + percent(share(part, whole)) + ")" : "");
}

const Counted *named(const std::vector<Counted> &list, const std::string &name) {
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const Counted &each) { return each.first == name; });
  return found == list.end() ? nullptr : &*found;
}

constexpr const char *networks_query = R"(
SELECT asn_number, organization_name, organization_country, unique_ip_count, total_session_count
FROM {asn_inventory}
ORDER BY total_session_count DESC, asn_number
LIMIT 10)";

constexpr const char *countries_query = R"(
SELECT s.country, s.sessions, i.addresses
FROM (SELECT snapshot_country AS country, count(*) AS sessions FROM {sessions}
    WHERE snapshot_country IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) AS s
LEFT JOIN (SELECT geo_country AS country, count(*) AS addresses FROM {ip_inventory} GROUP BY 1) AS i USING (country)
ORDER BY s.sessions DESC, s.country)";

} // namespace

Measures::Measures(Database &database, Ledger &ledger, const Subject &subject, std::string blocked)
    : database_(database), ledger_(ledger), subject_(subject), blocked_(std::move(blocked)) {}

// One lock that is not granted is enough: the others would be waited for as long.
void Measures::attempt(const char *name, const std::function<void()> &body) {
  if (!blocked_.empty()) {
    failures_.emplace_back(name, blocked_);
    return;
  }
  try {
    database_.in_passing(body);
  } catch (const Failure &failure) {
    if (failure.must_propagate)
      throw;
    const std::string why = failure.message + " (SQLSTATE " + failure.sqlstate + ")";
    failures_.emplace_back(name, why);
    if (failure.sqlstate == sqlstate::lock_not_available)
      blocked_ = why;
  }
}

bool Measures::was_measured(const char *name, Section &section) const {
  for (const auto &[part, why] : failures_)
    if (part == name) {
      section.blocks.emplace_back(Paragraph{"This could not be measured: " + why + "."});
      return false;
    }
  return true;
}

void Measures::measure() {
  attempt(inspection,
          [this] { version15_ = inspect(database_).situation.state == SchemaState::version15; });
  attempt(findings_part, [this] { findings_ = validate(database_, version15_ ? 15 : 16); });
  attempt(coverage_part, [this] { count_filled(); });
  attempt("sizes", [this] {
    for (const Row &row : database_.query(
             evidence::sizes(),
             {database_.number(
                 "SELECT relnamespace::int8 FROM pg_class WHERE oid = $1::text::regclass",
                 {qualified(database_.target().schema, "session_summaries")})}))
      sizes_.push_back({text_in(row, 0), to_number(row[1]), to_number(row[2]), to_number(row[3])});
  });
  if (version15_)
    return;
  // It keeps its own locks short, and one criterion that fails keeps no other from being measured.
  attempt(criteria_part, [this] { criteria_ = checkpoint(database_, ledger_, &facts_); });
  if (facts_.comparison)
    differs_ = facts_.comparison->differs;
  attempt(networks_part,
          [this] { networks_ = database_.query(sql::fill(database_.target(), networks_query)); });
  attempt(countries_part,
          [this] { countries_ = database_.query(sql::fill(database_.target(), countries_query)); });
}

void Measures::count_filled() {
  std::vector<std::string> columns;
  const std::string sessions = qualified(database_.target().schema, "session_summaries");
  for (const Row &row :
       database_.query(evidence::filled_columns(),
                       {database_.number("SELECT $1::text::regclass::oid::int8", {sessions})}))
    columns.push_back(text_in(row, 0));
  for (const Row &row : database_.query(evidence::filled(sessions, columns)))
    filled_.emplace_back(text_in(row, 0), to_number(row[1]));
}

std::int64_t Measures::errors() const noexcept {
  return std::count_if(findings_.begin(), findings_.end(),
                       [](const Finding &each) { return each.severity == Severity::error; });
}

Section Measures::zero_loss() const {
  Section section{"Nothing lost", {}};
  const auto *recorded = subject_.of(&RunRecord::before);
  if (facts_.first && facts_.comparison) {
    const Fingerprint &before = facts_.first->settled, &now = facts_.comparison->now;
    const auto same = [](bool equal) {
      return Cell(equal ? "equal" : "different", equal ? Mark::good : Mark::bad);
    };
    section.blocks.emplace_back(
        Paragraph{"The sessions that existed when run " + facts_.first->run +
                  " began: how many they are, and two sums of 128 bits over them that do not depend"
                  " on any order. Before the first change, and now."});
    section.blocks.emplace_back(Table{
        "Proof that nothing was lost",
        {{"", Column::words},
         {"Before", Column::words},
         {"Now", Column::words},
         {"", Column::words}},
        {{"Sessions", grouped(before.sessions), grouped(now.sessions),
          same(before.sessions == now.sessions)},
         {"Documents", code(before.documents), code(now.documents),
          same(before.documents == now.documents)},
         {"Event times", code(before.times), code(now.times), same(before.times == now.times)}}});
    if (!facts_.comparison->differs.empty())
      section.blocks.emplace_back(
          Paragraph{grouped(facts_.comparison->updated) +
                    " of these sessions have an updated_at after that: what an application has"
                    " changed since is a difference, but no loss."});
    return section;
  }
  if (recorded) {
    section.blocks.emplace_back(Facts{{{"Sessions before", grouped((*recorded)->sessions)},
                                       {"Sum of documents", code((*recorded)->documents)},
                                       {"Sum of event times", code((*recorded)->times)}}});
  } else {
    section.blocks.emplace_back(Paragraph{"No run has recorded the state before it."});
  }
  if (version15_)
    section.blocks.emplace_back(Paragraph{"The schema is at version 15: nothing is compared."});
  else
    (void)was_measured(criteria_part, section);
  return section;
}

Section Measures::criteria() const {
  Section section{"Acceptance criteria", {}};
  if (version15_) {
    section.blocks.emplace_back(
        Paragraph{"The schema is at version 15: there is nothing to accept yet."});
    return section;
  }
  if (!was_measured(criteria_part, section))
    return section;
  Table table{"Acceptance criteria",
              {{"Criterion", Column::words},
               {"", Column::words},
               {"Measured", Column::words},
               {"Target", Column::words}},
              {}};
  for (const Criterion &each : criteria_) {
    Text name = code(each.criterion);
    name.add(cut(each.detail, longest_cell), Voice::aside);
    table.rows.push_back({std::move(name),
                          Cell(each.passed ? "pass" : "fail", each.passed ? Mark::good : Mark::bad),
                          each.measured.empty() ? "not measured" : each.measured, each.target});
  }
  section.blocks.emplace_back(std::move(table));
  return section;
}

// Before a first migration the columns were not there at all.
Section Measures::coverage() const {
  Section section{"Coverage", {}};
  if (!was_measured(coverage_part, section))
    return section;
  const Counted *sessions = named(filled_, "sessions");
  const std::int64_t all = sessions ? sessions->second : 0;
  const bool recorded = !subject_.story.empty() && !subject_.story.front().sizes_before.empty();
  const std::vector<Counted> none;
  const std::vector<Counted> &before =
      subject_.story.empty() ? none : subject_.story.front().filled_before;
  const Counted *sessions_before = named(before, "sessions");
  Table table{"Sessions with a value, by column",
              {{"Column", Column::words},
               {"Before", Column::number},
               {"Now", Column::number},
               {"", Column::bar}},
              {}};
  for (const cowrie::Column &column : schema_v16().table("session_summaries")->columns) {
    const Counted *was = named(before, column.name), *is = named(filled_, column.name);
    table.rows.push_back({code(column.name),
                          !recorded ? "not recorded"
                          : was
                              ? part_of(was->second, sessions_before ? sessions_before->second : 0)
                              : "no column",
                          is ? part_of(is->second, all) : "no column",
                          is ? Cell(Bar{0, share(is->second, all), 2}) : Cell()});
  }
  section.blocks.emplace_back(Paragraph{"Of " + grouped(all) + " sessions, those with a value:"});
  section.blocks.emplace_back(std::move(table));
  return section;
}

Table Measures::rejects_table() const {
  Table table{"Rejected values",
              {{"Reason", Column::words},
               {"Values", Column::number},
               {"Examples, by session", Column::words}},
              {}};
  const auto *recorded = subject_.of(&RunRecord::rejects);
  for (std::size_t i = 0; i < reject_reason_count; ++i) {
    const std::string name(reject_reason_name(static_cast<RejectReason>(i)));
    const Amounts::Amount found = facts_.documents ? facts_.documents->of(name) : Amounts::Amount();
    const Counted *counted = recorded ? named(*recorded, name) : nullptr;
    const std::int64_t amount = counted ? counted->second : recorded ? 0 : found.amount;
    if (amount > 0)
      table.rows.push_back({code(name), grouped(amount),
                            found.examples.empty() ? Text("none is left") : code(found.examples)});
  }
  return table;
}

Section Measures::rejects() const {
  Section section{"Rejected values", {}};
  Table table = rejects_table();
  section.blocks.emplace_back(Paragraph{
      table.rows.empty() ? Text("No rejected value has been recorded.")
                         : Text("Values in documents that could not be used: they are unchanged "
                                "there, and NULL in the new columns. List all of them with ")
                               .add("SELECT * FROM cowrie_rejected_values();", Voice::code)});
  if (!table.rows.empty())
    section.blocks.emplace_back(std::move(table));
  return section;
}

Section Measures::findings() const {
  Section section{"Findings", {}};
  if (!was_measured(findings_part, section))
    return section;
  const std::string version = version15_ ? "15" : "16";
  if (findings_.empty()) {
    section.blocks.emplace_back(
        Paragraph{"None: the schema equals the declaration of version " + version + "."});
    return section;
  }
  Table table{"Findings",
              {{"Object", Column::words},
               {"", Column::words},
               {"Problem", Column::words},
               {"Remedy", Column::words}},
              {}};
  for (const Finding &each : findings_) {
    if (table.rows.size() == most_findings)
      break;
    Text problem = std::string(name_of(each.problem));
    if (!each.expected.empty())
      problem.add("expected: " + cut(each.expected, longest_cell), Voice::aside);
    if (!each.actual.empty())
      problem.add("actual: " + cut(each.actual, longest_cell), Voice::aside);
    const bool error = each.severity == Severity::error;
    table.rows.push_back(
        {code(std::string(each.object_name())),
         Cell(std::string(name_of(each.severity)), error ? Mark::bad : Mark::warning),
         std::move(problem), code(cut(each.remedy, longest_cell))});
  }
  section.blocks.emplace_back(
      Paragraph{"Differences from the declaration of version " + version + ": " +
                grouped(static_cast<std::int64_t>(findings_.size())) +
                (findings_.size() > most_findings
                     ? ", of which these are the first " + std::to_string(most_findings)
                     : "") +
                "."});
  section.blocks.emplace_back(std::move(table));
  return section;
}

Section Measures::networks() const {
  Section section{"Networks", {}};
  if (version15_ || !was_measured(networks_part, section))
    return section;
  const Counted *sessions = named(filled_, "sessions");
  Table table{"The ten networks with most sessions",
              {{"AS", Column::number},
               {"Organisation", Column::words},
               {"Country", Column::words},
               {"Addresses", Column::number},
               {"Sessions", Column::number},
               {"", Column::bar}},
              {}};
  for (const Row &row : networks_)
    table.rows.push_back(
        {text_in(row, 0), cut(text_in(row, 1), longest_cell), text_in(row, 2),
         grouped(to_number(row[3])), grouped(to_number(row[4])),
         Bar{0, std::min(1.0, share(to_number(row[4]), sessions ? sessions->second : 0)), 1}});
  section.blocks.emplace_back(std::move(table));
  return section;
}

Section Measures::countries() const {
  Section section{"Countries", {}};
  if (version15_ || !was_measured(countries_part, section))
    return section;
  const Counted *sessions = named(filled_, "sessions");
  Table table{"The ten countries with most sessions",
              {{"Country", Column::words},
               {"Addresses", Column::number},
               {"Sessions", Column::number},
               {"", Column::bar}},
              {}};
  for (const Row &row : countries_)
    table.rows.push_back(
        {text_in(row, 0), grouped(to_number(row[2])), grouped(to_number(row[1])),
         Bar{0, std::min(1.0, share(to_number(row[1]), sessions ? sessions->second : 0)), 3}});
  section.blocks.emplace_back(std::move(table));
  return section;
}

} // namespace cowrie::report
