// Capacity: what goes where, and what is refused; the numbers themselves are measured in a server.
#include "core/capacity.hpp"

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

TEST(Capacity, RefusesNothingWhereTheSystemCannotBeAsked) {
  test::FakeDatabase database;
  EXPECT_NO_THROW(refuse_full_disk(database, look(database)));
}

} // namespace
} // namespace cowrie
