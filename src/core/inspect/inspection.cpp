// Inspection: the recorded version and the catalog, compared with the declaration.
#include "core/inspect/inspection.hpp"

#include <algorithm>
#include <charconv>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/online.hpp"
#include "core/sql/partitions.hpp"

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

} // namespace

OnlineObjects find_online_objects(Database &database) {
  const Row row = database.query(online::find_objects(database.target())).front();
  OnlineObjects found{to_number(row[0]), row[1] == "t",     row[2] == "t",
                      to_number(row[4]), to_number(row[3]), {}};
  const Target &target = database.target();
  if (target.partitioned)
    for (const Row &part : database.query(online::loose_parts(
             quote_literal(qualified(target.schema, "session_summaries")) + "::regclass")))
      found.loose.push_back(part[2].value_or(""));
  return found;
}

std::string repair_call(const Target &target, const Situation &situation) {
  return situation.online.any() && target.entry == Entry::atomic
             ? target.online_call()
             : target.migration("repair => true");
}

Inspection inspect(Database &database) {
  const Schema &declared = database.target().declared();
  Schema wanted = declared;
  wanted.tables.push_back(*schema_v15().table("schema_state"));
  Inspection result;
  result.observed = database.observe(wanted);
  std::vector<Table> &seen = result.observed.tables;
  const auto state = std::find_if(seen.begin(), seen.end(),
                                  [](const Table &each) { return each.name == "schema_state"; });
  if (state == seen.end())
    throw Failure(sqlstate::undefined_object,
                  "the schema version of schema \"" + database.target().schema + "\" is unknown",
                  "Table " + state_table(database) + " does not exist.",
                  "Specify the schema of the application, as in " +
                      database.target().with_schema("public").migration() +
                      " schema_metadata is not the version table.");
  seen.erase(state); // not a table of the declaration
  const std::optional<std::string> version = state_value(database, "schema_version");
  if (!version)
    throw Failure(sqlstate::undefined_object,
                  "the schema version of schema \"" + database.target().schema + "\" is unknown",
                  "Table " + state_table(database) + " has no row with the key schema_version.",
                  "If this is a version 15 database, record it: INSERT INTO " +
                      state_table(database) + " VALUES ('schema_version', '15');");

  result.declared = database.bind(declared, result.observed);
  result.situation =
      classify(result.declared, result.observed, database.target().schema, whole_number(*version),
               phase_of_subphase(state_value(database, "schema_subphase").value_or(""), declared));
  result.situation.online = find_online_objects(database);
  if (result.situation.version < base_version)
    throw Failure(
        sqlstate::feature_not_supported,
        "schema version " + *version + " is too old for this migration",
        "It starts at version 15; " + state_table(database) + " holds \"" + *version +
            "\". A value that is not a whole number counts as 0, as in the application.",
        "Bring the schema to version 15 with the application's own migrations, then run " +
            database.target().migration());
  return result;
}

} // namespace cowrie
