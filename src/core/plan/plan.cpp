// Plan: findings -> ordered steps by phase.
#include "core/plan/plan.hpp"

#include <algorithm>
#include <set>

#include "core/plan/repair.hpp"
#include "core/schema/ddl.hpp"
#include "core/sql/derivation.hpp"

namespace cowrie {
namespace {

/** Builds the steps of the migration; one object per plan. */
class Planner {
public:
  Planner(const Schema &declared, const Schema &observed, const Target &target,
          const Situation &situation, const RowFacts &rows)
      : declared_(declared), before_(observed), target_(target), situation_(situation), rows_(rows),
        first_phase_(situation.state == SchemaState::resumable ? *situation.subphase + 1 : 1),
        resuming_(situation.state == SchemaState::resumable),
        repair_(situation.state == SchemaState::version15 || resuming_
                    ? RepairPlan{{}, observed}
                    : plan_repair(declared, observed, target, rows)),
        observed_(repair_.after), sessions_(*declared.table("session_summaries")) {}

  std::vector<Step> run() {
    if (first_phase_ > 1)
      fill_rows_added_meanwhile();
    for (int phase = first_phase_; phase <= phase_count; ++phase) {
      phase_ = phase;
      if (phase == 1 && !resuming_ && !rows_.complete)
        set_foreign_keys_aside();
      add_repairs();
      if (phase == 1)
        session_columns();
      for (const Table &table : declared_.tables)
        if (table.phase == phase)
          inventory(table);
      if (phase == 4) {
        indexes_of(sessions_);
        if (!rows_.complete)
          analyze();
      }
      if (phase == 5)
        finish();
    }
    return std::move(steps_);
  }

private:
  const Table *found(const Table &table) const { return observed_.table(table.name); }

  Step &add(std::string name, StepKind kind, const Table &table, std::string lock_mode,
            std::vector<std::string> statements = {}) {
    Step step;
    step.phase = phase_;
    step.name = std::move(name);
    step.kind = kind;
    step.table = table.name;
    step.lock_mode = std::move(lock_mode);
    step.statements = std::move(statements);
    steps_.push_back(std::move(step));
    return steps_.back();
  }

  // The phase is that of the columns: they are part of what phase 1 promised.
  void fill_rows_added_meanwhile() {
    phase_ = first_phase_;
    add("fill_new_rows", StepKind::fill_new_rows, sessions_, "ROW EXCLUSIVE",
        {derivation::fill_rows(target_, sessions_, *found(sessions_),
                               derivation::FillScope::untouched)});
    for (const Table &table : declared_.tables)
      if (table.phase > 0 && table.phase < first_phase_)
        add("refresh_" + table.name, StepKind::refresh_rows, table, "ROW EXCLUSIVE",
            {derivation::load_rows(target_, table.name, derivation::OnExisting::refresh)});
  }

  // A repair may give a session an address that has no row in ip_inventory yet, and change the type
  // of a key: the foreign keys come back, validated, when the parents are there.
  void set_foreign_keys_aside() {
    for (const Table &table : declared_.tables) {
      const Table *seen = before_.table(table.name);
      for (const Constraint &each : table.constraints) {
        if (!seen || each.kind != ConstraintKind::foreign_key)
          continue;
        const Constraint *same = same_definition(*seen, each);
        for (const Constraint &old : seen->constraints)
          if (&old == same || old.name == each.name || lost_its_target(old, each))
            add("drop_" + each.name, StepKind::drop, table, "ACCESS EXCLUSIVE",
                {ddl::drop_constraint(target_.schema, table.name, old.name)});
      }
    }
  }

  /** A foreign key in the place of a declared one, whose target column bears another name now. */
  bool lost_its_target(const Constraint &old, const Constraint &declared) const {
    const Table *target = before_.table(declared.target_table);
    return old.kind == ConstraintKind::foreign_key && old.columns == declared.columns &&
           old.target_table == declared.target_table && target &&
           !target->column(declared.target_columns.front());
  }

