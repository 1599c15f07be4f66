// Replication: what logical replication has to do with the rows that a run writes.
#include "core/inspect/replication.hpp"

#include "core/base/failure.hpp"
#include "core/base/text.hpp"

namespace cowrie {
namespace {

constexpr const char *documented = "section \"Logical replication\" of the recovery guide";

std::string state_of(const Database &database) {
  return qualified(database.target().schema, "schema_state");
}

bool is_true(Database &database, const std::string &sql,
             const std::vector<Parameter> &parameters = {}) {
  const std::vector<Row> found = database.query(sql, parameters);
  return !found.empty() && found.front().front() == "t";
}

} // namespace

const char *const wal_is_decoded_query = "SELECT current_setting('wal_level') = 'logical'";

online::Decoded wal_is_decoded(Database &database) {
  return is_true(database, wal_is_decoded_query) ? online::Decoded::yes : online::Decoded::no;
}

const char *const published_query =
    R"(SELECT current_setting('wal_level') = 'logical' AND c.relpersistence = 'p' AND EXISTS (
  SELECT FROM pg_publication AS p
  WHERE (p.pubinsert OR p.pubupdate OR p.pubdelete)
  AND (p.puballtables OR EXISTS (
    SELECT FROM pg_publication_namespace AS s
    WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)))
FROM pg_class AS c WHERE c.oid = to_regclass($1::text))";

bool state_is_published(Database &database) {
  return is_true(database, published_query, {state_of(database)});
}

const char *const sends_updates_query =
    R"(SELECT current_setting('wal_level') = 'logical' AND EXISTS (
  SELECT FROM pg_publication_tables AS t
  JOIN pg_publication AS p ON p.pubname = t.pubname AND p.pubupdate
  WHERE t.schemaname = $1::text AND t.tablename = 'session_summaries'
  OR EXISTS (
    SELECT FROM pg_partition_tree(to_regclass(format('%I.session_summaries', $1::text))) AS p
    JOIN pg_class AS c ON c.oid = p.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = t.schemaname AND c.relname = t.tablename)))";

bool updates_are_sent(Database &database) {
  return is_true(database, sends_updates_query, {database.target().schema});
}

const char *const published_by_name_query =
    R"(SELECT string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname),
  string_agg(format('ALTER PUBLICATION %I DROP TABLE %s;', p.pubname, $1::text), ' ' ORDER BY p.pubname),
  string_agg(format('ALTER PUBLICATION %I ADD TABLE %s%s%s;', p.pubname, $1::text,
    (SELECT ' (' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || ')' FROM pg_attribute
     WHERE attrelid = r.prrelid AND attnum = ANY (r.prattrs::int2[])),
    ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')'), ' ' ORDER BY p.pubname)
FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid
WHERE r.prrelid = to_regclass($1::text) AND (p.pubinsert OR p.pubupdate OR p.pubdelete)
AND current_setting('wal_level') = 'logical'
HAVING count(*) > 0)";

const char *const referring_keys_query =
    R"(SELECT string_agg(conrelid::regclass || '.' || quote_ident(conname), ', ' ORDER BY conname),
  string_agg(format('ALTER TABLE %s DROP CONSTRAINT %I;', conrelid::regclass, conname), ' ' ORDER BY conname),
  string_agg(format('ALTER TABLE %s ADD CONSTRAINT %I %s;', conrelid::regclass, conname,
    pg_get_constraintdef(oid)), ' ' ORDER BY conname)
FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass($1::text) AND conrelid <> confrelid
HAVING count(*) > 0)";

void refuse_published_state(Database &database) {
  const std::string table = state_of(database);
  for (const Row &row : database.query(published_by_name_query, {table}))
    throw Failure(sqlstate::prerequisite_state, table + " is published by name",
                  "Publication " + row[0].value_or("") +
                      " would send the version of this database to subscribers that have not been"
                      " migrated, or that have the same row already.",
                  "Run " + row[1].value_or("") +
                      " and, when publisher and subscribers have been"
                      " migrated, " +
                      row[2].value_or("") + " See " + documented + ".");
  if (!state_is_published(database))
    return;
  for (const Row &row : database.query(referring_keys_query, {table}))
    throw Failure(sqlstate::prerequisite_state,
                  table + " is published, and foreign keys refer to it",
                  "The migration sets it unlogged for a moment so that its changes are not sent to "
                  "subscribers, which the server does not allow because of " +
                      row[0].value_or("") + ".",
                  "Run " + row[1].value_or("") + " and, after the migration, " +
                      row[2].value_or("") + " See " + documented + ".");
}

const char *const subscribed_tables_query =
    R"(SELECT c.oid::regclass, string_agg(quote_ident(s.subname), ', ' ORDER BY s.subname)
FROM pg_subscription AS s
JOIN pg_subscription_rel AS r ON r.srsubid = s.oid
JOIN pg_class AS c ON c.oid = r.srrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text AND c.relname = ANY ($2::text::text[])
AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY c.oid ORDER BY 1)";

// With rows, they are those of the publisher, and a repair keeps them.
void refuse_subscribed_inventories(Database &database) {
  const Target &target = database.target();
  std::string tables;
  for (const Table &each : target.declared().tables)
    if (each.phase > 0)
      append(tables, each.name, ",");
  std::string empty;
  bool some_have_rows = false;
  for (const Row &row :
       database.query(subscribed_tables_query, {target.schema, "{" + tables + "}"})) {
    const std::string table = row[0].value_or("");
    if (!database.query("SELECT FROM " + table + " LIMIT 1").empty())
      some_have_rows = true;
    else
      append(empty, "subscription " + row[1].value_or("") + " writes to " + table);
  }
  const Schema &declared = target.declared();
  const Target deriving =
      target.for_version(declared.version_after(declared.last_deriving_phase()));
  if (!empty.empty())
    throw Failure(
        sqlstate::prerequisite_state, "a subscription writes to the inventories",
        "The migration fills these tables, and the publisher would send the same rows: " + empty +
            ".",
        "Drop them, which ends the replication into them: run " +
            deriving.command(deriving.function("cleanup"), some_have_rows ? "force => true" : "") +
            " and repeat the call. When the publisher has been migrated as well,"
            " subscribe to them again. See " +
            documented + ".");
}

} // namespace cowrie
