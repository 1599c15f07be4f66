// Cleanup: back to version 15 or to the end of a phase, without taking along what is not declared,
// and without losing what no migration can derive again.
#include <algorithm>

#include <gtest/gtest.h>

#include "core/run/losses.hpp"
#include "core/run/atomic_run.hpp"
#include "core/run/cleanup.hpp"
#include "core/inspect/inspection.hpp"
#include "fake_database.hpp"

namespace cowrie {
namespace {

using test::contains;
using test::failure_of;
using test::FakeDatabase;
using test::find_named;

std::vector<StepResult> clean(FakeDatabase &database, const CleanupOptions &options = {}) {
  return cleanup(database, database, database, options);
}

Failure refusal_of(FakeDatabase &database, const CleanupOptions &options = {}) {
  const std::string before = database.state.dump();
  database.statements.clear();
  const Failure failure = failure_of(database, [&] { clean(database, options); });
  EXPECT_TRUE(database.changing_statements().empty());
  EXPECT_EQ(database.state.dump(), before);
  return failure;
}

CleanupOptions to_phase(int phase) { return {phase, false, false}; }
CleanupOptions forced() { return {0, false, true}; }

TEST(Cleanup, GoesBackToEachPhaseAndForwardsAgain) {
  for (int from = 1; from <= phase_count; ++from)
    for (int to = 0; to < from; ++to) {
      FakeDatabase database(from);
      const std::vector<StepResult> rows = clean(database, to_phase(to));
      EXPECT_EQ(database.state.dump(), FakeDatabase(to).state.dump()) << from << " to " << to;
      for (const StepResult &each : rows)
        EXPECT_EQ(each.status, "done") << each.step;
      EXPECT_EQ(rows.back().step, "set_version");
      EXPECT_EQ(database.state.ledger.back().kind, "finish");
      EXPECT_EQ(inspect(database).situation.state,
                to == 0 ? SchemaState::version15 : SchemaState::resumable);
      migrate(database, database, database, MigrateOptions{});
      EXPECT_EQ(database.state.dump(), FakeDatabase(phase_count).state.dump());
    }
}

TEST(Cleanup, SkipsWhereThereIsNothingToRemove) {
  for (int phase = 0; phase <= phase_count; ++phase) {
    FakeDatabase database(phase);
    const std::vector<StepResult> rows = clean(database, to_phase(phase));
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows.front().status, "skipped");
    EXPECT_TRUE(database.changing_statements().empty());
    EXPECT_TRUE(database.locks.empty());
    EXPECT_TRUE(database.state.ledger.empty());
  }
}

// Who keeps all phases keeps them at whatever version they are, in whatever shape.
TEST(Cleanup, ToTheLastPhaseLeavesEverythingAsItIs) {
  FakeDatabase database(phase_count);
  database.state.values["schema_version"] = "17";
  database.state.schema.table("ip_inventory")->indexes.clear();
  const std::string before = database.state.dump();
  EXPECT_EQ(clean(database, to_phase(phase_count)).front().status, "skipped");
  EXPECT_EQ(database.state.dump(), before);
}

TEST(Cleanup, LocksOthersOutOnlyForTheDrops) {
  FakeDatabase database(phase_count);
  std::size_t locks_while_counting = 0;
  database.before_statement = [&](const test::Statement &each) {
    if (each.step == "count_losses")
      locks_while_counting = database.locks.size();
  };
  clean(database);
  std::vector<std::string> tables = {"session_summaries", "asn_inventory", "ip_inventory",
                                     "ip_asn_history"};
  ASSERT_EQ(locks_while_counting, tables.size() + 1);
  ASSERT_EQ(database.locks.size(), 2 * locks_while_counting);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    EXPECT_EQ(database.locks[i], tables[i] + " SHARE ROW EXCLUSIVE");
    EXPECT_EQ(database.locks[locks_while_counting + i], tables[i] + " ACCESS EXCLUSIVE");
  }
}

TEST(Cleanup, WarnsOfRoutinesThatNameWhatGoes) {
  FakeDatabase database(phase_count);
  database.routines = {"app.count_hot()"};
  clean(database, to_phase(4)); // constraints are named by nobody
  EXPECT_TRUE(database.warnings.empty());
  clean(database);
  EXPECT_EQ(database.warnings,
            std::vector<std::string>{"functions refer to objects that this cleanup drops"});
}

TEST(Cleanup, MendsARecordOfMoreThanIsThere) {
  FakeDatabase database(0);
  database.state.values["schema_version"] = "16";
  database.state.values["schema_subphase"] = "16.5";
  clean(database);
  EXPECT_EQ(database.state.dump(), FakeDatabase(0).state.dump());
}