  void add_repairs() {
    for (const Step &each : repair_.steps)
      if (each.phase == phase_)
        steps_.push_back(each);
  }

  void session_columns() {
    const Table &seen = *found(sessions_);
    std::vector<const Column *> missing;
    for (const Column &each : sessions_.columns)
      if (!seen.column(each.name))
        missing.push_back(&each);
    if (!missing.empty())
      add("add_columns", StepKind::statement, sessions_, "ACCESS EXCLUSIVE",
          {ddl::add_columns(target_.schema, sessions_.name, missing)});
    alter_columns(sessions_, seen);

    std::vector<const Constraint *> checks;
    for (const Constraint &each : sessions_.constraints)
      if (each.phase == 1 && !reuse(sessions_, seen, each))
        checks.push_back(&each);
    switch (rows_.fill_by) {
    case FillBy::rewrite:
      rewrite(seen, checks);
      return;
    case FillBy::update:
      add("fill_new_rows", StepKind::fill_new_rows, sessions_, "ROW EXCLUSIVE",
          {derivation::fill_rows(target_, sessions_, seen,
                                 situation_.subphase ? derivation::FillScope::unfinished
                                                     : derivation::FillScope::any)});
      break;
    case FillBy::nothing:
      break;
    }
    for (const Constraint *each : checks)
      add(each->name, StepKind::statement, sessions_, "ACCESS EXCLUSIVE",
          {ddl::add_constraint(target_.schema, sessions_.name, *each)});
  }

  void rewrite(const Table &seen, const std::vector<const Constraint *> &checks) {
    const std::string reason =
        rows_.alter_table_reason.empty() ? unfit_column(sessions_, seen) : rows_.alter_table_reason;
    Step &step = add("fill_columns", StepKind::fill_sessions, sessions_, "ACCESS EXCLUSIVE");
    step.heap_only = reason.empty();
    step.detail = step.heap_only ? "heap only, TOAST kept" : "by ALTER TABLE: " + reason;
    if (!step.heap_only)
      step.statements = {derivation::fill_by_rewrite(target_, sessions_, seen, checks)};
    else
      for (const Constraint *each : checks)
        step.statements.push_back(ddl::add_constraint(target_.schema, sessions_.name, *each));
  }

  /** Uses an existing constraint of the declared meaning, validated; false: it must be added. */
  bool reuse(const Table &table, const Table &seen, const Constraint &constraint) {
    if (const Constraint *same = same_definition(seen, constraint)) {
      if (!same->validated)
        add("validate_" + constraint.name, StepKind::statement, table, "SHARE UPDATE EXCLUSIVE",
            {ddl::validate_constraint(target_.schema, table.name, same->name)});
      return true;
    }
    for (const Constraint &each : seen.constraints)
      if (each.name == constraint.name)
        add("drop_" + constraint.name, StepKind::drop, table, "ACCESS EXCLUSIVE",
            {ddl::drop_constraint(target_.schema, table.name, each.name)});
    return false;
  }

  void inventory(const Table &table) {
    using derivation::OnExisting;
    const Table *seen = found(table);
    if (!seen) {
      add("create_" + table.name, StepKind::create_table, table, "ACCESS EXCLUSIVE",
          {ddl::create_table(target_.schema, table), ddl::comment_on_table(target_.schema, table)});
      load(table, OnExisting::none_there);
      constraints_of(table);
    } else {
      alter_columns(table, *seen);
      constraints_of(table);
      relax_undeclared(table, *seen);
      if (rows_.complete) {
        indexes_of(table);
        return;
      }
      load(table, resuming_ ? OnExisting::refresh : OnExisting::keep);
      complete_columns(table, *seen);
      if (table.name == "ip_inventory")
        add("add_missing_asns", StepKind::load_rows, table, "ROW EXCLUSIVE",
            {derivation::add_missing_asns(target_)});
    }
    indexes_of(table);
  }

