// Migration and cleanup: a whole run through the ports, and every way in which it can end.
#include "core/run/atomic_run.hpp"
#include "core/inspect/inspection.hpp"
#include "core/run/shared_steps.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <gtest/gtest.h>

#include "fake_database.hpp"

namespace cowrie {
namespace {

using test::contains;
using test::declared_v16;
using test::erase_named;
using test::failure_of;
using test::FakeDatabase;
using test::find_named;
using test::LedgerRow;
using test::observed_after;
using test::starts_with;
using test::State;
using test::Statement;

using Rows = std::vector<StepResult>;

const std::string complete_v16 = FakeDatabase(phase_count).state.dump();

Rows migrate_it(FakeDatabase &database, const MigrateOptions &options = {}) {
  return migrate(database, database, database, options);
}

MigrateOptions repairing() { return {true, false, OnFailure::abort}; }
MigrateOptions keeping() { return {false, false, OnFailure::keep}; }
MigrateOptions dry_run() { return {false, true, OnFailure::abort}; }

Failure refusal_of(FakeDatabase &database, const MigrateOptions &options = {}) {
  return failure_of(database, [&] { migrate_it(database, options); });
}

void expect_helpers_gone(const FakeDatabase &database) {
  EXPECT_FALSE(database.state.schema.table(derivation::staging_table));
  EXPECT_FALSE(database.state.schema.table(derivation::event_table));
}

/** The statements of a run that nothing disturbs. */
std::vector<Statement> undisturbed(FakeDatabase database) {
  migrate_it(database);
  return database.statements;
}

/** `phase 2 (asn_inventory), step load_asn_inventory`: what a message must say of a place. */
std::string place_of(const Statement &at) {
  const std::string step = "step " + at.step;
  return at.phase == 0 ? step
                       : "phase " + std::to_string(at.phase) + " (" +
                             std::string(phase_name(at.phase)) + "), " + step;
}

FakeDatabase with_raw_events() {
  Target target = test::test_target();
  target.has_raw_events = true;
  return FakeDatabase(0, target);
}

TEST(Migrate, TakesAFreshDatabaseToVersion16) {
  FakeDatabase database;
  const Rows rows = migrate_it(database);
  EXPECT_EQ(database.state.dump(), complete_v16);
  EXPECT_EQ(database.state.values.at("schema_version"), "16");
  EXPECT_EQ(database.state.values.at("schema_subphase"), "16.5");

  const Schema v15 = observed_after(0);
  const std::vector<Step> plan =
      plan_migration(declared_v16(), v15, database.target(),
                     classify(declared_v16(), v15, "public", 15, std::nullopt));
  ASSERT_EQ(rows.size(), plan.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].step, plan[i].name);
    EXPECT_EQ(rows[i].phase, plan[i].phase);
    EXPECT_EQ(rows[i].status, "done") << rows[i].step;
    EXPECT_GT(rows[i].elapsed_us, 0) << rows[i].step;
  }
  ASSERT_EQ(database.notices.size(), 5u); // one for each phase
  EXPECT_EQ(database.notices.back(),
            "phase 5 (foreign_keys) done in under 1 ms: 7 steps, zero_loss_gate 600 rows");
  EXPECT_EQ(database.grants,
            (std::vector<std::string>{"asn_inventory", "ip_inventory", "ip_asn_history"}));
  EXPECT_EQ(database.finishes, 1);
  EXPECT_EQ(database.run_locks, 1);
  EXPECT_TRUE(database.failures.empty());
}

