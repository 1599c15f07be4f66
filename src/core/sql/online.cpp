// Online SQL: what an online migration adds to the derivation.
#include "core/sql/online.hpp"

#include "core/sql/derivation_parts.hpp"

namespace cowrie::online {
namespace {

using derivation::sessions_of;
using derivation::staging_of;

std::string changes_of(const Target &target) { return qualified(target.schema, changes_table); }
std::string queue_of(const Target &target) { return qualified(target.schema, queue_table); }
std::string delta_of(const Target &target) { return qualified(target.schema, delta_table); }

std::string text_array(const std::vector<std::string> &items) {
  std::string result = "ARRAY[";
  for (const std::string &each : items)
    result += (result.back() == '[' ? "" : ",") + quote_literal(each);
  return result + "]::text[]";
}

/** The file that a table is in, as text: another one after TRUNCATE, VACUUM FULL and the like. */
std::string file_of(const std::string &table) {
  return "pg_relation_filenode(" + quote_literal(table) + "::regclass)::text";
}

/** `"asn" = ANY (…)`: a key among these; integers are compared as such, so that an index serves. */
std::string among(const std::string &column, const std::vector<std::string> &values) {
  const bool number = column.find("asn") != std::string::npos;
  return column + " = ANY (" + text_array(values) + (number ? "::integer[])" : ")");
}

/** So many pages are in the cache together, and a batch has no more rows than that. */
constexpr int pages_per_window = 4096;

std::string in_places(const Places &places) {
  return "q.place > " + std::to_string(places.after) +
         " AND q.place <= " + std::to_string(places.last);
}

/** The columns that the derivation reads: an UPDATE of others changes nothing for it. */
constexpr const char *read_columns =
    "session_id, enrichment, first_event_at, last_event_at, created_at";

/** The value of every session column as it shall be. */
struct FillValues {
  std::vector<std::pair<std::string, std::string>> columns; ///< quoted name, expression

  FillValues(const Target &target, const Table &declared, const Table &observed,
             TakenSnapshots taken) {
    // What stands for NULL in a snapshot that is to be kept: a value, so that it is not filled.
    const auto nothing = [](const Column &column) {
      return std::string(column.type == "integer" ? "0" : "''");
    };
    const auto kept = [&](const Column &column) {
      return taken == TakenSnapshots::keep && column.name != "source_ip" &&
             column.name != "enrichment_at";
    };
    const std::string arguments =
        derivation::fill_arguments(target, declared, observed, [&](const Column &column) {
          const std::string name = quote_identifier(column.name);
          return kept(column) ? "(CASE WHEN enrichment_at IS NULL THEN " + name +
                                    " ELSE COALESCE(" + name + ", " + nothing(column) + ") END)"
                              : name;
        });
    for (const Column &column : declared.columns) {
      const std::string call = derivation::fill_call(target, column, arguments);
      columns.emplace_back(quote_identifier(column.name),
                           kept(column) ? "NULLIF(" + call + ", " + nothing(column) + ")" : call);
    }
  }

  std::string assignments() const {
    std::string result;
    for (const auto &[name, value] : columns)
      result += (result.empty() ? "" : ", ") + name + " = " + value;
    return result;
  }

  /** True where a value would change: what is complete is not written again. */
  std::string differ() const {
    std::string result;
    for (const auto &[name, value] : columns)
      result += (result.empty() ? "(" : " OR ") + value + " IS DISTINCT FROM " + name;
    return result + ")";
  }
};

std::string fill_where(const Target &target, const Table &declared, const Table &observed,
                       const std::string &condition, TakenSnapshots taken) {
  const FillValues values(target, declared, observed, taken);
  return "UPDATE " + sessions_of(target) + " SET " + values.assignments() + condition + " AND " +
         values.differ() + " RETURNING " +
         qualified(target.extension_schema, "cowrie_session_unchanged") + "(session_id::varchar, " +
         derivation::document(target) + ", " + derivation::utc(observed, "first_event_at") + ", " +
         derivation::utc(observed, "last_event_at") + ")";
}

} // namespace

std::vector<std::string> create_changes(const Target &target) {
  const std::string changes = changes_of(target);
  return {"CREATE TABLE " + changes + " (session_id varchar(64))",
          "COMMENT ON TABLE " + changes + " IS " + quote_literal(changes_comment),
          "CREATE TRIGGER " + quote_identifier(change_trigger) + " BEFORE TRUNCATE ON " + changes +
              " EXECUTE FUNCTION " + qualified(target.extension_schema, change_function) + "()"};
}

std::string create_queue(const Target &target) {
  return "CREATE TABLE " + queue_of(target) +
         " AS SELECT row_number() OVER (ORDER BY floor(at[0] / " +
         std::to_string(pages_per_window) +
         "), at[1], at[0]) AS place, session_id AS session FROM (SELECT session_id,"
         " ctid::text::point AS at FROM " +
         sessions_of(target) + " OFFSET 0) AS s";
}

std::vector<std::string> finish_queue(const Target &target) {
  const std::string queue = queue_of(target);
  return {"CREATE UNIQUE INDEX ON " + queue + " (place)",
          "COMMENT ON TABLE " + queue + " IS " + quote_literal(queue_comment)};
}

std::string count_heap_only(const Target &target) {
  return "SELECT pg_stat_get_xact_tuples_hot_updated(" + quote_literal(sessions_of(target)) +
         "::regclass)";
}

std::string count_queue(const Target &target) { return "SELECT count(*) FROM " + queue_of(target); }

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
  return "SELECT max(t.oid::int8), bool_and(t.tgenabled = 'A'), (SELECT relkind = 'r' AND"
         " obj_description(oid, 'pg_class') = " +
         quote_literal(changes_comment) + " FROM pg_class WHERE oid = to_regclass(" +
         quote_literal(changes_of(target)) +
         ")), (SELECT oid::int8 FROM pg_class WHERE oid = to_regclass(" +
         quote_literal(queue_of(target)) +
         ") AND relkind = 'r' AND obj_description(oid, 'pg_class') = " +
         quote_literal(queue_comment) +
         ") FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid JOIN pg_namespace AS n ON"
         " n.oid = p.pronamespace WHERE t.tgrelid = to_regclass(" +
         quote_literal(sessions_of(target)) + ") AND t.tgname = " + quote_literal(change_trigger) +
         " AND p.proname = " + quote_literal(change_function) +
         " AND n.nspname = " + quote_literal(target.extension_schema);
}

