// Refusals: callers, transactions and kinds of tables that the extension does not work with.
#include "pg/catalog/refusals.hpp"

#include "core/base/failure.hpp"
#include "pg/catalog/leaves.hpp"
#include "pg/catalog/trust.hpp"
#include "core/schema/versions.hpp"

namespace cowrie::pg {
namespace {

/** The command that makes a table usable, where there is one. */
std::string remedy(const RelationFacts &facts, const std::string &table,
                   const std::string &otherwise) {
  return facts.persistence == RELPERSISTENCE_UNLOGGED ? "Run ALTER TABLE " + table + " SET LOGGED;"
                                                      : otherwise;
}

} // namespace

std::string kind_in_words(const RelationFacts &facts) {
  if (facts.persistence == RELPERSISTENCE_UNLOGGED)
    return "an unlogged table";
  if (facts.typed)
    return "a typed table";
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

bool is_ordinary(const RelationFacts &facts) {
  return facts.kind == RELKIND_RELATION && facts.persistence == RELPERSISTENCE_PERMANENT &&
         !facts.typed;
}

RelationFacts relation_facts(Oid relation) {
  return call([&]() -> RelationFacts {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple))
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                      errmsg("a table of the migration was dropped concurrently"),
                      errhint("Check which tables exist with \\d, then repeat the call.")));
    const Form_pg_class row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    const RelationFacts facts{row->relkind, row->relpersistence, OidIsValid(row->reloftype),
                              row->relowner};
    ReleaseSysCache(tuple);
    return facts;
  });
}

std::string name_of_relation(Oid relation) {
  struct Name {
    const char *schema, *name;
  };
  const Name name = call([&]() -> Name {
    const char *found = get_rel_name(relation);
    const char *schema = get_namespace_name(get_rel_namespace(relation));
    return {schema ? schema : "?", found ? found : "?"};
  });
  return qualified(name.schema, name.name);
}

std::string name_of_role(Oid role) {
  return call([&]() -> const char * { return GetUserNameFromId(role, false); });
}

void refuse_read_only(const ResolvedTarget &target, bool read_only) {
  if (RecoveryInProgress())
    throw Failure(sqlstate::read_only, "cannot migrate on a standby server",
                  "This server is in recovery and replays the changes of its primary.",
                  "Connect to the primary and run " + target.repeat);
  if (read_only)
    throw Failure(sqlstate::read_only, "cannot migrate in a read-only transaction",
                  "transaction_read_only is on.",
                  "Run it in a transaction of its own: SET default_transaction_read_only = off; " +
                      target.repeat);
}

void refuse_unsuitable_isolation(const ResolvedTarget &target, int level) {
  if (level >= XACT_REPEATABLE_READ)
    throw Failure(sqlstate::active_transaction,
                  "cannot migrate in a REPEATABLE READ or SERIALIZABLE transaction",
                  "Its snapshot may be older than rows that other sessions have committed, and the "
                  "migration would miss them.",
                  "Run it in a READ COMMITTED transaction: BEGIN ISOLATION LEVEL READ COMMITTED; " +
                      target.repeat + " COMMIT;");
}

void refuse_unsupported_kind(const ResolvedTarget &target, const RelationFacts &facts) {
  const std::string table = qualified(target.names.schema, sessions_table);
  const bool partitioned = facts.kind == RELKIND_PARTITIONED_TABLE &&
                           facts.persistence == RELPERSISTENCE_PERMANENT && !facts.typed;
  if (partitioned)
    refuse_unsupported_partitions(target);
  else if (!is_ordinary(facts))
    throw Failure(
        sqlstate::wrong_object_type, table + " is not an ordinary permanent table",
        "It is " + kind_in_words(facts) + ".",
        remedy(facts, table,
               "Only an ordinary permanent table can be migrated. Inspect it with \\d+ " + table));
}

void refuse_without_rights(const ResolvedTarget &target) {
  if (!may_act_as_owner(target))
    throw Failure(sqlstate::insufficient_privilege,
                  "must be owner of " + qualified(target.names.schema, sessions_table),
                  "The table belongs to role \"" + target.names.owner + "\"; you are \"" +
                      name_of_role(GetUserId()) + "\".",
                  "Connect as \"" + target.names.owner + "\", or as a member of that role.");
}

void refuse_hidden_extension(const ResolvedTarget &target) {
  if (call([&] { return compat::may_use_schema_unsafe(target.extension.internal, target.owner); }))
    return;
  const std::string grant = "GRANT USAGE ON SCHEMA " +
                            quote_identifier(target.names.extension_schema) + " TO " +
                            quote_identifier(target.names.owner) + ";";
  throw Failure(sqlstate::insufficient_privilege,
                "role \"" + target.names.owner + "\" cannot use the extension",
                "The functions of cowrie_migrate are in schema \"" + target.names.extension_schema +
                    "\", on which that role lacks the USAGE privilege.",
                "Run " + grant);
}

void refuse_unreadable_tables(const ResolvedTarget &target) {
  if (may_act_as_owner(target))
    return;
  struct Hidden {
    bool denied, by_policy;
  };
  const std::string caller = name_of_role(call([] { return GetUserId(); }));
  if (!call([&] { return compat::may_use_schema_unsafe(target.schema, GetUserId()); }))
    throw Failure(sqlstate::insufficient_privilege,
                  "role \"" + caller + "\" cannot use schema \"" + target.names.schema + "\"",
                  "The result is read from tables in that schema.",
                  "Run GRANT USAGE ON SCHEMA " + quote_identifier(target.names.schema) + " TO " +
                      quote_identifier(caller) + ";");
  for (const std::string &each : tables_of_the_schema()) {
    const Hidden hidden = call([&]() -> Hidden {
      const Oid relation = get_relname_relid(each.c_str(), target.schema);
      if (!OidIsValid(relation) || (each == "raw_events" && relation != target.events))
        return {false, false};
      return {pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) != ACLCHECK_OK,
              check_enable_rls(relation, GetUserId(), true) == RLS_ENABLED};
    });
    const std::string table = qualified(target.names.schema, each);
    if (hidden.denied)
      throw Failure(sqlstate::insufficient_privilege,
                    "role \"" + caller + "\" cannot read " + table,
                    "The result is read from that table.",
                    "Run GRANT SELECT ON " + table + " TO " + quote_identifier(caller) + ";" +
                        (each == "raw_events"
                             ? " or ignore raw events: SET cowrie_migrate.use_raw_events = off;"
                             : ""));
    if (hidden.by_policy)
      throw Failure(sqlstate::insufficient_privilege,
                    "row security on " + table + " applies to role \"" + caller + "\"",
                    "The result must include every row.",
                    "Call it as the owner of the table, or run ALTER ROLE " +
                        quote_identifier(caller) + " BYPASSRLS;");
  }
}

} // namespace cowrie::pg