TEST(Migrate, RecordsEveryStepAndPhaseInTheLedger) {
  FakeDatabase database;
  const Rows rows = migrate_it(database);
  std::vector<std::string> steps;
  std::vector<int> phases;
  long proofs = 0;
  for (const LedgerRow &each : database.state.ledger) {
    if (each.kind == "step" && each.step.step.empty())
      phases.push_back(each.step.phase);
    else if (each.kind == "step")
      steps.push_back(each.step.step);
    proofs += each.kind == "proof";
  }
  EXPECT_EQ(phases, (std::vector<int>{1, 2, 3, 4, 5}));
  ASSERT_EQ(steps.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(steps[i], rows[i].step);
  EXPECT_EQ(proofs, 1);
  EXPECT_EQ(database.state.ledger.front().kind, "begin");
  EXPECT_EQ(database.state.ledger.back().kind, "finish");
  EXPECT_EQ(database.state.ledger.back().step.status, "done");
}

TEST(Migrate, SaysWhatTheFillRejected) {
  FakeDatabase database;
  database.filled.rejects[static_cast<std::size_t>(RejectReason::asn_invalid)] = 12;
  const Rows rows = migrate_it(database);
  EXPECT_EQ(rows[1].step, "fill_columns");
  EXPECT_EQ(rows[1].detail, "rejected: asn_invalid 12; heap only, TOAST kept");
  EXPECT_EQ(rows[1].rows, 600);
  EXPECT_EQ(describe(RejectCounts{}), "");
}

TEST(Migrate, SaysWhyAlterTableRewrites) {
  FakeDatabase database;
  database.alter_table_reason = "the table is not logged";
  const Rows rows = migrate_it(database);
  EXPECT_EQ(rows[1].detail, "no value rejected; by ALTER TABLE: the table is not logged");
  EXPECT_EQ(database.state.values["schema_version"], "16");
}

TEST(Migrate, MakesNoChangeTheSecondTime) {
  FakeDatabase database;
  migrate_it(database);
  const std::size_t ledger = database.state.ledger.size();
  for (const MigrateOptions &options : {MigrateOptions{}, repairing(), keeping(), dry_run()}) {
    database.statements.clear();
    database.locks.clear();
    const Rows rows = migrate_it(database, options);
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows.front().status, "skipped");
    EXPECT_TRUE(database.changing_statements().empty());
    EXPECT_TRUE(database.locks.empty());
    // Only a repair looks at the rows: they may lack what the catalog does not tell.
    for (const Statement &each : database.statements)
      EXPECT_TRUE(options.repair || contains(each.sql, "schema_state") ||
                  contains(each.sql, "FROM pg_trigger"))
          << "it reads data: " << each.sql;
  }
  EXPECT_EQ(database.state.ledger.size(), ledger);
  EXPECT_EQ(database.state.dump(), complete_v16);
}

TEST(Migrate, LeavesALaterVersionAtItsVersion) {
  FakeDatabase database(phase_count);
  database.state.values["schema_version"] = "17";
  erase_named(database.state.schema.table("ip_inventory")->indexes, "idx_ip_current_asn");
  migrate_it(database, repairing());
  EXPECT_EQ(database.state.values.at("schema_version"), "17");
  EXPECT_EQ(inspect(database).situation.state, SchemaState::complete);
}

TEST(Migrate, PlansWithoutChangingAnything) {
  for (int phase = 0; phase < phase_count; ++phase) {
    FakeDatabase database(phase);
    const Rows rows = migrate_it(database, dry_run());
    EXPECT_GT(rows.size(), 3u);
    for (const StepResult &each : rows) {
      EXPECT_EQ(each.status, "planned");
      EXPECT_TRUE(contains(each.detail, "lock ")) << each.step;
    }
    EXPECT_TRUE(database.changing_statements().empty());
    EXPECT_TRUE(database.locks.empty());
    EXPECT_EQ(database.run_locks, 0);
    EXPECT_TRUE(database.state.ledger.empty());
    FakeDatabase same(phase);
    EXPECT_EQ(migrate_it(same).size(), rows.size());
  }
}

TEST(Migrate, FindsEventsByATableWhereNoIndexHelps) {
  FakeDatabase database = with_raw_events();
  migrate_it(database);
  const std::vector<std::string> changes = database.changing_statements();
  const std::string create = derivation::create_event_table(database.target());
  EXPECT_EQ(std::count(changes.begin(), changes.end(), create), 1);
  expect_helpers_gone(database);
  EXPECT_EQ(database.locks.back(), "raw_events ACCESS SHARE");
  EXPECT_EQ(database.locks.front(), "session_summaries ACCESS EXCLUSIVE");
}