// What is recorded must be true, or the next migration finds a damaged database.
TEST(Cleanup, RecordsNoPhaseThatIsNotThere) {
  FakeDatabase database(1);
  database.state.values["schema_version"] = "16";
  database.state.values.erase("schema_subphase");
  try {
    clean(database, to_phase(3));
  } catch (const Failure &refusal) {
    EXPECT_EQ(refusal.sqlstate, "55000"); // a refusal is true, too
    return;
  }
  EXPECT_NE(inspect(database).situation.state, SchemaState::incomplete);
}

TEST(Cleanup, RemovesTheRetiredColumnAndKeepsAUsersIndex) {
  FakeDatabase database(phase_count);
  Table &sessions = *database.state.schema.table("session_summaries");
  Column retired;
  retired.name = "snapshot_ip_types";
  retired.type = "text[]";
  sessions.columns.push_back(retired);
  Index brin = *find_named(sessions.indexes, "idx_session_first_event_brin");
  brin.name = "my_brin";
  sessions.indexes.push_back(brin);
  clean(database);
  const Table &after = *database.state.schema.table("session_summaries");
  EXPECT_FALSE(after.column("snapshot_ip_types"));
  EXPECT_EQ(after.indexes.size(), schema_v15().table("session_summaries")->indexes.size() + 1);
  EXPECT_TRUE(by_name(after.indexes, "my_brin"));
}

// Interrupted before its first column: only the trigger tells of it.
TEST(Cleanup, GivesUpAnInterruptedOnlineMigration) {
  FakeDatabase database(0);
  database.online_trigger = true;
  EXPECT_EQ(clean(database, {0, true, false}).front().step, "drop_online_objects");
  EXPECT_TRUE(database.online_trigger);
  EXPECT_EQ(clean(database).front().step, "drop_online_objects");
  EXPECT_FALSE(database.online_trigger);
  EXPECT_EQ(clean(database).front().status, "skipped");
}

// Of the same definition under two names, both are the migration's: one would hold ip_inventory.
TEST(Cleanup, RemovesADeclaredObjectAsOftenAsItIsThere) {
  FakeDatabase database(phase_count);
  Table &sessions = *database.state.schema.table("session_summaries");
  Constraint key = *find_named(sessions.constraints, "fk_session_source_ip");
  key.name = "another_key";
  sessions.constraints.push_back(key);
  Index index = *find_named(sessions.indexes, "idx_session_snapshot_asn");
  index.name = "another_index";
  sessions.indexes.push_back(index);
  clean(database, to_phase(3));
  EXPECT_EQ(database.state.dump(), FakeDatabase(3).state.dump());
}

/** Tells whether cleanup takes an object of a table that goes for the application's own. */
bool is_ours(const FakeDatabase &database, const std::string &name) {
  return std::any_of(database.asked_about.begin(), database.asked_about.end(),
                     [&](const ExistingObject &each) { return each.name == name; });
}

TEST(Cleanup, KnowsWhatTheApplicationMakesFromWhatAUserMakes) {
  FakeDatabase database(phase_count);
  Table &table = *database.state.schema.table("ip_inventory");
  const auto add = [&](const std::string &name, const std::vector<IndexColumn> &columns,
                       const std::function<void(Index &)> &change = {}) {
    Index index;
    index.name = name;
    index.columns = columns;
    if (change)
      change(index);
    table.indexes.push_back(index);
  };
  add("ix_ip_inventory_last_seen", {{"last_seen"}});
  add("any_name_of_a_declared_one", {{"session_count"}});
  add("ix_ip_inventory_two", {{"last_seen"}, {"first_seen"}});
  add("ix_ip_inventory_unique", {{"last_seen"}}, [](Index &index) { index.unique = true; });
  add("ix_ip_inventory_partial", {{"last_seen"}}, [](Index &index) {
    index.predicate = {"session_count > 9", "{}"};
  });
  add("ix_ip_inventory_my_note", {{"my_note"}});
  add("my_partial", {{"current_asn"}}, [](Index &index) {
    index.predicate = {"session_count > 9", "{}"};
  });
  add("my_gin", {{"enrichment"}}, [](Index &index) { index.method = "gin"; });

  const auto constrain = [&](const std::string &name, const Constraint &like,
                             const std::function<void(Constraint &)> &change) {
    Constraint constraint = like;
    constraint.name = name;
    change(constraint);
    table.constraints.push_back(constraint);
  };
  const Constraint check = *find_named(table.constraints, "session_count_not_negative");
  const Constraint key = *find_named(table.constraints, "fk_ip_current_asn");
  const auto other_check = [](Constraint &each) { each.check = {"other", "{other}"}; };
  constrain("ip_inventory_session_count_check", check, other_check);
  constrain("my_check", check, other_check);
  constrain("a_key_with_other_actions", key, [](Constraint &each) { each.ordinary = false; });
  constrain("a_key_between_ours", key, [](Constraint &each) { each.columns = {"session_count"}; });
  constrain("my_key_of_my_column", key, [](Constraint &each) { each.columns = {"my_note"}; });
  constrain("my_key", key, [](Constraint &each) { each.target_table = "my_table"; });

  clean(database);
  for (const char *each : {"ix_ip_inventory_last_seen", "any_name_of_a_declared_one",
                           "ip_inventory_session_count_check", "a_key_with_other_actions",
                           "a_key_between_ours", "idx_ip_staleness_active", "ip_inventory_pkey",
                           "fk_ip_current_asn", "idx_session_source_ip", "source_ip"})
    EXPECT_TRUE(is_ours(database, each)) << each;
  for (const char *each : {"ix_ip_inventory_two", "ix_ip_inventory_unique",
                           "ix_ip_inventory_partial", "ix_ip_inventory_my_note", "my_partial",
                           "my_gin", "my_check", "my_key", "my_key_of_my_column"})
    EXPECT_FALSE(is_ours(database, each)) << each;
}

