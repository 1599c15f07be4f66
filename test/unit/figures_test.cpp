// Figures: sizes as the server's pg_size_pretty() writes them, durations rounded to what matters;
// and what a run tells its caller with them.
#include "core/base/figures.hpp"

#include <gtest/gtest.h>

#include "core/run/phase_notices.hpp"
#include "fake_database.hpp"

namespace cowrie {
namespace {

// Each value is what PostgreSQL 15 answers to SELECT pg_size_pretty(...).
TEST(Figures, SizesAreThoseOfTheServer) {
  EXPECT_EQ(size_pretty(0), "0 bytes");
  EXPECT_EQ(size_pretty(10'239), "10239 bytes");
  EXPECT_EQ(size_pretty(10'240), "10 kB");
  EXPECT_EQ(size_pretty(-10'239), "-10239 bytes");
  EXPECT_EQ(size_pretty(-10'240), "-10 kB");
  EXPECT_EQ(size_pretty(10'485'247), "10239 kB");
  EXPECT_EQ(size_pretty(10'485'248), "10 MB");
  EXPECT_EQ(size_pretty(13'816'350), "13 MB");
  EXPECT_EQ(size_pretty(56'072'577'024), "52 GB");
  EXPECT_EQ(size_pretty(1'000'000'000'000), "931 GB");
  EXPECT_EQ(size_pretty(1'000'000'000'000'000'000), "888 PB");
}

TEST(Figures, DurationsAreRoundedToWhatMatters) {
  EXPECT_EQ(duration(-5), "under 1 ms");
  EXPECT_EQ(duration(0), "under 1 ms");
  EXPECT_EQ(duration(207), "under 1 ms");
  EXPECT_EQ(duration(1000), "1 ms");
  EXPECT_EQ(duration(999'999), "999 ms");
  EXPECT_EQ(duration(1'000'000), "1.0 s");
  EXPECT_EQ(duration(59'940'000), "59.9 s");
  EXPECT_EQ(duration(59'960'000), "1 min 00 s");
  EXPECT_EQ(duration(64'400'000), "1 min 04 s");
  EXPECT_EQ(duration(7'500'000'000), "2 h 05 min");
  EXPECT_EQ(whole_milliseconds(207), 0);
  EXPECT_EQ(whole_milliseconds(1'500), 2000);
  EXPECT_EQ(whole_milliseconds(1'499), 1000);
  EXPECT_EQ(whole_milliseconds(-1'500), -2000);
}

TEST(PhaseNotices, OnePhaseIsOneNotice) {
  test::FakeDatabase database(0);
  PhaseNotices notices(database);
  notices.step({3, "create_ip_inventory", "done", std::nullopt, 1000, ""});
  notices.step({3, "load_ip_inventory", "done", 67, 999'999, ""});
  notices.step(
      {3, "refresh_ip_inventory", "skipped", std::nullopt, 0, "no sessions have been added"});
  EXPECT_TRUE(database.notices.empty());
  notices.end_phase(12'345'000);
  notices.end_phase(1); // none has been counted since
  notices.step({4, "analyze", "done", 0, 1, ""});
  notices.end_phase(1, "removed");
  EXPECT_EQ(database.notices,
            (std::vector<std::string>{
                "phase 3 (ip_inventory) done in 12.3 s: 3 steps, load_ip_inventory 67 rows",
                "phase 4 (history_and_indexes) removed in under 1 ms: 1 step"}));
}

TEST(PhaseNotices, AStepThatIsLongOrNotableHasItsOwn) {
  test::FakeDatabase database(0);
  PhaseNotices notices(database);
  notices.step({1, "fill_columns", "done", 400, 5000, "rejected: ip_invalid 24", true});
  notices.step({5, "set_version", "skipped", std::nullopt, 0, "schema version stays 15", true});
  notices.step({5, "verify", "done", std::nullopt, 1'000'000, ""});
  notices.step({0, "drop_online_objects", "done", std::nullopt, 3000, "", true});
  notices.end_phase(1); // no phase of a migration
  EXPECT_EQ(
      database.notices,
      (std::vector<std::string>{
          "phase 1 (session_columns): fill_columns done in 5 ms, 400 rows (rejected:"
          " ip_invalid 24)",
          "phase 5 (foreign_keys): set_version skipped (schema version stays 15)",
          "phase 5 (foreign_keys): verify done in 1.0 s", "drop_online_objects done in 3 ms"}));
}

} // namespace
} // namespace cowrie
