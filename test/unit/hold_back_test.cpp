// An online run that takes orders: it pauses, goes on, changes its pace, waits for the cut-over,
// and stops out of every wait.
#include "core/online/hold_back.hpp"

#include <gtest/gtest.h>

#include "fake_online.hpp"
#include "sanitized.hpp"

namespace cowrie {
namespace {

using test::FakeDatabase;
using test::FakeOnline;

const std::string complete_v16 = FakeDatabase(phase_count).state.dump();

OnlineOptions in_batches_of(std::int64_t size) {
  OnlineOptions options;
  options.pace.batch_size = size;
  options.pace.target_batch_us = 0;
  return options;
}

std::int64_t count(const std::vector<HoldReason> &reasons, HoldReason wanted) {
  return std::count(reasons.begin(), reasons.end(), wanted);
}

TEST(HoldBack, PausesBetweenTwoBatchesUntilItIsResumed) {
  FakeOnline fake;
  std::size_t executed = 0;
  fake.before_orders = [&] {
    if (fake.parts.batches.size() == 2 && fake.pauses.empty()) {
      fake.ordered.pause = true;
      executed = fake.executed.size();
    }
    if (fake.ordered.pause && fake.pauses.size() == 5) {
      EXPECT_EQ(fake.executed.size(), executed); // nothing is done meanwhile
      EXPECT_EQ(fake.held.back(), HoldReason::pause);
      fake.ordered.pause = false;
    }
  };
  EXPECT_TRUE(fake.migrate(in_batches_of(100)));
  EXPECT_EQ(fake.state.dump(), complete_v16);
  EXPECT_EQ(fake.pauses, std::vector<std::int64_t>(5, 1'000'000));
  EXPECT_EQ(count(fake.held, HoldReason::pause), 1);
  EXPECT_EQ(fake.held.back(), HoldReason::none);
}

TEST(HoldBack, PausesBeforeAnyStepAndStopsOutOfIt) {
  FakeOnline whole;
  std::size_t looks = 0;
  whole.before_orders = [&] { ++looks; };
  whole.migrate(in_batches_of(100));
  ASSERT_GT(looks, 30u);
  for (std::size_t n = 1; n <= looks; n += test::counts(1, 5)) {
    FakeOnline fake;
    std::size_t look = 0;
    fake.before_orders = [&] {
      if (++look >= n)
        fake.ordered.pause = true;
    };
    fake.asks_to_stop = [&] { return fake.pauses.size() == 2; };
    EXPECT_FALSE(fake.migrate(in_batches_of(100))) << n;
    EXPECT_EQ(fake.held.back(), HoldReason::pause) << n;
    EXPECT_FALSE(fake.warnings.empty()) << n;
    fake.before_orders = {};
    fake.asks_to_stop = {};
    fake.ordered.pause = false;
    EXPECT_TRUE(fake.migrate(in_batches_of(100))) << n;
    EXPECT_EQ(fake.state.dump(), complete_v16) << n;
  }
}

TEST(HoldBack, TakesAnotherPaceWhileItRuns) {
  FakeOnline fake;
  fake.before_orders = [&] {
    if (fake.parts.batches.size() == 1) {
      fake.ordered.pace.batch_size = 200;
      fake.ordered.pace.pause_us = 1'500'000;
    } else if (fake.parts.batches.size() == 2) {
      fake.ordered.pace.pause_us = 0;
    }
  };
  EXPECT_TRUE(fake.migrate(in_batches_of(100)));
  EXPECT_EQ(fake.parts.batches, (std::vector<std::int64_t>{100, 300, 500, 600}));
  EXPECT_EQ(fake.pauses, (std::vector<std::int64_t>{1'000'000}));
}

TEST(HoldBack, RestsAsLongAsThePauseIs) {
  FakeOnline fake;
  OnlineOptions options = in_batches_of(300);
  options.pace.pause_us = 2'500'000;
  EXPECT_TRUE(fake.migrate(options));
  EXPECT_EQ(fake.pauses, (std::vector<std::int64_t>{1'000'000, 1'000'000, 500'000, 1'000'000,
                                                    1'000'000, 500'000}));
}

TEST(HoldBack, WaitsForTheCutOverAndCatchesUpMeanwhile) {
  FakeOnline fake;
  OnlineOptions options;
  options.waits_for_cut_over = true;
  std::int64_t worked_off = 0;
  fake.before_orders = [&] {
    if (fake.pauses.size() == 2 && fake.parts.notes.empty())
      for (int i = 1; i <= 300; ++i)
        fake.parts.notes.push_back(FakeOnline::key(i));
    if (!fake.ordered.cut_over && fake.pauses.size() == 7) {
      EXPECT_EQ(fake.held.back(), HoldReason::cut_over);
      EXPECT_NE(fake.parts.trigger, 0);
      worked_off = fake.parts.worked_off;
      fake.ordered.cut_over = true;
    }
  };
  EXPECT_TRUE(fake.migrate(options));
  EXPECT_EQ(fake.state.dump(), complete_v16);
  EXPECT_EQ(worked_off, 300);
  EXPECT_EQ(fake.pauses.size(), 7u);
  EXPECT_EQ(fake.held.back(), HoldReason::none);
  const std::vector<std::string> steps = fake.steps();
  const auto waited = std::find(steps.begin(), steps.end(), "wait_for_cut_over");
  ASSERT_NE(waited, steps.end());
  EXPECT_EQ(*(waited + 1), "cut_over");
}

TEST(HoldBack, WaitsAgainWhenItHasEndedWhileItWaited) {
  FakeOnline fake;
  OnlineOptions options;
  options.waits_for_cut_over = true;
  for (int i = 1; i <= 2; ++i) {
    fake.pauses.clear();
    fake.asks_to_stop = [&] { return fake.pauses.size() == 3; };
    EXPECT_FALSE(fake.migrate(options));
    EXPECT_EQ(fake.held.back(), HoldReason::cut_over);
    EXPECT_NE(fake.parts.trigger, 0);
  }
  fake.asks_to_stop = {};
  fake.pauses.clear();
  EXPECT_TRUE(fake.migrate()); // now
  EXPECT_TRUE(fake.pauses.empty());
  EXPECT_EQ(fake.state.dump(), complete_v16);
}

TEST(HoldBack, PausesWhileItWaitsForTheCutOver) {
  FakeOnline fake;
  OnlineOptions options;
  options.waits_for_cut_over = true;
  fake.before_orders = [&] {
    fake.ordered.pause = fake.pauses.size() >= 2 && fake.pauses.size() < 4;
    if (fake.pauses.size() == 3) {
      EXPECT_EQ(fake.held.back(), HoldReason::pause);
    }
    fake.ordered.cut_over = fake.pauses.size() >= 3; // it is paused all the same
  };
  EXPECT_TRUE(fake.migrate(options));
  EXPECT_EQ(fake.pauses.size(), 4u);
  EXPECT_EQ(fake.state.dump(), complete_v16);
}

} // namespace
} // namespace cowrie
