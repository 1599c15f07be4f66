// Atomic fill: the statements of an atomic run that read documents, and their work tables.
#include "core/run/atomic_fill.hpp"

#include "core/run/work_tables.hpp"
#include "core/schema/v15.hpp"
#include "core/sql/derivation.hpp"

namespace cowrie {

const char *const enabled_triggers_query =
    "SELECT quote_ident(t.tgname), CASE t.tgenabled WHEN 'A' THEN 'ALWAYS ' WHEN 'R' THEN 'REPLICA "
    "'"
    " ELSE '' END, CASE WHEN c.relkind = 'p' THEN 'ONLY ' ELSE '' END || quote_ident(n.nspname) ||"
    " '.' || quote_ident(c.relname) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid"
    " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE (c.oid = $1::text::regclass OR c.oid"
    " IN (SELECT relid FROM pg_partition_tree($1::text::regclass))) AND NOT t.tgisinternal AND"
    " t.tgenabled <> 'D' ORDER BY c.oid, t.tgname";

/** Runs a pass over the sessions with the raw events at hand. */
template <typename Pass> FillResult AtomicFill::with_events(Pass pass) {
  const Target &target = database_.target();
  const bool by_table = target.has_raw_events && !target.raw_events_indexed;
  if (by_table)
    create_event_table(database_);
  FillResult result = pass();
  if (by_table)
    drop_work_table(database_, derivation::event_table);
  return result;
}

FillResult AtomicFill::rewrite(const Step &step) {
  drop_work_table(database_, derivation::staging_table);
  database_.execute(derivation::create_staging(database_.target()));
  staged_ = true;
  if (!step.heap_only)
    return with_events([&] { return database_.rewrite(step.statements.front()); });
  FillResult result = with_events([&] { return database_.rewrite_heap(); });
  for (const std::string &sql : step.statements)
    database_.execute(sql);
  return result;
}

// Unlike the rewrite, an UPDATE fires row triggers: what they would do to the columns of version
// 15 is not for a migration to cause. The table is locked, so no other session misses them.
FillResult AtomicFill::update(const Step &step) {
  const std::string table = qualified(database_.target().schema, step.table);
  const std::vector<Row> triggers = database_.query(enabled_triggers_query, {table});
  for (const Row &each : triggers)
    database_.execute("ALTER TABLE " + *each[2] + " DISABLE TRIGGER " + *each[0]);
  FillResult filled = with_events([&] { return database_.fill(step.statements.front(), false); });
  for (const Row &each : triggers)
    database_.execute("ALTER TABLE " + *each[2] + " ENABLE " + *each[1] + "TRIGGER " + *each[0]);
  return filled;
}

std::int64_t AtomicFill::load(const Step &step) {
  const Target &target = database_.target();
  if (!staged_) {
    drop_work_table(database_, derivation::staging_table);
    database_.execute(derivation::stage_from_documents(
        target, *database_.observe(schema_v15()).table("session_summaries")));
    staged_ = true;
  }
  if (!analyzed_)
    database_.execute(derivation::analyze_staging(target));
  analyzed_ = true;
  if (!step.new_table)
    return database_.execute(step.statements.front());
  return step.table == "ip_inventory" ? load_new_addresses()
                                      : database_.insert(step.statements.front());
}

std::int64_t AtomicFill::load_new_addresses() {
  const Target &target = database_.target();
  drop_work_table(database_, derivation::chosen_table);
  for (const std::string &sql : derivation::choose_sessions(target))
    database_.execute(sql);
  const bool fits = database_.query(derivation::chosen_fits(target)).front()[0] == "t";
  const std::int64_t rows = database_.insert(derivation::load_chosen(target, fits));
  drop_work_table(database_, derivation::chosen_table);
  return rows;
}

void AtomicFill::drop_staging() {
  if (staged_)
    drop_work_table(database_, derivation::staging_table);
}

} // namespace cowrie
