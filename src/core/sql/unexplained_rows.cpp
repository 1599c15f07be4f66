// Unexplained rows: the derivation backwards, as one statement: does some session give what is
// stored?
//
// The documents are read once; from then on narrow rows are compared. Only the enrichment of an
// inventory row needs documents again: those of its own sessions, the latest first, up to the first
// that gives it.
#include "core/sql/unexplained_rows.hpp"

#include "core/base/text.hpp"
#include "core/sql/conversion.hpp"
#include "core/sql/derivation_parts.hpp"
#include "core/sql/fill.hpp"

namespace cowrie {
namespace {

// `derived`: a row per session with what its document gives (`f`), beside what is stored of it.
// `addresses` and `systems`: the sessions of each address and ASN, the latest first.
constexpr const char *statement = R"(WITH {events}derived AS MATERIALIZED (
  SELECT s.session_id, {keys},
    COALESCE(s.first, s.last, s.created) AS started,
    COALESCE(s.last, s.first, s.created) AS ended,
    (s.f).has_provider_data, (s.f).organization, (s.f).organization_country, (s.f).registry,
    s.unlike OR {own_values} AS own_values,
    {retired_values} AS retired_values
  FROM (
    SELECT s.session_id, {first} AS first, {last} AS last, {created} AS created,
      {session_columns},
      {unlike} AS unlike{retired_columns},
      {cowrie_derived_facts}(s.enrichment::{document_type}, {known_ip}, {event}) AS f
    FROM {sessions} AS s{earliest_events}
    OFFSET 0
  ) AS s
), addresses AS (
  SELECT source_ip,
    array_agg(session_id ORDER BY ended DESC) FILTER (WHERE has_provider_data) AS sessions
  FROM derived WHERE source_ip IS NOT NULL GROUP BY source_ip
), systems AS (
  SELECT asn, array_agg(session_id ORDER BY ended DESC) AS sessions,
    array_agg(source_ip ORDER BY ended DESC) AS addresses
  FROM derived WHERE asn IS NOT NULL GROUP BY asn
)
{counts})";

// The earliest raw events, where no index leads to them.
constexpr const char *earliest_events = R"(events AS MATERIALIZED (
  SELECT DISTINCT ON (session_id) session_id, id, tableoid AS place FROM {raw_events}
  WHERE session_id IS NOT NULL ORDER BY session_id, event_timestamp, id, tableoid
), )";
constexpr const char *join_earliest_events = R"(
    LEFT JOIN (
      SELECT e.session_id, r.payload FROM events AS e JOIN {raw_events} AS r
        ON r.id = e.id AND r.tableoid = e.place AND r.session_id = e.session_id
    ) AS r ON r.session_id = s.session_id{collation})";
// OFFSET 0 as in the migration: not by an index on event_timestamp.
constexpr const char *look_up_earliest_event = R"((
        SELECT e.payload::json FROM (
          SELECT payload, event_timestamp, id, tableoid AS place FROM {raw_events}
          WHERE session_id = s.session_id{collation} OFFSET 0
        ) AS e ORDER BY e.event_timestamp, e.id, e.place LIMIT 1))";

// The values of sessions that are dropped must come from their documents; those that stay count.
constexpr const char *keys_from_documents =
    R"((s.f).source_ip AS source_ip, (s.f).asn AS asn, (s.f).asn_source AS asn_source)";
constexpr const char *keys_as_stored = R"(COALESCE(s.source_ip, (s.f).source_ip) AS source_ip,
    COALESCE(s.snapshot_asn, (s.f).asn) AS asn,
    CASE WHEN s.snapshot_asn IS NULL OR s.snapshot_asn = (s.f).asn THEN (s.f).asn_source END
      AS asn_source)";

constexpr const char *count =
    R"(SELECT {table}::text, {reason}::text, count(*){filter} FROM {rows})";

// Rows `t` with a key that no session has, and rows with something that none of their sessions
// `k` gives.
constexpr const char *count_of_inventory = R"(SELECT {table}::text, found.reason, found.rows FROM (
  SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE changed) AS changed FROM (
    SELECT {known} IS NULL AS added,
      CASE WHEN {known} IS NOT NULL THEN {changed} END AS changed
    FROM {rows} AS t{joins}
  ) AS seen
) AS counted CROSS JOIN LATERAL (
  VALUES ('added by the application', added), ('enriched by the application', changed)
) AS found (reason, rows))";