TEST(MigrateResumes, AfterEachPhase) {
  for (int phase = 1; phase < phase_count; ++phase)
    for (std::int64_t new_rows : {0, 3}) {
      FakeDatabase database(phase);
      database.new_rows = new_rows;
      const Rows rows = migrate_it(database);
      EXPECT_EQ(rows.front().step, "fill_new_rows");
      EXPECT_EQ(rows.front().rows, new_rows);
      for (const StepResult &each : rows) {
        EXPECT_GT(each.phase, phase);
        if (starts_with(each.step, "refresh_")) {
          EXPECT_EQ(each.status, new_rows ? "done" : "skipped");
        }
      }
      EXPECT_EQ(database.state.dump(), complete_v16) << phase;
    }
}

TEST(MigrateAborts, AtEveryStatementWithItsPlace) {
  const std::vector<Statement> all = undisturbed(with_raw_events());
  ASSERT_GT(all.size(), 50u);
  for (std::size_t n = 1; n <= all.size(); ++n) {
    FakeDatabase database = with_raw_events();
    const std::string before = database.state.dump();
    database.fail_at(n, Failure("22P05", "no such luck", "some detail", "some hint"));
    const Failure failure = refusal_of(database);
    const Statement &at = all[n - 1];
    EXPECT_EQ(failure.sqlstate, "22P05") << at.sql;
    EXPECT_EQ(failure.detail, "some detail");
    EXPECT_EQ(failure.hint, "some hint");
    if (!at.step.empty()) {
      EXPECT_TRUE(contains(failure.context, place_of(at))) << failure.context;
      EXPECT_EQ(database.failures, std::vector<std::string>{"22P05"});
    }
    EXPECT_EQ(database.finishes, 0);
    EXPECT_EQ(database.state.dump(), before);
    // The next call, in the same session, works.
    migrate_it(database);
    EXPECT_EQ(database.state.dump(), complete_v16);
  }
}

// The proof of a resumed run is a scan of all documents: the status must not show it as waiting
// for locks, nor the row as having begun before the run.
TEST(MigrateKeeps, APlaceAndATimeForEveryStatementOfAResumedRun) {
  const std::vector<Statement> all = undisturbed(FakeDatabase(2));
  for (std::size_t n = 1; n <= all.size(); ++n) {
    const Statement &at = all[n - 1];
    if (at.depth < 2 || at.phase == 0)
      continue; // outside every phase
    FakeDatabase database(2);
    database.fail_at(n, Failure("22P05", "no such luck"));
    const StepResult failed = migrate_it(database, keeping()).back();
    EXPECT_EQ(failed.step, at.step) << at.sql;
    EXPECT_GT(failed.phase, 2) << at.sql;
    EXPECT_LT(failed.elapsed_us, 1000) << at.step << ": " << at.sql;
  }
}

TEST(MigrateKeeps, CompletedPhasesAtEveryStatementAndResumes) {
  const std::vector<Statement> all = undisturbed(with_raw_events());
  for (std::size_t n = 1; n <= all.size(); ++n) {
    const Statement &at = all[n - 1];
    if (at.depth < 2 || at.phase == 0)
      continue; // outside every phase
    FakeDatabase database = with_raw_events();
    database.fail_at(n, Failure("22P05", "no such luck"));
    const Rows rows = migrate_it(database, keeping());
    ASSERT_FALSE(rows.empty());
    EXPECT_EQ(rows.back().status, "failed") << at.sql;
    EXPECT_EQ(rows.back().step, at.step) << at.sql;
    EXPECT_EQ(rows.back().phase, at.phase);
    EXPECT_TRUE(contains(rows.back().detail, "no such luck"));
    for (std::size_t i = 0; i + 1 < rows.size(); ++i)
      EXPECT_EQ(rows[i].status, rows[i].phase < at.phase ? "done" : "rolled_back");
    EXPECT_EQ(database.warnings.size(), 1u);
    EXPECT_EQ(database.failures, std::vector<std::string>{"22P05"});
    EXPECT_EQ(database.state.ledger.back().kind, "finish");
    EXPECT_EQ(database.state.ledger.back().sqlstate, "22P05");
    EXPECT_EQ(database.state.dump(), FakeDatabase(at.phase - 1).state.dump()) << at.sql;
    expect_helpers_gone(database);

    database.before_statement = nullptr;
    const Rows next = migrate_it(database, keeping());
    EXPECT_EQ(next.front().phase, at.phase);
    EXPECT_EQ(database.state.dump(), complete_v16);
  }
}

