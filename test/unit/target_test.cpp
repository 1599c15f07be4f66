// Target: calls in the form of the entry point that is running.
#include <gtest/gtest.h>

#include "core/ports/target.hpp"

namespace cowrie {
namespace {

TEST(Target, NamesTheEntryPointThatIsRunning) {
  Target target;
  EXPECT_EQ(target.migration("repair => true"),
            "SELECT * FROM cowrie_migrate_v16(repair => true);");
  target.entry = Entry::online;
  target.arguments = "repair => true";
  EXPECT_EQ(target.migration(), "CALL cowrie_migrate_v16_online();");
  EXPECT_EQ(target.again(), "CALL cowrie_migrate_v16_online(repair => true);");
  EXPECT_EQ(target.with_schema("it's").again(),
            "CALL cowrie_migrate_v16_online(target_schema => 'it''s', repair => true);");
}

TEST(Target, GivesEveryHintTheCall) {
  const std::string call = "CALL cowrie_migrate_v16_online();";
  EXPECT_EQ(hint_with_call("", call), "Run " + call);
  EXPECT_EQ(hint_with_call("Drop it.", call), "Drop it. Then run " + call);
  EXPECT_EQ(hint_with_call("Look, then repeat the call.", call), "Look, then run " + call);
  EXPECT_EQ(hint_with_call("Close it, then repeat this call by itself.", call),
            "Close it, then run " + call + " by itself.");
  EXPECT_EQ(hint_with_call("Run CALL other();", call), "Run CALL other();");
}

} // namespace
} // namespace cowrie
