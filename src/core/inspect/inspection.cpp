// Look: the recorded version and the catalog, compared with the declaration; and validate, which
// is nothing but that, read-only.
#include "core/run/atomic_run.hpp"
#include "core/online/online_run.hpp"

#include <algorithm>
#include <charconv>

#include "core/base/failure.hpp"
#include "core/inspect/row_conflicts.hpp"

namespace cowrie {
namespace {

std::string state_table(const Database &database) {
  return qualified(database.target().schema, "schema_state");
}

/** The value of a key of schema_state, where there is one. */
std::optional<std::string> state_value(Database &database, const std::string &key) {
  const std::vector<Row> rows =
      database.query("SELECT value FROM " + state_table(database) + " WHERE key = $1::text", {key});
  if (rows.empty())
    return std::nullopt;
  return rows.front().front();
}

/** Reads a whole number as the application does: anything else counts as 0. */
int whole_number(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos)
    return 0;
  text = text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

std::optional<int> subphase_of(const std::optional<std::string> &text) {
  if (!text || text->size() != 4 || text->compare(0, 3, "16.") != 0)
    return std::nullopt;
  const int phase = (*text)[3] - '0';
  return phase >= 1 && phase <= phase_count ? std::optional<int>(phase) : std::nullopt;
}

/** A trigger or rule on schema_state may swallow a change; a version must not be thought recorded.
 */
void must_change_one_row(const Database &database, std::int64_t rows) {
  if (rows != 1)
    throw Failure(sqlstate::prerequisite_state, "the schema version could not be recorded",
                  std::to_string(rows) + " rows of " + state_table(database) +
                      " were changed instead of 1.",
                  "Look for triggers and rules with \\d " + state_table(database) +
                      " and drop or disable them.");
}

} // namespace

void record_subphase(Database &database, int phase) {
  if (phase == 0)
    database.execute("DELETE FROM " + state_table(database) + " WHERE key = 'schema_subphase'");
  else
    must_change_one_row(
        database, database.execute("INSERT INTO " + state_table(database) +
                                       " (key, value) VALUES ('schema_subphase', $1::text)"
                                       " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
                                   {"16." + std::to_string(phase)}));
}

void record_version(Database &database, int version) {
  must_change_one_row(database,
                      database.execute("UPDATE " + state_table(database) + " SET value = '" +
                                       std::to_string(version) + "' WHERE key = 'schema_version'"));
}

Look look(Database &database) {
  const Schema base = database.observe(schema_v15());
  if (!base.table("schema_state"))
    throw Failure(sqlstate::undefined_object,
                  "the schema version of schema \"" + database.target().schema + "\" is unknown",
                  "There is no table " + state_table(database) + ".",
                  "Name the schema of the application, as in"
                  " SELECT * FROM cowrie_migrate_v16(target_schema => 'public');"
                  " schema_metadata is not the version table.");
  const std::optional<std::string> version = state_value(database, "schema_version");
  if (!version)
    throw Failure(sqlstate::undefined_object,
                  "the schema version of schema \"" + database.target().schema + "\" is unknown",
                  "Table " + state_table(database) + " has no row with the key schema_version.",
                  "If this is a version 15 database, record it: INSERT INTO " +
                      state_table(database) + " VALUES ('schema_version', '15');");

  Look result;
  result.observed = database.observe(schema_v16());
  result.declared = database.bind(schema_v16(), result.observed);
  result.situation =
      assess(result.declared, result.observed, database.target().schema, whole_number(*version),
             subphase_of(state_value(database, "schema_subphase")));
  result.situation.online = find_online_objects(database);
  if (result.situation.version < 15)
    throw Failure(
        sqlstate::feature_not_supported,
        "schema version " + *version + " is too old for this migration",
        "It starts at version 15; " + state_table(database) + " holds \"" + *version +
            "\". What is not a whole number counts as 0, as in the application.",
        "Bring the schema to version 15 with the application's own migrations, then run " +
            database.target().command("cowrie_migrate_v16"));
  return result;
}

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

std::int64_t orphans_of(Database &database, const Table &table, const Constraint &foreign_key) {
  const std::string &schema = database.target().schema;
  const std::string column = "c." + quote_identifier(foreign_key.columns.front());
  return std::stoll(
      database
          .query("SELECT count(*) FROM " + qualified(schema, table.name) + " AS c WHERE " + column +
                 " IS NOT NULL AND NOT EXISTS (SELECT FROM " +
                 qualified(schema, foreign_key.target_table) + " AS p WHERE p." +
                 quote_identifier(foreign_key.target_columns.front()) + " = " + column + ")")
          .front()
          .front()
          .value_or("0"));
}

std::vector<Finding> data_findings(Database &database, const Situation &situation) {
  std::vector<Finding> findings;
  const std::string repair_call = database.target().command("cowrie_migrate_v16", "repair => true");
  // After a completed run it is the application that adds sessions without a snapshot.
  const Unfilled unfilled = count_unfilled(database, situation);
  if (unfilled.sessions > 0)
    findings.push_back(data_finding(
        "session_summaries", "every session with a usable document has its snapshot",
        std::to_string(unfilled.sessions) + " of " + std::to_string(unfilled.of) +
            " sessions without",
        situation.subphase == phase_count ? Severity::warning : Severity::error, repair_call));

  for (const Table &table : schema_v16().tables)
    for (const Constraint &each : table.constraints) {
      if (each.kind != ConstraintKind::foreign_key)
        continue;
      const std::int64_t rows = orphans_of(database, table, each);
      if (rows > 0)
        findings.push_back(data_finding(
            each.target_table, "a row for every " + each.columns.front() + " of " + table.name,
            std::to_string(rows) + " rows of " + table.name + " without", Severity::error,
            repair_call));
    }
  return findings;
}

std::vector<Finding> validate(Database &database, int version) {
  if (version == 16) {
    Look found = look(database);
    weigh(database, found);
    std::vector<Finding> &findings = found.situation.findings;
    const bool whole_columns =
        std::none_of(findings.begin(), findings.end(), [](const Finding &each) {
          return each.object_type == ObjectType::table || each.object_type == ObjectType::column;
        });
    if (whole_columns)
      for (Finding &each : data_findings(database, found.situation))
        findings.push_back(std::move(each));
    return std::move(findings);
  }
  if (version != 15)
    throw Failure(sqlstate::invalid_parameter,
                  "schema version " + std::to_string(version) + " cannot be validated",
                  "This extension knows the versions 15 and 16.",
                  "Use SELECT * FROM cowrie_validate_schema(version => 16);");

  std::vector<Finding> findings =
      diff(schema_v15(), database.observe(schema_v15()), database.target().schema);
  for (Finding &each : findings)
    if (each.object_type == ObjectType::index)
      each.severity = Severity::warning;
  const Look found = look(database);
  const auto unexpected = [&](ObjectType type, const std::string &table, const std::string &name,
                              std::string expected, std::string actual) {
    Finding finding;
    finding.object_type = type;
    finding.problem = Problem::wrong;
    finding.table = table;
    finding.object = name;
    finding.expected = std::move(expected);
    finding.actual = std::move(actual);
    finding.remedy = database.target().command("cowrie_cleanup_v16");
    findings.push_back(std::move(finding));
  };
  for (const Presence &each : found.situation.objects)
    unexpected(each.object_type, each.table, each.name, "not at version 15",
               "there, of phase " + std::to_string(each.phase) + " of version 16");
  if (found.situation.version != 15 || found.situation.subphase)
    unexpected(ObjectType::version, "", "schema_version", "version 15 recorded",
               "version " + std::to_string(found.situation.version) + " recorded" +
                   (found.situation.subphase
                        ? ", schema_subphase 16." + std::to_string(*found.situation.subphase)
                        : ""));
  return findings;
}

} // namespace cowrie