// Phases are verified and recorded by then: a work table in the way is no reason to lose them.
TEST(MigrateKeeps, CompletedPhasesWhenTidyingUpFails) {
  FakeDatabase database;
  bool failed = false;
  database.before_statement = [&](const Statement &each) {
    const std::string drop = "DROP TABLE \"public\".\"cowrie_migrate_staging\"";
    if (each.sql == drop && !std::exchange(failed, true))
      throw Failure("55P03", "no lock on the staging table");
  };
  EXPECT_NO_THROW(migrate_it(database, keeping()));
  EXPECT_TRUE(failed);
  EXPECT_GE(database.state.values["schema_subphase"], "16.4");
}

// The work table was dropped by then, and is back with the rollback of the last phase.
TEST(MigrateKeeps, NoWorkTableWhenTheLastPhaseCannotBeRecorded) {
  FakeDatabase database;
  database.before_record = [&](const StepResult &each) {
    if (each.step.empty() && each.phase == phase_count && each.status == "done")
      throw Failure("53100", "no space for the ledger");
  };
  const Rows rows = migrate_it(database, keeping());
  EXPECT_EQ(rows.back().status, "failed");
  expect_helpers_gone(database);
  EXPECT_EQ(database.state.dump(), FakeDatabase(phase_count - 1).state.dump());
}

TEST(MigrateLeaves, NoObjectBehind) {
  const int before = Live::count();
  const std::size_t all = undisturbed(with_raw_events()).size();
  for (std::size_t n = 1; n <= all; ++n)
    for (const MigrateOptions &options : {MigrateOptions{}, keeping()}) {
      FakeDatabase database = with_raw_events();
      database.fail_at(n, Failure("22P05", "no such luck"));
      refusal_of(database, options);
    }
  EXPECT_EQ(Live::count(), before);
}

TEST(MigrateKeeps, NoCancel) {
  for (const char *step : {"add_columns", "load_ip_inventory", "fk_ip_current_asn"}) {
    FakeDatabase database;
    Failure cancel("57014", "canceling statement due to user request");
    cancel.must_propagate = true;
    database.fail_at_step(step, cancel);
    const Failure failure = failure_of(database, [&] { migrate_it(database, keeping()); });
    EXPECT_EQ(failure.sqlstate, "57014");
    EXPECT_TRUE(failure.must_propagate);
    EXPECT_TRUE(contains(failure.context, step));
    EXPECT_TRUE(database.warnings.empty());
  }
}

TEST(MigrateRefuses, AnIncompleteSchema) {
  FakeDatabase database(phase_count);
  Table &addresses = *database.state.schema.table("ip_inventory");
  for (const char *each : {"geo_country", "ip_types", "is_scanner"})
    erase_named(addresses.columns, each);
  const std::string before = database.state.dump();
  for (const MigrateOptions &options : {MigrateOptions{}, keeping(), dry_run()}) {
    const Failure failure = refusal_of(database, options);
    EXPECT_EQ(failure.sqlstate, "55000");
    EXPECT_EQ(failure.message, "incomplete v16 schema detected");
    EXPECT_TRUE(starts_with(
        failure.detail,
        "Incomplete schema of \"ip_inventory\": missing geo_country, ip_types, is_scanner\n"))
        << failure.detail;
    EXPECT_TRUE(contains(failure.hint, "repair => true"));
    EXPECT_TRUE(contains(failure.hint, "cowrie_cleanup_v16()"));
    EXPECT_TRUE(database.changing_statements().empty());
    EXPECT_TRUE(database.locks.empty()); // nobody has to wait for a refusal
    EXPECT_TRUE(database.state.ledger.empty());
    EXPECT_EQ(database.state.dump(), before);
  }
}

