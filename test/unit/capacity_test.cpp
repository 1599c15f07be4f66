// Capacity: what goes where, and what is refused; the numbers themselves are measured in a server.
#include "core/inspect/capacity.hpp"
#include "core/inspect/estimates.hpp"

#include <gtest/gtest.h>

#include "fake_database.hpp"

namespace cowrie {
namespace {

Need need() {
  Need made;
  made.tables = 1000;
  made.indexes = 100;
  made.inventory_tables = 300;
  made.inventory_indexes = 30;
  made.temporary = 20;
  made.wal_kept = 5;
  return made;
}

std::vector<Disk> disks(std::uint64_t sessions, std::uint64_t other, std::uint64_t temporary,
                        std::uint64_t wal) {
  return {{Disk::Use::sessions, "sessions", sessions, 5000},
          {Disk::Use::new_tables, "other", other, 5000},
          {Disk::Use::temporary, "temporary", temporary, 5000},
          {Disk::Use::wal, "pg_wal", wal, 5000}};
}

TEST(Capacity, AddsUpWhatIsOnOneFileSystem) {
  const std::vector<DiskNeed> one = disk_needs(need(), disks(1, 1, 1, 1));
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one.front().need, 1125);
  EXPECT_EQ(one.front().places, "sessions, other, temporary, pg_wal");
}

// Partitions in two tablespaces, a fifth of the bytes in one of them.
TEST(Capacity, SharesSessionsBetweenFileSystems) {
  std::vector<Disk> several = disks(1, 3, 3, 3);
  several[0].share = 0.2;
  several.push_back({Disk::Use::sessions, "more sessions", 2, 5000, 0.8});
  const std::vector<DiskNeed> needs = disk_needs(need(), several);
  const std::vector<DiskNeed> whole = disk_needs(need(), disks(1, 3, 3, 3));
  ASSERT_EQ(needs.size(), 3u);
  EXPECT_EQ(needs[0].need + needs[2].need, whole[0].need);
  EXPECT_EQ(needs[2].places, "more sessions");
  EXPECT_LT(needs[0].need, needs[2].need);
  EXPECT_EQ(needs[1].need, whole[1].need);
}

TEST(Capacity, TellsFileSystemsApart) {
  const std::vector<DiskNeed> several = disk_needs(need(), disks(1, 2, 1, 3));
  ASSERT_EQ(several.size(), 3u);
  EXPECT_EQ(several[0].need, 700 + 70 + 20);
  EXPECT_EQ(several[1].need, 300 + 30);
  EXPECT_EQ(several[2].need, 5);
}

TEST(Capacity, DeduplicatedIndexesAreSmaller) {
  EXPECT_LT(btree_bytes(1'000'000, 100, 8), btree_bytes(1'000'000, 1'000'000, 8) / 2);
  EXPECT_EQ(btree_bytes(0, 0, 8), 8192);
}

TEST(Capacity, ExtrapolatesDifferentValues) {
  EXPECT_EQ(distinct_in_all(100, 100, 40, 10), 40);              // all were seen
  EXPECT_EQ(distinct_in_all(100'000, 1000, 10, 0), 10);          // all came again
  EXPECT_GT(distinct_in_all(100'000, 1000, 1000, 1000), 50'000); // none did
}

// As measured: 100,000 sessions of 4 KB, a heap of 82 MB that grows by 26; see docs/PERFORMANCE.md.
TEST(Capacity, OnlineTheTableGrowsByItsDeadRows) {
  CapacityFacts facts;
  facts.sessions = facts.sampled = 100'000;
  facts.heap = 81.5e6;
  facts.toast = 145.8e6;
  facts.largest_wal = 1e12;
  facts.rebuilt_indexes = {11.8e6};
  test::FakeDatabase database;
  const Inspection seen = inspect(database);
  const Need online = need_of(facts, seen, Way::online), atomic = need_of(facts, seen);
  const auto grown = static_cast<double>(online.tables - online.inventory_tables);
  EXPECT_GT(grown, 0.8 * 26e6);
  EXPECT_LT(grown, 1.5 * 26e6);
  EXPECT_LT(online.tables, atomic.tables / 2);
  EXPECT_GT(online.wal, 165'000'000);
  // A part of a large table is dead at a time, all of a small one.
  facts.sessions = 1e7;
  const Need large = need_of(facts, seen, Way::online);
  facts.sessions = 1e4;
  const Need small = need_of(facts, seen, Way::online);
  EXPECT_GT(small.tables, 80'000'000);
  EXPECT_LT(large.tables - large.inventory_tables, 1'000'000'000);
  // Every row is logged, also where what a transaction makes would not be.
  facts.wal_minimal = true;
  EXPECT_EQ(need_of(facts, seen, Way::online).wal, small.wal);
  EXPECT_LT(need_of(facts, seen).wal, small.wal);
}

TEST(Capacity, WhatStaysInToastIsNotNeededAgain) {
  CapacityFacts facts;
  facts.sessions = facts.sampled = 100'000;
  facts.heap = 81.5e6;
  facts.toast = 145.8e6;
  test::FakeDatabase database;
  const Inspection seen = inspect(database);
  const Need heap_only = need_of(facts, seen);
  facts.alter_table_reason = "the table is not logged";
  const Need all = need_of(facts, seen);
  EXPECT_EQ(all.tables - heap_only.tables, 145'800'000);
  EXPECT_GT(all.wal, heap_only.wal + 130'000'000);
  EXPECT_EQ(all.indexes, heap_only.indexes);
  // Where a column must be converted ALTER TABLE does it.
  facts.alter_table_reason.clear();
  Inspection converted = seen;
  for (Column &each : converted.observed.table("session_summaries")->columns)
    if (each.name == "created_at")
      each.type = "text";
  EXPECT_EQ(need_of(facts, converted).tables, all.tables);
}

TEST(Capacity, WhatTheRemedySetsIsMoreThanHardlyEnough) {
  DiskNeed disk;
  for (disk.need = 99'999; disk.need < std::int64_t{1} << 50; disk.need += disk.need / 7 + 99'999) {
    disk.free = megabytes_that_suffice(disk.need) << 20;
    EXPECT_FALSE(is_hardly_enough(disk)) << disk.need;
    disk.free = disk.need;
    EXPECT_TRUE(is_hardly_enough(disk)) << disk.need;
  }
}

TEST(Capacity, RefusesNothingWhereTheSystemCannotBeAsked) {
  test::FakeDatabase database;
  EXPECT_NO_THROW(refuse_full_disk(database, inspect(database)));
}

} // namespace
} // namespace cowrie