  void load(const Table &table, derivation::OnExisting existing) {
    std::set<std::string> added;
    const Table *before = before_.table(table.name), *after = found(table);
    if (before && after && rows_.filled_tables.count(table.name) > 0)
      for (const Column &each : table.columns)
        if (!before->column(each.name) && after->column(each.name) && !renamed(*before, each))
          added.insert(each.name);
    add("load_" + table.name, StepKind::load_rows, table, "ROW EXCLUSIVE",
        {derivation::load_rows(target_, table.name, existing, added)})
        .new_table = existing == derivation::OnExisting::none_there;
  }

  /** A column that had another name has its values. */
  static bool renamed(const Table &before, const Column &column) {
    return std::any_of(column.former_names.begin(), column.former_names.end(),
                       [&](const std::string &old) { return before.column(old); });
  }

  /** Its rows get their values when they are loaded, or the default, or what their other columns
   *  tell; a key cannot wait so long. */
  static bool waits_for_rows(const Table &table, const Column &column, const Column &seen) {
    return column.not_null && !seen.not_null && !in_key(table, column) &&
           !(column.fallback.empty() && column.default_value.empty());
  }

  static bool in_key(const Table &table, const Column &column) {
    const Constraint *key = table.primary_key();
    return key &&
           std::find(key->columns.begin(), key->columns.end(), column.name) != key->columns.end();
  }

  void alter(const Table &table, const Column &column, const Column &seen) {
    const std::string change = ddl::alter_column(target_.schema, table.name, column, seen);
    if (change.empty())
      return;
    Step &step = add("alter_" + column.name, StepKind::statement, table, "ACCESS EXCLUSIVE");
    const std::string &value = column.fallback.empty() ? column.default_value.sql : column.fallback;
    if (column.not_null && !seen.not_null && !value.empty())
      step.statements.push_back(ddl::fill_nulls(target_.schema, table.name, column.name, value));
    step.statements.push_back(change);
  }

  void alter_columns(const Table &table, const Table &seen) {
    for (const Column &each : table.columns)
      if (const Column *column = seen.column(each.name);
          column && !waits_for_rows(table, each, *column))
        alter(table, each, *column);
  }

  void complete_columns(const Table &table, const Table &seen) {
    std::vector<const Column *> columns;
    for (const Column &each : table.columns)
      if (const Column *found = seen.column(each.name);
          found && waits_for_rows(table, each, *found))
        columns.push_back(&each);
    // What another column falls back to is filled after it.
    std::stable_partition(columns.begin(), columns.end(),
                          [](const Column *each) { return each->fallback.empty(); });
    for (const Column *each : columns)
      alter(table, *each, *seen.column(each->name));
  }

  void relax_undeclared(const Table &table, const Table &seen) {
    for (const Finding &each : situation_.findings)
      if (each.table == table.name && each.object_type == ObjectType::column &&
          !table.column(each.object) && seen.column(each.object) &&
          seen.column(each.object)->not_null)
        add("relax_" + table.name, StepKind::statement, table, "ACCESS EXCLUSIVE",
            {ddl::drop_not_null(target_.schema, table.name, each.object)});
  }

  void constraints_of(const Table &table) {
    for (const Constraint &each : table.constraints)
      if (each.phase == phase_ && !(found(table) && reuse(table, *found(table), each)))
        add(each.name, StepKind::statement, table, "ACCESS EXCLUSIVE",
            {ddl::add_constraint(target_.schema, table.name, each)});
  }

  void indexes_of(const Table &table) {
    for (const Index &each : table.indexes) {
      if (each.phase != phase_)
        continue;
      if (const Table *seen = found(table)) {
        const Index *same = same_definition(*seen, each);
        if (same && same->valid)
          continue;
        for (const Index &old : seen->indexes)
          if (&old == same || old.name == each.name)
            add("drop_" + each.name, StepKind::drop, table, "ACCESS EXCLUSIVE",
                {ddl::drop_index(target_.schema, old.name)});
      }
      Step &step = add(each.name, StepKind::create_index, table, "SHARE",
                       {ddl::create_index(target_.schema, table.name, each)});
      for (const IndexColumn &column : each.columns)
        step.columns.push_back(column.name);
    }
  }

