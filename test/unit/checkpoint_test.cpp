// Checkpoint: how long is too long, by a clock that goes as the test wants it.
#include "core/survey/checkpoint.hpp"

#include <gtest/gtest.h>

#include "core/survey/checkpoint_queries.hpp"
#include "fake_database.hpp"

namespace cowrie {
namespace {

/** A database in which the queries that are measured take as long as is said. */
class TimedDatabase : public test::FakeDatabase {
public:
  TimedDatabase() : FakeDatabase(phase_count) {}

  std::int64_t takes_us = 0; ///< the slow query
  std::string slow;          ///< words of its text; the others take no time

  std::vector<Row> query(const std::string &sql,
                         const std::vector<Parameter> &parameters) override {
    if (sql.compare(0, 8, "EXPLAIN ") == 0) {
      if (sql.find(slow) != std::string::npos)
        let_pass(takes_us);
      return {{"Aggregate  (actual rows=1 loops=1)"}};
    }
    try {
      return FakeDatabase::query(sql, parameters);
    } catch (const std::logic_error &) { // measured elsewhere: in a server
      return {Row(8, "0")};
    }
  }
};

std::vector<Criterion> performance(TimedDatabase &database) {
  std::vector<Criterion> rows;
  for (Criterion &each : checkpoint(database, database))
    if (each.criterion == "query_performance")
      rows.push_back(std::move(each));
  return rows;
}

TEST(Checkpoint, TimesEachQueryByItself) {
  TimedDatabase database;
  database.slow = "LIMIT 100";
  database.takes_us = 10'000'000;
  const std::vector<Criterion> rows = performance(database);
  ASSERT_EQ(rows.size(), checkpoint_queries().size());
  for (const Criterion &each : rows) {
    const bool is_slow = each.detail.find("top 100 ASNs") == 0;
    EXPECT_EQ(each.passed, !is_slow) << each.detail;
    EXPECT_EQ(each.measured, is_slow ? "10.0 s" : "under 1 ms");
    EXPECT_EQ(each.target, "< 10 s");
  }
}

TEST(Checkpoint, LessThanTenSecondsIsFastEnough) {
  for (const std::int64_t takes : {9'999'000, 9'999'998, 9'999'999, 60'000'000}) {
    TimedDatabase database;
    database.slow = "EXPLAIN";
    database.takes_us = takes; // and a microsecond for reading the clock
    for (const Criterion &each : performance(database)) {
      EXPECT_EQ(each.passed, takes + 1 < 10'000'000) << takes;
    }
  }
}

} // namespace
} // namespace cowrie
