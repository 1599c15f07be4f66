// Trust: which tables beside session_summaries may be read or written on behalf of their owner.
#include "pg/catalog/trust.hpp"

#include <set>

#include "core/base/failure.hpp"
#include "core/schema/v15.hpp"
#include "core/schema/versions.hpp"
#include "pg/catalog/refusals.hpp"
#include "pg/catalog/typed_columns.hpp"

namespace cowrie::pg {
namespace {

/** The columns of a table that statements name: those declared, and those that repair renames. */
std::set<std::string> named_columns(const std::string &table) {
  std::set<std::string> names;
  for (const Schema &schema : {schema_v15(), newest_schema()})
    if (const Table *declared = schema.table(table)) {
      for (const Column &each : declared->columns) {
        names.insert(each.name);
        names.insert(each.former_names.begin(), each.former_names.end());
      }
      names.insert(declared->retired_columns.begin(), declared->retired_columns.end());
    }
  return names;
}

/** The first owner of a type, or of what it is made of, that is not trusted; InvalidOid: none. */
Oid untrusted_owner_of_type_unsafe(Oid sessions_owner, Oid type) {
  while (OidIsValid(type)) {
    HeapTuple row = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
    if (!HeapTupleIsValid(row))
      return InvalidOid; // gone meanwhile: the statement that names it says so
    const Form_pg_type form = reinterpret_cast<Form_pg_type>(GETSTRUCT(row));
    const Oid owner = form->typowner;
    type = form->typtype == TYPTYPE_DOMAIN ? form->typbasetype : form->typelem;
    ReleaseSysCache(row);
    if (!is_trusted_role_unsafe(sessions_owner, owner))
      return owner;
  }
  return InvalidOid;
}

struct ForeignType {
  Oid owner, type;
};

ForeignType foreign_type(const ResolvedTarget &target, Oid relation, const std::string &column) {
  return call([&]() -> ForeignType {
    const AttrNumber number = get_attnum(relation, column.c_str());
    if (number == InvalidAttrNumber)
      return {};
    const Oid type = get_atttype(relation, number);
    return {untrusted_owner_of_type_unsafe(target.owner, type), type};
  });
}

void refuse_foreign_types(const ResolvedTarget &target, Oid relation, const std::string &table) {
  for (const std::string &column : named_columns(table)) {
    const ForeignType found = foreign_type(target, relation, column);
    if (!OidIsValid(found.owner))
      continue;
    const std::string type = call([&]() -> const char * {
      return format_type_extended(found.type, -1, FORMAT_TYPE_FORCE_QUALIFY);
    });
    const std::string name = qualified(target.names.schema, table);
    throw Failure(sqlstate::insufficient_privilege,
                  "the type of column " + column + " of " + name +
                      " does not belong to the owner of session_summaries",
                  "Type " + type + " belongs to role \"" + name_of_role(found.owner) +
                      "\". Its casts and operators would run as \"" + target.names.owner + "\".",
                  "If the type is the application's, run ALTER TYPE " + type + " OWNER TO " +
                      quote_identifier(target.names.owner) +
                      "; otherwise change its type with ALTER TABLE " + name + " ALTER COLUMN " +
                      quote_identifier(column) + " TYPE text;");
  }
}

/** The relation itself or one below it whose owner is not trusted, or whom the owner of the
 * sessions, where it `alters` them, may not act as; InvalidOid: there is none. */
Oid untrusted_relation_unsafe(Oid sessions_owner, Oid relation, bool alters) {
  const bool is_altered = alters && get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE;
  ListCell *cell;
  List *all = find_all_inheritors(relation, NoLock, nullptr);
  foreach (cell, all) {
    HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(row))
      continue;
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relowner;
    ReleaseSysCache(row);
    if (!is_trusted_role_unsafe(sessions_owner, owner) ||
        (is_altered && !has_privs_of_role(sessions_owner, owner)))
      return lfirst_oid(cell);
  }
  return InvalidOid;
}

bool is_usable_kind(const RelationFacts &facts, const std::string &table) {
  if (is_ordinary(facts))
    return true;
  if (table == sessions_table) // its kind has been asked before
    return facts.kind == RELKIND_PARTITIONED_TABLE;
  // Raw events are read and nothing else.
  if (table == events_table)
    return facts.kind == RELKIND_RELATION || facts.kind == RELKIND_PARTITIONED_TABLE;
  // An unlogged inventory is a finding, and repair logs it.
  return newest_schema().table(table) && facts.kind == RELKIND_RELATION && !facts.typed;
}

/** Tells whether a role is a member of another, by memberships that count: those that a superuser
 * or the member itself has granted. Who creates a role can make others its members without asking
 * them, up to PostgreSQL 15 so can the role itself, and nobody shall trust it for that. */
bool was_made_member_unsafe(Oid member, Oid role) {
  List *known = list_make1_oid(member);
  ListCell *cell;
  foreach (cell, known) { // it grows meanwhile
    CatCList *rows = SearchSysCacheList1(AUTHMEMMEMROLE, ObjectIdGetDatum(lfirst_oid(cell)));
    for (int i = 0; i < rows->n_members; ++i) {
      const auto *row = reinterpret_cast<Form_pg_auth_members>(GETSTRUCT(&rows->members[i]->tuple));
      if (row->grantor == member || superuser_arg(row->grantor))
        known = list_append_unique_oid(known, row->roleid);
    }
    ReleaseSysCacheList(rows);
  }
  return list_member_oid(known, role);
}

} // namespace

