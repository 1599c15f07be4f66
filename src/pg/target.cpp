// Target: which schema is meant, who owns it, and whether it can be worked on at all.
#include "pg/target.hpp"

#include "core/failure.hpp"
#include "pg/settings.hpp"

namespace cowrie::pg {
namespace {

constexpr const char *sessions_name = "session_summaries";

std::string name_of_role(Oid role) {
  return call([&]() -> const char * { return GetUserNameFromId(role, false); });
}

Oid find_on_search_path(Oid &schema) {
  return call([&]() -> Oid {
    ListCell *cell;
    foreach (cell, fetch_search_path(false)) {
      const Oid candidate = lfirst_oid(cell);
      if (isAnyTempNamespace(candidate))
        continue;
      const Oid relation = get_relname_relid(sessions_name, candidate);
      if (OidIsValid(relation)) {
        schema = candidate;
        return relation;
      }
    }
    return InvalidOid;
  });
}

struct RelationFacts {
  char kind;
  char persistence;
  Oid owner;
};

// From the catalog cache, without a lock: while another run holds the table this must not wait,
// that run is what the caller is to be told of.
RelationFacts relation_facts(Oid relation) {
  return call([&]() -> RelationFacts {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple))
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                      errmsg("table session_summaries has just been dropped")));
    const Form_pg_class row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    const RelationFacts facts{row->relkind, row->relpersistence, row->relowner};
    ReleaseSysCache(tuple);
    return facts;
  });
}

std::string kind_in_words(const RelationFacts &facts) {
  if (facts.persistence == RELPERSISTENCE_UNLOGGED)
    return "an unlogged table";
  switch (facts.kind) {
  case RELKIND_PARTITIONED_TABLE:
    return "a partitioned table";
  case RELKIND_VIEW:
    return "a view";
  case RELKIND_MATVIEW:
    return "a materialized view";
  case RELKIND_FOREIGN_TABLE:
    return "a foreign table";
  default:
    return "not a table";
  }
}

void refuse_without_rights(const ResolvedTarget &target, const RelationFacts &facts) {
  const std::string qualified_name = qualified(target.names.schema, sessions_name);
  if (!call([&] { return has_privs_of_role(GetUserId(), facts.owner); }))
    throw Failure(sqlstate::insufficient_privilege,
                  "must be able to act as the owner of " + qualified_name,
                  "The table belongs to role \"" + target.names.owner + "\"; you are \"" +
                      name_of_role(GetUserId()) + "\".",
                  "Connect as \"" + target.names.owner + "\", or as a member of that role.");
  if (!call([&] { return compat::may_use_schema_unsafe(target.extension_schema, facts.owner); })) {
    const std::string grant = "GRANT USAGE ON SCHEMA " +
                              quote_identifier(target.names.extension_schema) + " TO " +
                              quote_identifier(target.names.owner) + ";";
    throw Failure(sqlstate::insufficient_privilege,
                  "role \"" + target.names.owner + "\" may not use the extension",
                  "The functions of cowrie_migrate are in schema \"" +
                      target.names.extension_schema + "\", which that role may not look into.",
                  "Run " + grant);
  }
}

void refuse_read_only() {
  if (RecoveryInProgress())
    throw Failure(sqlstate::read_only, "cannot migrate on a standby server",
                  "This server is in recovery and replays what its primary does.",
                  "Connect to the primary and run SELECT * FROM cowrie_migrate_v16();");
  if (XactReadOnly)
    throw Failure(sqlstate::read_only, "cannot migrate in a read-only transaction",
                  "transaction_read_only is on.",
                  "Run it in a transaction of its own: SET default_transaction_read_only = off;"
                  " SELECT * FROM cowrie_migrate_v16();");
}

