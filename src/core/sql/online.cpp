// Online SQL: what an online migration adds to the derivation.
#include "core/sql/online.hpp"

#include "core/base/text.hpp"
#include "core/sql/derivation_parts.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/leaves.hpp"
#include "core/sql/partitions.hpp"

namespace cowrie::online {
namespace {

using derivation::sessions_of;
using derivation::staging_of;

/** So many pages are in the cache together, and a batch has no more rows than that. */
constexpr int pages_per_window = 4096;

std::string changes_of(const Target &target) { return qualified(target.schema, changes_table); }
std::string queue_of(const Target &target) { return qualified(target.schema, queue_table); }
std::string delta_of(const Target &target) { return qualified(target.schema, delta_table); }

/** The file that a table is in, as text: another one after TRUNCATE, VACUUM FULL and the like. */
std::string file_of(const std::string &table) {
  return "pg_relation_filenode(" + quote_literal(table) + "::regclass)::text";
}

std::string table_of(const Target &target, const Places &places) {
  return places.table.empty() ? sessions_of(target) : places.table;
}

/** `session_id = ANY (…)`: a key among these. */
std::string among(const std::string &column, const std::vector<std::string> &values) {
  return column + " = ANY (" + text_array(values) + ")";
}
/** Of integers, compared as such, so that an index serves. */
std::string among_numbers(const std::string &column, const std::vector<std::string> &values) {
  return column + " = ANY (" + text_array(values) + "::integer[])";
}

/** The columns that the derivation reads: an UPDATE of others changes nothing for it. The last two
 *  are set by an application that knows of version 16, and by the batches, which note nothing. */
constexpr const char *read_columns = "session_id, enrichment, first_event_at, last_event_at,"
                                     " created_at, source_ip, snapshot_asn";

/** The value of every session column as it shall be. */
struct FillValues {
  std::vector<std::pair<std::string, std::string>> columns; ///< quoted name, expression

  FillValues(const Target &target, const Table &declared, const Table &observed,
             TakenSnapshots taken) {
    // What stands for NULL in a snapshot that is to be kept: a value, so that it is not filled.
    const auto nothing = [](const Column &column) {
      return std::string(column.type == "integer" ? "0" : "''");
    };
    const auto is_final = [&](const Column &column) {
      return taken == TakenSnapshots::keep && column.name != "source_ip" &&
             column.name != "enrichment_at";
    };
    const std::string arguments =
        derivation::fill_arguments(target, declared, observed, [&](const Column &column) {
          const std::string name = quote_identifier(column.name);
          return is_final(column) ? "(CASE WHEN enrichment_at IS NULL THEN " + name +
                                        " ELSE COALESCE(" + name + ", " + nothing(column) + ") END)"
                                  : name;
        });
    for (const Column &column : declared.columns) {
      const std::string call = derivation::fill_call(target, column, arguments);
      columns.emplace_back(quote_identifier(column.name),
                           is_final(column) ? "NULLIF(" + call + ", " + nothing(column) + ")"
                                            : call);
    }
  }

  std::string assignments() const {
    return join(columns, ", ", [](const auto &each) { return each.first + " = " + each.second; });
  }

