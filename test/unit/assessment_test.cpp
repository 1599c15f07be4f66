// Assessment: the same counts in whatever order and in however many parts.
#include "core/document/assessment.hpp"

#include <stdexcept>

#include <gtest/gtest.h>

namespace cowrie {
namespace {

struct Case {
  std::string id, document;
  std::int64_t ended;
};

const std::vector<Case> cases = {
    {"c", R"({"dshield":{"ip":{"number":"192.0.2.1","asn":"1","ascountry":"NL"}}})", 10},
    {"a", R"({"dshield":{"ip":{"number":"192.0.2.1","asn":"x","ascountry":"XX"}}})", 20},
    {"b", R"({"dshield":{"ip":{"number":"192.0.2.2","asn":"2","ascountry":"DE"}}})", 30},
    {"d", R"({"maxmind":{"country":"USA"}})", 40},
    {"e", "null", 50},
};

Assessment assess(std::size_t from, std::size_t to, bool filled = false) {
  Assessment result;
  EnrichmentReader reader;
  for (std::size_t i = from; i < to; ++i) {
    reader.read(cases[i].document);
    AssessedSession session;
    session.session_id = cases[i].id;
    session.ended = cases[i].ended;
    session.facts = &reader.resolve();
    session.has_asn = filled;
    result.add(session);
  }
  return result;
}

std::string text(const Assessment &assessment) {
  std::string result;
  for (const Assessment::Amount &each : assessment.amounts()) {
    result += std::string(each.name) + " " + std::to_string(each.amount);
    for (const std::string &id : each.examples.ids())
      result += " " + id;
    result += "\n";
  }
  return result;
}

std::int64_t amount(const Assessment &assessment, std::string_view name) {
  for (const Assessment::Amount &each : assessment.amounts())
    if (each.name == name)
      return each.amount;
  ADD_FAILURE() << name;
  return -1;
}

TEST(Assessment, CountsWhatAMigrationWouldMakeOfThem) {
  const Assessment all = assess(0, cases.size());
  EXPECT_EQ(amount(all, "sessions"), 5);
  EXPECT_EQ(amount(all, "documents"), 4);
  EXPECT_EQ(amount(all, "source_ips"), 3);
  EXPECT_EQ(amount(all, "no_source_ip"), 2);
  EXPECT_EQ(amount(all, "distinct_ips"), 2);
  EXPECT_EQ(amount(all, "ips_once"), 1);
  EXPECT_EQ(amount(all, "distinct_asns"), 2);
  // The latest session of 192.0.2.1 has provider data without a country.
  EXPECT_EQ(amount(all, "covered_ips"), 1);
  EXPECT_EQ(amount(all, "asn_invalid"), 1);
  EXPECT_EQ(amount(all, "country_invalid"), 2);
  EXPECT_EQ(amount(all, "snapshots_due"), 2);
  EXPECT_EQ(amount(all, "snapshots_there"), 0);
  // Both an ASN and a country are due there.
  EXPECT_EQ(amount(assess(0, cases.size(), true), "snapshots_there"), 0);
}

TEST(Assessment, DoesNotDependOnPartsAndSurvivesTheWayToTheLeader) {
  const std::string whole = text(assess(0, cases.size()));
  for (std::size_t cut = 0; cut <= cases.size(); ++cut) {
    Assessment parts = Assessment::from_bytes(assess(cut, cases.size()).bytes());
    parts.add(Assessment::from_bytes(assess(0, cut).bytes()));
    EXPECT_EQ(text(parts), whole) << cut;
  }
}

TEST(Assessment, RefusesBytesThatAreNoneOfItsOwn) {
  const std::string bytes = assess(0, cases.size()).bytes();
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, bytes.size() - 1})
    EXPECT_THROW(Assessment::from_bytes(bytes.substr(0, size)), std::invalid_argument) << size;
  EXPECT_THROW(Assessment::from_bytes(bytes + "x"), std::invalid_argument);
}

TEST(Examples, AreTheSmallestThree) {
  Examples examples;
  for (const char *each : {"d", "b", "e", "b", "a", "c"})
    examples.add(each);
  EXPECT_EQ(std::vector<std::string>(examples.ids().begin(), examples.ids().end()),
            (std::vector<std::string>{"a", "b", "c"}));
}

} // namespace
} // namespace cowrie