  void analyze() {
    for (const Table &table : declared_.tables) {
      Step &step = add("analyze_" + table.name, StepKind::analyze, table, "SHARE UPDATE EXCLUSIVE",
                       {"ANALYZE " + qualified(target_.schema, table.name)});
      // In one transaction the sessions get their columns and stay where they are.
      if (table.name == sessions_.name && target_.entry == Entry::atomic)
        for (const Column &each : table.columns)
          step.columns.push_back(each.name);
    }
  }

  void finish() {
    for (const Table &table : declared_.tables)
      for (const Constraint &each : table.constraints) {
        if (each.phase != 5)
          continue;
        const Table *seen = found(table);
        // Else phase 1 has set them aside.
        if (seen && (first_phase_ > 1 || rows_.complete) && reuse(table, *seen, each))
          continue;
        // Adding it takes a short lock, validating it reads both tables under a weak one.
        add(each.name, StepKind::statement, table, "SHARE ROW EXCLUSIVE",
            {ddl::add_constraint(target_.schema, table.name, each)});
        add("validate_" + each.name, StepKind::statement, table, "SHARE UPDATE EXCLUSIVE",
            {ddl::validate_constraint(target_.schema, table.name, each.name)});
      }
    add("verify", StepKind::verify, sessions_, "ACCESS SHARE");
    if (!rows_.complete) // no statement has written a row
      add("zero_loss_gate", StepKind::zero_loss_gate, sessions_, "ACCESS SHARE");
    add("set_version", StepKind::set_version, sessions_, "ROW EXCLUSIVE").table = "schema_state";
  }

  const Schema &declared_;
  const Schema &before_;
  const Target &target_;
  const Situation &situation_;
  const RowFacts &rows_;
  const int first_phase_;
  const bool resuming_;
  const RepairPlan repair_;
  const Schema &observed_; ///< what is there once it is repaired
  const Table &sessions_;
  int phase_ = 1;
  std::vector<Step> steps_;
};

} // namespace

namespace {

/** Tells whether values of this type can be read as they are stored. */
bool is_read_as_stored(const std::string &column, const std::string &type) {
  const auto begins = [&](std::string_view word) {
    return type.compare(0, word.size(), word) == 0;
  };
  if (column == "session_id")
    return begins("character varying") || type == "text" || begins("text COLLATE");
  if (column == "enrichment")
    return type == "json" || type == "jsonb";
  return begins("timestamp with") || begins("timestamp(");
}

} // namespace

std::string unfit_column(const Table &declared, const Table &observed) {
  const auto has_type = [](const Column &each) {
    return "column \"" + each.name + "\" is of type " + each.type;
  };
  for (const Column &each : declared.columns)
    if (const Column *seen = observed.column(each.name)) {
      if (seen->type != each.type)
        return has_type(*seen);
      if (!seen->generated.empty())
        return "column \"" + each.name + "\" is generated";
    }
  for (const std::string &each : declared.retired_columns)
    if (observed.column(each))
      return "column \"" + each + "\" has values of an older attempt";
  for (const char *each :
       {"session_id", "enrichment", "first_event_at", "last_event_at", "created_at"}) {
    const Column *seen = observed.column(each);
    if (!seen)
      return "there is no column \"" + std::string(each) + "\"";
    if (!is_read_as_stored(each, seen->type))
      return has_type(*seen);
  }
  return {};
}

std::vector<Step> plan_migration(const Schema &declared, const Schema &observed,
                                 const Target &target, const Situation &situation,
                                 const RowFacts &rows) {
  return Planner(declared, observed, target, situation, rows).run();
}

} // namespace cowrie