constexpr const char *join_addresses = R"(
    LEFT JOIN addresses AS k ON k.source_ip = t.ip_address
    LEFT JOIN (SELECT DISTINCT source_ip, asn FROM derived) AS given
      ON given.source_ip = t.ip_address AND given.asn = t.current_asn)";
constexpr const char *join_systems = R"(
    LEFT JOIN systems AS k ON k.asn = t.asn_number)";
constexpr const char *join_given_fact = R"(
    LEFT JOIN (SELECT DISTINCT asn, {fact} FROM derived) AS given_{fact}
      ON given_{fact}.asn = t.asn_number AND given_{fact}.{fact} = t.{column})";

// Inside, because an OR around it would keep the server from joining.
constexpr const char *history_of_others = R"({rows} AS t WHERE NOT EXISTS (
  SELECT FROM derived AS d
  WHERE NOT t.unlike AND d.source_ip = t.ip_address AND d.asn = t.asn_number
    AND d.started = t.observed_at
    AND (t.verification_source IS NULL OR t.verification_source = d.asn_source)
))";

// Whether none of a row's sessions `u` gives its enrichment.
constexpr const char *foreign_enrichment = R"(t.enrichment <> '{}'::jsonb AND NOT COALESCE((
      SELECT true FROM {its_sessions} AS u (session_id, source_ip)
      JOIN {sessions} AS d ON d.session_id = u.session_id
      WHERE {function}(d.enrichment::{document_type}, u.source_ip::varchar) = t.enrichment LIMIT 1), false))";

/** How an observed column is read as a declared one. */
struct Reading {
  std::string value;  ///< SQL of the declared type; NULL where there is no such column
  std::string unlike; ///< SQL: there is something that the value does not tell; empty: never
};

bool is_text(const std::string &type) { return type == "text" || starts_with(type, "character"); }

/** Tells whether a conversion cannot fail, whatever the rows hold. */
bool always_converts(const Column &declared, const Column &seen) {
  return (declared.type == "jsonb" && seen.type == "json") ||
         (is_text(declared.type) && (is_text(seen.type) || seen.type == "inet")) ||
         (starts_with(declared.type, "timestamp") && starts_with(seen.type, "timestamp"));
}

Reading reading(const Target &target, const Table &observed, const Column &declared) {
  const Column *seen = observed.column(declared.name);
  for (const std::string &former : declared.former_names)
    seen = seen ? seen : observed.column(former);
  const std::string nothing = "NULL::" + declared.type;
  if (!seen || !seen->generated.empty())
    return {nothing, ""};
  const std::string name = quote_identifier(seen->name);
  if (seen->type == declared.type)
    return {name, ""};
  if (!always_converts(declared, *seen))
    return {nothing, name + " IS NOT NULL"};
  const Conversion converted = conversion(target, declared, *seen);
  return {converted.values, converted.survives.empty()
                                ? ""
                                : name + " IS NOT NULL AND NOT (" + converted.survives + ")"};
}

/** What a migration would put into a column of the sessions, out of the facts `f`. */
std::string derived_value(const std::string &column) {
  if (column == "source_ip")
    return "(s.f).source_ip";
  if (column == "enrichment_at")
    return "CASE WHEN (s.f).has_document THEN COALESCE((s.f).enriched_at, s.created, s.last) END";
  if (column == "snapshot_asn")
    return "(s.f).asn";
  if (column == "snapshot_country")
    return "(s.f).country";
  return "(s.f).ip_type";
}

/** Writes the statement for one target and scope. */
class UnexplainedRowsQuery {
public:
  UnexplainedRowsQuery(const Target &target, const CleanupScope &scope, const Table &base)
      : target_(target), scope_(scope), base_(base),
        declared_(scope.declared.table("session_summaries")->with_filled_columns()),
        observed_(*scope.observed.table("session_summaries")) {}

