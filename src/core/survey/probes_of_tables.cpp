// Probes of tables: triggers, views, row security and publications on them.
#include "core/survey/probes_of_tables.hpp"

#include "core/schema/schema.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/online.hpp"
#include "core/sql/run_objects.hpp"

namespace cowrie::probes {
namespace {

Probe wraparounds() {
  const auto limit = [](const char *setting, const char *option) {
    return "LEAST(current_setting('" + std::string(setting) +
           "')::int8, (SELECT o.option_value::int8 FROM pg_options_to_table(t.reloptions) AS o"
           " WHERE o.option_name = '" +
           option + "'))";
  };
  return {
      hazards::wraparound,
      tables() + ", " + partitions() +
          "SELECT 'warning', format('%s has an age of %s transactions and %s multixacts; from"
          " %s and %s on an autovacuum freezes it, which does not yield to the migration',"
          " a.name, a.age, a.mxid_age, a.age_limit, a.mxid_limit),"
          " format('VACUUM (FREEZE) %s;', a.name) FROM (SELECT t.name,"
          " GREATEST(age(t.relfrozenxid), age(NULLIF(x.relfrozenxid, '0'))) AS age,"
          " GREATEST(mxid_age(t.relminmxid), mxid_age(NULLIF(x.relminmxid, '0'))) AS mxid_age, " +
          limit("autovacuum_freeze_max_age", "autovacuum_freeze_max_age") + " AS age_limit, " +
          limit("autovacuum_multixact_freeze_max_age", "autovacuum_multixact_freeze_max_age") +
          " AS mxid_limit FROM (SELECT id, relname, name, relkind, reloptions, relfrozenxid,"
          " relminmxid, reltoastrelid FROM tables UNION ALL SELECT id, relname, name, relkind,"
          " reloptions, relfrozenxid, relminmxid, reltoastrelid FROM partitions) AS t LEFT JOIN "
          "pg_class AS x ON x.oid = t.reltoastrelid"
          " WHERE t.relkind = 'r') AS a WHERE a.age > 0.9 * a.age_limit OR a.mxid_age > 0.9 *"
          " a.mxid_limit ORDER BY a.name"};
}

Probe triggers() {
  return {hazards::trigger,
          tables() +
              "SELECT 'warning', format('trigger %I on %s calls %s: ' || CASE t.relname WHEN"
              " 'session_summaries' THEN 'the rewrite fires no triggers, batches of an online "
              "migration fire those for updates' ELSE 'it may change or suppress what the "
              "migration writes' END, "
              "g.tgname,"
              " t.name, g.tgfoid::regproc),"
              " format('ALTER TABLE %s DISABLE TRIGGER %I;  -- and ENABLE it afterwards', t.name,"
              " g.tgname) FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.id WHERE NOT"
              " g.tgisinternal AND g.tgenabled <> 'D' AND t.relname NOT IN ('raw_events', "
              "'schema_state') AND NOT " +
              run_objects::is_own_trigger("g") + " ORDER BY t.name, g.tgname"};
}

// What an online migration has left, or works with, is told of by one row: it is to be left alone.
Probe unfinished_migration(const Target &target) {
  return {hazards::unfinished,
          sql::fill(R"({tables}, {run_processes}, own AS (
  SELECT format('trigger %I on %s', g.tgname, t.name) AS what
  FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.id WHERE {is_own_trigger}
  UNION ALL
  SELECT format('table %I.%I', n.nspname, c.relname)
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = $1::text AND c.relkind = 'r' AND c.relname = ANY ({work_tables})
  AND (c.relpersistence = 'u'
    OR obj_description(c.oid, 'pg_class') IN ({changes_comment}, {queue_comment}))
)
SELECT 'info', format(CASE WHEN running.now THEN '%s: these belong to the running migration; do not'
    ' change them' ELSE '%s: these belong to an unfinished migration; do not change them' END,
    string_agg(own.what, ', ' ORDER BY own.what)),
  CASE WHEN NOT running.now THEN {call} END
FROM own CROSS JOIN (SELECT EXISTS (SELECT FROM run_processes) AS now) AS running
GROUP BY running.now HAVING bool_or(own.what LIKE 'trigger %'))",
                    {{"tables", tables()},
                     {"run_processes", run_objects::processes()},
                     {"call", quote_literal(target.online_call())},
                     {"is_own_trigger", run_objects::is_own_trigger("g")},
                     {"work_tables", run_objects::work_tables()},
                     {"changes_comment", quote_literal(online::changes_comment)},
                     {"queue_comment", quote_literal(online::queue_comment)}})};
}