  /** True where a value would change: what is complete is not written again. */
  std::string differ() const {
    return "(" +
           join(columns, " OR ",
                [](const auto &each) { return each.second + " IS DISTINCT FROM " + each.first; }) +
           ")";
  }
};

/** A number that tells whether any other column has changed: version 15's and the user's. Document
 *  and event times are proved by themselves; a generated column follows from others. */
std::string other_columns(const Table &declared, const Table &observed) {
  std::string columns;
  for (const Column &each : observed.columns)
    if (!declared.column(each.name) && each.generated.empty() && each.name != "session_id" &&
        each.name != "enrichment" && each.name != "first_event_at" && each.name != "last_event_at")
      append(columns, quote_identifier(each.name));
  return "hashtextextended(ROW(" + columns + ")::text, 0)";
}

// RETURNING checks of every row written that all that was there before is as it was read. What has
// been read is noted in WHERE, of which the server computes anew what somebody else has changed.
std::string fill_where(const Target &target, const Table &declared, const Table &observed,
                       const std::string &table, const std::string &which, TakenSnapshots taken) {
  const FillValues values(target, declared, observed, taken);
  const std::string others = other_columns(declared, observed);
  const auto proof = [&](std::string_view text) {
    return target.proves_columns ? sql::fill(target, text, {{"others", others}}) : std::string();
  };
  return sql::fill(
      target, R"(UPDATE {table} SET {assignments}
{which} AND {differ}{as_read}
RETURNING {cowrie_session_unchanged}(session_id::varchar, enrichment::{document_type}, {first}, {last}){unchanged})",
      {{"table", table},
       {"assignments", values.assignments()},
       {"which", which},
       {"differ", values.differ()},
       {"as_read", proof(R"( AND {cowrie_columns_as_read}(session_id::varchar, {others}))")},
       {"unchanged", proof(R"(,
  {cowrie_columns_unchanged}(session_id::varchar, {others}))")},
       {"first", derivation::utc(observed, "first_event_at")},
       {"last", derivation::utc(observed, "last_event_at")}});
}

} // namespace

std::vector<std::string> create_changes(const Target &target) {
  const std::string changes = changes_of(target);
  return {"CREATE TABLE " + changes + " (session_id varchar)",
          "COMMENT ON TABLE " + changes + " IS " + quote_literal(changes_comment),
          "CREATE TRIGGER " + quote_identifier(change_trigger) + " BEFORE TRUNCATE ON " + changes +
              " EXECUTE FUNCTION " + qualified(target.extension_schema, change_function) + "()"};
}

std::string create_queue(const Target &target, Decoded decoded) {
  return sql::fill(target, R"(CREATE {unlogged}TABLE {queue} AS
SELECT row_number() OVER (ORDER BY {leaf_first}floor(at[0] / {window}), at[1], at[0]) AS place,
  session_id AS session{leaf}
FROM (SELECT session_id, ctid::text::point AS at{tableoid} FROM {sessions} OFFSET 0) AS s)",
                   {{"unlogged", decoded == Decoded::yes ? "UNLOGGED " : ""},
                    {"leaf_first", target.partitioned ? "leaf, " : ""},
                    {"leaf", target.partitioned ? ", leaf" : ""},
                    {"tableoid", target.partitioned ? ", tableoid AS leaf" : ""},
                    {"window", std::to_string(pages_per_window)}});
}

std::vector<std::string> finish_queue(const Target &target, Decoded decoded) {
  const std::string queue = queue_of(target);
  std::vector<std::string> statements = {"CREATE UNIQUE INDEX ON " + queue + " (place)",
                                         "COMMENT ON TABLE " + queue + " IS " +
                                             quote_literal(queue_comment)};
  if (decoded == Decoded::yes)
    statements.insert(statements.begin(), "ALTER TABLE " + queue + " SET LOGGED");
  return statements;
}

std::string count_heap_only(const Target &target, const Places &places) {
  return "SELECT pg_stat_get_xact_tuples_hot_updated(" + quote_literal(table_of(target, places)) +
         "::regclass)";
}

std::string sum_up_queue(const Target &target) {
  return sql::fill(target, R"(SELECT count(*),
  COALESCE(sum(hashtextextended((q.place || ' ' || q.session{leaf}) COLLATE "C", 0)), 0)
FROM {queue} AS q)",
                   {{"leaf", target.partitioned ? " || ' ' || q.leaf" : ""}});
}

std::string create_delta(const Target &target) {
  return "CREATE UNLOGGED TABLE " + delta_of(target) + " (LIKE " + staging_of(target) + ")";
}

std::vector<std::string> create_trigger(const Target &target) {
  const std::string raw_events =
      target.has_raw_events && target.raw_events_indexed ? "raw_events" : "";
  return {"CREATE TRIGGER " + quote_identifier(change_trigger) + " BEFORE INSERT OR DELETE OR" +
              " UPDATE OF " + read_columns + " ON " + sessions_of(target) +
              " FOR EACH ROW EXECUTE FUNCTION " +
              qualified(target.extension_schema, change_function) + "(" +
              quote_literal(raw_events) + ")",
          "ALTER TABLE " + sessions_of(target) + " ENABLE ALWAYS TRIGGER " +
              quote_identifier(change_trigger)};
}

std::string drop_trigger(const Target &target) {
  return "DROP TRIGGER " + quote_identifier(change_trigger) + " ON " + sessions_of(target);
}

