// holds_null_escape(): which documents PostgreSQL's own json operators cannot read.
#include <gtest/gtest.h>

#include "core/document/enrichment.hpp"

namespace cowrie {
namespace {

TEST(NullEscape, IsFoundWhereverItStands) {
  EXPECT_TRUE(holds_null_escape(R"({"password": "\u0000"})"));
  EXPECT_TRUE(holds_null_escape(R"({"a\u0000b": 1})"));
  EXPECT_TRUE(holds_null_escape(R"({"a": "\\\u0000"})"));
  EXPECT_TRUE(holds_null_escape(R"({"a": "\\u0000 \u0000"})"));
}

TEST(NullEscape, IsNotAnEscapedBackslashBeforeU0000) {
  EXPECT_FALSE(holds_null_escape(R"({"a": "\\u0000"})"));
  EXPECT_FALSE(holds_null_escape(R"({"a": "\\\\u0000"})"));
  EXPECT_FALSE(holds_null_escape(R"({"a": "\u0001 u0000"})"));
  EXPECT_FALSE(holds_null_escape(""));
  EXPECT_FALSE(holds_null_escape(R"({"a": "\u0041"})"));
}

} // namespace
} // namespace cowrie
