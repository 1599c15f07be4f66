// Checkpoint queries: what analysts ask of the migrated tables, as the specification lists it.
#include "core/survey/checkpoint_queries.hpp"

#include "core/schema/v15.hpp"

#include "core/schema/schema.hpp"

namespace cowrie {
namespace {

Parameter parameter(const std::optional<std::string> &value) {
  return value ? Parameter(*value) : Parameter(nullptr);
}

/** A query's text with `{table}` for each table of the target schema. */
std::function<std::string(Database &)> over_tables(std::string text) {
  return [text = std::move(text)](Database &database) {
    std::string sql = text;
    for (const Table &table : database.target().declared().tables) {
      const std::string place = "{" + table.name + "}";
      for (auto at = sql.find(place); at != std::string::npos; at = sql.find(place, at))
        sql.replace(at, place.size(), qualified(database.target().schema, table.name));
    }
    return sql;
  };
}

std::vector<Parameter> nothing(Database &) { return {}; }

std::vector<Parameter> one_value(Database &database, const std::string &text) {
  const std::vector<Row> rows = database.query(over_tables(text)(database));
  return {rows.empty() ? Parameter(nullptr) : parameter(rows.front().front())};
}

std::vector<Parameter> commonest_country(Database &database) {
  return one_value(database, "SELECT snapshot_country FROM {session_summaries} WHERE"
                             " snapshot_country IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1"
                             " LIMIT 1");
}

std::vector<Parameter> busiest_asn(Database &database) {
  return one_value(database, "SELECT asn_number FROM {asn_inventory} ORDER BY total_session_count"
                             " DESC, asn_number LIMIT 1");
}

/** And the last month that has sessions. */
std::vector<Parameter> country_and_month(Database &database) {
  std::vector<Parameter> result = commonest_country(database);
  result.push_back(one_value(database, "SELECT date_trunc('month', max(first_event_at)) FROM"
                                       " {session_summaries}")
                       .front());
  return result;
}

/** Event times are compared as what they are: with or without time zone. */
std::string one_month(Database &database) {
  const Schema seen = database.observe(schema_v15());
  const Table *sessions = seen.table("session_summaries");
  const Column *time = sessions ? sessions->column("first_event_at") : nullptr;
  const std::string month = "$2::text::" + (time ? time->type : "timestamptz");
  return over_tables("SELECT session_id, source_ip, snapshot_asn, snapshot_ip_type, first_event_at"
                     " FROM {session_summaries} WHERE snapshot_country = $1::text AND"
                     " first_event_at >= " +
                     month + " AND first_event_at < " + month + " + interval '1 month'")(database);
}

} // namespace

const std::vector<CheckpointQuery> &checkpoint_queries() {
  static const std::vector<CheckpointQuery> queries = {
      {"sessions of one snapshot country in a month", one_month, country_and_month},
      {"sessions, IPs and ASNs by snapshot country and type",
       over_tables("SELECT snapshot_country, snapshot_ip_type, count(*), count(DISTINCT source_ip),"
                   " count(DISTINCT snapshot_asn) FROM {session_summaries} GROUP BY 1, 2"),
       nothing},
      {"snapshot against current ASN and country of the IPs of one ASN",
       over_tables("SELECT s.session_id, s.source_ip, s.snapshot_asn, i.current_asn,"
                   " s.snapshot_country, i.geo_country FROM {session_summaries} AS s JOIN"
                   " {ip_inventory} AS i ON i.ip_address = s.source_ip WHERE i.current_asn ="
                   " $1::text::integer"),
       busiest_asn},
      {"ASNs with organisation behind one country's sessions, and other countries on them",
       over_tables("SELECT a.asn_number, a.organization_name, here.sessions, there.countries FROM"
                   " (SELECT snapshot_asn, count(*) AS sessions FROM {session_summaries} WHERE"
                   " snapshot_country = $1::text GROUP BY snapshot_asn) AS here JOIN"
                   " {asn_inventory} AS a ON a.asn_number = here.snapshot_asn LEFT JOIN (SELECT"
                   " snapshot_asn, array_agg(DISTINCT snapshot_country) AS countries FROM"
                   " {session_summaries} WHERE snapshot_country <> $1::text GROUP BY snapshot_asn)"
                   " AS there ON there.snapshot_asn = here.snapshot_asn ORDER BY here.sessions"
                   " DESC"),
       commonest_country},
      {"top 100 ASNs by sessions",
       over_tables("SELECT asn_number, organization_name, unique_ip_count, total_session_count FROM"
                   " {asn_inventory} ORDER BY total_session_count DESC LIMIT 100"),
       nothing},
      {"IPs active more than 30 days",
       over_tables(
           "SELECT ip_address, first_seen, last_seen, session_count FROM {ip_inventory}"
           " WHERE last_seen - first_seen > interval '30 days' ORDER BY session_count DESC"),
       nothing},
      {"stale IPs",
       over_tables("SELECT ip_address, current_asn, last_seen, session_count FROM {ip_inventory}"
                   " WHERE enrichment_updated_at IS NULL OR enrichment_updated_at < now() -"
                   " interval '30 days' ORDER BY session_count DESC"),
       nothing},
  };
  return queries;
}

} // namespace cowrie