std::string find_objects(const Target &target) {
  return sql::fill(R"(SELECT max(t.oid::int8), bool_and(t.tgenabled = 'A') AND NOT EXISTS (
    SELECT FROM pg_partition_tree(to_regclass({sessions})) AS part
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = part.relid
      AND g.tgname = {trigger} AND g.tgenabled = 'A')),
  (SELECT relkind = 'r' AND obj_description(oid, 'pg_class') = {changes_comment}
   FROM pg_class WHERE oid = to_regclass({changes})),
  (SELECT oid::int8 FROM pg_class WHERE oid = to_regclass({queue}) AND relkind = 'r'
   AND obj_description(oid, 'pg_class') = {queue_comment}),
  (SELECT oid::int8 FROM pg_class WHERE oid = to_regclass({changes}))
FROM pg_trigger AS t
JOIN pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE t.tgrelid = to_regclass({sessions}) AND t.tgname = {trigger} AND p.proname = {function}
  AND n.nspname = {extension_schema})",
                   {{"changes_comment", quote_literal(changes_comment)},
                    {"changes", quote_literal(changes_of(target))},
                    {"queue", quote_literal(queue_of(target))},
                    {"queue_comment", quote_literal(queue_comment)},
                    {"sessions", quote_literal(sessions_of(target))},
                    {"trigger", quote_literal(change_trigger)},
                    {"function", quote_literal(change_function)},
                    {"extension_schema", quote_literal(target.extension_schema)}});
}

std::string mark_staging(const Target &target) {
  if (target.partitioned)
    return sql::fill(target, R"(INSERT INTO {staging}
  (session_id, has_provider_data, organization) SELECT '', false, m.mark FROM ({marks}) AS m)",
                     {{"marks", marks(target)}});
  return sql::fill(target, R"(INSERT INTO {staging}
  (session_id, has_provider_data, organization) VALUES ('', false, {file}))",
                   {{"file", file_of(sessions_of(target))}});
}

std::string staging_is_whole(const Target &target) {
  if (target.partitioned)
    return sql::fill(target, R"(WITH known AS MATERIALIZED (
  SELECT s.organization AS mark FROM {staging} AS s WHERE {is_mark}
), now AS MATERIALIZED (
  SELECT mark FROM ({marks}) AS m
)
SELECT NOT EXISTS (SELECT mark FROM now EXCEPT SELECT mark FROM known)
  AND NOT EXISTS (SELECT mark FROM known EXCEPT SELECT mark FROM now))",
                     {{"is_mark", is_mark()}, {"marks", marks(target)}});
  return sql::fill(target, R"(SELECT EXISTS (
  SELECT FROM {staging} WHERE session_id = '' AND source_ip IS NULL AND asn IS NULL
  AND organization = {file}))",
                   {{"file", file_of(sessions_of(target))}});
}

std::string count_places(const Target &target, const Places &places) {
  return sql::fill(
      target, R"(SELECT count(*) FROM {queue} AS q WHERE q.place > {after} AND q.place <= {last})",
      {{"after", std::to_string(places.after)}, {"last", std::to_string(places.last)}});
}

std::string fill_batch(const Target &target, const Table &declared, const Table &observed,
                       const Places &places, TakenSnapshots taken) {
  return fill_where(
      target, declared, observed, table_of(target, places),
      sql::fill(target, R"(FROM {queue} AS q
WHERE q.place > {after} AND q.place <= {last} AND session_id = q.session)",
                {{"after", std::to_string(places.after)}, {"last", std::to_string(places.last)}}),
      taken);
}

std::string fill_sessions(const Target &target, const Table &declared, const Table &observed,
                          const std::vector<std::string> &session_ids) {
  return fill_where(target, declared, observed, sessions_of(target),
                    sql::fill(R"(WHERE {among})", {{"among", among("session_id", session_ids)}}),
                    TakenSnapshots::keep);
}

std::string read_sessions(const Target &target, const Table &declared, const Table &observed,
                          const std::vector<std::string> &session_ids) {
  const FillValues values(target, declared, observed, TakenSnapshots::keep);
  return "SELECT " + values.columns.front().second + " FROM " + sessions_of(target) + " WHERE " +
         among("session_id", session_ids);
}

