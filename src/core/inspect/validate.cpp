// Validate: database and declaration, compared.
#include "core/inspect/validate.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/inspect/inspection.hpp"
#include "core/inspect/row_conflicts.hpp"
#include "core/schema/ddl.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/fill.hpp"

namespace cowrie {
namespace {

Finding data_finding(const std::string &table, std::string expected, std::string actual,
                     Severity severity, std::string remedy) {
  Finding finding;
  finding.severity = severity;
  finding.object_type = ObjectType::data;
  finding.problem = Problem::missing;
  finding.table = finding.object = table;
  finding.expected = std::move(expected);
  finding.actual = std::move(actual);
  finding.remedy = std::move(remedy);
  return finding;
}

} // namespace

std::string orphans_query(const Target &target, const Table &table, const Constraint &foreign_key) {
  return sql::fill(R"(SELECT count(*) FROM {table} AS c WHERE c.{column} IS NOT NULL
AND NOT EXISTS (SELECT FROM {target} AS p WHERE p.{target_column} = c.{column}))",
                   {{"table", qualified(target.schema, table.name)},
                    {"column", quote_identifier(foreign_key.columns.front())},
                    {"target", qualified(target.schema, foreign_key.target_table)},
                    {"target_column", quote_identifier(foreign_key.target_columns.front())}});
}

std::int64_t orphans_of(Database &database, const Table &table, const Constraint &foreign_key) {
  return database.number(orphans_query(database.target(), table, foreign_key));
}

std::vector<Finding> data_findings(Database &database, const Situation &situation) {
  std::vector<Finding> findings;
  const std::string repair = repair_call(database.target(), situation);
  // After a completed run it is the application that adds sessions without a snapshot.
  const FillCount unfilled = count_unfilled(database, situation);
  if (unfilled.sessions > 0)
    findings.push_back(
        data_finding("session_summaries", "every session with a usable document has its snapshot",
                     std::to_string(unfilled.sessions) + " of " + std::to_string(unfilled.of) +
                         " sessions without",
                     situation.derived ? Severity::warning : Severity::error, repair));

  for (const Table &table : database.target().declared().tables)
    for (const Constraint &each : table.constraints) {
      if (each.kind != ConstraintKind::foreign_key)
        continue;
      const std::int64_t rows = orphans_of(database, table, each);
      if (rows > 0)
        findings.push_back(data_finding(
            each.target_table, "a row for every " + each.columns.front() + " of " + table.name,
            std::to_string(rows) + " rows of " + table.name + " without", Severity::error, repair));
    }
  return findings;
}

namespace {

/** Indexes that are not declared and that the server uses for no query, while every write pays for
 *  them: what a cancelled CREATE INDEX or REINDEX CONCURRENTLY leaves. */
void add_invalid_indexes(std::vector<Finding> &findings, const Inspection &found,
                         const std::string &schema) {
  for (const Table &table : found.observed.tables)
    for (const Index &each : table.indexes) {
      const bool known = std::any_of(findings.begin(), findings.end(), [&](const Finding &other) {
        return other.table == table.name && other.observed_name == each.name;
      });
      if (each.valid || known)
        continue;
      Finding finding;
      finding.severity = Severity::warning;
      finding.object_type = ObjectType::index;
      finding.problem = Problem::invalid;
      finding.table = table.name;
      finding.object = each.name;
      finding.expected = "no index that is INVALID";
      finding.actual = "INVALID " + ddl::definition(each);
      finding.remedy = ddl::drop_index(schema, each.name);
      findings.push_back(std::move(finding));
    }
}

} // namespace

std::vector<Finding> validate(Database &database, int version) {
  if (is_declared(version)) {
    Inspection found = inspect(database);
    find_data_losses(database, found);
    std::vector<Finding> &findings = found.situation.findings;
    const bool whole_columns =
        std::none_of(findings.begin(), findings.end(), [](const Finding &each) {
          return each.object_type == ObjectType::table || each.object_type == ObjectType::column;
        });
    if (whole_columns)
      for (Finding &each : data_findings(database, found.situation))
        findings.push_back(std::move(each));
    add_invalid_indexes(findings, found, database.target().schema);
    return std::move(findings);
  }
  if (version != base_version)
    throw Failure(sqlstate::invalid_parameter,
                  "schema version " + std::to_string(version) + " cannot be validated",
                  "This extension supports the versions " + known_versions() + ".",
                  "Use SELECT * FROM " +
                      database.target().call("cowrie_validate_schema", "version => 16") + ";");

  std::vector<Finding> findings =
      diff(schema_v15(), database.observe(schema_v15()), database.target().schema);
  for (Finding &each : findings)
    if (each.object_type == ObjectType::index)
      each.severity = Severity::warning;
  const Inspection found = inspect(database);
  const auto unexpected = [&](ObjectType type, const std::string &table, const std::string &name,
                              std::string expected, std::string actual, int added_by) {
    Finding finding;
    finding.object_type = type;
    finding.problem = Problem::wrong;
    finding.table = table;
    finding.object = name;
    finding.expected = std::move(expected);
    finding.actual = std::move(actual);
    const Target of_version = database.target().for_version(added_by);
    finding.remedy = of_version.command(of_version.function("cleanup"));
    findings.push_back(std::move(finding));
  };
  const Schema declared = database.bind(newest_schema(), found.observed);
  int latest = is_declared(found.situation.version) ? found.situation.version : base_version + 1;
  for (const ExistingObject &each : existing_objects(declared, found.observed)) {
    const Phase &phase = declared.phases[each.phase - 1];
    unexpected(each.object_type, each.table, each.name, "no such object at version 15",
               "there, of phase " + std::to_string(phase.number) + " of version " +
                   std::to_string(phase.version),
               phase.version);
    latest = std::max(latest, phase.version);
  }
  if (found.situation.version != base_version || found.situation.subphase)
    unexpected(ObjectType::version, "", "schema_version", "version 15 recorded",
               "version " + std::to_string(found.situation.version) + " recorded" +
                   (found.situation.subphase
                        ? ", schema_subphase " + subphase_text(*found.situation.subphase)
                        : ""),
               latest);
  return findings;
}

} // namespace cowrie
