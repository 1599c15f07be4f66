// Refusals: callers, transactions and kinds of tables that the extension does not work with.
#include "pg/catalog/refusals.hpp"

#include "core/base/failure.hpp"
#include "core/schema/v16.hpp"

namespace cowrie::pg {
namespace {

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

/** The command that makes a table usable, where there is one. */
std::string mending(const RelationFacts &facts, const std::string &table,
                    const std::string &otherwise) {
  return facts.persistence == RELPERSISTENCE_UNLOGGED ? "Run ALTER TABLE " + table + " SET LOGGED;"
                                                      : otherwise;
}

} // namespace

RelationFacts relation_facts(Oid relation) {
  return call([&]() -> RelationFacts {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple))
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                      errmsg("table session_summaries has just been dropped")));
    const Form_pg_class row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    const RelationFacts facts{row->relkind, row->relpersistence, OidIsValid(row->reloftype),
                              row->relowner};
    ReleaseSysCache(tuple);
    return facts;
  });
}

std::string name_of_role(Oid role) {
  return call([&]() -> const char * { return GetUserNameFromId(role, false); });
}

void refuse_read_only(bool read_only) {
  if (RecoveryInProgress())
    throw Failure(sqlstate::read_only, "cannot migrate on a standby server",
                  "This server is in recovery and replays what its primary does.",
                  "Connect to the primary and run SELECT * FROM cowrie_migrate_v16();");
  if (read_only)
    throw Failure(sqlstate::read_only, "cannot migrate in a read-only transaction",
                  "transaction_read_only is on.",
                  "Run it in a transaction of its own: SET default_transaction_read_only = off;"
                  " SELECT * FROM cowrie_migrate_v16();");
}

void refuse_unsuitable_isolation(int level) {
  if (level >= XACT_REPEATABLE_READ)
    throw Failure(sqlstate::active_transaction,
                  "cannot migrate in a REPEATABLE READ or SERIALIZABLE transaction",
                  "Its snapshot may be older than what other sessions have committed, and what is"
                  " not seen would be left out.",
                  "Run it in a READ COMMITTED transaction: BEGIN ISOLATION LEVEL READ COMMITTED;"
                  " SELECT * FROM cowrie_migrate_v16(); COMMIT;");
}

void refuse_unsupported_kind(const ResolvedTarget &target, const RelationFacts &facts) {
  const std::string table = qualified(target.names.schema, sessions_table);
  if (!is_ordinary(facts))
    throw Failure(
        sqlstate::wrong_object_type, table + " is not an ordinary permanent table",
        "It is " + kind_in_words(facts) + ".",
        mending(facts, table, "Only an ordinary table can be migrated; see docs/RECOVERY.md."));
}

void refuse_without_rights(const ResolvedTarget &target) {
  if (!may_act_as_owner(target))
    throw Failure(sqlstate::insufficient_privilege,
                  "must be able to act as the owner of " +
                      qualified(target.names.schema, sessions_table),
                  "The table belongs to role \"" + target.names.owner + "\"; you are \"" +
                      name_of_role(GetUserId()) + "\".",
                  "Connect as \"" + target.names.owner + "\", or as a member of that role.");
  refuse_hidden_extension(target);
}

void refuse_hidden_extension(const ResolvedTarget &target) {
  if (call([&] { return compat::may_use_schema_unsafe(target.extension_schema, target.owner); }))
    return;
  const std::string grant = "GRANT USAGE ON SCHEMA " +
                            quote_identifier(target.names.extension_schema) + " TO " +
                            quote_identifier(target.names.owner) + ";";
  throw Failure(sqlstate::insufficient_privilege,
                "role \"" + target.names.owner + "\" may not use the extension",
                "The functions of cowrie_migrate are in schema \"" + target.names.extension_schema +
                    "\", which that role may not look into.",
                "Run " + grant);
}

void refuse_planted_table(const ResolvedTarget &target, const std::string &table, Access access) {
  const Oid relation = call([&] { return get_relname_relid(table.c_str(), target.schema); });
  if (!OidIsValid(relation))
    return;
  const RelationFacts facts = relation_facts(relation);
  const std::string name = qualified(target.names.schema, table);
  // Raw events are read and nothing else.
  const bool readable_events = table == "raw_events" && (facts.kind == RELKIND_RELATION ||
                                                         facts.kind == RELKIND_PARTITIONED_TABLE);
  // An unlogged inventory is a finding, and repair logs it.
  const bool inventory =
      schema_v16().table(table) && facts.kind == RELKIND_RELATION && !facts.typed;
  if (!is_ordinary(facts) && !readable_events && !inventory)
    throw Failure(
        sqlstate::wrong_object_type, name + " is not an ordinary table",
        "It is " + kind_in_words(facts) + ".",
        mending(facts, name, "Find out who made it with \\d+ " + name + " and rename it."));
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

} // namespace cowrie::pg
