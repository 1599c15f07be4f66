// Derivation check: the derivation the other way round, as one statement. Whether some session
// gives what is there.
//
// The documents are read once; from then on narrow rows are compared. Only the enrichment of an
// inventory row needs documents again: those of its own sessions, the latest first, up to the first
// that gives it.
#include "core/sql/derivation_check.hpp"

#include "core/sql/conversion.hpp"
#include "core/sql/derivation_parts.hpp"

namespace cowrie {
namespace {

/** How what is there is read as a declared column. */
struct Reading {
  std::string value;  ///< SQL of the declared type; NULL where there is no such column
  std::string unlike; ///< SQL: there is something that the value does not tell; empty: never
};

bool starts_with(const std::string &text, const std::string &prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

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

class Check {
public:
  Check(const Target &target, const CleanupScope &scope, const Table &base)
      : target_(target), scope_(scope), base_(base),
        declared_(*scope.declared.table("session_summaries")),
        observed_(*scope.observed.table("session_summaries")) {}

  std::string text() {
    if (scope_.to_phase == 0)
      sessions();
    for (const Table &table : scope_.declared.tables)
      if (table.phase > scope_.to_phase)
        if (const Table *found = scope_.observed.table(table.name))
          inventory(table, *found);
    return "WITH " + events() + "derived AS MATERIALIZED (" + derived() +
           "), addresses AS (SELECT source_ip, array_agg(session_id ORDER BY ended DESC)"
           " FILTER (WHERE has_provider_data) AS sessions FROM derived WHERE source_ip IS NOT"
           " NULL GROUP BY source_ip), systems AS (SELECT asn, array_agg(session_id ORDER BY"
           " ended DESC) AS sessions, array_agg(source_ip ORDER BY ended DESC) AS addresses"
           " FROM derived WHERE asn IS NOT NULL GROUP BY asn) " +
           counts_;
  }

private:
  std::string name(const std::string &table) const { return qualified(target_.schema, table); }

  std::string own(const std::string &function, const std::string &arguments) const {
    return qualified(target_.extension_schema, function) + "(" + arguments + ")";
  }

  // The derived rows -----------------------------------------------------------------------------

  /** The earliest raw events, where no index leads to them. */
  std::string events() const {
    if (!target_.has_raw_events || target_.raw_events_indexed)
      return "";
    return "events AS MATERIALIZED (SELECT DISTINCT ON (session_id) session_id, id FROM " +
           name("raw_events") +
           " WHERE session_id IS NOT NULL ORDER BY session_id, event_timestamp, id), ";
  }

  /** The sessions, with their earliest raw events where no index leads to these. */
  std::string source() const {
    std::string result = name("session_summaries") + " AS s";
    if (target_.has_raw_events && !target_.raw_events_indexed)
      result += " LEFT JOIN (SELECT e.session_id, r.payload FROM events AS e JOIN " +
                name("raw_events") + " AS r USING (id)) AS r ON r.session_id = s.session_id";
    return result;
  }

  /** The payload of a session's earliest raw event, where its document leaves the address open. */
  std::string event() const {
    if (!target_.has_raw_events)
      return "NULL::json";
    // OFFSET 0 as in the look-up of the migration: not by an index on event_timestamp.
    const std::string earliest =
        target_.raw_events_indexed
            ? "(SELECT e.payload::json FROM (SELECT payload, event_timestamp, id FROM " +
                  name("raw_events") +
                  " WHERE session_id = s.session_id OFFSET 0) AS e ORDER BY e.event_timestamp,"
                  " e.id LIMIT 1)"
            : "r.payload::json";
    return "CASE WHEN " + own("cowrie_needs_event", derivation::document(target_, "s.")) +
           " THEN " + earliest + " END";
  }

  std::string derived() const {
    // To a later phase the session columns stay, and with them the values they have.
    const bool kept = scope_.to_phase > 0;
    std::string inner = "SELECT s.session_id, " + derivation::utc(base_, "first_event_at", "s.") +
                        " AS first, " + derivation::utc(base_, "last_event_at", "s.") +
                        " AS last, " + derivation::utc(base_, "created_at", "s.") + " AS created";
    std::string differs, unlike;
    for (const Column &each : declared_.columns) {
      const Reading read = reading(target_, observed_, each);
      const std::string column = quote_identifier(each.name);
      inner += ", " + read.value + " AS " + column;
      differs += (differs.empty() ? "" : " OR ") +
                 ("(s." + column + " IS NOT NULL AND s." + column + " IS DISTINCT FROM ") +
                 derived_value(each.name) + ")";
      if (!read.unlike.empty())
        unlike += (unlike.empty() ? "" : " OR ") + read.unlike;
    }
    inner += ", " + (unlike.empty() ? "false" : unlike) + " AS unlike";
    std::string retired;
    for (const std::string &each : declared_.retired_columns)
      if (const Column *found = observed_.column(each)) {
        inner += ", s." + quote_identifier(each);
        retired += (retired.empty() ? "" : " OR ") + retired_value(*found);
      }
    inner += ", " +
             own("cowrie_derived_facts", derivation::document(target_, "s.") + ", " +
                                             (kept ? "s.source_ip::varchar" : "NULL::varchar") +
                                             ", " + event()) +
             " AS f FROM " + source() + " OFFSET 0";
    return "SELECT s.session_id, " +
           std::string(kept ? "COALESCE(s.source_ip, (s.f).source_ip) AS source_ip,"
                              " COALESCE(s.snapshot_asn, (s.f).asn) AS asn, CASE WHEN"
                              " s.snapshot_asn IS NULL OR s.snapshot_asn = (s.f).asn THEN"
                              " (s.f).asn_source END AS asn_source"
                            : "(s.f).source_ip AS source_ip, (s.f).asn AS asn,"
                              " (s.f).asn_source AS asn_source") +
           ", COALESCE(s.first, s.last, s.created) AS started, COALESCE(s.last, s.first, s.created)"
           " AS ended, (s.f).has_provider_data, (s.f).organization, (s.f).organization_country,"
           " (s.f).registry, s.unlike OR " +
           differs + " AS own_values, " + (retired.empty() ? "false" : retired) +
           " AS retired_values FROM (" + inner + ") AS s";
  }

  /** Whether the column of older attempts tells what the document does not. */
  static std::string retired_value(const Column &column) {
    const std::string name = "s." + quote_identifier(column.name);
    return is_list_of_texts(column) ? "NOT (" + name + "::text[] <@ (s.f).ip_types)"
                                    : name + " IS NOT NULL";
  }

  // The counts -----------------------------------------------------------------------------------

  void add(const std::string &table, const std::string &reason, const std::string &filter,
           const std::string &from) {
    counts_ += (counts_.empty() ? "" : " UNION ALL ") +
               ("SELECT " + quote_literal(table) + "::text, " + quote_literal(reason) +
                "::text, count(*)" + filter + " FROM " + from);
  }

  void sessions() {
    add("session_summaries", "with values that their documents do not give",
        " FILTER (WHERE own_values)", "derived");
    for (const std::string &each : declared_.retired_columns)
      if (observed_.column(each))
        add("session_summaries", "with values in " + each + " that their documents do not give",
            " FILTER (WHERE retired_values)", "derived");
  }

  void inventory(const Table &table, const Table &seen) {
    if (!reading(target_, seen, table.columns.front()).unlike.empty())
      add(table.name, "that cannot be compared", "", name(table.name)); // no key
    else if (table.name == "asn_inventory")
      systems(table, seen);
    else if (table.name == "ip_inventory")
      addresses(table, seen);
    else
      history(table, seen);
  }

  /** The rows of a table as if it had the declared columns, each NULL where it is not there;
   *  `unlike` where it holds what these do not tell. */
  std::string rows_of(const Table &table, const Table &seen) const {
    std::string columns, unlike;
    for (const Column &each : table.columns) {
      const Reading read = reading(target_, seen, each);
      columns += read.value + " AS " + quote_identifier(each.name) + ", ";
      if (!read.unlike.empty())
        unlike += (unlike.empty() ? "" : " OR ") + read.unlike;
    }
    return "(SELECT " + columns + (unlike.empty() ? "false" : unlike) + " AS unlike FROM " +
           name(table.name) + ")";
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

  /** Whether none of a row's sessions gives its enrichment; `sessions` has columns session_id and
   *  source_ip. */
  std::string foreign_enrichment(const std::string &function, const std::string &sessions) const {
    return "t.enrichment <> '{}'::jsonb AND NOT COALESCE((SELECT true FROM " + sessions +
           " AS u (session_id, source_ip) JOIN " + name("session_summaries") +
           " AS d ON d.session_id = u.session_id WHERE " +
           own(function, derivation::document(target_, "d.") + ", u.source_ip::varchar") +
           " = t.enrichment LIMIT 1), false)";
  }

  /** Counts the rows whose key is not among the derived ones, and of the others those with
   *  something that none of their sessions gives. */
  void two_counts(const Table &table, const Table &seen, const std::string &known,
                  const std::string &changed, const std::string &joins) {
    counts_ += (counts_.empty() ? "" : " UNION ALL ") +
               ("SELECT " + quote_literal(table.name) +
                "::text, found.reason, found.rows FROM"
                " (SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE changed)"
                " AS changed FROM (SELECT " +
                known + " IS NULL AS added, CASE WHEN " + known + " IS NOT NULL THEN " + changed +
                " END AS changed FROM " + rows_of(table, seen) + " AS t" + joins +
                ") AS seen) AS counted CROSS JOIN LATERAL (VALUES ('added by the"
                " application', added), ('enriched by the application', changed)) AS found"
                " (reason, rows)");
  }

  void systems(const Table &table, const Table &seen) {
    std::string changed = marks(table);
    std::string joins = " LEFT JOIN systems AS k ON k.asn = t.asn_number";
    for (const auto &[column, fact] : {std::pair("organization_name", "organization"),
                                       std::pair("organization_country", "organization_country"),
                                       std::pair("rir_registry", "registry")}) {
      const std::string given = std::string("given_") + fact;
      joins += std::string(" LEFT JOIN (SELECT DISTINCT asn, ") + fact + " FROM derived) AS " +
               given + " ON " + given + ".asn = t.asn_number AND " + given + "." + fact + " = t." +
               column;
      changed += std::string(" OR (t.") + column + " IS NOT NULL AND " + given + ".asn IS NULL)";
    }
    changed +=
        " OR (" + foreign_enrichment("cowrie_asn_data", "unnest(k.sessions, k.addresses)") + ")";
    two_counts(table, seen, "k.asn", changed, joins);
  }

  void addresses(const Table &table, const Table &seen) {
    const std::string changed =
        marks(table) + " OR (t.current_asn IS NOT NULL AND given.asn IS NULL) OR (" +
        foreign_enrichment("cowrie_provider_data",
                           "(SELECT id, k.source_ip FROM unnest(k.sessions) AS ids (id))") +
        ")";
    two_counts(table, seen, "k.source_ip", changed,
               " LEFT JOIN addresses AS k ON k.source_ip = t.ip_address LEFT JOIN (SELECT DISTINCT"
               " source_ip, asn FROM derived) AS given ON given.source_ip = t.ip_address AND"
               " given.asn = t.current_asn");
  }

  void history(const Table &table, const Table &seen) {
    add(table.name, "written by the application", "",
        rows_of(table, seen) +
            // Inside, because an OR around it would keep the server from joining.
            " AS t WHERE NOT EXISTS (SELECT FROM derived AS d WHERE NOT t.unlike AND d.source_ip ="
            " t.ip_address AND d.asn = t.asn_number AND d.started = t.observed_at AND"
            " (t.verification_source IS NULL OR t.verification_source = d.asn_source))");
  }

  const Target &target_;
  const CleanupScope &scope_;
  const Table &base_;     ///< session_summaries of version 15, as observed
  const Table &declared_; ///< what version 16 adds to it
  const Table &observed_;
  std::string counts_;
};

} // namespace

std::string derivation_check(const Target &target, const CleanupScope &scope,
                             const Table &observed_sessions) {
  return Check(target, scope, observed_sessions).text();
}

} // namespace cowrie
