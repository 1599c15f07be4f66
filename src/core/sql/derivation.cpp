// Derivation: the SQL that fills the new columns and derives the inventories from the sessions.
#include "core/sql/derivation.hpp"

#include "core/base/text.hpp"
#include "core/schema/ddl.hpp"
#include "core/sql/derivation_parts.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/leaves.hpp"

namespace cowrie::derivation {
namespace {

// A row per address, with the session whose document it gets, if any has provider data.
std::string addresses(const Target &target) {
  return sql::fill(target, R"(SELECT source_ip, min(started) AS first_seen,
    max(ended) AS last_seen, count(*) AS sessions,
    {cowrie_latest}(asn::text, ended::timestamptz, session_id::text) AS asn,
    {cowrie_latest}((CASE WHEN has_provider_data THEN session_id END)::text, ended::timestamptz,
      session_id::text) AS session_id
  FROM {staging} WHERE source_ip IS NOT NULL GROUP BY source_ip)");
}

enum class Groups { few, many };

// Groups `g` that each chose a session, with the document `d` of that session. Only keys and places
// are joined; then one document after the other is fetched, in the order of the table: a join with
// the sessions themselves would be free to hash or sort all documents. The planner counts a look-up
// in partitions as one in each, though it is in one where they are by session_id: it would rather
// read them all, for few groups as well.
std::string with_documents(const Target &target, Groups amount, const std::string &groups) {
  const bool by_look_up = target.partitioned && target.sessions_indexed && amount == Groups::few;
  const std::string places = by_look_up
                                 ? R"(LEFT JOIN LATERAL (
    SELECT {place} FROM {sessions} WHERE session_id = g.session_id COLLATE "default" OFFSET 0
  ) AS k ON true)"
                                 : R"(LEFT JOIN (SELECT session_id, {place} FROM {sessions}) AS k
    ON k.session_id = g.session_id COLLATE "default")";
  // The session says which partition it is in; otherwise each of them would be asked for the place.
  const std::string document =
      at_place(target, "s", "g") +
      (target.partitioned ? R"( AND s.session_id = g.session_id COLLATE "default")" : "");
  return sql::fill(target, R"((
  SELECT g.*, {k_place} FROM ({groups}) AS g
  {places}
  ORDER BY {k_place}
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM {sessions} AS s WHERE {at_place} OFFSET 0
) AS d ON true)",
                   {{"groups", groups},
                    {"places", sql::fill(target, places, {{"place", place(target)}})},
                    {"k_place", target.partitioned ? "k.leaf, k.place" : "k.place"},
                    {"at_place", document}});
}

// Of each ASN its latest session, and of each fact the value in the latest session that has any.
// Of the address an empty text stands for none, so that it is that of the same session.
std::string asns(const Target &target) {
  return sql::fill(target, R"(SELECT asn, min(started) AS first_seen, max(ended) AS last_seen,
    count(*) AS sessions,
    {cowrie_latest}(session_id::text, ended::timestamptz, session_id::text) AS session_id,
    {cowrie_latest}(COALESCE(source_ip, '')::text, ended::timestamptz, session_id::text)
      AS source_ip,
    {cowrie_latest}(organization::text, ended::timestamptz, session_id::text) AS organization,
    {cowrie_latest}(organization_country::text, ended::timestamptz, session_id::text)
      AS organization_country,
    {cowrie_latest}(registry::text, ended::timestamptz, session_id::text) AS registry
  FROM {staging} WHERE asn IS NOT NULL GROUP BY asn)");
}

// Counting distinct addresses in two steps of hashing needs no sort.
std::string load_asn_inventory(const Target &target) {
  return sql::fill(target, R"(INSERT INTO {asn_inventory} AS t
  (asn_number, organization_name, organization_country, rir_registry, first_seen, last_seen,
  unique_ip_count, total_session_count, enrichment)
SELECT g.asn, g.organization, g.organization_country, g.registry, g.first_seen, g.last_seen,
  COALESCE(i.ips, 0), g.sessions, {cowrie_asn_data}(d.enrichment::{document_type}, g.source_ip::varchar)
FROM {asns_with_documents} LEFT JOIN (
  SELECT asn, count(*) AS ips FROM (
    SELECT DISTINCT asn, source_ip FROM {staging} WHERE asn IS NOT NULL AND source_ip IS NOT NULL
  ) AS pairs GROUP BY asn
) AS i ON i.asn = g.asn)",
                   {{"asns_with_documents", with_documents(target, Groups::few, asns(target))}});
}