TEST(Cleanup, PlansWithoutChangingAnything) {
  FakeDatabase database(phase_count);
  const std::vector<StepResult> rows = clean(database, {0, true, false});
  EXPECT_GT(rows.size(), 5u);
  for (const StepResult &each : rows) {
    EXPECT_EQ(each.status, "planned");
    if (each.step == "drop_ip_inventory") {
      EXPECT_EQ(each.rows, 7);
      EXPECT_TRUE(contains(each.detail, "8192 bytes"));
    }
    if (each.step == "drop_idx_session_source_ip") {
      EXPECT_TRUE(contains(each.detail, "8192 bytes"));
    }
  }
  EXPECT_TRUE(database.changing_statements().empty());
  EXPECT_TRUE(database.locks.empty());
  EXPECT_TRUE(database.state.ledger.empty());
  EXPECT_EQ(database.run_locks, 0);
}

TEST(CleanupRefuses, ToLoseWhatNoSessionGives) {
  FakeDatabase database(phase_count);
  database.losses = {{"session_summaries", 1, "with values that their documents do not give"},
                     {"asn_inventory", 3, "added by the application"},
                     {"ip_inventory", 12, "enriched by the application"}};
  const Failure failure = refusal_of(database);
  EXPECT_EQ(failure.sqlstate, "55000");
  EXPECT_EQ(failure.detail,
            "session_summaries: 1 session with values that their documents do not give\n"
            "asn_inventory: 3 rows added by the application\n"
            "ip_inventory: 12 rows enriched by the application");
  EXPECT_TRUE(contains(failure.hint, "CREATE TABLE \"public\".\"saved_ip_inventory\" AS SELECT * "
                                     "FROM \"public\".\"ip_inventory\"; "))
      << failure.hint;
  EXPECT_TRUE(contains(failure.hint, "SELECT \"session_id\", \"source_ip\", "));
  EXPECT_TRUE(contains(failure.hint, "cowrie_cleanup_v16(force => true);"));
  EXPECT_TRUE(contains(refusal_of(database, to_phase(2)).hint,
                       "cowrie_cleanup_v16(to_phase => 2, force => true);"));
  // What goes back to a phase that keeps these tables loses nothing.
  clean(database, to_phase(4));
  clean(database, to_phase(3));
  const std::vector<StepResult> rows = clean(database, forced());
  EXPECT_EQ(database.state.dump(), FakeDatabase(0).state.dump());
  EXPECT_EQ(database.warnings,
            std::vector<std::string>{"cleanup drops data that cannot be rebuilt"});
  for (const StepResult &each : rows)
    if (each.step == "drop_ip_inventory") {
      EXPECT_EQ(each.detail, "lost: 12 rows enriched by the application");
      EXPECT_EQ(each.rows, 7);
    } else if (each.step == "drop_columns") {
      EXPECT_EQ(each.detail, "lost: 1 session with values that their documents do not give");
    }
}

TEST(CleanupRefuses, ToLoseAnythingThatTheLedgerDoesNotKnowOf) {
  FakeDatabase database(phase_count);
  database.on_record = false;
  database.own_rows = 5;
  const Failure failure = refusal_of(database);
  EXPECT_EQ(failure.sqlstate, "55000");
  EXPECT_TRUE(contains(failure.detail, "The ledger has no migration of schema \"public\""));
  for (const char *each : {"session_summaries: 5 sessions with values", "\nasn_inventory: 5 rows",
                           "\nip_inventory: 5 rows", "\nip_asn_history: 5 rows"})
    EXPECT_TRUE(contains(failure.detail, each)) << failure.detail;
  database.own_rows = 0;
  clean(database);
  EXPECT_EQ(database.state.dump(), FakeDatabase(0).state.dump());
}