void refuse_unsuitable_isolation() {
  if (IsolationUsesXactSnapshot())
    throw Failure(sqlstate::active_transaction,
                  "cannot migrate in a REPEATABLE READ or SERIALIZABLE transaction",
                  "Its snapshot may be older than what other sessions have committed, and what is"
                  " not seen would be left out.",
                  "Run it in a READ COMMITTED transaction: BEGIN ISOLATION LEVEL READ COMMITTED;"
                  " SELECT * FROM cowrie_migrate_v16(); COMMIT;");
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
    const std::string table = qualified(target.names.schema, sessions_name);
    throw Failure(sqlstate::datatype_mismatch,
                  "column " + column + " of " + table + " cannot be read",
                  "It must be there as " + wanted + ", and not as a domain over it.",
                  "Look at it with \\d " + table);
  };
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

/** Raw events count only where they are wanted; a change must be able to read them. */
void inspect_raw_events_table(ResolvedTarget &target, Access access) {
  const Oid events = setting_use_raw_events
                         ? call([&] { return get_relname_relid("raw_events", target.schema); })
                         : InvalidOid;
  target.names.has_raw_events = OidIsValid(events);
  if (!target.names.has_raw_events || access == Access::read)
    return;
  const Oid reader = target.owner;
  if (call([&] { return pg_class_aclcheck(events, reader, ACL_SELECT) != ACLCHECK_OK; }))
    throw Failure(sqlstate::insufficient_privilege,
                  "role \"" + target.names.owner + "\" may not read raw_events",
                  "Sessions whose document names no address are looked up there.",
                  "Run GRANT SELECT ON " + qualified(target.names.schema, "raw_events") + " TO " +
                      quote_identifier(target.names.owner) +
                      "; or do without: SET cowrie_migrate.use_raw_events = off;");
}

} // namespace

void refuse_planted_table(const ResolvedTarget &target, const std::string &table, Access access) {
  const Oid relation = call([&] { return get_relname_relid(table.c_str(), target.schema); });
  if (!OidIsValid(relation))
    return;
  const RelationFacts facts = relation_facts(relation);
  const std::string name = qualified(target.names.schema, table);
  const bool partitioned_events = table == "raw_events" && facts.kind == RELKIND_PARTITIONED_TABLE;
  if (facts.kind != RELKIND_RELATION && !partitioned_events)
    throw Failure(sqlstate::wrong_object_type, name + " is not an ordinary table",
                  "It is " + kind_in_words(facts) + ".",
                  "Find out who made it with \\d+ " + name + " and rename it.");
  if (access == Access::change && !call([&] {
        return superuser_arg(facts.owner) || has_privs_of_role(target.owner, facts.owner);
      }))
    throw Failure(sqlstate::insufficient_privilege,
                  name + " does not belong to the owner of session_summaries",
                  "It belongs to role \"" + name_of_role(facts.owner) +
                      "\", session_summaries to \"" + target.names.owner +
                      "\". Its triggers and defaults would run as \"" + target.names.owner + "\".",
                  "If the table is the application's, run ALTER TABLE " + name + " OWNER TO " +
                      quote_identifier(target.names.owner) + "; else rename it.");
}

ResolvedTarget resolve_target(const std::string *schema_name, Oid function, Access access) {
  if (access == Access::change) {
    refuse_read_only();
    refuse_unsuitable_isolation();
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
    target.sessions = call([&] { return get_relname_relid(sessions_name, target.schema); });
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

  if (facts.kind != RELKIND_RELATION || facts.persistence != RELPERSISTENCE_PERMANENT)
    throw Failure(sqlstate::wrong_object_type,
                  qualified(target.names.schema, sessions_name) +
                      " is not an ordinary permanent table",
                  "It is " + kind_in_words(facts) + ".",
                  "Only an ordinary table can be migrated; see docs/RECOVERY.md.");
  if (access == Access::change)
    refuse_without_rights(target, facts);

  refuse_planted_table(target, "schema_state", access);
  refuse_planted_table(target, "raw_events", access);
  for (const Table &table : schema_v16().tables)
    if (table.phase > 0)
      refuse_planted_table(target, table.name, access);
  read_column_types(target);
  inspect_raw_events_table(target, access);
  return target;
}

Oid extension_owner(const ResolvedTarget &target) {
  return call([&]() -> Oid {
    const Oid ledger = get_relname_relid("cowrie_migration_log", target.extension_schema);
    return relation_facts(ledger).owner;
  });
}

} // namespace cowrie::pg