// Addresses `g`, each with its document `d`.
std::string load_ip_inventory(const Target &target, const std::string &addresses_with_documents) {
  return sql::fill(target, R"(INSERT INTO {ip_inventory} AS t
  (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT g.source_ip, g.asn::integer, g.first_seen, g.last_seen, g.sessions,
  COALESCE({cowrie_provider_data}(d.enrichment::{document_type}, g.source_ip::varchar), '{}')
FROM {addresses_with_documents})",
                   {{"addresses_with_documents", addresses_with_documents}});
}

} // namespace

// Unlogged: its rows need no WAL, and no transaction other than this one ever reads them. A
// temporary table is not possible in a security-restricted context. Collation "C" is the rule for
// ties, and the fastest to sort and hash by.
std::string create_staging(const Target &target) {
  return sql::fill(target, R"(CREATE UNLOGGED TABLE {staging} (
  session_id varchar COLLATE "C" NOT NULL, source_ip varchar(45) COLLATE "C", asn integer,
  asn_source text, started timestamptz, ended timestamptz, has_provider_data boolean NOT NULL,
  organization text, organization_country varchar(2), registry varchar(10)))");
}

std::string analyze_staging(const Target &target) {
  return "ANALYZE " + staging_of(target) + " (source_ip, asn)";
}

// CREATE TABLE AS may use parallel workers, INSERT … SELECT may not; hence no create_staging().
std::string stage_from_documents(const Target &target, const Table &sessions) {
  return sql::fill(target, R"(CREATE UNLOGGED TABLE {staging} AS
SELECT s.session_id COLLATE "C" AS session_id, s.source_ip COLLATE "C" AS source_ip,
  s.snapshot_asn AS asn, f.asn_source,
  COALESCE({first}, {last}, {created}) AS started, COALESCE({last}, {first}, {created}) AS ended,
  f.has_provider_data, f.organization, f.organization_country, f.registry
FROM {sessions} AS s, LATERAL
  {cowrie_staged_facts}(s.enrichment::{document_type}, s.source_ip::varchar, s.snapshot_asn::integer) AS f
WHERE s.source_ip IS NOT NULL OR s.snapshot_asn IS NOT NULL)",
                   {{"first", utc(sessions, "first_event_at", "s.")},
                    {"last", utc(sessions, "last_event_at", "s.")},
                    {"created", utc(sessions, "created_at", "s.")}});
}

std::string create_event_table(const Target &target) {
  return sql::fill(target, R"(CREATE UNLOGGED TABLE {events} AS
SELECT DISTINCT ON (session_id) session_id, id FROM {raw_events}
WHERE session_id IS NOT NULL ORDER BY session_id, event_timestamp, id)");
}

std::string index_event_table(const Target &target) {
  return "CREATE UNIQUE INDEX ON " + qualified(target.schema, event_table) + " (session_id)";
}

std::string fill_by_rewrite(const Target &target, const Table &declared, const Table &observed,
                            const std::vector<const Constraint *> &with_checks) {
  const std::string arguments = fill_arguments(target, declared, observed);
  std::vector<std::string> clauses;
  for (const Column &each : declared.columns)
    clauses.push_back(ddl::retype_clause(each, fill_call(target, each, arguments)));
  for (const Constraint *check : with_checks)
    clauses.push_back("ADD " + ddl::constraint_clause(target.schema, *check));
  return ddl::alter_table(target.schema, declared.name, clauses);
}

