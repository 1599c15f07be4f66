// Repair and cleanup: from any damaged shape of version 16 forwards to the declaration, and back to
// version 15 or to the end of a phase, without taking along what is not declared.
#include <functional>
#include <ostream>

#include <gtest/gtest.h>

#include "core/migration.hpp"
#include "fake_database.hpp"

namespace cowrie {
namespace {

using test::contains;
using test::erase_named;
using test::failure_of;
using test::FakeDatabase;
using test::find_named;

/** A way to damage a complete database. */
struct Damage {
  std::string name;
  std::function<void(Schema &)> inflict;
};

void PrintTo(const Damage &each, std::ostream *out) { *out << each.name; }

template <typename Object>
void add_damage(std::vector<Damage> &all, const std::string &what, const Table &table,
                std::vector<Object> Table::*list, const Object &object,
                std::function<void(Object &)> change) {
  all.push_back({table.name + "_" + object.name + "_" + what,
                 [table = table.name, list, name = object.name, change](Schema &schema) {
                   change(*find_named(schema.table(table)->*list, name));
                 }});
}

template <typename Object>
void add_loss(std::vector<Damage> &all, const Table &table, std::vector<Object> Table::*list,
              const Object &object) {
  all.push_back({table.name + "_" + object.name + "_missing",
                 [table = table.name, list, name = object.name](Schema &schema) {
                   erase_named(schema.table(table)->*list, name);
                 }});
}

/** Every damage to one object that can be mended without deciding about anybody's rows. */
std::vector<Damage> all_damages() {
  std::vector<Damage> all;
  for (const Table &table : schema_v16().tables) {
    for (const Column &each : table.columns) {
      all.push_back({table.name + "_" + each.name + "_missing",
                     [table = table.name, name = each.name](Schema &schema) {
                       test::FakeCatalog::drop_column(*schema.table(table), name);
                     }});
      if (table.phase == 0)
        continue;
      add_damage<Column>(all, "other_nullness", table, &Table::columns, each,
                         [](Column &column) { column.not_null = !column.not_null; });
      if (each.generated.empty())
        add_damage<Column>(all, "other_default", table, &Table::columns, each, [](Column &column) {
          column.default_value = {"42", "{42}"};
        });
    }
    for (const Constraint &each : table.constraints) {
      if (each.kind == ConstraintKind::primary_key)
        continue;
      add_loss(all, table, &Table::constraints, each);
      add_damage<Constraint>(all, "not_valid", table, &Table::constraints, each,
                             [](Constraint &constraint) { constraint.validated = false; });
      add_damage<Constraint>(all, "not_valid_under_another_name", table, &Table::constraints, each,
                             [](Constraint &constraint) {
                               constraint.validated = false;
                               constraint.name = "mine";
                             });
      add_damage<Constraint>(all, "other", table, &Table::constraints, each,
                             [](Constraint &constraint) { constraint.ordinary = false; });
    }
    for (const Index &each : table.indexes) {
      add_loss(all, table, &Table::indexes, each);
      add_damage<Index>(all, "invalid", table, &Table::indexes, each,
                        [](Index &index) { index.valid = false; });
      if (each.method != "brin") // under another name, one on event times is the user's own
        add_damage<Index>(all, "invalid_under_another_name", table, &Table::indexes, each,
                          [](Index &index) {
                            index.valid = false;
                            index.name = "mine";
                          });
      add_damage<Index>(all, "other", table, &Table::indexes, each,
                        [](Index &index) { index.method = "hash"; });
    }
    if (table.phase == 4) // the others are held by foreign keys
      all.push_back({table.name + "_missing",
                     [name = table.name](Schema &schema) { erase_named(schema.tables, name); }});
  }
  return all;
}

class DamagedDatabase : public testing::TestWithParam<Damage> {};

TEST_P(DamagedDatabase, IsRefusedAndThenRepaired) {
  FakeDatabase database(phase_count);
  GetParam().inflict(database.state.schema);
  const Failure failure =
      failure_of(database, [&] { migrate(database, database, database, MigrateOptions{}); });
  EXPECT_EQ(failure.sqlstate, "55000");
  EXPECT_EQ(failure.message, "incomplete v16 schema detected");

  MigrateOptions repair;
  repair.repair = true;
  migrate(database, database, database, repair);
  EXPECT_EQ(look(database).situation.state, SchemaState::complete);
  for (const std::string &sql : database.changing_statements()) {
    EXPECT_FALSE(contains(sql, "DROP COLUMN")) << sql;
    EXPECT_FALSE(contains(sql, "DROP TABLE \"public\".\"ip_") ||
                 contains(sql, "DROP TABLE \"public\".\"asn_"))
        << sql;
  }
}

TEST_P(DamagedDatabase, IsTakenBackToVersion15) {
  FakeDatabase database(phase_count);
  GetParam().inflict(database.state.schema);
  cleanup(database, database, database, CleanupOptions{});
  EXPECT_EQ(look(database).situation.state, SchemaState::version15);
  EXPECT_EQ(database.state.dump(), FakeDatabase(0).state.dump());
}

INSTANTIATE_TEST_SUITE_P(Declaration, DamagedDatabase, testing::ValuesIn(all_damages()),
                         [](const auto &info) { return info.param.name; });

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
      EXPECT_EQ(look(database).situation.state,
                to == 0 ? SchemaState::version15 : SchemaState::resumable);
      migrate(database, database, database, MigrateOptions{});
      EXPECT_EQ(database.state.dump(), FakeDatabase(phase_count).state.dump());
    }
}

