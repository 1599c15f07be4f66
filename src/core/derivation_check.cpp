// Derivation check: the derivation the other way round, as one statement. Whether some session
// gives what is there.
//
// The documents are read once, in parallel where the server can; from then on narrow rows are
// compared. Only the enrichment of an inventory row needs documents again: those of its own
// sessions, the latest first, up to the first that gives it.
#include "core/losses.hpp"

#include "core/derivation_parts.hpp"

namespace cowrie {
namespace {

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
  if (column == "snapshot_ip_type")
    return "(s.f).ip_type";
  return "";
}

class Check {
public:
  Check(const Target &target, const CleanupScope &scope, const Table &base)
      : target_(target), scope_(scope), base_(base),
        declared_(*scope.declared.table("session_summaries")),
        observed_(*scope.observed.table("session_summaries")) {
    for (const Column &each : declared_.columns)
      if (const Column *found = observed_.column(each.name))
        columns_.push_back(found);
    for (const std::string &each : declared_.retired_columns)
      if (const Column *found = observed_.column(each))
        columns_.push_back(found);
  }

  std::string text() {
    if (scope_.to_phase == 0)
      sessions();
    for (const Table &table : scope_.declared.tables)
      if (table.phase > scope_.to_phase)
        if (const Table *found = scope_.observed.table(table.name))
          inventory(table, *found);
    std::string result = "WITH " + events() + "derived AS MATERIALIZED (" + derived() + ")";
    result += ", addresses AS (SELECT source_ip, array_agg(session_id ORDER BY ended DESC)"
              " FILTER (WHERE has_provider_data) AS sessions FROM derived WHERE source_ip IS NOT"
              " NULL GROUP BY source_ip), systems AS (SELECT asn, array_agg(session_id ORDER BY"
              " ended DESC) AS sessions, array_agg(source_ip ORDER BY ended DESC) AS addresses"
              " FROM derived WHERE asn IS NOT NULL GROUP BY asn) ";
    return result + counts_;
  }

private:
  std::string name(const std::string &table) const { return qualified(target_.schema, table); }

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
    return "CASE WHEN " + qualified(target_.extension_schema, "cowrie_needs_event") + "(" +
           derivation::document(target_, "s.") + ") THEN " + earliest + " END";
  }

  std::string derived() const {
    // To a later phase the session columns stay, and with them the values they have.
    const bool kept = scope_.to_phase > 0;
    std::string inner = "SELECT s.session_id, " + derivation::utc(base_, "first_event_at", "s.") +
                        " AS first, " + derivation::utc(base_, "last_event_at", "s.") +
                        " AS last, " + derivation::utc(base_, "created_at", "s.") + " AS created";
    for (const Column *each : columns_)
      inner += ", s." + quote_identifier(each->name);
    inner += ", " + qualified(target_.extension_schema, "cowrie_derived_facts") + "(" +
             derivation::document(target_, "s.") + ", " +
             (kept ? "s.source_ip::varchar" : "NULL::varchar") + ", " + event() + ") AS f FROM " +
             source() + " OFFSET 0";
    return "SELECT s.session_id, " +
           std::string(kept ? "COALESCE(s.source_ip, (s.f).source_ip) AS source_ip,"
                              " COALESCE(s.snapshot_asn, (s.f).asn) AS asn"
                            : "(s.f).source_ip AS source_ip, (s.f).asn AS asn") +
           ", CASE WHEN " +
           (kept ? "s.snapshot_asn IS NULL OR s.snapshot_asn = (s.f).asn" : "true") +
           " THEN (s.f).asn_source END AS asn_source, COALESCE(s.first, s.last, s.created) AS"
           " started, COALESCE(s.last, s.first, s.created) AS ended, (s.f).has_provider_data,"
           " (s.f).organization, (s.f).organization_country, (s.f).registry, " +
           own_values() + " AS own_values, " + retired_values() + " AS retired_values FROM (" +
           inner + ") AS s";
  }

