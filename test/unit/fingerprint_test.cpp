// Fingerprint: the same rows give the same sums in any order; every change to one shows.
#include "core/document/fingerprint.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace cowrie {
namespace {

struct Session {
  std::string id;
  std::optional<std::string> document;
  std::optional<std::int64_t> first, last;
};

std::vector<Session> sessions() {
  std::vector<Session> result;
  for (int i = 0; i < 50; ++i)
    result.push_back({"session" + std::to_string(i), "{\"a\": " + std::to_string(i) + "}",
                      1'000'000 * i, 1'000'000 * i + 7});
  result[1].document = std::nullopt;
  result[2].document = "";
  result[3].first = std::nullopt;
  result[4].last = std::nullopt;
  return result;
}

SessionsFingerprint sum(const std::vector<Session> &rows) {
  SessionsFingerprint result;
  for (const Session &each : rows) {
    std::optional<std::string_view> document;
    if (each.document)
      document = *each.document;
    result.add(each.id, document, each.first, each.last);
  }
  return result;
}

/** Which of count, documents and times a change to one session shows in. */
struct Shows {
  bool documents;
  bool times;
};

void expect_change(const std::function<void(Session &)> &change, Shows shows,
                   std::size_t row = 10) {
  std::vector<Session> rows = sessions();
  const SessionsFingerprint before = sum(rows);
  change(rows[row]);
  const SessionsFingerprint after = sum(rows);
  EXPECT_EQ(after.sessions, before.sessions);
  EXPECT_EQ(after.documents.hex() != before.documents.hex(), shows.documents);
  EXPECT_EQ(after.times.hex() != before.times.hex(), shows.times);
}

TEST(Sum128, CarriesAndWraps) {
  Sum128 sum{std::numeric_limits<std::uint64_t>::max(), 1};
  sum.add({1, 0});
  EXPECT_EQ(sum.low, 0u);
  EXPECT_EQ(sum.high, 2u);
  sum.add({0, std::numeric_limits<std::uint64_t>::max()});
  EXPECT_EQ(sum.high, 1u);
  EXPECT_EQ(sum.low, 0u);
}

TEST(Sum128, IsWrittenWith32Digits) {
  EXPECT_EQ(Sum128{}.hex(), "00000000000000000000000000000000");
  EXPECT_EQ((Sum128{0xabc, 0x1}.hex()), "00000000000000010000000000000abc");
}

TEST(Sum128, SubtractsWhatWasAdded) {
  Sum128 sum{1, 5};
  sum.subtract({2, 0});
  EXPECT_EQ(sum.low, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(sum.high, 4u);
  sum.add({2, 0});
  EXPECT_EQ(sum.hex(), (Sum128{1, 5}.hex()));
}

TEST(Fingerprint, IsThatOfTheSettledSessionsWithoutTheOthers) {
  const std::vector<Session> rows = sessions();
  const auto in_parts = [&](std::size_t from, std::size_t to) {
    ProofSum part;
    for (std::size_t i = from; i < to; ++i)
      part.add(rows[i].id, document_sum(rows[i].id, rows[i].document), rows[i].first, rows[i].last,
               i % 7 != 3);
    return part;
  };
  std::vector<Session> settled;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (i % 7 != 3)
      settled.push_back(rows[i]);
  ProofSum proof = in_parts(0, 20);
  proof.add(in_parts(20, rows.size()));
  EXPECT_EQ(proof.all.documents.hex(), sum(rows).documents.hex());
  EXPECT_EQ(proof.settled().sessions, static_cast<std::int64_t>(settled.size()));
  EXPECT_EQ(proof.settled().documents.hex(), sum(settled).documents.hex());
  EXPECT_EQ(proof.settled().times.hex(), sum(settled).times.hex());
}

TEST(Fingerprint, IsZeroForNoSessions) {
  EXPECT_EQ(SessionsFingerprint{}.sessions, 0);
  EXPECT_EQ(SessionsFingerprint{}.documents.hex(), Sum128{}.hex());
  // One session is never taken for none, not even one that has nothing.
  const SessionsFingerprint one = sum({{"", std::nullopt, std::nullopt, std::nullopt}});
  EXPECT_EQ(one.sessions, 1);
  EXPECT_NE(one.documents.hex(), Sum128{}.hex());
  EXPECT_NE(one.times.hex(), Sum128{}.hex());
}

TEST(Fingerprint, DoesNotDependOnTheOrder) {
  std::vector<Session> rows = sessions();
  const SessionsFingerprint forwards = sum(rows);
  std::reverse(rows.begin(), rows.end());
  std::swap(rows[3], rows[40]);
  const SessionsFingerprint backwards = sum(rows);
  EXPECT_EQ(forwards.sessions, 50);
  EXPECT_EQ(backwards.sessions, forwards.sessions);
  EXPECT_EQ(backwards.documents.hex(), forwards.documents.hex());
  EXPECT_EQ(backwards.times.hex(), forwards.times.hex());
}

TEST(Fingerprint, AddsUpFromParts) {
  const std::vector<Session> rows = sessions();
  SessionsFingerprint parts = sum({rows.begin(), rows.begin() + 20});
  parts.add(sum({rows.begin() + 20, rows.end()}));
  EXPECT_EQ(parts.sessions, 50);
  EXPECT_EQ(parts.documents.hex(), sum(rows).documents.hex());
  EXPECT_EQ(parts.times.hex(), sum(rows).times.hex());
}

TEST(Fingerprint, ShowsAChangedId) {
  expect_change([](Session &each) { each.id += "x"; }, {true, true});
  // The rows that have neither document nor times are told apart by their id alone.
  expect_change(
      [](Session &each) {
        each = {"other", std::nullopt, each.first, each.last};
      },
      {true, true}, 1);
}

TEST(Fingerprint, ShowsEveryChangedByteOfADocument) {
  const std::string document = *sessions()[10].document;
  for (std::size_t at = 0; at < document.size(); ++at)
    for (int bit = 0; bit < 8; ++bit)
      expect_change(
          [&](Session &each) {
            (*each.document)[at] = static_cast<char>((*each.document)[at] ^ (1 << bit));
          },
          {true, false});
  expect_change([](Session &each) { *each.document += ' '; }, {true, false});
  expect_change([](Session &each) { each.document->pop_back(); }, {true, false});
}

TEST(Fingerprint, TellsNullFromEmpty) {
  expect_change([](Session &each) { each.document = ""; }, {true, false}, 1);
  expect_change([](Session &each) { each.document = std::nullopt; }, {true, false}, 2);
  expect_change([](Session &each) { each.document = "null"; }, {true, false}, 1);
}

TEST(Fingerprint, ShowsAShiftedTime) {
  expect_change([](Session &each) { ++*each.first; }, {false, true});
  expect_change([](Session &each) { --*each.last; }, {false, true});
  expect_change([](Session &each) { std::swap(each.first, each.last); }, {false, true});
  expect_change([](Session &each) { *each.first += 3'600'000'000; }, {false, true});
  expect_change(
      [](Session &each) {
        *each.first += 5;
        *each.last -= 5;
      },
      {false, true});
}

TEST(Fingerprint, TellsNoTimeFromTheEpoch) {
  expect_change([](Session &each) { each.first = 0; }, {false, true}, 3);
  expect_change([](Session &each) { each.last = 0; }, {false, true}, 4);
  expect_change([](Session &each) { std::swap(each.first, each.last); }, {false, true}, 3);
}

TEST(Fingerprint, ShowsDocumentsOrTimesThatChangedPlaces) {
  std::vector<Session> rows = sessions();
  const SessionsFingerprint before = sum(rows);
  std::swap(rows[10].document, rows[11].document);
  EXPECT_NE(sum(rows).documents.hex(), before.documents.hex());
  rows = sessions();
  std::swap(rows[10].first, rows[11].first);
  std::swap(rows[10].last, rows[11].last);
  EXPECT_NE(sum(rows).times.hex(), before.times.hex());
}

TEST(Fingerprint, CountsSessions) {
  std::vector<Session> rows = sessions();
  const SessionsFingerprint before = sum(rows);
  rows.pop_back();
  const SessionsFingerprint without = sum(rows);
  EXPECT_EQ(without.sessions, before.sessions - 1);
  EXPECT_NE(without.documents.hex(), before.documents.hex());
  EXPECT_NE(without.times.hex(), before.times.hex());
  rows.push_back(rows.back());
  EXPECT_EQ(sum(rows).sessions, before.sessions);
  EXPECT_NE(sum(rows).documents.hex(), before.documents.hex());
}

} // namespace
} // namespace cowrie
