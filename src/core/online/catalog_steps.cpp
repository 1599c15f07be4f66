// Catalog steps: what an online run changes in the catalog.
#include "core/online/catalog_steps.hpp"

#include "core/base/failure.hpp"
#include "core/inspect/refusals.hpp"
#include "core/online/batches.hpp"
#include "core/inspect/replication.hpp"
#include "core/online/refusals.hpp"
#include "core/run/shared_steps.hpp"
#include "core/run/work_tables.hpp"
#include "core/schema/ddl.hpp"
#include "core/sql/derivation.hpp"
#include "core/sql/online.hpp"

namespace cowrie {

std::vector<Step> OnlineCatalogSteps::planned() const {
  return plan_online(view_.inspection, steps_.target(), view_.rows);
}

void OnlineCatalogSteps::run_phase(int phase, const std::function<void(const Step &)> &load) {
  for (const Step &each : planned()) {
    if (each.phase != phase)
      continue;
    switch (each.kind) {
    case StepKind::load_rows:
    case StepKind::refresh_rows:
      load(each);
      break;
    case StepKind::create_index:
      create_index(each);
      break;
    case StepKind::repair:
      steps_.step_in(Kind::catalog, each.phase, each.name, [&](StepResult &row) {
        repair_table(database(), steps_.monitor(), each, row);
      });
      break;
    case StepKind::analyze:
      steps_.step_in(Kind::work, each.phase, each.name,
                     [&](StepResult &) { analyze(database(), each); });
      break;
    case StepKind::create_table:
    case StepKind::drop:
    case StepKind::statement:
      run_statements(each);
      break;
    default:
      break; // this mode's own way: the rewrite, the gate, the version
    }
  }
}

void OnlineCatalogSteps::drop_obstacles(int phase) {
  for (const Step &each : planned())
    if (each.phase == phase && each.kind == StepKind::drop)
      run_statements(each);
}

void OnlineCatalogSteps::run_statements(const Step &planned) {
  // VALIDATE stands in nobody's way and may take its time.
  const bool weak = planned.lock_mode == "SHARE UPDATE EXCLUSIVE";
  steps_.step_in(weak ? Kind::work : Kind::catalog, planned.phase, planned.name, [&](StepResult &) {
    if (!weak && view_.inspection.observed.table(planned.table))
      steps_.lock(planned.table, planned.lock_mode);
    for (const std::string &sql : planned.statements)
      database().execute(sql);
    if (planned.kind == StepKind::create_table)
      database().copy_grants(planned.table);
  });
}

// On a table that others write, not in a transaction of this session.
void OnlineCatalogSteps::create_index(const Step &planned) {
  const bool written_by_others =
      planned.table == "session_summaries" ||
      (view_.inspection.observed.table(planned.table) && steps_.state.origin != Origin::version15);
  steps_.step(planned.phase, planned.name, [&](StepResult &row) {
    steps_.in(Kind::work, [&] {
      if (skipped_for_missing_column(database(), steps_.monitor(), planned, row))
        steps_.report(row);
    });
    if (row.status == "skipped") {
      view_.skipped.push_back(planned.name);
      return;
    }
    if (written_by_others)
      return create_index_concurrently(planned, row);
    steps_.lock_retry().until_locked(Kind::catalog, [&] {
      database().execute(planned.statements.front());
      steps_.report(row);
    });
  });
}

void OnlineCatalogSteps::create_index_concurrently(const Step &planned, StepResult &row) {
  const Table &table = *view_.inspection.declared.table(planned.table);
  const Index &index = *by_name(table.indexes, planned.name);
  const bool partitioned = in_partitions(table);
  for (bool done = false; !done;) {
    if (partitioned) {
      partitions_.build_indexes(index);
    } else {
      const std::string sql =
          ddl::create_index(steps_.target().schema, table.name, index, ddl::Concurrently::yes);
      steps_.ports().transactions.execute_alone(sql, sql + ";");
    }
    steps_.lock_retry().until_locked(Kind::catalog, [&] {
      row.detail = partitioned ? "concurrently, partition by partition" : "concurrently";
      done = !partitioned || partitions_.unite_indexes(index, planned.statements.front());
      if (done)
        steps_.report(row);
    });
  }
}

void OnlineCatalogSteps::create_work_tables(bool unfilled) {
  const OnlineObjects &found = view_.found;
  std::int64_t made = 0;
  steps_.step_in(Kind::work, 1, "create_work_tables", [&](StepResult &) {
    drop_work_table(database(), online::delta_table);
    drop_work_table(database(), derivation::staging_table);
    if (found.changes_table)
      database().execute("DROP TABLE " + name_of(online::changes_table));
    else
      refuse_taken(online::changes_table);
    if (found.queue == 0)
      refuse_taken(online::queue_table);
    database().execute(derivation::create_staging(steps_.target()));
    if (unfilled)
      database().execute(online::mark_staging(steps_.target()));
    database().execute(online::create_delta(steps_.target()));
    for (const std::string &sql : online::create_changes(steps_.target()))
      database().execute(sql);
    made = find_online_objects(database()).changes;
  });
  steps_.state.changes = made;
}

void OnlineCatalogSteps::refuse_taken(const std::string &table) {
  if (!database().query(relation_exists_query, {name_of(table)}).empty())
    refuse_name(steps_.target(), table);
}

bool OnlineCatalogSteps::queue_is_lost() {
  const OnlineState &state = steps_.state;
  if (state.done.count("fill_columns"))
    return false;
  if (state.queue.table == 0)
    return state.filled.before.sessions > 0; // in another order
  return view_.found.queue != state.queue.table || queue_is_other(database(), state.queue);
}

bool OnlineCatalogSteps::changes_are_other() const {
  const OnlineObjects &found = view_.found;
  return !found.changes_table ||
         (steps_.state.changes != 0 && steps_.state.changes != found.changes);
}

void OnlineCatalogSteps::restore_work_tables() {
  std::vector<std::string> missing;
  steps_.in(Kind::work, [&] {
    if (!has_work_table(database(), derivation::staging_table))
      missing.push_back(derivation::create_staging(steps_.target()));
    if (!has_work_table(database(), online::delta_table))
      missing.push_back(online::create_delta(steps_.target()));
  });
  if (!missing.empty())
    steps_.step_in(Kind::work, 1, "restore_work_tables", [&](StepResult &row) {
      for (const std::string &sql : missing)
        database().execute(sql);
      row.detail = "they had been dropped";
    });
}

void OnlineCatalogSteps::queue_sessions() {
  if (steps_.state.queue.table != 0)
    return;
  OnlineState after;
  steps_.step_in(Kind::work, 1, "queue_sessions", [&](StepResult &row) {
    if (view_.found.queue != 0)
      database().execute("DROP TABLE " + name_of(online::queue_table));
    else
      refuse_taken(online::queue_table);
    after = steps_.state;
    after.settled_until = steps_.ports().transactions.settled_until_us();
    const online::Decoded decoded = wal_is_decoded(database());
    row.rows = database().execute(online::create_queue(steps_.target(), decoded));
    for (const std::string &sql : online::finish_queue(steps_.target(), decoded))
      database().execute(sql);
    const Row sums = database().query(online::sum_up_queue(steps_.target())).front();
    after.queue = {find_online_objects(database()).queue, *row.rows, sums[1].value_or("")};
    steps_.ports().memory.remember(steps_.run(), after);
  });
  steps_.state.queue = after.queue;
  steps_.state.settled_until = after.settled_until;
}

void OnlineCatalogSteps::add_columns() {
  const Table &declared = *view_.inspection.declared.table("session_summaries");
  const Table &seen = *view_.inspection.observed.table("session_summaries");
  std::vector<const Column *> columns;
  for (const Column &each : declared.columns)
    if (each.phase == 1 && !seen.column(each.name))
      columns.push_back(&each);
  std::vector<const Constraint *> constraints;
  for (const Constraint &each : declared.constraints)
    if (each.phase == 1 && !same_definition(seen, each))
      constraints.push_back(&each);
  if (columns.empty() && constraints.empty() && steps_.state.trigger != 0)
    return; // a call that resumes: it needs no lock for that

  std::int64_t made = 0;
  steps_.step_in(Kind::catalog, 1, "add_columns", [&](StepResult &row) {
    steps_.lock(declared.name, "ACCESS EXCLUSIVE");
    if (!columns.empty())
      database().execute(ddl::add_columns(steps_.target().schema, declared.name, columns));
    for (const Constraint *each : constraints)
      database().execute(ddl::add_constraint(steps_.target().schema, declared.name, *each) +
                         " NOT VALID");
    if (steps_.state.trigger != 0)
      return;
    if (view_.found.trigger != 0)
      database().execute(online::drop_trigger(steps_.target()));
    for (const std::string &sql : online::create_trigger(steps_.target()))
      database().execute(sql);
    OnlineState after = steps_.state;
    made = after.trigger = find_online_objects(database()).trigger;
    steps_.ports().memory.remember(steps_.run(), after);
    row.detail = "with the trigger that records changes";
  });
  if (made != 0)
    steps_.state.trigger = made;
}

void OnlineCatalogSteps::validate_constraints(int phase) {
  steps_.in(Kind::work, [&] { view_.inspection = inspect(database()); });
  for (const Table &table : view_.inspection.declared.tables)
    for (const Constraint &each : table.constraints) {
      const Table *seen = view_.inspection.observed.table(table.name);
      const Constraint *same = seen && each.phase == phase ? same_definition(*seen, each) : nullptr;
      if (seen && !same && each.phase == phase && each.kind == ConstraintKind::foreign_key &&
          in_partitions(table))
        partitions_.unite_foreign_keys(table, each);
      if (same && !same->validated)
        steps_.step_in(Kind::work, phase, "validate_" + each.name, [&](StepResult &) {
          database().execute(
              ddl::validate_constraint(steps_.target().schema, table.name, same->name));
        });
    }
}

void OnlineCatalogSteps::cut_over() {
  steps_.step_in(Kind::catalog, deriving_phase(), "cut_over", [&](StepResult &row) {
    row.detail = "trigger dropped, foreign keys added";
    for (const Table &table : view_.inspection.declared.tables)
      if (table.name != "session_summaries")
        add_foreign_keys(table);
    // The table that everybody writes comes last: it is locked for the shortest time.
    steps_.lock("session_summaries", "ACCESS EXCLUSIVE");
    refuse_other_trigger();
    database().execute(online::drop_trigger(steps_.target()));
    add_foreign_keys(*view_.inspection.declared.table("session_summaries"));
  });
}

/** Nobody may have switched it off meanwhile: what was written then would be missing. */
void OnlineCatalogSteps::refuse_other_trigger() {
  const OnlineObjects now = find_online_objects(database());
  if (now.trigger == steps_.state.trigger && now.fires_always && now.changes_table &&
      (steps_.state.changes == 0 || steps_.state.changes == now.changes))
    return;
  throw Failure(
      sqlstate::prerequisite_state, "changes have been missed while sessions were migrated",
      "Trigger " + quote_identifier(online::change_trigger) +
          " or its table has been dropped, disabled or created again by another session.",
      "Do not modify it. Run " + steps_.target().online_call() +
          " it starts again from the first session and keeps the values that are already filled.");
}

void OnlineCatalogSteps::add_foreign_keys(const Table &table) {
  for (const Constraint &each : table.constraints)
    if (each.phase == deriving_phase() && each.kind == ConstraintKind::foreign_key &&
        !same_definition(*view_.inspection.observed.table(table.name), each)) {
      if (in_partitions(table))
        partitions_.add_foreign_key(each);
      else
        database().execute(ddl::add_constraint(steps_.target().schema, table.name, each));
    }
}

} // namespace cowrie