std::string unfilled_keys(const Target &target, const Table &declared, const Table &observed,
                          std::optional<std::int64_t> most) {
  return sql::fill(
      target, R"(SELECT session_id FROM {sessions} WHERE {untouched} AND {differ}{limit})",
      {{"untouched", derivation::condition(declared, derivation::FillScope::untouched)},
       {"differ", FillValues(target, declared, observed, TakenSnapshots::complete).differ()},
       {"limit", most ? " LIMIT " + std::to_string(*most) : ""}});
}

std::string orphan_keys(const Target &target) {
  return sql::fill(target, R"(SELECT session_id FROM {sessions} AS s WHERE source_ip IS NOT NULL
AND NOT EXISTS (SELECT FROM {ip_inventory} AS i WHERE i.ip_address = s.source_ip))");
}

std::string read_changed_keys(const Target &target, std::int64_t limit) {
  return sql::fill(target, R"(SELECT ctid, session_id, {file} FROM {changes}
WHERE session_id IS NOT NULL LIMIT {limit})",
                   {{"file", file_of(changes_of(target))}, {"limit", std::to_string(limit)}});
}

std::string places_of_keys(const Target &target, const std::string &file) {
  return sql::fill(
      R"(SELECT place FROM unnest($1::text::tid[]) AS place WHERE {file} = {known_file})",
      {{"file", file_of(changes_of(target))}, {"known_file", quote_literal(file)}});
}

std::string count_changed_keys(const Target &target) {
  return "SELECT count(*) FROM " + changes_of(target);
}

std::string count_changed_keys_and_sessions(const Target &target) {
  return "SELECT (" + count_changed_keys(target) +
         "), sum(GREATEST(reltuples, 0))::int8 FROM pg_class WHERE relkind = 'r' AND " +
         is_in_tree("oid", "$1::text");
}

std::string places_of_keys_with_address(const Target &target) {
  return sql::fill(target, R"(SELECT c.ctid FROM {changes} AS c
WHERE NOT EXISTS (
  SELECT FROM {sessions} AS s WHERE s.session_id = c.session_id AND s.source_ip IS NULL))");
}

std::string staged_keys(const Target &target, const std::vector<std::string> &session_ids) {
  return "SELECT DISTINCT source_ip, asn FROM " + staging_of(target) + " WHERE " +
         among("session_id", session_ids);
}

std::string unstage(const Target &target, const std::vector<std::string> &session_ids) {
  return "DELETE FROM " + staging_of(target) + " WHERE " + among("session_id", session_ids);
}

std::vector<std::string> take_delta(const Target &target, const std::string &key,
                                    const std::vector<std::string> &values) {
  return {"DELETE FROM " + delta_of(target),
          "INSERT INTO " + delta_of(target) + " SELECT * FROM " + staging_of(target) + " WHERE " +
              (key == "asn" ? among_numbers(key, values) : among(key, values))};
}

// Nobody may still refer to the row, whether or not a foreign key says so by now.
std::string drop_gone(const Target &target, const std::string &table,
                      const std::vector<std::string> *values) {
  const bool addresses = table == "ip_inventory";
  const std::string among_them = !values     ? ""
                                 : addresses ? " AND " + among("t.ip_address", *values)
                                             : " AND " + among_numbers("t.asn_number", *values);
  return sql::fill(
      target, R"(DELETE FROM {inventory} AS t
WHERE enrichment_updated_at IS NULL{among}
AND NOT EXISTS (SELECT FROM {staging} AS d WHERE d.{staged} = t.{key})
AND NOT EXISTS (SELECT FROM {referrers} WHERE {reference} = t.{key}))",
      {{"inventory", qualified(target.schema, table)},
       {"among", among_them},
       {"staged", addresses ? "source_ip" : "asn"},
       {"key", addresses ? "ip_address" : "asn_number"},
       {"referrers", addresses ? sessions_of(target) : qualified(target.schema, "ip_inventory")},
       {"reference", addresses ? "source_ip" : "current_asn"}});
}

std::string drop_history(const Target &target, const std::vector<std::string> *values) {
  return "DELETE FROM " + qualified(target.schema, "ip_asn_history") +
         (values ? " WHERE " + among("ip_address", *values) : "");
}

} // namespace cowrie::online
