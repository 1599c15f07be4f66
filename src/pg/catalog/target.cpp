// Target: which schema is meant, who owns it, and how it can be read.
#include "pg/catalog/target.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/schema/versions.hpp"
#include "pg/catalog/distribution.hpp"
#include "pg/catalog/leaves.hpp"
#include "pg/catalog/refusals.hpp"
#include "pg/catalog/trust.hpp"
#include "pg/catalog/typed_columns.hpp"
#include "pg/boundary/settings.hpp"

namespace cowrie::pg {
namespace {

Oid find_on_search_path(Oid &schema) {
  return call([&]() -> Oid {
    ListCell *cell;
    foreach (cell, fetch_search_path(false)) {
      const Oid candidate = lfirst_oid(cell);
      if (isAnyTempNamespace(candidate))
        continue;
      const Oid relation = get_relname_relid(sessions_table, candidate);
      if (OidIsValid(relation)) {
        schema = candidate;
        return relation;
      }
    }
    return InvalidOid;
  });
}

/** The type of a column that will be read, if it is one of these; refuses any other. */
Oid type_to_read(Oid relation, const std::string &table, const char *column,
                 std::initializer_list<Oid> types, const char *wanted, const char *otherwise = "") {
  const Oid type = call([&]() -> Oid {
    const AttrNumber number = get_attnum(relation, column);
    return number == InvalidAttrNumber ? InvalidOid : get_atttype(relation, number);
  });
  if (std::find(types.begin(), types.end(), type) == types.end())
    throw Failure(sqlstate::datatype_mismatch,
                  "column " + std::string(column) + " of " + table + " cannot be read",
                  std::string("It must exist with type ") + wanted +
                      ", not with a domain over that type.",
                  "Inspect the table with \\d " + table + otherwise);
  return type;
}

/** Learns the type of the documents; refuses types whose values the migration cannot read. */
void read_column_types(ResolvedTarget &target) {
  const std::string table = qualified(target.names.schema, sessions_table);
  const auto read = [&](const char *column, std::initializer_list<Oid> types, const char *wanted) {
    return type_to_read(target.sessions, table, column, types, wanted);
  };
  read("session_id", types::text, "character varying");
  const Oid document = read("enrichment", types::document, "json or jsonb");
  target.names.document_type = document == JSONOID ? "json" : "jsonb";
  for (const char *column : {"first_event_at", "last_event_at", "created_at"})
    read(column, types::time, "timestamp with or without time zone");
}

/** Fills in what the schema and the table say of themselves. */
void read_target(ResolvedTarget &target) {
  const RelationFacts facts = relation_facts(target.sessions);
  target.owner = facts.owner;
  struct Names {
    const char *schema, *internal;
  };
  const Names names = call([&]() -> Names {
    return {get_namespace_name(target.schema), get_namespace_name(target.extension.internal)};
  });
  target.names.schema = names.schema;
  target.names.extension_schema = names.internal;
  target.names.proves_columns = target.extension.internal != target.extension.schema;
  target.names.owner = name_of_role(facts.owner);
  target.names.partitioned = facts.kind == RELKIND_PARTITIONED_TABLE;
  refuse_unsupported_kind(target, facts);
  read_column_types(target);
  // Raw events count only where they are wanted.
  target.events = setting_use_raw_events
                      ? call([&] { return get_relname_relid("raw_events", target.schema); })
                      : InvalidOid;
  target.names.has_raw_events = OidIsValid(target.events);
}

[[noreturn]] void throw_changed(const ResolvedTarget &target) {
  const char *schema = call([&]() -> const char * { return get_namespace_name(target.schema); });
  if (schema && target.names.schema != schema)
    throw Failure(sqlstate::prerequisite_state,
                  "schema \"" + target.names.schema + "\" has been renamed during this call",
                  "Its name is now \"" + std::string(schema) + "\".",
                  "Repeat the call with target_schema => " + quote_literal(schema) + ".");
  throw Failure(
      sqlstate::prerequisite_state,
      "the tables in schema \"" + target.names.schema + "\" have been replaced during this call",
      "session_summaries or raw_events is not the table that it was when the call began, or has "
      "another owner: another session has restored it, renamed it or changed its owner.",
      "When that session has finished, repeat the call.");
}

} // namespace

std::string call_of(const Target &names, Oid function) {
  if (names.entry == Entry::online)
    return names.online_call();
  return names.command(call([&]() -> const char * { return get_func_name(function); }));
}

void refuse_unreadable_raw_events(const ResolvedTarget &target) {
  if (!target.names.has_raw_events)
    return;
  const std::string events = qualified(target.names.schema, "raw_events");
  constexpr const char *without = " or ignore raw events: SET cowrie_migrate.use_raw_events = off;";
  type_to_read(target.events, events, "payload", types::document, "json or jsonb", without);
  for (const char *column : {"id", "session_id", "event_timestamp"})
    if (call([&] { return get_attnum(target.events, column); }) == InvalidAttrNumber)
      throw Failure(sqlstate::datatype_mismatch,
                    "column " + std::string(column) + " of " + events + " does not exist",
                    "The migration needs it to find the earliest event of a session.",
                    "Inspect the table with \\d " + events + without);
  if (call([&] {
        return pg_class_aclcheck(target.events, target.owner, ACL_SELECT) != ACLCHECK_OK;
      }))
    throw Failure(sqlstate::insufficient_privilege,
                  "role \"" + target.names.owner + "\" cannot read raw_events",
                  "The migration looks up sessions there whose document has no source address.",
                  "Run GRANT SELECT ON " + qualified(target.names.schema, "raw_events") + " TO " +
                      quote_identifier(target.names.owner) + ";" + without);
}

ResolvedTarget find_target(const std::string *schema_name, Oid function, int version) {
  ResolvedTarget target;
  target.names.version = version;
  target.extension = find_extension(function);
  if (schema_name)
    target.names.named_schema = *schema_name;
  if (call([&] { return get_func_prokind(function) == PROKIND_PROCEDURE; }))
    target.names.entry = Entry::online; // the only one
  target.repeat = call_of(target.names, function);
  if (schema_name) {
    target.schema = call([&] { return get_namespace_oid(schema_name->c_str(), true); });
    if (!OidIsValid(target.schema))
      throw Failure("3F000", "schema \"" + *schema_name + "\" does not exist",
                    "It was specified as target_schema.",
                    "List the schemas with \\dn, or omit target_schema to use your search_path.");
    target.sessions = call([&] { return get_relname_relid(sessions_table, target.schema); });
  } else {
    target.sessions = find_on_search_path(target.schema);
  }
  if (!OidIsValid(target.sessions))
    throw Failure(sqlstate::undefined_table, "table session_summaries does not exist",
                  schema_name ? "Schema \"" + *schema_name + "\" has no such table."
                              : std::string("No schema on the search_path has such a table."),
                  "Specify the application's schema, as in " +
                      target.names.with_schema("public").migration());
  read_target(target);
  return target;
}

void inspect_target(const ResolvedTarget &target, Access access) {
  if (access == Access::change)
    refuse_without_rights(target);
  else
    refuse_unreadable_tables(target);
  refuse_hidden_extension(target);
  refuse_distributed_tables(target);
  for (const std::string &table : tables_of_the_schema())
    refuse_untrusted_table(target, table);
  refuse_unreadable_raw_events(target);
}

void refuse_changed_sessions(const ResolvedTarget &target) {
  const bool same = call([&] {
    const char *schema = get_namespace_name(target.schema);
    HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(target.sessions));
    const bool result = schema && HeapTupleIsValid(row) && target.names.schema == schema &&
                        reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relowner == target.owner &&
                        get_relname_relid(sessions_table, target.schema) == target.sessions;
    if (HeapTupleIsValid(row))
      ReleaseSysCache(row);
    return result;
  });
  if (!same)
    throw_changed(target);
}

void refuse_changed_target(const ResolvedTarget &target, Access access) {
  refuse_changed_sessions(target);
  ResolvedTarget now = target;
  read_target(now);
  if (now.events != target.events || now.names.document_type != target.names.document_type)
    throw_changed(target);
  inspect_target(now, access);
}

bool may_act_as_owner(const ResolvedTarget &target) {
  return call([&] { return has_privs_of_role(GetUserId(), target.owner); });
}

} // namespace cowrie::pg