TEST(CleanupRefuses, ToLoseValuesInColumnsThatAreNotDeclared) {
  FakeDatabase database(phase_count);
  Column note, constant, sequence, generated;
  note.name = "my_note";
  note.type = constant.type = sequence.type = generated.type = "text";
  constant.name = "my_flag";
  constant.default_value = {"false", "{false}"};
  sequence.name = "my_number";
  sequence.default_value = {"nextval('s'::regclass)", "{}"};
  generated.name = "my_copy";
  generated.generated = {"upper(my_note)", "{}"};
  for (const Column &each : {note, constant, sequence, generated})
    database.state.schema.table("ip_inventory")->columns.push_back(each);
  database.own_rows = 2;
  const Failure failure = refusal_of(database);
  EXPECT_EQ(failure.detail, "ip_inventory: 2 rows with a value in column \"my_note\"\n"
                            "ip_inventory: 2 rows with a value in column \"my_flag\"\n"
                            "ip_inventory: 2 rows with a value in column \"my_number\"");
  const auto asked = [&](const std::string &condition) {
    return std::any_of(
        database.statements.begin(), database.statements.end(),
        [&](const test::Statement &each) { return contains(each.sql, " WHERE " + condition); });
  };
  EXPECT_TRUE(asked("\"my_note\" IS NOT NULL"));
  EXPECT_TRUE(asked("\"my_flag\"::text <> (false)::text"));
  EXPECT_TRUE(asked("\"my_number\" IS NOT NULL"));
}

TEST(CleanupRefuses, ToTakeUndeclaredObjectsAlong) {
  FakeDatabase database(phase_count);
  database.others = {{"view my_view", "DROP VIEW my_view"}, {"something odd", ""}};
  for (const CleanupOptions &options :
       {CleanupOptions{}, forced(), CleanupOptions{0, true, true}}) {
    const Failure failure = refusal_of(database, options);
    EXPECT_EQ(failure.sqlstate, "2BP01");
    EXPECT_EQ(failure.detail, "view my_view\nsomething odd");
    EXPECT_TRUE(contains(failure.hint, "no longer needed: DROP VIEW my_view; then run SELECT"))
        << failure.hint;
  }
  EXPECT_TRUE(contains(refusal_of(database, to_phase(2)).hint, "(to_phase => 2);"));
}

// A view needs only ACCESS SHARE: the weaker lock does not keep it out.
TEST(CleanupRefuses, WhatWasMadeWhileItCounted) {
  FakeDatabase database(phase_count);
  database.before_statement = [&](const test::Statement &each) {
    if (each.step == "count_losses")
      database.others = {{"view my_view", "DROP VIEW my_view"}};
  };
  EXPECT_EQ(refusal_of(database).sqlstate, "2BP01");
}

TEST(CleanupRefuses, LaterVersions) {
  FakeDatabase database(phase_count);
  database.state.values["schema_version"] = "17";
  const Failure failure = refusal_of(database);
  EXPECT_EQ(failure.sqlstate, "55000");
  EXPECT_TRUE(contains(failure.message, "17"));
  EXPECT_TRUE(contains(failure.hint, "force => true"));
  clean(database, forced());
  EXPECT_EQ(database.state.values.at("schema_version"), "15");
}

TEST(CleanupRefuses, PhasesThatAreNone) {
  for (int phase : {-1, 6}) {
    FakeDatabase database(phase_count);
    EXPECT_EQ(refusal_of(database, to_phase(phase)).sqlstate, "22023") << phase;
  }
  FakeDatabase old;
  old.state.values["schema_version"] = "14";
  EXPECT_EQ(refusal_of(old).sqlstate, "0A000");
}

TEST(CleanupFails, AtEveryStatementWithItsPlace) {
  FakeDatabase undisturbed(phase_count);
  clean(undisturbed);
  ASSERT_GT(undisturbed.statements.size(), 10u);
  for (std::size_t n = 1; n <= undisturbed.statements.size(); ++n) {
    const test::Statement &at = undisturbed.statements[n - 1];
    FakeDatabase database(phase_count);
    database.fail_at(n, Failure("55P03", "no lock"));
    const Failure failure = failure_of(database, [&] { clean(database); });
    EXPECT_EQ(failure.sqlstate, "55P03") << at.sql;
    if (at.step.empty())
      continue;
    EXPECT_TRUE(contains(failure.context, "step " + at.step)) << failure.context;
    EXPECT_EQ(database.failures, std::vector<std::string>{"55P03"});
    EXPECT_EQ(database.finishes, 0);
  }
}

} // namespace
} // namespace cowrie
