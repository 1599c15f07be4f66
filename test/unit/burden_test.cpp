// What others bear: since when a receiver is behind, and which limit is exceeded.
#include "core/online/burden.hpp"

#include <gtest/gtest.h>

#include "fake_online.hpp"

namespace cowrie {
namespace {

using test::FakeDatabase;
using test::FakeOnline;

constexpr std::int64_t second = 1'000'000;

Receiver at(std::int64_t replayed, std::int64_t lag_us = 0) {
  Receiver result;
  result.process = 42;
  result.replayed = replayed;
  result.lag_us = lag_us;
  result.name = "r";
  return result;
}

TEST(LagWatch, CountsFromWhatComesNext) {
  LagWatch watch;
  for (int i = 1; i <= 10; ++i)
    watch.note(i * second, i * 100);
  EXPECT_EQ(watch.lag_us(11 * second, at(1000)), 0);
  EXPECT_EQ(watch.lag_us(11 * second, at(950)), second);
  EXPECT_EQ(watch.lag_us(11 * second, at(500)), 5 * second);
  EXPECT_EQ(watch.lag_us(11 * second, at(0)), 10 * second);
}

TEST(LagWatch, IsNotMisledByAnIdlePrimary) {
  LagWatch watch;
  watch.note(second, 100);
  watch.note(2 * second, 100); // nothing was written
  EXPECT_EQ(watch.lag_us(3600 * second, at(100, 40 * second)), 0);
  watch.note(3600 * second, 200); // something at last, and it is on its way
  EXPECT_EQ(watch.lag_us(3600 * second, at(100, 40 * second)), 0);
  EXPECT_EQ(watch.lag_us(3602 * second, at(100, 40 * second)), 2 * second);
}

TEST(LagWatch, TakesTheServersWordForWhatWasBefore) {
  LagWatch watch;
  watch.note(second, 1000);
  EXPECT_EQ(watch.lag_us(second, at(10, 40 * second)), 40 * second);
}

TEST(LagWatch, KnowsALagOfHours) {
  LagWatch watch;
  for (std::int64_t i = 1; i <= 36'000; ++i)
    watch.note(i * second, i * 100);
  const std::int64_t lag = watch.lag_us(36'000 * second, at(100));
  EXPECT_GT(lag, 35'000 * second);
  EXPECT_LE(lag, 36'000 * second);
  EXPECT_EQ(watch.lag_us(36'000 * second, at(3'600'000)), 0);
}

const Limits limits = {30 * second, 1000, 8};

HoldReason reason(const Load &load, const Limits &most = limits) {
  LagWatch watch;
  return reason_to_hold(load, most, watch, second).reason;
}

TEST(Burden, IsNoneWhereNothingExceedsItsLimit) {
  Load load;
  load.written = 100;
  EXPECT_EQ(reason(load), HoldReason::none);
  load.receivers = {at(50, 30 * second)};
  load.kept = 1000;
  load.unarchived = 1000;
  load.active = 8;
  EXPECT_EQ(reason(load), HoldReason::none);
}

TEST(Burden, NamesTheReasonAndWhoIsWorst) {
  Load load;
  load.written = 100;
  load.active = 9;
  EXPECT_EQ(reason(load), HoldReason::sessions);
  load.unarchived = 1001;
  EXPECT_EQ(reason(load), HoldReason::archiver);
  load.kept = 1001;
  load.slot = "s";
  EXPECT_EQ(reason(load), HoldReason::slot);
  load.receivers = {at(50, 31 * second), at(50, 50 * second), at(100, 70 * second)};
  load.receivers[1].logical = true;
  load.receivers[1].process = 7;
  LagWatch watch;
  const Hold hold = reason_to_hold(load, limits, watch, second);
  EXPECT_EQ(hold.reason, HoldReason::subscriber);
  EXPECT_EQ(hold.process, 7);
  EXPECT_EQ(hold.value, 50 * second);
  EXPECT_EQ(hold.limit, 30 * second);
}

TEST(Burden, IsNotLookedAtWhereThereIsNoLimit) {
  Load load;
  load.written = 100;
  load.receivers = {at(50, 3600 * second)};
  load.kept = load.unarchived = load.active = 1'000'000;
  EXPECT_EQ(reason(load, {}), HoldReason::none);
  EXPECT_EQ(reason(load, {0, 0, 8}), HoldReason::sessions);
  EXPECT_EQ(reason(load, {0, 1, 0}), HoldReason::slot);
}

TEST(Burden, DefaultLimitIsHalfOfTheFreeSpaceOfTheWal) {
  EXPECT_EQ(half_of_free_wal({}), 0);
  const Disk tables = {Disk::Use::new_tables, "t", 1, 10}, wal = {Disk::Use::wal, "w", 2, 4000};
  EXPECT_EQ(half_of_free_wal({tables, wal}), 2000);
  EXPECT_EQ(half_of_free_wal({{Disk::Use::wal, "w", 2, 0}}), 1); // full: everything is too much
}

TEST(Burden, HoldsARunBackUntilItIsLess) {
  FakeOnline fake;
  OnlineOptions options;
  options.pace.max_active = 3;
  std::size_t executed = 0;
  fake.around = [&] {
    Load load;
    if (fake.parts.trigger != 0 && fake.pauses.size() < 4) {
      load.active = 4;
      if (!fake.pauses.empty()) {
        EXPECT_EQ(fake.executed.size(), executed);
      }
      executed = fake.executed.size();
    }
    return load;
  };
  fake.before_orders = [&] { fake.let_pass(second); }; // so that others are looked at each time
  EXPECT_TRUE(fake.migrate(options));
  EXPECT_EQ(fake.state.dump(), FakeDatabase(phase_count).state.dump());
  EXPECT_EQ(fake.pauses.size(), 4u);
  EXPECT_EQ(fake.held.front(), HoldReason::sessions);
  EXPECT_EQ(fake.held.back(), HoldReason::none);
}

TEST(Burden, DoesNotHoldBackAfterTheCutOver) {
  FakeOnline fake;
  fake.before_orders = [&] { fake.let_pass(second); };
  fake.around = [&] {
    Load load;
    load.kept = fake.parts.trigger == 0 && !fake.parts.batches.empty() ? 1 << 30 : 0;
    return load;
  };
  OnlineOptions options;
  options.pace.max_wal = 1;
  EXPECT_TRUE(fake.migrate(options));
  EXPECT_TRUE(fake.pauses.empty());
}

} // namespace
} // namespace cowrie