bool is_trusted_role_unsafe(Oid sessions_owner, Oid other) {
  return other == sessions_owner || superuser_arg(other) ||
         was_made_member_unsafe(sessions_owner, other);
}

bool events_are_trusted_unsafe(Oid sessions_owner, Oid events) {
  const char kind = get_rel_relkind(events);
  return (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) &&
         !OidIsValid(untrusted_relation_unsafe(sessions_owner, events, /* alters: */ false));
}

void refuse_untrusted_table(const ResolvedTarget &target, const std::string &table) {
  const Oid relation = call([&] { return get_relname_relid(table.c_str(), target.schema); });
  if (!OidIsValid(relation))
    return;
  const RelationFacts facts = relation_facts(relation);
  const std::string name = qualified(target.names.schema, table);
  if (!is_usable_kind(facts, table))
    throw Failure(sqlstate::wrong_object_type, name + " is not an ordinary table",
                  "It is " + kind_in_words(facts) + ".",
                  facts.persistence == RELPERSISTENCE_UNLOGGED
                      ? "Run ALTER TABLE " + name + " SET LOGGED;"
                      : "Find out what uses it with \\d+ " + name + " and rename it.");
  const Oid untrusted = call(
      [&] { return untrusted_relation_unsafe(target.owner, relation, table == sessions_table); });
  if (OidIsValid(untrusted)) {
    const std::string named = untrusted == relation ? name : name_of_relation(untrusted);
    throw Failure(sqlstate::insufficient_privilege,
                  named + " does not belong to the owner of session_summaries",
                  "It belongs to role \"" + name_of_role(relation_facts(untrusted).owner) +
                      "\", session_summaries to \"" + target.names.owner +
                      "\". Its triggers, defaults and index expressions would run as \"" +
                      target.names.owner + "\".",
                  "If the table is the application's, run ALTER TABLE " + named + " OWNER TO " +
                      quote_identifier(target.names.owner) + "; otherwise rename it.");
  }
  refuse_foreign_types(target, relation, table);
}

bool is_foreign_table(const ResolvedTarget &target, const std::string &table) {
  return call([&] {
    const Oid relation = get_relname_relid(table.c_str(), target.schema);
    return OidIsValid(relation) &&
           OidIsValid(untrusted_relation_unsafe(target.owner, relation, table == sessions_table));
  });
}

std::vector<std::string> tables_of_the_schema() {
  std::vector<std::string> names;
  for (const Table &table : newest_schema().tables) // session_summaries first
    names.push_back(table.name);
  names.insert(names.end(), {"schema_state", events_table});
  return names;
}

} // namespace cowrie::pg
