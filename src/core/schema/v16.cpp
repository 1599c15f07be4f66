// The declaration: what schema version 16 is, as data; the only definition of its columns,
// constraints and indexes. docs/DEVELOPING.md names the code that a new column concerns as well.
//
// Source: ADR-007. Names and types follow the application's ORM. Error regime: plain data.
#include "core/schema/v16.hpp"

#include "core/schema/declaring.hpp"

namespace cowrie {
namespace {

using namespace declaring;

/** Two capital letters. Collation "C": elsewhere [A-Z] may match more than the 26 letters. */
std::string iso_check(const std::string &column_name) {
  return "(" + column_name + " IS NULL) OR ((" + column_name +
         ")::text ~ ('^[A-Z]{2}$'::text COLLATE \"C\"))";
}

// The generated columns of ip_inventory. Built-in immutable functions only, so that they outlive
// the extension; no cast that could raise, because an application's write must not fail whatever
// a provider sent.

/** One provider's country: two letters other than XX; NULL for everything else. */
std::string country_of(const char *path) {
  return "substring((enrichment #>> '" + std::string(path) +
         "'::text[]) COLLATE \"C\" from '^(?![Xx][Xx])[A-Za-z]{2}$')";
}

std::string geo_country() {
  return "upper(COALESCE(" + country_of("{maxmind,country}") + ", " +
         country_of("{cymru,country}") + ", " + country_of("{dshield,ip,ascountry}") +
         ", 'XX') COLLATE \"C\")::varchar(2)";
}

/**
 * The usable strings among the elements of a JSON path: not empty and without quotes, backslashes
 * and control characters, so that the text of the JSON array can be split at `", "`. The path is
 * strict: a lax one would unwrap arrays of objects that are no list of types.
 */
std::string usable_strings(const char *path) {
  return "jsonb_path_query_array(enrichment, 'strict " + std::string(path) +
         R"( ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true))";
}

std::string ip_types() {
  return "COALESCE(string_to_array(substring((CASE WHEN jsonb_typeof(enrichment -> 'spur'::text) = "
         "'array'::text THEN " +
         usable_strings("$.spur[3]") +
         " WHEN jsonb_typeof(enrichment #> '{spur,client,types}'::text[]) = 'array'::text THEN " +
         usable_strings("$.spur.client.types[*]") + " ELSE " +
         usable_strings("$.spur.client.types") +
         R"re( END #>> '{}'::text[]) from '^\["(.*)"\]$'), '", "'::text), '{}'::text[]))re";
}

/** True for JSON true and the string "true" in any case; false for all else, never NULL. */
std::string truth(const char *path) {
  const std::string at = std::string("(enrichment #> '") + path + "'::text[])";
  return "COALESCE((" + at + " = 'true'::jsonb) OR (jsonb_typeof(" + at +
         ") = 'string'::text AND lower((enrichment #>> '" + path +
         "'::text[]) COLLATE \"C\") = 'true'::text), false)";
}

/** Both tables must be filled before any writer may be held to it. */
Constraint kept_last(Constraint key) { return in_phase(5, std::move(key)); }

Table session_summaries() {
  Table table;
  table.name = "session_summaries";
  table.columns = in_phase<Column>(
      1, {column("source_ip", ip_text), column("enrichment_at", moment),
          column("snapshot_asn", integer), column("snapshot_country", country_text),
          column("snapshot_ip_type", text)});
  table.constraints = {
      in_phase(1,
               check("snapshot_country_iso", {"snapshot_country"}, iso_check("snapshot_country"))),
      kept_last(foreign_key("fk_session_source_ip", "source_ip", "ip_inventory", "ip_address")),
  };
  table.indexes =
      in_phase<Index>(4, {index("idx_session_source_ip", {{"source_ip"}}),
                          index("idx_session_snapshot_asn", {{"snapshot_asn"}}),
                          index("idx_session_snapshot_country", {{"snapshot_country"}}),
                          index("idx_session_snapshot_ip_type", {{"snapshot_ip_type"}}),
                          index("idx_session_first_event_brin", {{"first_event_at"}}, "brin"),
                          index("idx_session_last_event_brin", {{"last_event_at"}}, "brin")});
  table.retired_columns = {"snapshot_ip_types"};
  return table;
}

Table asn_inventory() {
  Table table;
  table.name = "asn_inventory";
  table.comment = "autonomous systems that sessions came from, one row each (tier 1, ADR-007)";
  table.phase = 2;
  table.columns = {
      column("asn_number", integer, not_null),
      column("organization_name", text),
      column("organization_country", country_text),
      formerly(column("rir_registry", "character varying(10)"), "registry"),
      application(column("asn_type", text)),
      application(column("is_known_hosting", flag, not_null, "false")),
      application(column("is_known_vpn", flag, not_null, "false")),
      seen("first_seen", "last_seen"),
      seen("last_seen", "first_seen"),
      column("unique_ip_count", integer, not_null, "0"),
      column("total_session_count", integer, not_null, "0"),
      column("enrichment", json_document, not_null, "'{}'::jsonb"),
      application(column("enrichment_updated_at", moment)),
      record_time("created_at"),
      record_time("updated_at"),
  };
  table.constraints = {
      primary_key("asn_inventory_pkey", {"asn_number"}),
      check("asn_number_positive", {"asn_number"}, "asn_number > 0"),
      check("organization_country_iso", {"organization_country"},
            iso_check("organization_country")),
  };
  table.indexes = {
      index("idx_asn_org_name", {{"organization_name"}}),
      index("idx_asn_type", {{"asn_type"}}),
      index("idx_asn_session_count", {{"total_session_count", true}}),
  };
  return table;
}

Table ip_inventory() {
  Table table;
  table.name = "ip_inventory";
  table.comment = "source addresses with their current enrichment, one row each (tier 2, ADR-007)";
  table.phase = 3;
  table.columns = {
      column("ip_address", ip_text, not_null),
      column("current_asn", integer),
      application(column("asn_last_verified", moment)),
      seen("first_seen", "last_seen"),
      seen("last_seen", "first_seen"),
      column("session_count", integer, not_null, "1"),
      column("enrichment", json_document, not_null, "'{}'::jsonb"),
      application(column("enrichment_updated_at", moment)),
      application(column("enrichment_version", "character varying(20)", not_null,
                         "'2.2'::character varying")),
      generated("geo_country", country_text, geo_country()),
      generated("ip_types", "text[]", ip_types()),
      generated("is_scanner", flag, truth("{greynoise,noise}")),
      generated("is_bogon", flag, truth("{validation,is_bogon}")),
      record_time("created_at"),
      record_time("updated_at"),
  };
  table.constraints = {
      primary_key("ip_inventory_pkey", {"ip_address"}),
      check("session_count_not_negative", {"session_count"}, "session_count >= 0"),
      kept_last(foreign_key("fk_ip_current_asn", "current_asn", "asn_inventory", "asn_number")),
  };
  table.indexes = {
      index("idx_ip_current_asn", {{"current_asn"}}),
      index("idx_ip_geo_country", {{"geo_country"}}),
      index("idx_ip_session_count", {{"session_count", true}}),
      index("idx_ip_enrichment_updated", {{"enrichment_updated_at"}}),
      index("idx_ip_staleness_active", {{"enrichment_updated_at"}, {"last_seen"}}, "btree",
            "enrichment_updated_at IS NOT NULL"),
  };
  return table;
}

Table ip_asn_history() {
  Table table;
  table.name = "ip_asn_history";
  table.comment = "which autonomous system an address was seen in, and since when (ADR-007)";
  table.phase = 4;
  table.columns = {
      column("ip_address", ip_text, not_null),
      column("asn_number", integer, not_null),
      column("observed_at", moment, not_null, "now()"),
      column("verification_source", "character varying(50)"),
  };
  table.constraints = {
      primary_key("ip_asn_history_pkey", {"ip_address", "asn_number", "observed_at"}),
  };
  table.indexes = {
      index("idx_ip_asn_history_asn", {{"asn_number"}}),
  };
  return table;
}

} // namespace

const Schema &schema_v16() {
  static const Schema declared = version(
      16,
      {"session_columns", "asn_inventory", "ip_inventory", "history_and_indexes", "foreign_keys"},
      {session_summaries(), asn_inventory(), ip_inventory(), ip_asn_history()});
  return declared;
}

} // namespace cowrie