  /** Whether a session has a value that its document does not give. */
  std::string own_values() const {
    std::string result;
    for (const Column &each : declared_.columns) {
      const Column *found = observed_.column(each.name);
      if (!found || scope_.to_phase > 0)
        continue;
      const std::string column = "s." + quote_identifier(each.name);
      result += (result.empty() ? "" : " OR ") + ("(" + column + " IS NOT NULL");
      if (found->type == each.type)
        result += " AND " + column + " IS DISTINCT FROM " + derived_value(each.name);
      result += ")";
    }
    return result.empty() ? "false" : result;
  }

  std::string retired_values() const {
    std::string result;
    for (const std::string &each : declared_.retired_columns) {
      const Column *found = observed_.column(each);
      if (!found || scope_.to_phase > 0)
        continue;
      const std::string column = "s." + quote_identifier(each);
      result += (result.empty() ? "" : " OR ") +
                (found->type == "text[]" ? "(cardinality(" + column + ") > 0 AND " + column +
                                               " IS DISTINCT FROM (s.f).ip_types)"
                                         : "(" + column + " IS NOT NULL)");
    }
    return result.empty() ? "false" : result;
  }

  void add(const std::string &table, const std::string &reason, const std::string &count,
           const std::string &from) {
    counts_ += (counts_.empty() ? "" : " UNION ALL ") +
               ("SELECT " + quote_literal(table) + "::text, " + quote_literal(reason) +
                "::text, count(*)" + count + " FROM " + from);
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
    if (table.name == "asn_inventory")
      systems(table, seen);
    else if (table.name == "ip_inventory")
      addresses(table, seen);
    else
      history(table, seen);
  }

  /** Tells whether a column is there as declared, so that its values can be compared. */
  static bool comparable(const Table &table, const Table &seen, const std::string &column) {
    const Column *found = seen.column(column);
    return found && found->type == table.column(column)->type;
  }

  /** Whether a row has what no migration writes: values of the application's own columns, and of
   *  columns that ought to be generated, are plain, and hold what they would not be computed to. */
  std::string marks(const Table &table, const Table &seen) const {
    std::string result = "false";
    for (const Column &each : table.columns) {
      const Column *found = seen.column(each.name);
      if (!found || !found->generated.empty())
        continue;
      const std::string column = "t." + quote_identifier(each.name);
      if (each.filled_by == FilledBy::application)
        result += each.default_value.empty()
                      ? " OR " + column + " IS NOT NULL"
                      : " OR " + column + "::text <> (" + each.default_value.sql + ")::text";
      else if (!each.generated.empty())
        result +=
            " OR (" + column + " IS NOT NULL AND " + column + "::text NOT IN (" +
            (comparable(table, seen, "enrichment") ? computed(each, "t.enrichment") + ", " : "") +
            computed(each, "'{}'::jsonb") + "))";
    }
    return result;
  }

  /** Whether a column has a value that was not found among those that its sessions give. */
  static std::string given_by_none(const Table &table, const Table &seen, const std::string &column,
                                   const std::string &given) {
    if (!seen.column(column))
      return "";
    return " OR (t." + column + " IS NOT NULL" +
           (comparable(table, seen, column) ? " AND " + given + ".asn IS NULL)" : ")");
  }

  /** What a generated column would be for an enrichment. */
  static std::string computed(const Column &column, const std::string &enrichment) {
    return "(SELECT (" + column.generated.sql + ")::text FROM (SELECT " + enrichment +
           " AS enrichment) AS given)";
  }

  /** Whether none of a row's sessions gives its enrichment; `sessions` has columns session_id and
   *  source_ip. */
  std::string foreign_enrichment(const Table &table, const Table &seen, const std::string &function,
                                 const std::string &sessions) const {
    if (!seen.column("enrichment"))
      return "false";
    if (!comparable(table, seen, "enrichment"))
      return "t.enrichment::text <> '{}'";
    return "t.enrichment <> '{}'::jsonb AND NOT COALESCE((SELECT true FROM " + sessions +
           " AS u (session_id, source_ip) JOIN " + name("session_summaries") +
           " AS d ON d.session_id = u.session_id WHERE " +
           qualified(target_.extension_schema, function) + "(" +
           derivation::document(target_, "d.") +
           ", u.source_ip::varchar) = t.enrichment LIMIT 1), false)";
  }

