// Online refusals: what an online migration cannot do beside an application that goes on writing.
#include "core/online/refusals.hpp"

#include "core/base/failure.hpp"
#include "core/base/text.hpp"
#include "core/inspect/expressions.hpp"
#include "core/inspect/refusals.hpp"
#include "core/plan/plan.hpp"
#include "core/plan/table_repair.hpp"
#include "core/schema/versions.hpp"
#include "core/sql/derivation.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/leaves.hpp"
#include "core/sql/online.hpp"

namespace cowrie {
namespace {

std::string sessions_of(const Target &target) {
  return qualified(target.schema, "session_summaries");
}

/** The table of something that a partition alone has, as SQL; else NULL. */
std::string partition_of(const std::string &table, const std::string &copied) {
  return "CASE WHEN " + table + " <> to_regclass($1::text) AND NOT " + copied + " THEN " + table +
         "::regclass::text END";
}

} // namespace

// Type bits of pg_trigger: 1 is FOR EACH ROW, 2 BEFORE, 16 UPDATE. One with a list of columns fires
// for those only. What fires before an update can change the row that is written; what fires after
// it cannot. The trigger that an earlier call has left lets the batches pass.
std::string firing_triggers_query(const std::string &columns) {
  return sql::fill(
      R"(SELECT format('trigger %I', tgname) || COALESCE(' of ' || {trigger_of}, ''), tgtype & 3 <> 3,
  {trigger_of}
FROM pg_trigger WHERE {in_tree} AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 16 <> 0
AND (tgattr::text = '' OR EXISTS (
  SELECT FROM pg_attribute WHERE attrelid = tgrelid AND attnum = ANY (tgattr::int2[])
  AND attname::text = ANY ({columns})))
AND NOT (tgname = {ours} AND EXISTS (
  SELECT FROM pg_proc AS p WHERE p.oid = tgfoid AND p.proname = {function}))
AND NOT (tgtype & 3 <> 3 AND tgname = ANY (
  regexp_split_to_array(trim(current_setting('cowrie_migrate.harmless_triggers')), '\s*,\s*')))
UNION SELECT format('rule %I', rulename) || COALESCE(' of ' || {rule_of}, ''), false, {rule_of}
FROM pg_rewrite WHERE {rule_in_tree} AND ev_type = '2' AND ev_enabled <> 'D' ORDER BY 1)",
      {{"columns", columns},
       {"trigger_of", partition_of("tgrelid", "tgparentid <> 0")},
       {"in_tree", is_in_tree("tgrelid", "$1::text")},
       {"rule_of", partition_of("ev_class", "false")},
       {"rule_in_tree", is_in_tree("ev_class", "$1::text")},
       {"ours", quote_literal(online::change_trigger)},
       {"function", quote_literal(online::change_function)}});
}

namespace {

void refuse_update_triggers(Database &database, const Inspection &) {
  const Target &target = database.target();
  std::vector<std::string> columns; // that the batches set
  for (const Column &each : filled_sessions(target.version).columns)
    columns.push_back(each.name);
  std::string found, table = sessions_of(target);
  bool after = false;
  for (const Row &row :
       database.query(firing_triggers_query(text_array(columns)), {sessions_of(target)})) {
    if (found.empty())
      table = row[2].value_or(table);
    append(found, row[0].value_or(""), "\n");
    after = after || row[1] == "t";
  }
  if (!found.empty())
    throw Failure(sqlstate::prerequisite_state,
                  "triggers or rules on session_summaries would fire for every batch", found,
                  "Disable them during the migration, as in ALTER TABLE " + table +
                      " DISABLE TRIGGER name;" +
                      (after ? " or list the AFTER UPDATE triggers that may fire once for each "
                               "session: SET cowrie_migrate.harmless_triggers = 'name, ...';"
                             : "") +
                      " then run " + target.online_call(target.arguments));
}

// What an earlier call has left has the shape of ours, which tells it from somebody's.
void refuse_work_tables(Database &database, const Inspection &inspection) {
  const OnlineObjects &ours = inspection.situation.online;
  const auto refuse_taken = [&](const char *table) {
    if (!database.query(relation_exists_query, {qualified(database.target().schema, table)})
             .empty())
      refuse_name(database.target(), table);
  };
  if (!ours.changes_table)
    refuse_taken(online::changes_table);
  if (ours.queue == 0)
    refuse_taken(online::queue_table);
  for (const char *each : {online::delta_table, derivation::staging_table})
    has_work_table(database, each);
}

} // namespace

std::vector<OnlineRefusal> online_refusals() {
  return {refuse_update_triggers,
          [](Database &database, const Inspection &) { refuse_unusable_checks(database); },
          refuse_work_tables};
}

std::vector<Step> plan_online(const Inspection &inspection, const Target &target,
                              const RowFacts &rows) {
  Situation situation = inspection.situation;
  if (situation.state == SchemaState::resumable && !situation.derived)
    situation.state = SchemaState::incomplete;
  return plan_migration(inspection.declared, inspection.observed, target, situation, rows);
}

void refuse_rewrites(const Target &target, const std::vector<Step> &plan,
                     const Inspection &inspection) {
  const Table &observed = *inspection.observed.table("session_summaries");
  std::string detail;
  for (const Column &each : inspection.declared.table("session_summaries")->columns)
    if (const Column *seen = observed.column(each.name); seen && must_be_retyped(each, *seen))
      append(detail, each.name + " is of type " + seen->type + " and must be " + each.type, "\n");
  for (const Step &each : plan)
    if (each.kind == StepKind::repair && each.table == "session_summaries")
      append(detail, each.detail, "\n");
  if (!detail.empty())
    throw Failure(sqlstate::feature_not_supported,
                  "cannot change columns of session_summaries online", detail,
                  "Change their types while the application is stopped, with the statements that " +
                      target.call(target.function("migrate"), "repair => true, dry_run => true") +
                      " lists, or run the same call without dry_run, which locks the tables; or "
                      "drop the columns if they are not needed, and run " +
                      target.again());
}

} // namespace cowrie