std::string mark_staging(const Target &target) {
  return "INSERT INTO " + staging_of(target) +
         " (session_id, has_provider_data, organization) VALUES ('', false, " +
         file_of(sessions_of(target)) + ")";
}

std::string staging_is_whole(const Target &target) {
  return "SELECT EXISTS (SELECT FROM " + staging_of(target) +
         " WHERE session_id = '' AND source_ip IS NULL AND asn IS NULL AND organization = " +
         file_of(sessions_of(target)) + ")";
}

std::string count_places(const Target &target, const Places &places) {
  return "SELECT count(*) FROM " + queue_of(target) + " AS q WHERE " + in_places(places);
}

std::string fill_batch(const Target &target, const Table &declared, const Table &observed,
                       const Places &places, TakenSnapshots taken) {
  return fill_where(target, declared, observed,
                    " FROM " + queue_of(target) + " AS q WHERE " + in_places(places) +
                        " AND session_id = q.session",
                    taken);
}

std::string fill_sessions(const Target &target, const Table &declared, const Table &observed,
                          const std::vector<std::string> &session_ids) {
  return fill_where(target, declared, observed, " WHERE " + among("session_id", session_ids),
                    TakenSnapshots::keep);
}

std::string read_sessions(const Target &target, const Table &declared, const Table &observed,
                          const std::vector<std::string> &session_ids) {
  const FillValues values(target, declared, observed, TakenSnapshots::keep);
  return "SELECT " + values.columns.front().second + " FROM " + sessions_of(target) + " WHERE " +
         among("session_id", session_ids);
}

std::string add_unfilled_keys(const Target &target, const Table &declared, const Table &observed,
                              std::optional<std::int64_t> most) {
  const FillValues values(target, declared, observed, TakenSnapshots::complete);
  return "INSERT INTO " + changes_of(target) + " SELECT session_id FROM " + sessions_of(target) +
         " WHERE " + derivation::condition(declared, derivation::FillScope::untouched) + " AND " +
         values.differ() + (most ? " LIMIT " + std::to_string(*most) : "");
}

std::string add_orphan_keys(const Target &target) {
  return "INSERT INTO " + changes_of(target) + " SELECT session_id FROM " + sessions_of(target) +
         " AS s WHERE source_ip IS NOT NULL AND NOT EXISTS (SELECT FROM " +
         qualified(target.schema, "ip_inventory") + " AS i WHERE i.ip_address = s.source_ip)";
}

std::string read_changed_keys(const Target &target, std::int64_t limit) {
  return "SELECT ctid, session_id, " + file_of(changes_of(target)) + " FROM " + changes_of(target) +
         " WHERE session_id IS NOT NULL LIMIT " + std::to_string(limit);
}

std::string remove_keys(const Target &target, const std::vector<std::string> &places,
                        const std::string &file) {
  std::string list;
  for (const std::string &each : places)
    list += (list.empty() ? "\"" : ",\"") + each + "\"";
  return "DELETE FROM " + changes_of(target) + " WHERE ctid = ANY ('{" + list + "}'::tid[]) AND " +
         file_of(changes_of(target)) + " = " + quote_literal(file);
}

std::string count_changed_keys(const Target &target) {
  return "SELECT count(*) FROM " + changes_of(target);
}

std::string remove_keys_with_address(const Target &target) {
  return "DELETE FROM " + changes_of(target) + " AS c WHERE NOT EXISTS (SELECT FROM " +
         sessions_of(target) + " AS s WHERE s.session_id = c.session_id AND s.source_ip IS NULL)";
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
  return {"DELETE FROM " + delta_of(target), "INSERT INTO " + delta_of(target) + " SELECT * FROM " +
                                                 staging_of(target) + " WHERE " +
                                                 among(key, values)};
}

std::string drop_gone(const Target &target, const std::string &table,
                      const std::vector<std::string> *values) {
  const bool addresses = table == "ip_inventory";
  const std::string key = addresses ? "ip_address" : "asn_number";
  const std::string staged = addresses ? "source_ip" : "asn";
  // Nobody may still refer to the row, whether or not a foreign key says so by now.
  const std::string referrer =
      addresses ? "FROM " + sessions_of(target) + " WHERE source_ip"
                : "FROM " + qualified(target.schema, "ip_inventory") + " WHERE current_asn";
  return "DELETE FROM " + qualified(target.schema, table) +
         " AS t WHERE enrichment_updated_at IS NULL" +
         (values ? " AND " + (addresses ? among("t." + key, *values) : "t." + among(key, *values))
                 : "") +
         " AND NOT EXISTS (SELECT FROM " + staging_of(target) + " AS d WHERE d." + staged +
         " = t." + key + ") AND NOT EXISTS (SELECT " + referrer + " = t." + key + ")";
}

std::string drop_history(const Target &target, const std::vector<std::string> *values) {
  return "DELETE FROM " + qualified(target.schema, "ip_asn_history") +
         (values ? " WHERE " + among("ip_address", *values) : "");
}

} // namespace cowrie::online