  std::string text() const {
    std::string columns, own_values, unlike, retired_columns, retired_values;
    for (const Column &each : declared_.columns) {
      const Reading read = reading(target_, observed_, each);
      const std::string column = quote_identifier(each.name), stored = "s." + column;
      append(columns, read.value + " AS " + column);
      append(own_values,
             "(" + stored + " IS NOT NULL AND " + stored + " IS DISTINCT FROM " +
                 derived_value(each.name) + ")",
             " OR ");
      if (!read.unlike.empty())
        append(unlike, read.unlike, " OR ");
    }
    for (const std::string &each : declared_.retired_columns)
      if (const Column *found = observed_.column(each)) {
        retired_columns += ", s." + quote_identifier(each);
        append(retired_values, retired_value(*found), " OR ");
      }
    return sql::fill(
        target_, statement,
        {{"events", events_by_join() ? sql::fill(target_, earliest_events) : ""},
         {"keys", stays() ? keys_as_stored : keys_from_documents},
         {"own_values", own_values},
         {"retired_values", or_false(retired_values)},
         {"first", derivation::utc(base_, "first_event_at", "s.")},
         {"last", derivation::utc(base_, "last_event_at", "s.")},
         {"created", derivation::utc(base_, "created_at", "s.")},
         {"session_columns", columns},
         {"unlike", or_false(unlike)},
         {"retired_columns", retired_columns},
         {"known_ip", stays() ? "s.source_ip::varchar" : "NULL::varchar"},
         {"event", event()},
         {"earliest_events", events_by_join() ? with_events(join_earliest_events) : ""},
         {"counts", counts()}});
  }

private:
  std::string own(const char *function) const {
    return qualified(target_.extension_schema, function);
  }
  static std::string or_false(const std::string &condition) {
    return condition.empty() ? "false" : condition;
  }
  /** The session columns stay, and with them the values they have. */
  bool stays() const { return scope_.to_phase > 0; }

  bool events_by_join() const { return target_.has_raw_events && !target_.raw_events_indexed; }
  std::string with_events(const char *text) const {
    return sql::fill(target_, text, {{"collation", target_.events_collation}});
  }

  /** The payload of a session's earliest raw event, where its document leaves the address open. */
  std::string event() const {
    if (!target_.has_raw_events)
      return "NULL::json";
    return "CASE WHEN " + own("cowrie_needs_event") + "(" + derivation::document(target_, "s.") +
           ") THEN " +
           (events_by_join() ? "r.payload::json" : with_events(look_up_earliest_event)) + " END";
  }

  /** Whether the column of older attempts tells what the document does not. */
  static std::string retired_value(const Column &column) {
    const std::string name = "s." + quote_identifier(column.name);
    return is_list_of_texts(column) ? "NOT (" + name + "::text[] <@ (s.f).ip_types)"
                                    : name + " IS NOT NULL";
  }

  // The counts -----------------------------------------------------------------------------------

  std::string counts() const {
    std::string result;
    const auto add = [&](const std::string &counted) { append(result, counted, "\nUNION ALL "); };
    if (!stays()) {
      add(count_of("session_summaries", "with values that their documents do not give", "derived",
                   " FILTER (WHERE own_values)"));
      for (const std::string &each : declared_.retired_columns)
        if (observed_.column(each))
          add(count_of("session_summaries",
                       "with values in " + each + " that their documents do not give", "derived",
                       " FILTER (WHERE retired_values)"));
    }
    for (const Table &table : scope_.declared.tables)
      if (table.phase > scope_.to_phase)
        if (const Table *found = scope_.observed.table(table.name))
          add(inventory(table, *found));
    return result;
  }

  static std::string count_of(const std::string &table, const std::string &reason,
                              const std::string &rows, const std::string &filter = {}) {
    return sql::fill(count, {{"table", quote_literal(table)},
                             {"reason", quote_literal(reason)},
                             {"filter", filter},
                             {"rows", rows}});
  }

