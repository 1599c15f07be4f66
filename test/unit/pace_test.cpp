// Pace: how large the next batch is, what is no pace, and the words for what a run waits for.
#include "core/online/pace.hpp"

#include <gtest/gtest.h>

#include "core/base/failure.hpp"

namespace cowrie {
namespace {

constexpr std::int64_t second = 1'000'000;

Pace aimed_at(std::int64_t target_us, std::int64_t first = 10'000) {
  Pace pace;
  pace.batch_size = first;
  pace.target_batch_us = target_us;
  return pace;
}

TEST(BatchSize, AimsAtTheTimeThatIsWanted) {
  EXPECT_EQ(next_batch_size(1000, 800'000, aimed_at(second)), 1250);
  EXPECT_EQ(next_batch_size(1000, 2 * second, aimed_at(second)), 500);
  EXPECT_EQ(next_batch_size(1000, second, aimed_at(second)), 1000);
}

TEST(BatchSize, ChangesInStepsThatAreNotTooLarge) {
  EXPECT_EQ(next_batch_size(1000, 1, aimed_at(second)), 2000);
  EXPECT_EQ(next_batch_size(1000, 0, aimed_at(second)), 2000); // the clock has not moved
  EXPECT_EQ(next_batch_size(1000, -5 * second, aimed_at(second)), 2000);
  EXPECT_EQ(next_batch_size(1000, 100 * second, aimed_at(second)), 250);
}

TEST(BatchSize, StaysWithinItsBounds) {
  EXPECT_EQ(next_batch_size(100'000, 1, aimed_at(second)), 100'000);
  EXPECT_EQ(next_batch_size(12, 100 * second, aimed_at(second)), 10);
  EXPECT_EQ(next_batch_size(1, second, aimed_at(second, 1)), 10);
  EXPECT_EQ(next_batch_size(2'000'000'000, 1, aimed_at(9'000'000'000'000'000'000)), 100'000);
  EXPECT_EQ(next_batch_size(10, 9'000'000'000'000'000'000, aimed_at(1)), 10);
}

TEST(BatchSize, SettlesWhereTheTargetIs) {
  std::int64_t size = 10'000; // of 40 microseconds a session
  for (int i = 0; i < 20; ++i)
    size = next_batch_size(size, size * 40, aimed_at(second));
  EXPECT_EQ(size, 25'000);
}

TEST(BatchSize, WithoutATargetStaysTheFirst) {
  EXPECT_EQ(next_batch_size(50, 1, aimed_at(0, 50)), 50);
  EXPECT_EQ(next_batch_size(50, 100 * second, aimed_at(0, 50)), 50);
  EXPECT_EQ(next_batch_size(6, 1, aimed_at(0, 50)), 12); // after a lock was refused
}

void expect_refused(const Pace &pace, const std::string &message) {
  try {
    refuse_unfit(pace, "the next command");
    FAIL() << "not refused: " << message;
  } catch (const Failure &failure) {
    EXPECT_EQ(failure.sqlstate, sqlstate::invalid_parameter);
    EXPECT_EQ(failure.message, message);
    EXPECT_FALSE(failure.detail.empty());
    EXPECT_EQ(failure.hint, "the next command");
  }
}

TEST(Pace, RefusesWhatIsNone) {
  refuse_unfit(Pace(), "");
  refuse_unfit({1, 0, 0, 0, 0, 0}, "");
  expect_refused({0, 0, 0, 0, 0, 0}, "batch_size must be at least 1");
  expect_refused({1, -1, 0, 0, 0, 0}, "pause must not be negative");
  expect_refused({1, 0, -1, 0, 0, 0}, "target_batch must not be negative");
  expect_refused({1, 0, 0, -1, 0, 0}, "max_lag must not be negative");
  expect_refused({1, 0, 0, 0, -2, 0}, "max_wal must not be negative");
  expect_refused({1, 0, 0, 0, 0, -1}, "max_active must not be negative");
}

TEST(Hold, SaysWhy) {
  const auto words = [](HoldReason reason, std::int64_t value, std::int64_t limit) {
    return in_words(Hold{reason, value, limit, 42, "n"});
  };
  EXPECT_EQ(in_words(Hold()), "");
  EXPECT_EQ(words(HoldReason::cut_over, 0, 0), "");
  EXPECT_EQ(words(HoldReason::pause, 0, 0),
            "paused; continue with SELECT cowrie_resume_migration();");
  EXPECT_EQ(words(HoldReason::standby, 45'340'000, 30 * second),
            "standby \"n\" (process 42) lags 45.3 s, max_lag is 30.0 s");
  EXPECT_EQ(in_words(Hold{HoldReason::subscriber, second, 0, 7, ""}),
            "subscriber (process 7) lags 1.0 s, max_lag is 0.0 s");
  EXPECT_EQ(words(HoldReason::slot, 3 << 20, 1000),
            "replication slot \"n\" keeps 3072 kB of WAL, max_wal is 1000 bytes");
  EXPECT_EQ(words(HoldReason::archiver, 48 << 20, 32 << 20),
            "48 MB of WAL wait for the archiver, max_wal is 32 MB");
  EXPECT_EQ(words(HoldReason::sessions, 9, 8), "9 sessions are active, max_active is 8");
}

} // namespace
} // namespace cowrie
