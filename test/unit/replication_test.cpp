// Replication: what is kept from subscribers, what cannot be kept from them and is refused, by
// which command each refusal ends, and that no refusal stands in the way of a complete schema.
#include "core/inspect/replication.hpp"

#include <algorithm>
#include <gtest/gtest.h>

#include "core/run/atomic_run.hpp"
#include "core/run/cleanup.hpp"
#include "fake_online.hpp"

namespace cowrie {
namespace {

using test::FakeDatabase;
using test::FakeOnline;
using Strings = std::vector<std::string>;

const std::string state_table = R"("public"."schema_state")";

/** The failure of a body; "00000" where there is none. */
template <typename Body> Failure failure_of(Body body) {
  try {
    body();
  } catch (const Failure &failure) {
    return failure;
  }
  return {"00000", "it did not fail"};
}

void migrate_it(FakeDatabase &database) { migrate(database, database, database, MigrateOptions()); }

/** What is done to schema_state, in words, in order. */
Strings done_to_state(const FakeOnline &fake) {
  Strings result;
  for (const auto &each : fake.executed)
    for (const char *word : {"SET UNLOGGED", "SET LOGGED", "INSERT INTO", "UPDATE", "DELETE FROM"})
      if (contains(each.sql, state_table) && contains(each.sql, word)) {
        result.emplace_back(word);
        break;
      }
  return result;
}

TEST(Replication, StateIsUnloggedWhileItIsWrittenWhereItIsPublished) {
  FakeOnline fake;
  fake.state_is_published = true;
  fake.migrate({});
  const Strings words = done_to_state(fake);
  ASSERT_EQ(words.size(), 3U * (phase_count + 1));
  for (std::size_t i = 0; i < words.size(); i += 3) {
    EXPECT_EQ(words[i], "SET UNLOGGED");
    EXPECT_EQ(words[i + 2], "SET LOGGED");
  }
  EXPECT_EQ(fake.state.values.at("schema_version"), "16");
}

TEST(Replication, StateStaysAsItIsWhereItIsNotPublished) {
  FakeOnline fake;
  fake.migrate({});
  for (const std::string &word : done_to_state(fake)) {
    EXPECT_NE(word, "SET UNLOGGED");
    EXPECT_NE(word, "SET LOGGED");
  }
}

TEST(Replication, StateIsLockedForItsRewriteBeforeAnythingIsDone) {
  FakeDatabase database;
  database.state_is_published = true;
  migrate_it(database);
  EXPECT_NE(
      std::find(database.locks.begin(), database.locks.end(), "schema_state ACCESS EXCLUSIVE"),
      database.locks.end());
}

TEST(Replication, QueueIsFilledBeforeItIsLoggedWhereWalIsDecoded) {
  for (const bool decoded : {false, true}) {
    FakeOnline fake;
    fake.wal_is_decoded = decoded;
    fake.migrate({});
    Strings words;
    for (const auto &each : fake.executed)
      if (contains(each.sql, R"("public"."cowrie_migrate_queue")"))
        words.push_back(each.sql.substr(0, each.sql.find(' ', each.sql.find(' ') + 1)));
    ASSERT_GE(words.size(), 2U);
    EXPECT_EQ(words[0], decoded ? "CREATE UNLOGGED" : "CREATE TABLE");
    EXPECT_EQ(words[1], decoded ? "ALTER TABLE" : "CREATE UNIQUE");
  }
}

TEST(Replication, RefusesAStateThatIsPublishedByName) {
  FakeOnline fake;
  fake.published_by_name = {
      {"cdc", "ALTER PUBLICATION cdc DROP TABLE x;", "ALTER PUBLICATION cdc ADD TABLE x;"}};
  const std::string before = fake.state.dump();
  for (const Failure &failure :
       {failure_of([&] { fake.migrate({}); }), failure_of([&] { migrate_it(fake); })}) {
    EXPECT_EQ(failure.sqlstate, sqlstate::prerequisite_state);
    EXPECT_EQ(failure.message, state_table + " is published by name");
    EXPECT_TRUE(contains(failure.hint, "ALTER PUBLICATION cdc DROP TABLE x;")) << failure.hint;
    EXPECT_TRUE(contains(failure.hint, "ALTER PUBLICATION cdc ADD TABLE x;")) << failure.hint;
  }
  EXPECT_EQ(fake.state.dump(), before);
}

TEST(Replication, RefusesKeysToAPublishedStateOnly) {
  FakeDatabase database;
  database.referring_keys = {{"t.k", "ALTER TABLE t DROP CONSTRAINT k;", "ALTER TABLE t ADD k;"}};
  EXPECT_EQ(failure_of([&] { refuse_published_state(database); }).sqlstate, "00000");
  database.state_is_published = true;
  const Failure failure = failure_of([&] { migrate_it(database); });
  EXPECT_EQ(failure.message, state_table + " is published, and foreign keys refer to it");
  EXPECT_TRUE(contains(failure.hint, "ALTER TABLE t DROP CONSTRAINT k;")) << failure.hint;
}

TEST(Replication, RefusesToFillInventoriesThatASubscriptionFills) {
  FakeDatabase database;
  database.subscribed_tables = {{"asn_inventory", "s"}, {"ip_inventory", "s"}};
  const Failure failure = failure_of([&] { migrate_it(database); });
  EXPECT_EQ(failure.message, "a subscription writes to the inventories");
  EXPECT_TRUE(contains(failure.detail, "subscription s writes to asn_inventory, subscription s"
                                       " writes to ip_inventory"))
      << failure.detail;
  EXPECT_TRUE(contains(failure.hint, "cowrie_cleanup_v16();")) << failure.hint;
  database.inventories_have_rows = true; // those of the publisher
  EXPECT_EQ(failure_of([&] { migrate_it(database); }).sqlstate, "00000");
}

TEST(Replication, RefusesNothingWhereNothingIsToDo) {
  FakeDatabase database(phase_count);
  database.published_by_name = {{"cdc", "drop", "add"}};
  database.subscribed_tables = {{"asn_inventory", "s"}};
  EXPECT_EQ(failure_of([&] { migrate_it(database); }).sqlstate, "00000");
}

} // namespace
} // namespace cowrie