  std::string inventory(const Table &table, const Table &seen) const {
    if (!reading(target_, seen, table.columns.front()).unlike.empty()) // no key
      return count_of(table.name, "that cannot be compared", qualified(target_.schema, table.name));
    if (table.name == "asn_inventory")
      return systems(table, seen);
    if (table.name == "ip_inventory")
      return addresses(table, seen);
    return count_of(table.name, "written by the application",
                    sql::fill(history_of_others, {{"rows", rows_of(table, seen)}}));
  }

  /** The rows of a table as if it had the declared columns, each NULL where it does not exist;
   *  `unlike` where it holds what these do not tell. */
  std::string rows_of(const Table &table, const Table &seen) const {
    std::string columns, unlike;
    for (const Column &each : table.columns) {
      const Reading read = reading(target_, seen, each);
      columns += read.value + " AS " + quote_identifier(each.name) + ", ";
      if (!read.unlike.empty())
        append(unlike, read.unlike, " OR ");
    }
    return "(SELECT " + columns + or_false(unlike) + " AS unlike FROM " +
           qualified(target_.schema, table.name) + ")";
  }

  /** Whether a row has what no migration writes: values of the application's own columns, and of
   *  columns that ought to be generated, are plain, and hold what they would not be computed to. */
  static std::string marks(const Table &table) {
    std::string result = "t.unlike";
    for (const Column &each : table.columns) {
      const std::string column = "t." + quote_identifier(each.name);
      if (!each.generated.empty())
        result += " OR (" + column + " IS NOT NULL AND " + column + "::text NOT IN (" +
                  computed(each, "t.enrichment") + ", " + computed(each, "'{}'::jsonb") + "))";
      else if (each.filled_by == FilledBy::application)
        result += " OR " + column +
                  (each.default_value.empty() ? " IS NOT NULL"
                                              : "::text <> (" + each.default_value.sql + ")::text");
    }
    return result;
  }

  /** What a generated column would be for an enrichment. */
  static std::string computed(const Column &column, const std::string &enrichment) {
    return "(SELECT COALESCE((" + column.generated.sql + ")::text, '') FROM (SELECT " + enrichment +
           " AS enrichment) AS given)";
  }

  std::string changed(const Table &table, const std::string &facts, const char *function,
                      const std::string &its_sessions) const {
    return marks(table) + facts + " OR (" +
           sql::fill(target_, foreign_enrichment,
                     {{"its_sessions", its_sessions}, {"function", own(function)}}) +
           ")";
  }

  std::string two_counts(const Table &table, const Table &seen, const char *known,
                         const std::string &changed, const std::string &joins) const {
    return sql::fill(count_of_inventory, {{"table", quote_literal(table.name)},
                                          {"known", known},
                                          {"changed", changed},
                                          {"rows", rows_of(table, seen)},
                                          {"joins", joins}});
  }

  std::string systems(const Table &table, const Table &seen) const {
    std::string facts, joins = join_systems;
    for (const auto &[column, fact] : {std::pair("organization_name", "organization"),
                                       std::pair("organization_country", "organization_country"),
                                       std::pair("rir_registry", "registry")}) {
      joins += sql::fill(join_given_fact, {{"fact", fact}, {"column", column}});
      facts += sql::fill(" OR (t.{column} IS NOT NULL AND given_{fact}.asn IS NULL)",
                         {{"column", column}, {"fact", fact}});
    }
    return two_counts(table, seen, "k.asn",
                      changed(table, facts, "cowrie_asn_data", "unnest(k.sessions, k.addresses)"),
                      joins);
  }

  std::string addresses(const Table &table, const Table &seen) const {
    return two_counts(table, seen, "k.source_ip",
                      changed(table, " OR (t.current_asn IS NOT NULL AND given.asn IS NULL)",
                              "cowrie_provider_data",
                              "(SELECT id, k.source_ip FROM unnest(k.sessions) AS ids (id))"),
                      join_addresses);
  }

  const Target &target_;
  const CleanupScope &scope_;
  const Table &base_;    ///< session_summaries of version 15, as observed
  const Table declared_; ///< what is filled of it
  const Table &observed_;
};

} // namespace

std::string unexplained_rows(const Target &target, const CleanupScope &scope,
                             const Table &observed_sessions) {
  return UnexplainedRowsQuery(target, scope, observed_sessions).text();
}

} // namespace cowrie
