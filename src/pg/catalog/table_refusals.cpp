// Refusals, continued: tables that something else has a hand in, and privileges that are missing.
// Asked of the catalog, without a lock.
#include "pg/catalog/refusals.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/schema/versions.hpp"
#include "pg/boundary/spi.hpp"
#include "pg/catalog/leaves.hpp"
#include "pg/catalog/trust.hpp"

namespace cowrie::pg {
namespace {

/** Only those whose owner is trusted: a run refuses the others, whatever else they lack. */
std::vector<std::string> trusted(const ResolvedTarget &target, std::vector<std::string> names) {
  names.erase(std::remove_if(names.begin(), names.end(),
                             [&](const auto &each) { return is_foreign_table(target, each); }),
              names.end());
  return names;
}

/** The tables that a run changes, where they are there. */
std::vector<std::string> changed_tables(const ResolvedTarget &target) {
  std::vector<std::string> names = {"schema_state"};
  for (const Table &table : newest_schema().tables)
    names.push_back(table.name);
  return trusted(target, std::move(names));
}

/** The tables whose rows a run writes. */
std::vector<std::string> written_tables(const ResolvedTarget &target) {
  return target.written ? changed_tables(target) : trusted(target, {"schema_state"});
}

/** The tables that stay, whatever a run does to them. */
std::vector<std::string> kept_tables(const ResolvedTarget &target) {
  return target.written ? changed_tables(target)
                        : trusted(target, {"schema_state", sessions_table});
}

/** `c` is every one of the tables; the schema's name is the first parameter. */
std::string from_tables(const std::vector<std::string> &tables, bool with_partitions = false) {
  std::string names;
  bool sessions = false;
  for (const std::string &each : tables) {
    names += (names.empty() ? "" : ", ") + quote_literal(each);
    sessions = sessions || each == sessions_table;
  }
  const std::string below =
      with_partitions && sessions
          ? " OR c.oid IN (SELECT p.relid FROM pg_class AS s JOIN pg_namespace AS m ON m.oid ="
            " s.relnamespace CROSS JOIN LATERAL pg_partition_tree(s.oid) AS p WHERE m.nspname ="
            " $1::text AND s.relname = 'session_summaries')"
          : "";
  return " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace AND (n.nspname ="
         " $1::text AND c.relname = ANY (ARRAY[" +
         names + "])" + below + ") ";
}

// A row that a rule sends elsewhere is neither changed nor reported. Into a table that has a rule
// for inserts or updates the server accepts no ON CONFLICT, although the rule be disabled.
void refuse_rules(const ResolvedTarget &target) {
  for (const Row &row : spi_query_often(
           "SELECT * FROM (SELECT c.relname, r.rulename, r.ev_enabled = 'D' AS disabled,"
           " r.ev_type IN ('2', '3') AND c.relname <> 'session_summaries' AS in_the_way,"
           " pg_get_ruledef(r.oid)" +
               from_tables(written_tables(target)) +
               "JOIN pg_rewrite AS r ON r.ev_class = c.oid WHERE r.rulename <> '_RETURN')"
               " AS rules WHERE in_the_way OR NOT disabled ORDER BY relname, rulename LIMIT 1",
           {target.names.schema}, true)) {
    const std::string table = qualified(target.names.schema, *row[0]);
    const std::string rule = quote_identifier(*row[1]);
    throw Failure(
        sqlstate::prerequisite_state, "rule \"" + *row[1] + "\" on " + table + " intercepts writes",
        "The rule would redirect what the migration writes.",
        row[3] == "t" ? "Run DROP RULE " + rule + " ON " + table +
                            "; and create it again after the migration: " + row[4].value_or("")
                      : "Run ALTER TABLE " + table + " DISABLE RULE " + rule +
                            "; and ENABLE RULE again after the migration.");
  }
}

// ALTER TABLE goes down to the children, and a query reads their rows as the table's own.
void refuse_inheritance(const ResolvedTarget &target) {
  for (const Row &row : spi_query_often(
           "SELECT c.relname, i.inhparent::regclass, i.inhrelid::regclass, p.relkind = 'p'" +
               from_tables(kept_tables(target)) +
               "JOIN pg_inherits AS i ON c.oid IN (i.inhparent, i.inhrelid)"
               " JOIN pg_class AS p ON p.oid = i.inhparent WHERE NOT (c.relname ="
               " 'session_summaries' AND c.relkind = 'p' AND i.inhparent = c.oid) ORDER BY "
               "c.relname, i.inhrelid LIMIT 1",
           {target.names.schema}, true)) {
    const std::string table = qualified(target.names.schema, *row[0]);
    const bool partition = row[3] == "t";
    throw Failure(sqlstate::feature_not_supported, table + " takes part in inheritance",
                  "Table " + *row[2] + (partition ? " is a partition of " : " inherits from ") +
                      *row[1] + ".",
                  partition ? "Run ALTER TABLE " + *row[1] + " DETACH PARTITION " + *row[2] + ";"
                            : "Run ALTER TABLE " + *row[2] + " NO INHERIT " + *row[1] + ";");
  }
}

// The server would refuse in the middle: row_security is off, hidden rows are an error.
void refuse_row_security(const ResolvedTarget &target) {
  std::vector<std::string> names = changed_tables(target);
  if (target.names.has_raw_events)
    for (const std::string &each : trusted(target, {"raw_events"}))
      names.push_back(each);
  for (const std::string &each : names) {
    struct Security {
      bool applies, owned;
    };
    const Security security = call([&]() -> Security {
      const Oid relation = get_relname_relid(each.c_str(), target.schema);
      if (!OidIsValid(relation) ||
          check_enable_rls(relation, target.owner, /* noError: */ true) != RLS_ENABLED)
        return {false, false};
      HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
      const bool owned =
          HeapTupleIsValid(tuple) &&
          has_privs_of_role(target.owner,
                            reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner);
      if (HeapTupleIsValid(tuple))
        ReleaseSysCache(tuple);
      return {true, owned};
    });
    if (!security.applies)
      continue;
    const std::string table = qualified(target.names.schema, each);
    const std::string owner = quote_identifier(target.names.owner);
    throw Failure(sqlstate::insufficient_privilege,
                  "row security on " + table + " applies to role \"" + target.names.owner + "\"",
                  "The migration runs as that role and must see every row.",
                  security.owned ? "Run ALTER TABLE " + table +
                                       " NO FORCE ROW LEVEL SECURITY; and FORCE ROW LEVEL SECURITY "
                                       "again after the migration."
                                 : "Run ALTER TABLE " + table + " OWNER TO " + owner +
                                       "; or ALTER ROLE " + owner + " BYPASSRLS;");
  }
}

// The version is what a run writes last: what would refuse it is asked before everything else.
void refuse_unsuitable_state(const ResolvedTarget &target) {
  const std::string table = qualified(target.names.schema, "schema_state");
  const std::string alter = "Run ALTER TABLE " + table + " ";
  for (const Row &row : spi_query_often(
           "SELECT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique AND"
           " i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND"
           " i.indnkeyatts = 1 AND i.indkey[0] = (SELECT attnum FROM pg_attribute WHERE attrelid ="
           " c.oid AND attname = 'key')), (SELECT string_agg(format('DROP CONSTRAINT %I, ',"
           " conname), '') FROM pg_constraint WHERE conrelid = c.oid AND contype IN ('p', 'u') AND"
           " condeferrable), (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > "
           "0"
           " AND NOT attisdropped AND attnotnull AND NOT atthasdef AND attidentity = '' AND attname"
           " NOT IN ('key', 'value') ORDER BY attnum LIMIT 1)" +
               from_tables({"schema_state"}),
           {target.names.schema}, true)) {
    if (row[0] != "t")
      throw Failure(sqlstate::prerequisite_state,
                    table + " has no non-deferrable unique constraint on column \"key\"",
                    "The migration writes the version with INSERT ... ON CONFLICT (key).",
                    alter + row[1].value_or("") +
                        "ADD PRIMARY KEY (key); after removing duplicate keys.");
    if (row[2])
      throw Failure(sqlstate::prerequisite_state,
                    table + " has column \"" + *row[2] + "\", which is NOT NULL and has no default",
                    "The migration inserts rows with only key and value.",
                    alter + "ALTER COLUMN " + quote_identifier(*row[2]) + " DROP NOT NULL;");
  }
}

// A trigger may swallow or change the version, or raise: that would come out after everything else.
// Type bits: 4 INSERT, 8 DELETE, 16 UPDATE; one with a list of columns fires for those only.
void refuse_triggers_of_state(const ResolvedTarget &target) {
  const std::string table = qualified(target.names.schema, "schema_state");
  for (const Row &row : spi_query_often(
           "SELECT string_agg(format('trigger %I', g.tgname), E'\n' ORDER BY g.tgname),"
           " string_agg(format('DISABLE TRIGGER %I', g.tgname), ', ' ORDER BY g.tgname),"
           " string_agg(format('ENABLE TRIGGER %I', g.tgname), ', ' ORDER BY g.tgname),"
           " quote_literal(string_agg(g.tgname, ', ' ORDER BY g.tgname))" +
               from_tables({"schema_state"}) +
               "JOIN pg_trigger AS g ON g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <>"
               " 'D' AND g.tgtype & 28 <> 0 AND (g.tgtype & 12 <> 0 OR g.tgattr::text = '' OR"
               " EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = ANY"
               " (g.tgattr::int2[]) AND a.attname = 'value')) AND g.tgname <> ALL"
               " (regexp_split_to_array(trim(current_setting('cowrie_migrate.harmless_triggers')),"
               " '\\s*,\\s*')) HAVING count(*) > 0",
           {target.names.schema}, true))
    throw Failure(
        sqlstate::prerequisite_state,
        "triggers on " + table + " would fire for what the migration writes", row[0].value_or(""),
        "Run ALTER TABLE " + table + " " + row[1].value_or("") +
            "; and after the migration ALTER TABLE " + table + " " + row[2].value_or("") +
            "; or list the triggers that may fire: SET cowrie_migrate.harmless_triggers = " +
            row[3].value_or("") + ";");
}

// Such a table takes no UPDATE at all.
void refuse_missing_replica_identity(const ResolvedTarget &target) {
  for (const Row &row : spi_query_often(
           "SELECT c.relname, string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname), "
           "n.nspname" +
               from_tables(written_tables(target), /* with_partitions: */ true) +
               "JOIN pg_publication_tables AS t ON t.schemaname = n.nspname AND t.tablename ="
               " c.relname JOIN pg_publication AS p ON p.pubname = t.pubname AND p.pubupdate"
               " WHERE c.relreplident = 'n' OR c.relreplident IN ('d', 'i') AND NOT EXISTS (SELECT"
               " FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisvalid AND"
               " CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END)"
               " GROUP BY c.relname, n.nspname ORDER BY c.relname, n.nspname LIMIT 1",
           {target.names.schema}, true)) {
    const std::string table = qualified(*row[2], *row[0]);
    throw Failure(sqlstate::prerequisite_state, table + " is published without a replica identity",
                  "Publication " + *row[1] +
                      " publishes its updates, and the server rejects updates of a table without a "
                      "replica identity.",
                  "Run ALTER TABLE " + table +
                      " REPLICA IDENTITY DEFAULT; (with a primary key) or REPLICA IDENTITY FULL.");
  }
}

void refuse_missing_schema_privilege(const ResolvedTarget &target) {
  const Parameter role = std::int64_t(target.owner);
  for (const Row &row : spi_query_often( // that of the tables first
           "SELECT n.nspname FROM pg_namespace AS n WHERE (n.nspname = $2::text OR n.oid IN"
           " (SELECT c.relnamespace FROM pg_partition_tree($3::int8::oid::regclass) AS p JOIN"
           " pg_class AS c ON c.oid = p.relid)) AND NOT (has_schema_privilege($1::int8::oid, n.oid,"
           " 'CREATE') AND has_schema_privilege($1::int8::oid, n.oid, 'USAGE'))"
           " ORDER BY n.nspname <> $2::text, n.nspname LIMIT 1",
           {role, target.names.schema, std::int64_t(target.sessions)}, true))
    throw Failure(
        sqlstate::insufficient_privilege,
        "role \"" + target.names.owner + "\" cannot create tables in schema \"" + *row[0] + "\"",
        row[0] == target.names.schema
            ? "That role owns session_summaries and must own the new tables in the same schema."
            : "That role owns session_summaries, which has a partition in that schema that gets "
              "new indexes.",
        "Run GRANT USAGE, CREATE ON SCHEMA " + quote_identifier(*row[0]) + " TO " +
            quote_identifier(target.names.owner) + ";");
  for (const Row &row : spi_query_often(
           "SELECT spcname FROM pg_tablespace AS t WHERE spcname ="
           " current_setting('default_tablespace') AND NOT"
           " has_tablespace_privilege($1::int8::oid, t.oid, 'CREATE') AND t.oid <>"
           " (SELECT dattablespace FROM pg_database WHERE datname = current_database())",
           {role}, true))
    throw Failure(sqlstate::insufficient_privilege,
                  "role \"" + target.names.owner + "\" cannot create tables in tablespace \"" +
                      *row[0] + "\"",
                  "It is the value of default_tablespace.",
                  "Run GRANT CREATE ON TABLESPACE " + quote_identifier(*row[0]) + " TO " +
                      quote_identifier(target.names.owner) +
                      "; or use the default tablespace: SET default_tablespace = '';");
}

// An owner may have taken privileges on its own tables away from itself.
void refuse_missing_table_privilege(const ResolvedTarget &target) {
  for (const Row &row : spi_query_often(
           "SELECT c.relname, string_agg(w.privilege, ', ' ORDER BY w.position)" +
               from_tables(written_tables(target)) +
               "CROSS JOIN unnest(CASE c.relname WHEN 'schema_state' THEN"
               " ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] WHEN 'session_summaries' THEN"
               " ARRAY['SELECT', 'UPDATE', 'REFERENCES'] ELSE"
               " ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES'] END)"
               " WITH ORDINALITY AS w (privilege, position)"
               " WHERE NOT has_table_privilege($2::int8::oid, c.oid, w.privilege)"
               " GROUP BY c.relname ORDER BY c.relname LIMIT 1",
           {target.names.schema, std::int64_t(target.owner)}, true)) {
    const std::string table = qualified(target.names.schema, *row[0]);
    throw Failure(sqlstate::insufficient_privilege,
                  "role \"" + target.names.owner + "\" lacks privileges on " + table,
                  "The migration runs as that role and needs " + *row[1] + ".",
                  "Run GRANT " + *row[1] + " ON TABLE " + table + " TO " +
                      quote_identifier(target.names.owner) + ";");
  }
}

// What statements call is in the internal schema; what has an internal argument only aggregates
// call.
void refuse_missing_execute_privilege(const ResolvedTarget &target) {
  for (const Row &row : spi_query_often(
           "SELECT count(*), min(p.oid::regprocedure::text) FROM pg_depend AS d JOIN pg_proc"
           " AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid WHERE d.refclassid ="
           " 'pg_extension'::regclass AND d.refobjid = $1::int8::oid AND d.deptype = 'e' AND"
           " p.pronamespace = $2::int8::oid AND NOT 'internal'::regtype ="
           " ANY (p.proargtypes::oid[] || p.prorettype) AND NOT"
           " has_function_privilege($3::int8::oid, p.oid, 'EXECUTE') HAVING count(*) > 0",
           {std::int64_t(target.extension.id), std::int64_t(target.extension.internal),
            std::int64_t(target.owner)},
           true))
    throw Failure(
        sqlstate::insufficient_privilege,
        "role \"" + target.names.owner + "\" cannot execute the functions of the extension",
        "It lacks the EXECUTE privilege on " + *row[0] + " of them, such as " + *row[1] + ".",
        "Run GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA " +
            quote_identifier(target.names.extension_schema) + " TO " +
            quote_identifier(target.names.owner) + ";");
}

} // namespace

std::vector<Refusal> table_refusals() {
  return {refuse_missing_table_privilege,
          refuse_inheritance,
          refuse_unsuitable_partitions,
          refuse_rules,
          refuse_row_security,
          refuse_missing_replica_identity,
          refuse_unsuitable_state,
          refuse_types_of_state,
          refuse_constraints_of_state,
          refuse_checks_of_state,
          refuse_triggers_of_state};
}

std::vector<Refusal> privilege_refusals() {
  return {refuse_missing_schema_privilege, refuse_missing_execute_privilege};
}

void refuse_unsuitable_tables(const ResolvedTarget &target) {
  for (const Refusal refuse : table_refusals())
    refuse(target);
}

void refuse_missing_privileges(const ResolvedTarget &target) {
  for (const Refusal refuse : privilege_refusals())
    refuse(target);
}

} // namespace cowrie::pg
