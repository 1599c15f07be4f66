// The declaration is the only definition of the columns. Some other places name columns too,
// because they compute their values: each declared column must be known to them.
#include <algorithm>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "core/inspect/capacity.hpp"
#include "core/sql/derivation.hpp"
#include "core/sql/unexplained_rows.hpp"
#include "fake_schema.hpp"

namespace cowrie::test {
namespace {

std::string source(const std::string &path) {
  std::ifstream file(SOURCE_DIRECTORY "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(file) << path;
  return text.str();
}

/** Columns of an inventory that a migration derives from the sessions. */
std::vector<const Column *> derived_columns(const Table &table) {
  std::vector<const Column *> result;
  for (const Column &each : table.columns)
    if (each.generated.empty() && each.filled_by == FilledBy::migration)
      result.push_back(&each);
  return result;
}

TEST(Columns, OfInventoriesAreAllDerived) {
  for (const Table &table : schema_v16().tables) {
    if (table.phase == 0)
      continue;
    const std::string load =
        derivation::load_rows(test_target(), table.name, derivation::OnExisting::none_there);
    const std::size_t open = load.find('('), close = load.find(')', open);
    const std::string columns =
        ", " + std::string(load, open + 1, close - open - 1) + ","; // may be on several lines
    std::string flat;
    for (const char c : columns)
      if (c != '\n' && !(c == ' ' && !flat.empty() && flat.back() == ' '))
        flat += c;
      else if (c == '\n')
        flat += flat.back() == ' ' ? "" : " ";
    for (const Column *each : derived_columns(table))
      EXPECT_TRUE(contains(flat, " " + each->name + ",")) << table.name << "." << each->name;
  }
}

TEST(Columns, OfInventoriesFollowTheirSessions) {
  for (const Table &table : schema_v16().tables) {
    if (table.phase == 0)
      continue;
    const std::string refresh =
        derivation::load_rows(test_target(), table.name, derivation::OnExisting::keep);
    for (const Column *each : derived_columns(table)) {
      const std::vector<std::string> &key = table.primary_key()->columns;
      if (std::find(key.begin(), key.end(), each->name) != key.end())
        continue;
      EXPECT_TRUE(contains(refresh, "EXCLUDED." + quote_identifier(each->name)))
          << table.name << "." << each->name;
    }
  }
}

/** Every session column has a function that fills it, a place in the copy of the heap and in the
 *  trigger, and a value that cleanup compares it with. */
TEST(Columns, OfSessionsAreKnownEverywhere) {
  const std::string script = source("sql/cowrie_migrate--1.0.sql");
  const std::string functions = source("src/api/documents.cpp");
  const std::string trigger = source("src/api/online_trigger.cpp");
  const std::string heap = source("src/pg/rewrite/session_filler.cpp");
  const Schema declared = declared_v16(), observed = observed_after(phase_count);
  const std::string check = unexplained_rows(test_target(), {declared, observed, 0},
                                             *observed.table("session_summaries"));
  for (const Column &each : schema_v16().table("session_summaries")->columns) {
    EXPECT_TRUE(contains(script, quote_literal(each.name))) << each.name;
    EXPECT_TRUE(contains(functions, "cowrie_fill_" + each.name)) << each.name;
    EXPECT_TRUE(contains(trigger, "\"" + each.name + "\"")) << each.name;
    EXPECT_TRUE(contains(heap, "{\"" + each.name + "\", ")) << each.name;
    EXPECT_TRUE(contains(check, "s." + quote_identifier(each.name) + " IS DISTINCT FROM "))
        << each.name;
  }
}

/** Two columns cannot be compared with the same fact. */
TEST(Columns, OfSessionsComeFromDifferentFacts) {
  const Schema declared = declared_v16(), observed = observed_after(phase_count);
  const std::string check = unexplained_rows(test_target(), {declared, observed, 0},
                                             *observed.table("session_summaries"));
  std::vector<std::string> values;
  for (const Column &each : schema_v16().table("session_summaries")->columns) {
    const std::string before = "s." + quote_identifier(each.name) + " IS DISTINCT FROM ";
    const std::size_t from = check.find(before) + before.size();
    values.push_back(check.substr(from, check.find(" OR ", from) - from));
  }
  std::sort(values.begin(), values.end());
  EXPECT_EQ(std::adjacent_find(values.begin(), values.end()), values.end());
}

} // namespace
} // namespace cowrie::test
