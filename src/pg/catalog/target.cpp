// Target: which schema is meant, who owns it, and how it can be read.
#include "pg/catalog/target.hpp"

#include "core/base/failure.hpp"
#include "core/schema/v16.hpp"
#include "pg/catalog/refusals.hpp"
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

/** Learns the type of the documents; refuses types whose values the migration cannot read. */
void read_column_types(ResolvedTarget &target) {
  const auto type_of = [&](const char *column) {
    return call([&]() -> Oid {
      const AttrNumber number = get_attnum(target.sessions, column);
      return number == InvalidAttrNumber ? InvalidOid : get_atttype(target.sessions, number);
    });
  };
  const auto refuse = [&](const std::string &column, const std::string &wanted) {
    const std::string table = qualified(target.names.schema, sessions_table);
    throw Failure(sqlstate::datatype_mismatch,
                  "column " + column + " of " + table + " cannot be read",
                  "It must be there as " + wanted + ", and not as a domain over it.",
                  "Look at it with \\d " + table);
  };
  const Oid key = type_of("session_id");
  if (key != VARCHAROID && key != TEXTOID)
    refuse("session_id", "character varying");
  const Oid document = type_of("enrichment");
  if (document != JSONOID && document != JSONBOID)
    refuse("enrichment", "json or jsonb");
  target.names.document_type = document == JSONOID ? "json" : "jsonb";
  for (const char *column : {"first_event_at", "last_event_at", "created_at"}) {
    const Oid type = type_of(column);
    if (type != TIMESTAMPTZOID && type != TIMESTAMPOID)
      refuse(column, "timestamp with or without time zone");
  }
}

Oid raw_events_of(const ResolvedTarget &target) {
  return call([&] { return get_relname_relid("raw_events", target.schema); });
}

} // namespace

void refuse_unreadable_raw_events(const ResolvedTarget &target) {
  if (!target.names.has_raw_events)
    return;
  const Oid events = raw_events_of(target);
  if (call([&] { return pg_class_aclcheck(events, target.owner, ACL_SELECT) != ACLCHECK_OK; }))
    throw Failure(sqlstate::insufficient_privilege,
                  "role \"" + target.names.owner + "\" may not read raw_events",
                  "Sessions whose document names no address are looked up there.",
                  "Run GRANT SELECT ON " + qualified(target.names.schema, "raw_events") + " TO " +
                      quote_identifier(target.names.owner) +
                      "; or do without: SET cowrie_migrate.use_raw_events = off;");
}

ResolvedTarget resolve_target(const std::string *schema_name, Oid function, Access access) {
  if (access == Access::change) {
    refuse_read_only(XactReadOnly);
    refuse_unsuitable_isolation(XactIsoLevel);
  }

  ResolvedTarget target;
  target.extension_schema = call([&] { return get_func_namespace(function); });
  if (schema_name) {
    target.schema = call([&] { return get_namespace_oid(schema_name->c_str(), true); });
    if (!OidIsValid(target.schema))
      throw Failure("3F000", "schema \"" + *schema_name + "\" does not exist",
                    "It was given as target_schema.",
                    "List the schemas with \\dn, or leave target_schema out to use your"
                    " search_path.");
    target.sessions = call([&] { return get_relname_relid(sessions_table, target.schema); });
  } else {
    target.sessions = find_on_search_path(target.schema);
  }
  if (!OidIsValid(target.sessions))
    throw Failure(sqlstate::undefined_table, "there is no table session_summaries",
                  schema_name ? "Schema \"" + *schema_name + "\" has none."
                              : std::string("No schema on the search_path has one."),
                  "Name the application's schema, as in SELECT * FROM"
                  " cowrie_migrate_v16(target_schema => 'public');");

  if (schema_name)
    target.names.named_schema = *schema_name;
  const RelationFacts facts = relation_facts(target.sessions);
  target.owner = facts.owner;
  struct Names {
    const char *schema, *extension_schema;
  };
  const Names names = call([&]() -> Names {
    return {get_namespace_name(target.schema), get_namespace_name(target.extension_schema)};
  });
  target.names.schema = names.schema;
  target.names.extension_schema = names.extension_schema;
  target.names.owner = name_of_role(facts.owner);

  refuse_unsupported_kind(target, facts);
  if (access == Access::change)
    refuse_without_rights(target);

  refuse_planted_table(target, "schema_state", access);
  refuse_planted_table(target, "raw_events", access);
  for (const Table &table : schema_v16().tables)
    if (table.phase > 0)
      refuse_planted_table(target, table.name, access);
  read_column_types(target);
  // Raw events count only where they are wanted.
  target.names.has_raw_events = setting_use_raw_events && OidIsValid(raw_events_of(target));
  if (access == Access::change)
    refuse_unreadable_raw_events(target);
  return target;
}

bool may_act_as_owner(const ResolvedTarget &target) {
  return call([&] { return has_privs_of_role(GetUserId(), target.owner); });
}

Oid extension_owner(const ResolvedTarget &target) {
  return call([&]() -> Oid {
    const Oid ledger = get_relname_relid("cowrie_migration_log", target.extension_schema);
    return relation_facts(ledger).owner;
  });
}

} // namespace cowrie::pg
