// Session reading: what one process writes another reads, and nothing else.
#include "core/document/facts_message.hpp"

#include <gtest/gtest.h>

namespace cowrie {
namespace {

SessionReading full() {
  SessionReading reading;
  reading.session_id = "session with \0 in it and \xff";
  reading.stored = 0x0123456789abcdef;
  reading.read = true;
  reading.null_escape = true;
  reading.document = {1, 2};
  reading.kept = {3, 4};
  Facts &facts = reading.facts;
  facts.source_ip = "2001:db8::1";
  facts.asn = 64500;
  facts.asn_source = Provider::cymru;
  facts.country = "DE";
  facts.ip_type = "hosting";
  facts.organization = std::string(5000, 'o');
  facts.organization_country = "FR";
  facts.registry = "RIPENCC";
  facts.enriched_at = -1;
  facts.has_document = true;
  facts.has_provider_data = true;
  facts.rejects = {{RejectReason::asn_invalid, "maxmind.asn", "x"},
                   {RejectReason::value_too_long, "spur", "y"}};
  return reading;
}

SessionReading empty() {
  SessionReading reading;
  reading.session_id = "nothing";
  reading.read = true;
  return reading;
}

SessionReading unread() {
  SessionReading reading = full();
  reading.session_id = "left to the writer";
  reading.read = false;
  return reading;
}

void expect_same(const SessionReading &a, const SessionReading &b) {
  EXPECT_EQ(a.session_id, b.session_id);
  EXPECT_EQ(a.read, b.read);
  if (!a.read)
    return;
  EXPECT_EQ(a.stored, b.stored);
  EXPECT_EQ(a.null_escape, b.null_escape);
  EXPECT_EQ(a.document.hex(), b.document.hex());
  EXPECT_EQ(a.kept.hex(), b.kept.hex());
  EXPECT_EQ(a.facts.source_ip, b.facts.source_ip);
  EXPECT_EQ(a.facts.asn, b.facts.asn);
  EXPECT_EQ(a.facts.asn_source, b.facts.asn_source);
  EXPECT_EQ(a.facts.country, b.facts.country);
  EXPECT_EQ(a.facts.ip_type, b.facts.ip_type);
  EXPECT_EQ(a.facts.organization, b.facts.organization);
  EXPECT_EQ(a.facts.organization_country, b.facts.organization_country);
  EXPECT_EQ(a.facts.registry, b.facts.registry);
  EXPECT_EQ(a.facts.enriched_at, b.facts.enriched_at);
  EXPECT_EQ(a.facts.has_document, b.facts.has_document);
  EXPECT_EQ(a.facts.has_provider_data, b.facts.has_provider_data);
  ASSERT_EQ(a.facts.rejects.size(), b.facts.rejects.size());
  for (std::size_t i = 0; i < a.facts.rejects.size(); ++i)
    EXPECT_EQ(a.facts.rejects[i].reason, b.facts.rejects[i].reason);
}

TEST(SessionReading, ComesOutAsItWentInWhateverWasReadBefore) {
  const std::vector<SessionReading> readings = {full(), empty(), unread(), empty(), full()};
  std::string message;
  for (const SessionReading &each : readings)
    append(message, each);
  std::string_view rest = message;
  SessionReading taken; // the same one for all: nothing of the one before may stay
  for (const SessionReading &each : readings) {
    ASSERT_TRUE(take(rest, taken));
    expect_same(each, taken);
  }
  EXPECT_TRUE(rest.empty());
  EXPECT_FALSE(take(rest, taken));
}

TEST(SessionReading, IsNotTakenFromAMessageThatIsCutOff) {
  std::string message;
  append(message, full());
  SessionReading taken;
  for (std::size_t size = 0; size < message.size(); ++size) {
    std::string_view rest(message.data(), size);
    EXPECT_FALSE(take(rest, taken)) << size;
  }
  std::string_view whole = message;
  EXPECT_TRUE(take(whole, taken));
}

} // namespace
} // namespace cowrie
