// Assessment, as SQL: the sessions of a database, counted in one parallel scan.
#include "core/survey/assessment_query.hpp"

#include "core/base/text.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/derivation_parts.hpp"

namespace cowrie {
namespace {

/** A session column as the aggregate takes it; NULL where it is not there in its type. */
std::string column_or_null(int version, const Table &observed, const std::string &name) {
  const Column *declared = filled_sessions(version).column(name);
  const Column *seen = observed.column(name);
  return (seen && seen->type == declared->type ? "s." + quote_identifier(name) : "NULL") +
         "::" + derivation::without_length(declared->type);
}

} // namespace

Amounts::Amounts(const std::vector<Row> &rows) {
  for (const Row &row : rows)
    amounts_[row[0].value_or("")] = {to_number(row[1]), row[2].value_or("")};
}

const Amounts::Amount &Amounts::of(std::string_view name) const {
  static const Amount none;
  const auto found = amounts_.find(name);
  return found == amounts_.end() ? none : found->second;
}

Amounts assess_sessions(Database &database, const Table &observed, SessionsAssessed which,
                        double share) {
  const Target &target = database.target();
  const Schema base = database.observe(schema_v15());
  const auto time = [&](const char *column) {
    return derivation::utc(*base.table("session_summaries"), column, "s.");
  };
  // Without an index each look-up would read the whole table.
  const bool events = target.raw_events_indexed && which != SessionsAssessed::filled_columns;
  std::string from = derivation::sessions_of(target) + " AS s";
  if (share < 1)
    from += " TABLESAMPLE" + derivation::system_sample(share);
  if (which == SessionsAssessed::unfilled_sessions)
    from += " WHERE " + derivation::condition(filled_sessions(target.version),
                                              derivation::FillScope::untouched);
  return Amounts(database.query(
      "SELECT u.name, u.amount, u.examples FROM (SELECT " +
      qualified(target.extension_schema, "cowrie_assessment") + "(" +
      derivation::document(target, "s.") + ", s.session_id::varchar, " +
      column_or_null(target.version, observed, "source_ip") + ", " +
      column_or_null(target.version, observed, "snapshot_asn") + ", " +
      column_or_null(target.version, observed, "snapshot_country") + ", COALESCE(" +
      time("last_event_at") + ", " + time("first_event_at") + ", " + time("created_at") + "), " +
      (events ? quote_literal(target.schema) : "NULL") + "::text) AS a FROM " + from +
      ") AS t, LATERAL unnest((t.a).names, (t.a).amounts, (t.a).examples) AS u (name, amount,"
      " examples)"));
}

} // namespace cowrie