  /** Counts the rows that no session gives, and of the others those with something else of the
   *  application's; the key of a row is known from `known`. */
  void two_counts(const std::string &table, const std::string &known, const std::string &changed,
                  const std::string &joins) {
    counts_ += (counts_.empty() ? "" : " UNION ALL ") +
               ("SELECT " + quote_literal(table) +
                "::text, found.reason, found.rows FROM"
                " (SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE changed)"
                " AS changed FROM (SELECT " +
                known + " IS NULL AS added, CASE WHEN " + known + " IS NOT NULL THEN " + changed +
                " END AS changed FROM " + name(table) + " AS t" + joins +
                ") AS seen) AS counted CROSS JOIN LATERAL (VALUES ('added by the"
                " application', added), ('enriched by the application', changed)) AS found"
                " (reason, rows)");
  }

  void all_rows(const std::string &table) {
    add(table, "that cannot be compared", "", name(table));
  }

  void systems(const Table &table, const Table &seen) {
    if (!comparable(table, seen, "asn_number"))
      return all_rows(table.name);
    std::string changed = marks(table, seen);
    std::string joins = " LEFT JOIN systems AS k ON k.asn = t.asn_number";
    for (const auto &[column, fact] : {std::pair("organization_name", "organization"),
                                       std::pair("organization_country", "organization_country"),
                                       std::pair("rir_registry", "registry")}) {
      const std::string given = std::string("given_") + fact;
      changed += given_by_none(table, seen, column, given);
      if (comparable(table, seen, column))
        joins += std::string(" LEFT JOIN (SELECT DISTINCT asn, ") + fact + " FROM derived) AS " +
                 given + " ON " + given + ".asn = t.asn_number AND " + given + "." + fact +
                 " = t." + column;
    }
    changed =
        "(" + changed + ") OR (" +
        foreign_enrichment(table, seen, "cowrie_asn_data", "unnest(k.sessions, k.addresses)") + ")";
    two_counts(table.name, "k.asn", changed, joins);
  }

  void addresses(const Table &table, const Table &seen) {
    if (!comparable(table, seen, "ip_address"))
      return all_rows(table.name);
    std::string changed = marks(table, seen);
    std::string joins = " LEFT JOIN addresses AS k ON k.source_ip = t.ip_address";
    changed += given_by_none(table, seen, "current_asn", "given");
    if (comparable(table, seen, "current_asn"))
      joins += " LEFT JOIN (SELECT DISTINCT source_ip, asn FROM derived) AS given ON"
               " given.source_ip = t.ip_address AND given.asn = t.current_asn";
    changed = "(" + changed + ") OR (" +
              foreign_enrichment(table, seen, "cowrie_provider_data",
                                 "(SELECT id, k.source_ip FROM unnest(k.sessions) AS ids (id))") +
              ")";
    two_counts(table.name, "k.source_ip", changed, joins);
  }

  void history(const Table &table, const Table &seen) {
    for (const Column &each : table.columns)
      if (!comparable(table, seen, each.name))
        return all_rows(table.name);
    add(table.name, "written by the application", "",
        name(table.name) +
            " AS t WHERE NOT EXISTS (SELECT FROM derived AS d WHERE d.source_ip = t.ip_address"
            " AND d.asn = t.asn_number AND d.started = t.observed_at AND (t.verification_source"
            " IS NULL OR t.verification_source = d.asn_source))");
  }

  const Target &target_;
  const CleanupScope &scope_;
  const Table &base_;     ///< session_summaries of version 15, as observed
  const Table &declared_; ///< what version 16 adds to it
  const Table &observed_;
  std::vector<const Column *> columns_; ///< of the sessions: declared or retired, and there
  std::string counts_;
};

} // namespace

std::string derivation_check(const Target &target, const CleanupScope &scope,
                             const Table &observed_sessions) {
  return Check(target, scope, observed_sessions).text();
}

} // namespace cowrie