// Each value is computed once: a session is counted when its source IP is. And a session that
// nothing more is known of is not written again.
std::string fill_rows(const Target &target, const Table &declared, const Table &observed,
                      FillScope scope) {
  const std::string arguments = fill_arguments(target, declared, observed);
  std::string values, assignments, known;
  for (const Column &each : declared.columns) {
    const std::string name = quote_identifier(each.name);
    append(values, fill_call(target, each, arguments) + " AS " + name);
    append(assignments, name + " = f." + name);
    append(known, "(s." + name + " IS NULL AND f." + name + " IS NOT NULL)", " OR ");
  }
  return sql::fill(target, R"(UPDATE {sessions} AS s SET {assignments}
FROM (SELECT {place}, {values} FROM {sessions} WHERE {condition} OFFSET 0) AS f
WHERE {at_place} AND ({known}))",
                   {{"assignments", assignments},
                    {"place", place(target)},
                    {"at_place", at_place(target, "s", "f")},
                    {"values", values},
                    {"condition", condition(declared, scope)},
                    {"known", known}});
}

namespace {

/** How an inventory's column that is computed from the sessions changes when they do. */
enum class Follows {
  always,   ///< it is what the sessions say now
  if_known, ///< what was known once stays
  document, ///< until the application has enriched the row
  never,
};

struct DerivedColumn {
  const char *name;
  Follows follows;
};

std::vector<DerivedColumn> derived_columns(const std::string &table) {
  if (table == "asn_inventory")
    return {{"organization_name", Follows::if_known}, {"organization_country", Follows::if_known},
            {"rir_registry", Follows::if_known},      {"first_seen", Follows::always},
            {"last_seen", Follows::always},           {"unique_ip_count", Follows::always},
            {"total_session_count", Follows::always}, {"enrichment", Follows::document}};
  if (table == "ip_inventory")
    return {{"current_asn", Follows::if_known},
            {"first_seen", Follows::always},
            {"last_seen", Follows::always},
            {"session_count", Follows::always},
            {"enrichment", Follows::document}};
  return {{"verification_source", Follows::never}};
}

std::string refreshed(const DerivedColumn &column, const std::string &old_value,
                      const std::string &new_value) {
  switch (column.follows) {
  case Follows::always:
    return new_value;
  case Follows::if_known:
    return "COALESCE(" + new_value + ", " + old_value + ")";
  case Follows::document:
    return "CASE WHEN t.enrichment_updated_at IS NULL THEN " + new_value + " ELSE " + old_value +
           " END";
  case Follows::never:
    break;
  }
  return old_value;
}

/** What is there stays, but for what says nothing. */
std::string completed(const DerivedColumn &column, const std::string &old_value,
                      const std::string &new_value) {
  if (column.follows == Follows::document)
    return "CASE WHEN " + old_value + " IS NULL OR (" + old_value +
           " = '{}'::jsonb AND t.enrichment_updated_at IS NULL) THEN " + new_value + " ELSE " +
           old_value + " END";
  return "COALESCE(" + old_value + ", " + new_value + ")";
}

/** The ON CONFLICT clause for existing rows. */
std::string on_conflict(const Table &table, OnExisting existing,
                        const std::set<std::string> &added) {
  std::string sets, before, after;
  for (const DerivedColumn &each : derived_columns(table.name)) {
    const std::string name = quote_identifier(each.name);
    const std::string old_value = "t." + name, new_value = "EXCLUDED." + name;
    const std::string value = existing == OnExisting::replace && each.follows == Follows::if_known
                                  ? new_value
                              : existing != OnExisting::keep ? refreshed(each, old_value, new_value)
                              : added.count(each.name) > 0   ? new_value
                                                           : completed(each, old_value, new_value);
    if (value == old_value)
      continue;
    append(sets, name + " = " + value);
    append(before, old_value);
    append(after, value);
  }
  const std::string key =
      " ON CONFLICT (" + ddl::column_list(table.primary_key()->columns) + ") DO ";
  // A row that stays as it is is not written again.
  return sets.empty() ? key + "NOTHING"
                      : key + "UPDATE SET " + sets + " WHERE ROW(" + before +
                            ") IS DISTINCT FROM ROW(" + after + ")";
}

} // namespace

