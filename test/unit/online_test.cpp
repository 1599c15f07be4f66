// The online run: the order of its steps, what is done in one moment, where it goes on after every
// interruption, what it refuses, how patient it is with locks, and that it ends however fast others
// write.
#include "core/online/online_run.hpp"

#include <algorithm>
#include <gtest/gtest.h>

#include "fake_online.hpp"
#include "sanitized.hpp"

namespace cowrie {
namespace {

using test::FakeDatabase;
using test::FakeOnline;
using Strings = std::vector<std::string>;

const std::string complete_v16 = FakeDatabase(phase_count).state.dump();

OnlineOptions in_batches_of(std::int64_t size) {
  OnlineOptions options;
  options.pace.batch_size = size;
  options.pace.target_batch_us = 0; // the size stays
  return options;
}

Failure refused_lock() { return {sqlstate::lock_not_available, "canceling statement"}; }

Failure failure_of(FakeOnline &fake, const OnlineOptions &options = {}) {
  try {
    fake.migrate(options);
  } catch (const Failure &failure) {
    return failure;
  }
  return {"00000", "it did not fail"};
}

/** How the last run ended. */
test::LedgerRow last_outcome(const FakeOnline &fake) {
  test::LedgerRow result;
  for (const test::LedgerRow &each : fake.state.ledger)
    if (each.kind == "finish")
      result = each;
  return result;
}

void expect_complete(const FakeOnline &fake) {
  EXPECT_EQ(fake.state.dump(), complete_v16);
  EXPECT_EQ(fake.parts.trigger, 0);
  EXPECT_FALSE(fake.parts.changes_table);
  EXPECT_EQ(fake.parts.queue.table, 0);
  EXPECT_FALSE(fake.parts.staged);
  EXPECT_EQ(last_outcome(fake).step.status, "done");
}

/** Every session is in one batch: the batches follow each other up to the last one. */
void expect_batches_once(const FakeOnline &fake) {
  ASSERT_FALSE(fake.parts.batches.empty());
  EXPECT_TRUE(std::is_sorted(fake.parts.batches.begin(), fake.parts.batches.end()));
  EXPECT_EQ(std::set<std::int64_t>(fake.parts.batches.begin(), fake.parts.batches.end()).size(),
            fake.parts.batches.size());
  EXPECT_EQ(fake.parts.batches.back(), fake.sessions);
  EXPECT_EQ(fake.parts.memory->filled.before.sessions, fake.sessions);
}

std::size_t place_of(const Strings &steps, const std::string &step) {
  const auto found = std::find(steps.begin(), steps.end(), step);
  EXPECT_NE(found, steps.end()) << step;
  return static_cast<std::size_t>(found - steps.begin());
}

TEST(Online, TakesTheStepsInTheirOrder) {
  FakeOnline fake;
  EXPECT_TRUE(fake.migrate());
  expect_complete(fake);
  expect_batches_once(fake);
  const Strings steps = fake.steps();
  const Strings order = {"create_work_tables",
                         "add_columns",
                         "queue_sessions",
                         "fill_columns",
                         "validate_snapshot_country_iso",
                         "create_asn_inventory",
                         "load_asn_inventory",
                         "create_ip_inventory",
                         "load_ip_inventory",
                         "load_ip_asn_history",
                         "idx_session_source_ip",
                         "catch_up",
                         "cut_over",
                         "last_catch_up",
                         "validate_fk_session_source_ip",
                         "fill_rest",
                         "set_version"};
  for (std::size_t i = 1; i < order.size(); ++i)
    EXPECT_LT(place_of(steps, order[i - 1]), place_of(steps, order[i])) << order[i];
  EXPECT_EQ(steps.back(), "set_version");
  for (int phase = 1; phase < phase_count; ++phase)
    EXPECT_TRUE(std::any_of(fake.state.ledger.begin(), fake.state.ledger.end(),
                            [&](const test::LedgerRow &each) {
                              return each.kind == "step" && each.step.step.empty() &&
                                     each.step.phase == phase;
                            }))
        << phase;
}

/** The transaction that a statement was executed in, and of what kind it was. */
const FakeOnline::Placed *placed(const FakeOnline &fake, const std::string &sql) {
  const auto found =
      std::find_if(fake.executed.begin(), fake.executed.end(),
                   [&](const FakeOnline::Placed &each) { return test::contains(each.sql, sql); });
  if (found == fake.executed.end())
    throw std::logic_error("never executed: " + sql);
  return &*found;
}

TEST(Online, MakesColumnsAndTriggerInOneMomentAndEndsThemInAnother) {
  FakeOnline fake;
  fake.migrate();
  const auto *columns = placed(fake, "ADD COLUMN \"source_ip\"");
  const auto *made = placed(fake, online::create_trigger(fake.target()).front());
  const auto *gone = placed(fake, online::drop_trigger(fake.target()));
  const auto *key = placed(fake, "ADD CONSTRAINT \"fk_session_source_ip\"");
  EXPECT_EQ(columns->transaction, made->transaction);
  EXPECT_EQ(gone->transaction, key->transaction);
  EXPECT_LT(gone, key); // whoever is filled by the trigger has no row for its address yet
  EXPECT_LT(made->transaction, gone->transaction);
}

TEST(Online, WaitsForStrongLocksInShortAttemptsOnly) {
  FakeOnline fake;
  fake.migrate();
  long strong = 0;
  for (const FakeOnline::Placed &each : fake.executed) {
    const bool weak = test::contains(each.sql, " VALIDATE CONSTRAINT ");
    if (weak || !(test::starts_with(each.sql, "LOCK TABLE ") ||
                  test::starts_with(each.sql, "ALTER TABLE \"public\".\"session_summaries\"") ||
                  test::contains(each.sql, "TRIGGER")))
      continue;
    if (test::contains(each.sql, "cowrie_migrate_changes"))
      continue; // its own table, which nobody else knows of yet
    ++strong;
    EXPECT_EQ(each.kind, TransactionKind::catalog) << each.sql;
  }
  EXPECT_GT(strong, 5);
  for (const std::string &each : fake.alone)
    EXPECT_TRUE(test::starts_with(each, "CREATE INDEX CONCURRENTLY ") ||
                test::starts_with(each, "VACUUM "))
        << each;
  EXPECT_GE(fake.alone.size(), 6u);
}

TEST(Online, DoesNothingTheSecondTime) {
  FakeOnline fake;
  fake.migrate();
  const std::size_t ledger = fake.state.ledger.size();
  fake.executed.clear();
  EXPECT_TRUE(fake.migrate());
  EXPECT_TRUE(fake.executed.empty());
  EXPECT_EQ(fake.state.ledger.size(), ledger);
  EXPECT_EQ(fake.notices.back(), "schema version 16 is complete, nothing to do");
}

// Interruptions ----------------------------------------------------------------------------------

std::size_t transactions_of_a_run() {
  FakeOnline fake;
  fake.migrate(in_batches_of(100));
  return fake.transaction;
}

struct Crash {};

const std::size_t every = test::counts(1, 5); // of the transactions that are interrupted

TEST(Online, GoesOnAfterAFailureInAnyTransaction) {
  const std::size_t all = transactions_of_a_run();
  ASSERT_GT(all, 50u);
  for (std::size_t n = 1; n <= all; n += every) {
    FakeOnline fake;
    fake.before_transaction = [&fake, n](TransactionKind) {
      if (fake.transaction == n)
        throw Failure("53200", "out of memory");
    };
    const Failure failure = failure_of(fake, in_batches_of(100));
    ASSERT_EQ(failure.sqlstate, "53200") << n;
    EXPECT_FALSE(failure.detail.empty());
    EXPECT_TRUE(test::contains(failure.hint, "CALL cowrie_migrate_v16_online();"));
    if (!fake.state.ledger.empty()) {
      EXPECT_EQ(last_outcome(fake).step.status, "failed") << n;
      EXPECT_EQ(last_outcome(fake).sqlstate, "53200") << n;
    }
    EXPECT_TRUE(fake.migrate(in_batches_of(100))) << n;
    EXPECT_EQ(fake.state.dump(), complete_v16) << n;
    expect_batches_once(fake);
    if (HasFailure())
      FAIL() << "in transaction " << n;
  }
}

TEST(Online, GoesOnAfterACrashInAnyTransaction) {
  const std::size_t all = transactions_of_a_run();
  std::int64_t staged_anew = 0, tried = 0;
  for (std::size_t n = 1; n <= all; n += every) {
    FakeOnline fake;
    fake.before_transaction = [&fake, n](TransactionKind) {
      if (fake.transaction == n)
        throw Crash();
    };
    EXPECT_THROW(fake.migrate(in_batches_of(100)), Crash) << n;
    fake.parts.staging_whole = false; // it is not logged
    EXPECT_TRUE(fake.migrate(in_batches_of(100))) << n;
    EXPECT_EQ(fake.state.dump(), complete_v16) << n;
    expect_batches_once(fake);
    staged_anew += fake.parts.staged_anew;
    ++tried;
    if (HasFailure())
      FAIL() << "in transaction " << n;
  }
  EXPECT_GT(staged_anew, tried / 2);
}

TEST(Online, SaysWhereItGoesOn) {
  FakeOnline fake;
  int batches = 0;
  fake.before_fill = [&](const std::string &sql) {
    if (test::contains(sql, "q.session") && ++batches == 4)
      throw Failure("57014", "canceled");
  };
  failure_of(fake, in_batches_of(100));
  EXPECT_EQ(fake.parts.memory->position, 300);
  fake.migrate(in_batches_of(100));
  EXPECT_TRUE(std::find(fake.notices.begin(), fake.notices.end(),
                        "resuming the online migration after place 300 of 600 in the queue, 300"
                        " sessions filled") != fake.notices.end());
  expect_batches_once(fake);
}

TEST(Online, StopsAfterABatchWhenItIsAskedTo) {
  FakeOnline fake;
  fake.asks_to_stop = [&] { return fake.parts.batches.size() == 2; };
  EXPECT_FALSE(fake.migrate(in_batches_of(100)));
  EXPECT_EQ(last_outcome(fake).step.status, "stopped");
  EXPECT_EQ(fake.warnings, Strings{"the online migration has stopped on request"});
  fake.asks_to_stop = {};
  EXPECT_TRUE(fake.migrate(in_batches_of(100)));
  expect_complete(fake);
  expect_batches_once(fake);
}

/** Interrupted after the batches; what is done to its leftovers decides where the next one begins.
 */
FakeOnline interrupted() {
  FakeOnline fake;
  fake.before_record = [](const StepResult &step) {
    if (step.step == "create_ip_inventory")
      throw Failure("53200", "out of memory");
  };
  failure_of(fake, in_batches_of(100));
  fake.before_record = {};
  fake.parts.batches.clear();
  return fake;
}

TEST(Online, BeginsAnewWhenChangesMayHaveBeenMissed) {
  const std::vector<std::pair<const char *, std::function<void(FakeOnline &)>>> cases = {
      {"no trigger", [](FakeOnline &fake) { fake.parts.trigger = 0; }},
      {"another trigger", [](FakeOnline &fake) { fake.parts.trigger = 99; }},
      {"disabled", [](FakeOnline &fake) { fake.fires_always = false; }},
      {"no notes", [](FakeOnline &fake) { fake.parts.changes_table = false; }}};
  for (const auto &[name, damage] : cases) {
    FakeOnline fake = interrupted();
    damage(fake);
    EXPECT_TRUE(fake.migrate(in_batches_of(100))) << name;
    EXPECT_EQ(fake.parts.batches.size(), 6u) << name;
    EXPECT_TRUE(std::any_of(fake.notices.begin(), fake.notices.end(), [](const auto &each) {
      return test::contains(each, "from the first session");
    })) << name;
    expect_complete(fake);
  }
  FakeOnline untouched = interrupted();
  untouched.migrate(in_batches_of(100));
  EXPECT_TRUE(untouched.parts.batches.empty());
  expect_complete(untouched);
}

/** What may happen to the queue while nobody looks. */
const std::vector<std::pair<const char *, std::function<void(FakeOnline &)>>> queue_damages = {
    {"dropped", [](FakeOnline &fake) { fake.parts.queue = Queue(); }},
    {"replaced", [](FakeOnline &fake) { fake.parts.queue.table += 1000; }},
    {"emptied", [](FakeOnline &fake) { fake.parts.queue.length = 0; }},
    {"edited", [](FakeOnline &fake) { fake.parts.queue_edited = true; }},
    {"shortened", [](FakeOnline &fake) { --fake.parts.queue.length; }}};

TEST(Online, BeginsAnewWhenTheQueueIsNotAsItWas) {
  for (const auto &[name, damage] : queue_damages) {
    FakeOnline fake;
    fake.before_fill = [&](const std::string &) {
      if (fake.parts.batches.size() == 3)
        throw Failure("57014", "canceled");
    };
    failure_of(fake, in_batches_of(100));
    ASSERT_EQ(fake.parts.batches.size(), 3u) << name;
    fake.before_fill = {};
    fake.parts.batches.clear();
    damage(fake);
    EXPECT_TRUE(fake.migrate(in_batches_of(100))) << name;
    EXPECT_EQ(fake.parts.batches.size(), 6u) << name;
    EXPECT_TRUE(std::any_of(fake.notices.begin(), fake.notices.end(), [](const auto &each) {
      return test::contains(each, "from the first session: the queue of sessions has been changed");
    })) << name;
    expect_batches_once(fake);
    expect_complete(fake);

    FakeOnline filled = interrupted(); // nobody needs it any more
    damage(filled);
    EXPECT_TRUE(filled.migrate(in_batches_of(100))) << name;
    EXPECT_TRUE(filled.parts.batches.empty()) << name;
    expect_complete(filled);
  }
}

TEST(Online, RefusesAQueueThatIsChangedBetweenTwoBatches) {
  for (const auto &[name, damage] : queue_damages) {
    FakeOnline fake;
    bool damaged = false;
    fake.before_transaction = [&, &damage = damage](TransactionKind kind) {
      if (kind == TransactionKind::batch && fake.parts.batches.size() == 3 && !damaged) {
        damaged = true;
        damage(fake);
      }
    };
    const Failure failure = failure_of(fake, in_batches_of(100));
    if (failure.sqlstate == "00000") { // only the end of it was missing
      FAIL() << name;
    }
    EXPECT_EQ(failure.sqlstate, sqlstate::prerequisite_state) << name;
    EXPECT_EQ(failure.message, "the queue of the online migration has been changed") << name;
    EXPECT_TRUE(test::contains(failure.hint, "CALL cowrie_migrate_v16_online();")) << name;
  }
}

// A run of the version before the queue: its position was a key.
TEST(Online, BeginsAnewAfterARunWithoutAQueue) {
  FakeOnline fake;
  fake.before_fill = [&](const std::string &) {
    if (fake.parts.batches.size() == 3)
      throw Failure("57014", "canceled");
  };
  failure_of(fake, in_batches_of(100));
  fake.before_fill = {};
  fake.parts.batches.clear();
  fake.parts.queue = fake.parts.memory->queue = Queue();
  fake.parts.memory->position = 0;
  EXPECT_TRUE(fake.migrate(in_batches_of(100)));
  EXPECT_EQ(fake.parts.batches.size(), 6u);
  expect_batches_once(fake);
  expect_complete(fake);
}

TEST(Online, HasDeadRowsRemovedThatTheirPagesDoNot) {
  for (const bool stays : {false, true}) {
    FakeOnline fake;
    fake.sessions = 20'000;
    fake.stays_in_page = stays;
    EXPECT_TRUE(fake.migrate());
    const auto vacuums = std::count_if(fake.alone.begin(), fake.alone.end(), [](const auto &each) {
      return test::starts_with(each, "VACUUM ");
    });
    EXPECT_EQ(vacuums > 1, !stays);
    EXPECT_EQ(vacuums == 0, stays);
  }
}

TEST(Online, TakesNoStrongLockForWhatIsThere) {
  FakeOnline fake = interrupted();
  fake.executed.clear();
  fake.migrate();
  const std::string lock = "LOCK TABLE " + qualified("public", "session_summaries");
  std::vector<std::size_t> locked;
  for (const FakeOnline::Placed &each : fake.executed)
    if (test::starts_with(each.sql, lock))
      locked.push_back(each.transaction);
  EXPECT_EQ(locked, std::vector<std::size_t>{
                        placed(fake, online::drop_trigger(fake.target()))->transaction});
}

TEST(Online, DerivesAllAnewWhenItsTablesAreGoneAfterTheCutOver) {
  FakeOnline fake;
  fake.before_record = [](const StepResult &step) {
    if (step.step == "last_catch_up")
      throw Failure("53200", "out of memory");
  };
  failure_of(fake);
  fake.before_record = {};
  EXPECT_EQ(fake.parts.trigger, 0);
  fake.parts.changes_table = false;
  fake.parts.batches.clear();
  EXPECT_TRUE(fake.migrate());
  EXPECT_EQ(fake.parts.staged_anew, 1);
  EXPECT_TRUE(fake.parts.batches.empty());
  EXPECT_TRUE(std::find(fake.notices.begin(), fake.notices.end(),
                        "resuming the online migration after the foreign keys were added") !=
              fake.notices.end());
  expect_complete(fake);
}

// What has been staged is of no use once the table has been truncated.
TEST(Online, StagesAnewWhatIsNotWhole) {
  FakeOnline fake = interrupted();
  fake.parts.staging_whole = false;
  fake.migrate();
  EXPECT_EQ(fake.parts.staged_anew, 1);
  const Strings steps = fake.steps();
  EXPECT_EQ(std::count(steps.begin(), steps.end(), "load_asn_inventory"), 2);
  expect_complete(fake);

  FakeOnline late; // while it is running
  late.before_record = [&](const StepResult &step) {
    if (step.step == "cut_over")
      late.parts.staging_whole = false;
  };
  late.migrate();
  EXPECT_EQ(late.parts.staged_anew, 1);
  expect_complete(late);
}

// Refusals ---------------------------------------------------------------------------------------

TEST(Online, BeginsANewRunWhenTheTableIsAnotherOne) {
  FakeOnline fake;
  fake.before_record = [](const StepResult &step) {
    if (step.step == "load_asn_inventory")
      throw Failure("53200", "out of memory");
  };
  failure_of(fake);
  const std::int64_t trigger = fake.parts.memory->trigger;
  FakeOnline restored; // the ledger has stayed
  restored.parts.memory = fake.parts.memory;
  restored.parts.memory->other_table = true;
  EXPECT_TRUE(restored.migrate());
  EXPECT_NE(trigger, 0);
  EXPECT_EQ(restored.steps().front(), "begin_again");
  EXPECT_TRUE(std::any_of(restored.notices.begin(), restored.notices.end(), [](const auto &each) {
    return test::contains(each,
                          "cannot resume the unfinished online migration, starting a new one");
  }));
  expect_batches_once(restored);
  expect_complete(restored);
}

TEST(Online, RefusesWhatNobodyRemembers) {
  FakeOnline fake;
  fake.before_record = [](const StepResult &step) {
    if (step.step == "load_asn_inventory")
      throw Failure("53200", "out of memory");
  };
  failure_of(fake);
  fake.parts.memory.reset(); // the extension was reinstalled
  const Failure failure = failure_of(fake);
  EXPECT_EQ(failure.sqlstate, sqlstate::prerequisite_state);
  EXPECT_EQ(failure.message, "incomplete v16 schema detected");
}

TEST(Online, RefusesATableOfItsName) {
  for (bool FakeOnline::*taken : {&FakeOnline::name_taken, &FakeOnline::queue_name_taken}) {
    FakeOnline fake;
    fake.*taken = true;
    const Failure failure = failure_of(fake);
    EXPECT_EQ(failure.sqlstate, sqlstate::duplicate_table);
    EXPECT_EQ(fake.parts.trigger, 0);
    fake.*taken = false;
    EXPECT_TRUE(fake.migrate());
    expect_complete(fake);
  }
}

TEST(Online, RefusesTriggersThatWouldFire) {
  FakeOnline fake;
  fake.update_triggers = {{"trigger touch", "f", std::nullopt}};
  const Failure failure = failure_of(fake);
  EXPECT_EQ(failure.sqlstate, sqlstate::prerequisite_state);
  EXPECT_EQ(failure.detail, "trigger touch");
  EXPECT_TRUE(fake.state.ledger.empty());
  EXPECT_TRUE(fake.executed.empty());
}

TEST(Online, RefusesAFullDisk) {
  FakeOnline fake;
  fake.disk_list = {{Disk::Use::sessions, "tablespace \"pg_default\"", 1, 0}};
  const Failure failure = failure_of(fake);
  EXPECT_EQ(failure.sqlstate, sqlstate::disk_full);
  EXPECT_EQ(failure.message, "not enough free space for the migration");
  EXPECT_TRUE(test::contains(failure.hint, "CALL cowrie_migrate_v16_online();"));
  EXPECT_TRUE(fake.executed.empty());
  // What is begun has been weighed already, and takes the less the further it is.
  FakeOnline resumed = interrupted();
  resumed.disk_list = fake.disk_list;
  EXPECT_TRUE(resumed.migrate());
}

TEST(Online, DoesNotCutOverWhenTheTriggerWasSwitchedOff) {
  FakeOnline fake;
  fake.before_record = [&](const StepResult &step) {
    if (step.step == "catch_up")
      fake.fires_always = false;
  };
  const Failure failure = failure_of(fake);
  EXPECT_EQ(failure.sqlstate, sqlstate::prerequisite_state);
  EXPECT_EQ(failure.message, "changes have been missed while sessions were migrated");
  EXPECT_NE(fake.parts.trigger, 0);
  EXPECT_FALSE(test::contains(fake.state.dump(), "fk_session_source_ip"));
  fake.before_record = {};
  fake.parts.batches.clear();
  EXPECT_TRUE(fake.migrate(in_batches_of(100)));
  EXPECT_EQ(fake.parts.batches.size(), 6u); // from the first session
  expect_complete(fake);
}

// LockRetry ---------------------------------------------------------------------------------------

/** Refuses the lock of this step so many times. */
void refuse(FakeOnline &fake, const std::string &step, int times) {
  fake.before_record = [step, left = times](const StepResult &row) mutable {
    if (row.step == step && left > 0) {
      --left;
      throw refused_lock();
    }
  };
}

TEST(Online, TriesAgainForALockWithGrowingJitteredPauses) {
  FakeOnline fake;
  refuse(fake, "add_columns", 20);
  EXPECT_TRUE(fake.migrate());
  expect_complete(fake);
  ASSERT_EQ(fake.pauses.size(), 20u);
  for (std::size_t i = 0; i < fake.pauses.size(); ++i) {
    const std::int64_t pause = std::min<std::int64_t>(
        2'000'000, std::int64_t{50'000} << std::min<std::size_t>((i + 1) / 2, 10));
    EXPECT_GE(fake.pauses[i], pause / 2) << i;
    EXPECT_LT(fake.pauses[i], pause / 2 + pause) << i;
  }
  EXPECT_GT(std::set<std::int64_t>(fake.pauses.begin(), fake.pauses.end()).size(), 15u); // jitter
  const Strings steps = fake.steps();
  EXPECT_EQ(std::count(steps.begin(), steps.end(), "add_columns"), 1);
}

TEST(Online, GivesUpAfterManyAttemptsAndNamesWhoIsInTheWay) {
  FakeOnline fake;
  refuse(fake, "cut_over", 1000);
  const Failure failure = failure_of(fake);
  EXPECT_EQ(failure.sqlstate, sqlstate::lock_not_available);
  EXPECT_EQ(failure.message, "could not obtain lock after 100 attempts");
  EXPECT_EQ(failure.detail, "process 42 holds everything");
  EXPECT_EQ(fake.pauses.size(), 99u);
  fake.before_record = {};
  EXPECT_TRUE(fake.migrate());
  expect_complete(fake);
}

TEST(Online, GivesUpAfterAsManyAttemptsAsTheSettingSays) {
  FakeOnline fake;
  fake.lock_attempts = 3;
  refuse(fake, "cut_over", 1000);
  EXPECT_EQ(failure_of(fake).message, "could not obtain lock after 3 attempts");
  EXPECT_EQ(fake.pauses.size(), 2u);
  EXPECT_EQ(fake.lock_waits.at(0).most, 3);
}

TEST(Online, MakesABatchSmallerWhoseRowsAreLocked) {
  FakeOnline fake;
  int refused = 2;
  fake.before_fill = [&](const std::string &sql) {
    if (test::contains(sql, "q.session") && fake.parts.batches.size() == 1 && refused-- > 0)
      throw refused_lock();
  };
  EXPECT_TRUE(fake.migrate(in_batches_of(100)));
  expect_batches_once(fake);
  EXPECT_EQ(fake.parts.batches[1], 100 + 100 / 4 / 4);
}

TEST(Online, TriesNothingAgainThatIsNoLock) {
  for (const bool cancelled : {false, true}) {
    FakeOnline fake;
    fake.before_record = [&](const StepResult &step) {
      if (step.step != "add_columns")
        return;
      Failure failure = cancelled ? refused_lock() : Failure("53100", "disk full");
      failure.must_propagate = cancelled;
      throw failure;
    };
    failure_of(fake);
    EXPECT_TRUE(fake.pauses.empty());
  }
}

// Catching up ------------------------------------------------------------------------------------

TEST(Online, WorksOffEveryNote) {
  FakeOnline fake;
  fake.before_record = [&](const StepResult &step) {
    if (step.step == "fill_columns")
      for (int i = 0; i < 1000; ++i)
        fake.parts.notes.push_back(FakeOnline::key(i % 600));
  };
  EXPECT_TRUE(fake.migrate());
  EXPECT_EQ(fake.parts.worked_off, 1000);
  EXPECT_EQ(fake.parts.staged_anew, 0);
  expect_complete(fake);
}

TEST(Online, GivesEveryAddressItsRow) {
  FakeOnline fake;
  fake.orphaned = {FakeOnline::key(3), FakeOnline::key(5)};
  EXPECT_TRUE(fake.migrate());
  EXPECT_EQ(fake.parts.worked_off, 2);
  const Strings steps = fake.steps();
  EXPECT_LT(place_of(steps, "last_catch_up"), place_of(steps, "validate_fk_session_source_ip"));
  expect_complete(fake);
}

TEST(Online, StagesEverythingAnewForVeryManyNotes) {
  FakeOnline fake;
  fake.before_record = [&](const StepResult &step) {
    if (step.step == "fill_columns")
      for (int i = 0; i < 30'000; ++i)
        fake.parts.notes.push_back(FakeOnline::key(i % 600));
  };
  EXPECT_TRUE(fake.migrate());
  EXPECT_EQ(fake.parts.staged_anew, 1);
  EXPECT_EQ(fake.parts.worked_off, 30'000);
  expect_complete(fake);
}

// Until the trigger goes they note as fast as this works off; after that they cannot.
TEST(Online, EndsHoweverFastTheyWrite) {
  FakeOnline fake;
  fake.before_record = [&](const StepResult &step) {
    fake.writes_per_round = fake.parts.trigger != 0 && step.step != "cut_over" ? 25'000 : 0;
    if (step.step == "cut_over")
      for (int i = 0; i < 50'000; ++i)
        fake.parts.unfilled.insert(FakeOnline::key(100'000 + i));
  };
  fake.inserts_per_pass = 60'000;
  EXPECT_TRUE(fake.migrate());
  expect_complete(fake);
  const Strings steps = fake.steps();
  EXPECT_EQ(std::count(steps.begin(), steps.end(), "fill_rest"), 1);
}

TEST(Online, ForgetsNoNoteThatHasMoved) {
  FakeOnline fake;
  fake.before_record = [&](const StepResult &step) {
    if (step.step == "fill_columns")
      for (int i = 0; i < 300; ++i)
        fake.parts.notes.push_back(FakeOnline::key(i));
  };
  bool once = true;
  fake.before_fill = [&](const std::string &sql) {
    if (once && test::contains(sql, "session_id = ANY (") && test::starts_with(sql, "UPDATE ")) {
      once = false;
      fake.changes_moved = true; // between reading and forgetting
    }
  };
  EXPECT_TRUE(fake.migrate());
  EXPECT_FALSE(once);
  EXPECT_EQ(fake.parts.worked_off, 300);
  expect_complete(fake);
}

TEST(Online, DerivesAgainWhenASessionChangesInBetween) {
  FakeOnline fake;
  int left = 2;
  fake.before_record = [&](const StepResult &step) {
    if (step.step == "cut_over")
      fake.parts.notes.push_back(FakeOnline::key(7));
  };
  fake.before_fill = [&](const std::string &sql) {
    if (test::contains(sql, "session_id = ANY (") && test::starts_with(sql, "UPDATE ") &&
        left-- > 0)
      throw Failure(sqlstate::foreign_key_violation, "no such address");
  };
  EXPECT_TRUE(fake.migrate());
  EXPECT_LT(left, 0);
  expect_complete(fake);
}

} // namespace
} // namespace cowrie