TEST(MigrateRefuses, AVersion16ThatHasNothing) {
  FakeDatabase database;
  database.state.values["schema_version"] = "16";
  const Failure failure = refusal_of(database);
  EXPECT_EQ(failure.sqlstate, "55000");
  EXPECT_TRUE(contains(failure.detail, "version 16 recorded, 0 of 5 phases present"));
  migrate_it(database, repairing());
  EXPECT_EQ(database.state.dump(), complete_v16);
}

TEST(MigrateRefuses, VersionsBefore15) {
  for (const char *version : {"14", "0", "-1", "abc", "", "15x", "99999999999999999999"}) {
    FakeDatabase database;
    database.state.values["schema_version"] = version;
    const Failure failure = refusal_of(database);
    EXPECT_EQ(failure.sqlstate, "0A000") << version;
    EXPECT_TRUE(contains(failure.detail, version));
    EXPECT_FALSE(failure.hint.empty());
    EXPECT_TRUE(database.changing_statements().empty());
  }
  FakeDatabase database;
  database.state.values["schema_version"] = " 15\n";
  EXPECT_EQ(inspect(database).situation.state, SchemaState::version15);
}

TEST(MigrateRefuses, AnUnknownVersion) {
  FakeDatabase without_row;
  without_row.state.values.clear();
  EXPECT_EQ(refusal_of(without_row).sqlstate, "42704");
  FakeDatabase without_table;
  erase_named(without_table.state.schema.tables, "schema_state");
  const Failure failure = refusal_of(without_table);
  EXPECT_EQ(failure.sqlstate, "42704");
  EXPECT_TRUE(contains(failure.detail, "schema_state"));
  EXPECT_FALSE(failure.hint.empty());
}

TEST(Migrate, HashesChosenSessionsOnlyWhereTheyFit) {
  for (const bool fit : {true, false}) {
    FakeDatabase database;
    database.chosen_fit = fit;
    migrate_it(database);
    EXPECT_EQ(database.state.dump(), complete_v16);
    EXPECT_FALSE(database.state.schema.table(derivation::chosen_table));
    for (const bool other : {true, false})
      EXPECT_EQ(std::count_if(database.statements.begin(), database.statements.end(),
                              [&](const auto &each) {
                                return each.sql ==
                                       derivation::load_chosen(database.target(), other);
                              }),
                other == fit ? 1 : 0);
  }
}

TEST(Migrate, ReplacesOnlyAWorkTableOfItsOwn) {
  for (const char *work_table : {derivation::staging_table, derivation::chosen_table}) {
    const auto left_over = [&](FakeDatabase &database) {
      database.state.schema.tables.emplace_back();
      database.state.schema.tables.back().name = work_table;
    };
    FakeDatabase database;
    left_over(database);
    migrate_it(database);
    EXPECT_EQ(database.state.dump(), complete_v16);

    FakeDatabase with_a_users_table;
    left_over(with_a_users_table);
    with_a_users_table.work_table_persistence = "p";
    const Failure failure = refusal_of(with_a_users_table);
    EXPECT_EQ(failure.sqlstate, "42P07");
    EXPECT_TRUE(contains(failure.message, work_table));
    EXPECT_TRUE(with_a_users_table.state.schema.table(work_table));
  }
}

