// Target: which schema is meant, who owns it, and whether it can be worked on at all.
#include "pg/target.hpp"

#include "core/failure.hpp"

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

} // namespace

ResolvedTarget resolve_target(const std::string *schema_name, Oid function, Access access) {
  if (access == Access::change)
    refuse_read_only();

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

  target.names.has_raw_events =
      OidIsValid(call([&] { return get_relname_relid("raw_events", target.schema); }));
  return target;
}

Oid extension_owner(const ResolvedTarget &target) {
  return call([&]() -> Oid {
    const Oid ledger = get_relname_relid("cowrie_migration_log", target.extension_schema);
    return relation_facts(ledger).owner;
  });
}

} // namespace cowrie::pg