std::string load_rows(const Target &target, const std::string &table, OnExisting existing,
                      const std::set<std::string> &added) {
  std::string sql;
  if (table == "asn_inventory")
    sql = load_asn_inventory(target);
  else if (table == "ip_inventory")
    sql = load_ip_inventory(target, with_documents(target, Groups::many, addresses(target)));
  else if (table == "ip_asn_history")
    sql = sql::fill(target, R"(INSERT INTO {ip_asn_history} AS t
  (ip_address, asn_number, observed_at, verification_source)
SELECT DISTINCT ON (source_ip, asn, started) source_ip, asn, started, asn_source
FROM (
  SELECT source_ip, asn, asn_source, started, session_id,
    lag(asn) OVER (PARTITION BY source_ip ORDER BY started, session_id) AS previous
  FROM {staging} WHERE source_ip IS NOT NULL AND asn IS NOT NULL
) AS seen
WHERE previous IS DISTINCT FROM asn ORDER BY source_ip, asn, started, session_id)");
  if (sql.empty() || existing == OnExisting::none_there)
    return sql;
  return sql + on_conflict(*target.declared().table(table), existing, added);
}

std::vector<std::string> choose_sessions(const Target &target) {
  const std::string chosen = qualified(target.schema, chosen_table);
  return {"CREATE UNLOGGED TABLE " + chosen + " AS " + addresses(target),
          "ANALYZE " + chosen + " (session_id)"};
}

// In a hash a row takes an eighth more than in its table.
std::string chosen_fits(const Target &target) {
  return sql::fill(R"(SELECT pg_relation_size({chosen}::regclass) * 1.25
  <= setting::float8 * 1024 * current_setting('hash_mem_multiplier')::float8
FROM pg_settings WHERE name = 'work_mem')",
                   {{"chosen", quote_literal(qualified(target.schema, chosen_table))}});
}

// Knowing the size of the table, the planner hashes its narrow rows and runs once through the
// sessions, in parallel too. It would write documents to temporary files where the hash does not
// fit: then the places of the sessions are joined, as ever.
std::string load_chosen(const Target &target, bool fits) {
  const std::string chosen = qualified(target.schema, chosen_table);
  return load_ip_inventory(target,
                           fits ? sql::fill(target, R"({chosen} AS g
JOIN {sessions} AS d ON d.session_id = g.session_id COLLATE "default"
UNION ALL SELECT source_ip, asn::integer, first_seen, last_seen, sessions, '{}'::jsonb
FROM {chosen} WHERE session_id IS NULL)")
                                : with_documents(target, Groups::many, "SELECT * FROM " + chosen));
}

std::string add_missing_asns(const Target &target) {
  return sql::fill(target, R"(INSERT INTO {asn_inventory}
  (asn_number, first_seen, last_seen, unique_ip_count)
SELECT current_asn, min(first_seen), max(last_seen), count(*) FROM {ip_inventory}
WHERE current_asn IS NOT NULL GROUP BY current_asn ON CONFLICT (asn_number) DO NOTHING)");
}

namespace {

std::string fingerprint_by(const char *aggregate, const Target &target, const Table &sessions,
                           const std::string &start) {
  return sql::fill(target, R"(SELECT (f).sessions, (f).documents, (f).times,
  (f).settled_sessions, (f).settled_documents, (f).settled_times
FROM (
  SELECT {aggregate}(session_id::varchar, enrichment::{document_type}, {first}, {last}, {created} <= {start}) AS f
  FROM {sessions}
) AS summed)",
                   {{"aggregate", qualified(target.extension_schema, aggregate)},
                    {"first", utc(sessions, "first_event_at")},
                    {"last", utc(sessions, "last_event_at")},
                    {"created", utc(sessions, "created_at")},
                    {"start", start}});
}

} // namespace

std::string fingerprint(const Target &target, const Table &observed_sessions,
                        const std::string &start) {
  return fingerprint_by("cowrie_fingerprint", target, observed_sessions, start);
}

std::string stored_fingerprint(const Target &target, const Table &observed_sessions) {
  return fingerprint_by("cowrie_kept_fingerprint", target, observed_sessions, run_start);
}

} // namespace cowrie::derivation