TEST(MigrateAnalyzes, WideRowsWithASmallerSample) {
  for (const auto &[target, bytes, samples, wanted] :
       {std::tuple(100, 2'000'000'000LL, 1, 41), std::tuple(100, 200'000'000LL, 1, 100),
        std::tuple(20, 2'000'000'000LL, 1, 20), std::tuple(10'000, 64'000'000'000LL, 1, 10),
        std::tuple(10'000, 24LL << 20, 1, 10'000),
        // partitions: a few have a sample each, many share the time of a few
        std::tuple(100, 700'000'000LL, 4, 100), std::tuple(100, 700'000'000LL, 17, 28)}) {
    FakeDatabase database;
    database.statistics_target = target;
    database.table_bytes = bytes;
    database.samples = samples;
    std::vector<int> targets;
    database.before_statement = [&](const Statement &each) {
      if (starts_with(each.sql, "ANALYZE ") && each.phase == 4)
        targets.push_back(database.statistics_target);
    };
    migrate_it(database);
    EXPECT_GE(targets.size(), declared_v16().tables.size());
    EXPECT_EQ(std::count(targets.begin(), targets.end(), wanted),
              static_cast<std::ptrdiff_t>(targets.size()))
        << target << " " << bytes;
    EXPECT_EQ(database.statistics_target, target);
  }
}

TEST(MigrateAnalyzes, WhatHasChangedOfTheSessionsWhereTheRestHasStatistics) {
  const auto statements_with = [](std::optional<std::string> columns) {
    FakeDatabase database;
    database.columns_to_analyze = std::move(columns);
    std::vector<std::string> statements;
    database.before_statement = [&](const Statement &each) {
      if (starts_with(each.sql, "ANALYZE ") && each.phase == 4)
        statements.push_back(each.sql);
    };
    migrate_it(database);
    return join(statements, "; ");
  };
  const std::string whole = statements_with({}), some = statements_with("source_ip, mine");
  EXPECT_NE(whole.find(".\"session_summaries\";"), std::string::npos) << whole;
  EXPECT_EQ(whole.find('('), std::string::npos) << whole;
  EXPECT_NE(some.find(".\"session_summaries\" (source_ip, mine);"), std::string::npos) << some;
  EXPECT_EQ(std::count(some.begin(), some.end(), '('), 1) << some; // the inventories are new
}

/** Both ways of rewriting, each with its own kind of proof. */
class MigrateGateBothWays : public testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(Rewrite, MigrateGateBothWays,
                         testing::Values("", "the table is a catalog"));

TEST_P(MigrateGateBothWays, NamesWhatDiffers) {
  const auto detail_after = [&](Fingerprint now) {
    FakeDatabase database;
    database.alter_table_reason = GetParam();
    database.scanned_stored = database.scanned = std::move(now);
    const Failure failure = refusal_of(database);
    EXPECT_EQ(failure.sqlstate, "XX001");
    EXPECT_TRUE(contains(failure.context, "step zero_loss_gate"));
    return failure.detail;
  };
  EXPECT_TRUE(contains(detail_after({599, "documents", "times"}), "count (600 before, 599 now)."));
  EXPECT_TRUE(contains(detail_after({600, "other", "times"}), ": documents."));
  EXPECT_TRUE(contains(detail_after({600, "documents", "other"}), ": times."));
  EXPECT_TRUE(contains(detail_after({601, "other", "other"}),
                       "count (600 before, 601 now), documents, times."));
}

// Where the heap alone was rewritten nothing in a row can change unseen.
TEST(MigrateGate, SeesWhatChangesInOtherColumns) {
  FakeDatabase database;
  database.before_statement = [&](const Statement &each) {
    if (each.step == "load_ip_inventory")
      database.other_columns = "changed by a trigger";
  };
  const Failure failure = refusal_of(database);
  EXPECT_EQ(failure.sqlstate, "XX001");
  EXPECT_TRUE(contains(failure.detail, "before the migration: values of other columns."));
}

TEST(MigrateGate, ReadsNoDocumentWhereTheHeapAloneWasRewritten) {
  FakeDatabase database;
  migrate_it(database, {});
  for (const Statement &each : database.statements)
    EXPECT_FALSE(contains(each.sql, "fingerprint")) << each.sql;
}

TEST(MigrateGate, ReadsTheTextOnlyWhereTheStoredBytesDiffer) {
  FakeDatabase database;
  database.alter_table_reason = "the table is a catalog";
  const auto scans = [&](const std::string &sql) {
    return std::count_if(database.statements.begin(), database.statements.end(),
                         [&](const Statement &each) { return each.sql == sql; });
  };
  const Table sessions = *database.state.schema.table("session_summaries");
  const std::string text = derivation::fingerprint(database.target(), sessions);
  migrate_it(database, {});
  EXPECT_EQ(scans(text), 0);
  EXPECT_EQ(database.state.values.at("schema_version"), "16");

  FakeDatabase other;
  other.alter_table_reason = "the table is a catalog";
  other.scanned_stored.documents = "the same, stored in another form";
  migrate_it(other, {});
  EXPECT_EQ(other.state.values.at("schema_version"), "16");
}

// A run that resumes takes its own proof before it touches a row.
TEST(MigrateGate, ProtectsAResumedRunToo) {
  FakeDatabase database(3);
  database.before_statement = [&](const Statement &each) {
    if (starts_with(each.sql, "UPDATE \"public\".\"session_summaries\""))
      database.scanned.documents = "other";
  };
  EXPECT_EQ(refusal_of(database).sqlstate, "XX001");
}

// What is lost must not be committed, whatever else may stay.
TEST_P(MigrateGateBothWays, TakesEverythingBackWithKeepToo) {
  FakeDatabase database;
  database.alter_table_reason = GetParam();
  database.before_statement = [&](const Statement &each) {
    if (contains(each.sql, "CREATE INDEX \"idx_session_source_ip\""))
      database.scanned.documents = database.scanned_stored.documents = "other";
  };
  const Failure failure = failure_of(database, [&] { migrate_it(database, keeping()); });
  EXPECT_EQ(failure.sqlstate, "XX001");
  EXPECT_TRUE(contains(failure.context, "zero_loss_gate"));
  EXPECT_EQ(database.state.dump(), FakeDatabase().state.dump());
  EXPECT_TRUE(database.warnings.empty());
}

TEST_P(MigrateGateBothWays, ProvesWhatAFailedRunLeavesBehind) {
  for (const bool loses : {false, true}) {
    FakeDatabase database;
    database.alter_table_reason = GetParam();
    bool failed = false;
    database.before_statement = [&](const Statement &each) {
      if (loses && each.step == "load_asn_inventory")
        database.scanned.documents = database.scanned_stored.documents = "other";
      if (each.step == "load_ip_inventory" && each.changes && !std::exchange(failed, true))
        throw Failure("22P05", "no such luck");
    };
    if (loses) {
      const Failure failure = failure_of(database, [&] { migrate_it(database, keeping()); });
      EXPECT_EQ(failure.sqlstate, "XX001");
      EXPECT_TRUE(contains(failure.detail, "documents. The run had failed before: no such luck."));
      EXPECT_TRUE(contains(failure.context, "zero_loss_gate"));
      EXPECT_EQ(database.state.dump(), FakeDatabase().state.dump());
    } else {
      EXPECT_EQ(migrate_it(database, keeping()).back().step, "load_ip_inventory");
      EXPECT_EQ(database.state.dump(), FakeDatabase(2).state.dump());
    }
  }
}

// Between two runs the tables are unlocked: what differs is said, and stops nothing.
TEST(MigrateResumes, AndTellsWhatHasChangedSinceTheFirstRun) {
  for (const char *documents : {"documents", "other"}) {
    FakeDatabase database(3);
    const Fingerprint now = database.scanned;
    Fingerprint before = now;
    if (documents == std::string("other"))
      before.documents = "other";
    database.recorded = {{"7", false, false, "2024-05-01 00:00:00+00", 0, before}};
    migrate_it(database, {});
    EXPECT_EQ(database.state.values.at("schema_version"), "16");
    EXPECT_EQ(database.warnings.size(), documents == std::string("other") ? 1u : 0u);
  }
  FakeDatabase begun_anew(3);
  begun_anew.recorded = {{"7", false, false, "then", 0, Fingerprint{1, "other", "other"}},
                         {"8", true, true, "then", 0, std::nullopt}}; // a cleanup
  migrate_it(begun_anew, {});
  EXPECT_TRUE(begun_anew.warnings.empty());
}

TEST(Migrate, SkipsAnIndexWhoseColumnIsMissing) {
  FakeDatabase database(3);
  database.before_statement = [&](const Statement &each) {
    if (contains(each.sql, "CREATE INDEX \"idx_session_source_ip\""))
      erase_named(database.state.schema.table("session_summaries")->columns, "snapshot_asn");
  };
  migrate_it(database, keeping());
  ASSERT_FALSE(database.warnings.empty());
  EXPECT_EQ(database.warnings.front(),
            "skipping index \"idx_session_snapshot_asn\": column \"snapshot_asn\" is missing");
  EXPECT_EQ(database.state.values.at("schema_version"), "15");
}

} // namespace
} // namespace cowrie