// The server calls such a function with the search_path of the migration. That it finds its names
// there cannot be tried without a command that it fires for.
Probe event_triggers() {
  return {hazards::event_trigger, R"(SELECT 'warning',
  format('event trigger %I calls %s at %s: it may reject or change what the migration does', e.evtname,
    e.evtfoid::regproc, e.evtevent)
  || CASE WHEN s.unsettled THEN ', and resolves unqualified names in pg_catalog only' ELSE '' END,
  format('ALTER EVENT TRIGGER %I DISABLE;  -- and ENABLE it afterwards', e.evtname)
  || CASE WHEN s.unsettled THEN format('; or set its search_path: ALTER FUNCTION %s SET search_path = %I, pg_temp;',
    e.evtfoid::regprocedure, n.nspname) ELSE '' END
FROM pg_event_trigger AS e
JOIN pg_proc AS p ON p.oid = e.evtfoid
JOIN pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_language AS l ON l.oid = p.prolang
CROSS JOIN LATERAL (SELECT l.lanname NOT IN ('internal', 'c') AND NOT EXISTS (
  SELECT FROM unnest(p.proconfig) AS c WHERE starts_with(c, 'search_path=')) AS unsettled) AS s
WHERE e.evtenabled <> 'D' AND NOT EXISTS (
  SELECT FROM pg_depend AS d
  WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')
ORDER BY e.evtname)"};
}

// If row security hides rows from the owner, the migration is refused. Otherwise this warns: the
// new inventories get the grants of session_summaries, but no policies.
Probe row_securities() {
  std::string enable;
  for (const std::string &each : inventories())
    enable += (enable.empty() ? "format('" : " || format(' ") +
              ("ALTER TABLE %I." + each + " ENABLE ROW LEVEL SECURITY;', $1::text)");
  return {hazards::row_security,
          tables() +
              "SELECT 'warning', format('%s has row-level security: the inventories will have its"
              " grants, but no policies, and show all sessions', t.name), " +
              enable +
              " || '  -- after the migration, with policies' FROM tables AS t"
              " WHERE t.relname = 'session_summaries' AND t.relrowsecurity AND (SELECT count(*)"
              " FROM tables AS i WHERE i.relname = ANY (" +
              text_array(inventories()) + ") AND i.relrowsecurity) < " +
              std::to_string(inventories().size())};
}

// None stands in the way of a migration: its columns are new. One that uses a column of version 16
// stops a repair that must convert it, and a cleanup; both name it then.
Probe views() {
  return {
      hazards::view,
      tables() +
          "SELECT DISTINCT 'info', format('view %s reads %s: it stays as it is, and shows no new"
          " column', r.ev_class::regclass, t.name), format('SELECT pg_get_viewdef(%L::regclass);"
          "  -- %s it with them after the migration', r.ev_class::regclass, CASE w.relkind WHEN 'v'"
          " THEN 'CREATE OR REPLACE' ELSE 'DROP and CREATE' END) FROM tables AS t JOIN"
          " pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.id AND"
          " d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite AS r ON r.oid = d.objid JOIN"
          " pg_class AS w ON w.oid = r.ev_class AND w.relkind IN ('v', 'm') WHERE t.relname NOT"
          " IN ('raw_events', 'schema_state') ORDER BY 2"};
}

// None stands in the way. What a subscriber has to do is told of its slot.
Probe publications() {
  return {
      hazards::publication,
      tables() +
          "SELECT 'info', format('publication %I publishes %s: from the migration on their rows"
          " have the new columns; the rewrite is not sent', p.pubname,"
          " CASE WHEN p.puballtables THEN 'all tables' WHEN s.pnpubid IS NOT NULL THEN 'all"
          " tables of the schema' ELSE x.names END), NULL FROM pg_publication AS p LEFT JOIN"
          " (SELECT r.prpubid, string_agg(t.name, ', ' ORDER BY t.name) AS names FROM tables AS t"
          " JOIN pg_publication_rel AS r ON r.prrelid = t.id GROUP BY r.prpubid) AS x ON x.prpubid"
          " = p.oid LEFT JOIN (SELECT z.pnpubid FROM pg_publication_namespace AS z JOIN"
          " pg_namespace AS n ON n.oid = z.pnnspid WHERE n.nspname = $1::text) AS s ON"
          " s.pnpubid = p.oid WHERE (p.puballtables OR x.names IS NOT NULL OR s.pnpubid IS NOT"
          " NULL) AND (p.pubinsert OR p.pubupdate OR p.pubdelete OR p.pubtruncate)"
          " ORDER BY p.pubname"};
}

Probe subscribers(const Target &target) {
  return {hazards::subscriber,
          "SELECT 'warning', format('slot %I (%s%s) sends the changes of this database to a logical"
          " subscriber, which does not receive the rewrite, and stops at the first row with the new"
          " columns until it has been migrated, too', slot_name, plugin, CASE WHEN active"
          " THEN ', in use' ELSE '' END), 'SELECT * FROM " +
              target.function("migrate") +
              "();  -- on the"
              " subscriber, after this database: see section \"Logical replication\" of the "
              "recovery guide' FROM"
              " pg_replication_slots WHERE slot_type = 'logical'"
              " AND database = current_database() AND NOT temporary ORDER BY slot_name"};
}

Probe subscriptions() {
  return {hazards::subscription,
          tables() +
              "SELECT 'warning', format('subscription %I writes to %s: it is held up by the"
              " migration, and what a publisher at version 15 sends has no snapshots; migrate the"
              " publisher first', s.subname,"
              " string_agg(t.name, ', ' ORDER BY t.name)), format('ALTER SUBSCRIPTION %I DISABLE;"
              "  -- and ENABLE it afterwards', s.subname) FROM pg_subscription AS s JOIN"
              " pg_subscription_rel AS r ON r.srsubid = s.oid JOIN tables AS t ON t.id = r.srrelid"
              " WHERE s.subenabled AND s.subdbid = " +
              std::string(this_database) + " GROUP BY s.subname ORDER BY s.subname"};
}

} // namespace

std::vector<Probe> of_tables(const Target &target) {
  return {wraparounds(),    unfinished_migration(target),
          triggers(),       event_triggers(),
          row_securities(), views(),
          publications(),   subscribers(target),
          subscriptions()};
}

} // namespace cowrie::probes
