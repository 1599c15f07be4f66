// The plain SQL cleanup in scripts/ is the one that the declaration gives.
#include <fstream>
#include <regex>
#include <sstream>

#include <gtest/gtest.h>

#include "core/schema/schema.hpp"
#include "core/schema/versions.hpp"
#include "tools/cleanup_script.hpp"

namespace cowrie {
namespace {

TEST(CleanupScript, IsNotStale) {
  const char *path = SOURCE_DIRECTORY "/scripts/cleanup_v16_incomplete.sql";
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  ASSERT_TRUE(file) << path;
  EXPECT_TRUE(text.str() == cleanup_script()) << path << " is stale: run make cleanup-script";
}

TEST(CleanupScript, NamesEveryDeclaredObject) {
  const std::string script = cleanup_script();
  const auto names = [&](const std::string &table, const std::string &name) {
    return script.find("('" + table + "', '" + name + "', ") != std::string::npos;
  };
  for (const Table &table : newest_schema().tables) {
    for (const Column &each : table.columns)
      EXPECT_TRUE(names(table.name, each.name)) << each.name;
    for (const Constraint &each : table.constraints)
      EXPECT_TRUE(names(table.name, each.name)) << each.name;
    for (const Index &each : table.indexes)
      EXPECT_TRUE(names(table.name, each.name)) << each.name;
    for (const std::string &each : table.retired_columns)
      EXPECT_TRUE(names(table.name, each)) << each;
  }
  EXPECT_FALSE(std::regex_search(script, std::regex("@[a-z_]+@"))) << "a place is not filled";
}

} // namespace
} // namespace cowrie
