// Validate: the findings that a user reads, of the schema, of the record and of the rows.
#include <algorithm>

#include <gtest/gtest.h>

#include "core/run/atomic_run.hpp"
#include "core/inspect/validate.hpp"
#include "fake_database.hpp"

namespace cowrie {
namespace {

using test::contains;
using test::FakeDatabase;

TEST(Validate, FindsNothingInWhatIsWhole) {
  FakeDatabase v16(phase_count);
  EXPECT_TRUE(validate(v16, 16).empty());
  FakeDatabase v15;
  EXPECT_TRUE(validate(v15, 15).empty());
  for (const FakeDatabase &each : {v15, v16}) {
    EXPECT_TRUE(each.changing_statements().empty());
    EXPECT_TRUE(each.locks.empty());
  }
}

TEST(Validate, SaysHowFarAMigrationGot) {
  for (int phase = 0; phase < phase_count; ++phase) {
    FakeDatabase database(phase);
    const std::vector<Finding> findings = validate(database, 16);
    ASSERT_FALSE(findings.empty());
    EXPECT_EQ(findings.back().object_type, ObjectType::version);
    EXPECT_TRUE(contains(findings.back().actual, std::to_string(phase) + " of 5 phases present"));
    for (const Finding &each : findings)
      EXPECT_TRUE(each.object_type == ObjectType::version || each.phase > phase) << each.object;
  }
}

TEST(Validate, ListsEveryTraceInAVersion15) {
  FakeDatabase database(phase_count);
  const std::vector<Finding> findings = validate(database, 15);
  for (const Table &table : schema_v16().tables) {
    if (table.phase > 0) {
      EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [&](const Finding &each) {
        return each.object == table.name;
      })) << table.name;
    }
  }
  EXPECT_EQ(findings.back().object_type, ObjectType::version);
  EXPECT_EQ(findings.back().actual, "version 16 recorded, schema_subphase 16.5");
  EXPECT_TRUE(contains(findings.back().remedy, "cowrie_cleanup_v16"));
}

TEST(Validate, FindsAMissingColumnOfVersion15) {
  FakeDatabase database;
  test::erase_named(database.state.schema.table("session_summaries")->columns, "enrichment");
  const std::vector<Finding> findings = validate(database, 15);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings.front().object_name(), "session_summaries.enrichment");
}

// Sessions that came after the migration are the application's daily business: a warning.
TEST(Validate, WarnsOfSessionsWithoutSnapshotAndFailsOrphans) {
  FakeDatabase database(phase_count);
  database.unfilled = 7;
  std::vector<Finding> findings = validate(database, 16);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings.front().severity, Severity::warning);
  EXPECT_EQ(findings.front().object_type, ObjectType::data);
  EXPECT_EQ(findings.front().actual, "7 of 600 sessions without");

  database.unfilled = 0;
  database.orphans = 2;
  findings = validate(database, 16);
  ASSERT_EQ(findings.size(), 2u); // one per foreign key
  for (const Finding &each : findings) {
    EXPECT_EQ(each.severity, Severity::error);
    EXPECT_TRUE(contains(each.actual, "2 rows"));
    EXPECT_TRUE(contains(each.remedy, "repair => true"));
  }
}

TEST(Validate, RefusesVersionsItDoesNotKnow) {
  for (int version : {0, 14, newest_schema().version + 1}) {
    FakeDatabase database;
    const Failure failure = test::failure_of(database, [&] { validate(database, version); });
    EXPECT_EQ(failure.sqlstate, "22023") << version;
  }
}

} // namespace
} // namespace cowrie