TEST(Cleanup, SkipsWhereThereIsNothingToRemove) {
  for (int phase = 0; phase < phase_count; ++phase) {
    FakeDatabase database(phase);
    const std::vector<StepResult> rows = clean(database, to_phase(phase));
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows.front().status, "skipped");
    EXPECT_TRUE(database.changing_statements().empty());
    EXPECT_TRUE(database.locks.empty());
    EXPECT_TRUE(database.state.ledger.empty());
  }
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
  EXPECT_NE(look(database).situation.state, SchemaState::incomplete);
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
  ASSERT_EQ(after.indexes.size(), 1u);
  EXPECT_EQ(after.indexes.front().name, "my_brin");
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
  }
  EXPECT_TRUE(database.changing_statements().empty());
  EXPECT_TRUE(database.locks.empty());
  EXPECT_TRUE(database.state.ledger.empty());
  EXPECT_EQ(database.run_locks, 0);
}

TEST(CleanupRefuses, ToLoseWhatTheApplicationEnriched) {
  FakeDatabase database(phase_count);
  database.enriched = {{"ip_inventory", 12}, {"asn_inventory", 3}};
  const Failure failure = refusal_of(database);
  EXPECT_EQ(failure.sqlstate, "55000");
  EXPECT_TRUE(contains(failure.detail, "ip_inventory: 12 rows"));
  EXPECT_TRUE(contains(failure.detail, "asn_inventory: 3 rows"));
  EXPECT_TRUE(contains(failure.hint, "force => true"));
  EXPECT_EQ(refusal_of(database, to_phase(2)).sqlstate, "55000");
  // What goes back to a phase that keeps these tables loses nothing.
  clean(database, to_phase(4));
  clean(database, forced());
  EXPECT_EQ(database.state.dump(), FakeDatabase(0).state.dump());
}

TEST(CleanupRefuses, ToTakeUndeclaredObjectsAlong) {
  FakeDatabase database(phase_count);
  database.dependents = {"view my_view", "index my_index"};
  for (const CleanupOptions &options : {CleanupOptions{}, forced()}) {
    const Failure failure = refusal_of(database, options);
    EXPECT_EQ(failure.sqlstate, "2BP01");
    EXPECT_EQ(failure.detail, "view my_view\nindex my_index");
  }
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
  for (int phase : {-1, 5, 6}) {
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
