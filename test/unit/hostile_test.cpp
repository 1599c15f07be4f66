// Hostile documents: deep, huge, cut off. Each gives facts or a reject, in linear time and memory.
#include <algorithm>
#include <ctime>
#include <string>

#include <gtest/gtest.h>

#include "core/document/enrichment.hpp"
#include "facts_text.hpp"
#include "sanitized.hpp"

namespace cowrie {
namespace {

const std::size_t very_many = test::counts(1'000'000, 200'000);

/** Everything that is done with one document. */
std::string all_of(EnrichmentReader &reader, const std::string &json) {
  reader.read(json);
  const EventAddress event = reader.read_event(json);
  std::string out = text_of(reader.resolve({}, &event));
  out += "\n" + text_of(reader.resolve("192.0.2.2", &event));
  return out + "\n" + reader.provider_data() + "\n" + reader.asn_data();
}

std::string facts_of(const std::string &json) {
  EnrichmentReader reader;
  reader.read(json);
  return text_of(reader.resolve());
}

std::string repeated(const std::string &text, std::size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i)
    out += text;
  return out;
}

std::string nested(std::size_t depth) {
  return R"({"maxmind":{"asn":1},"a":)" + std::string(depth - 1, '[') +
         std::string(depth - 1, ']') + "}";
}

/** `{"k":v,"k":v,…}` under a number of keys; `#` in the entry is replaced by the number. */
std::string numbered(const std::string &entry, std::size_t count) {
  std::string out = "{";
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0)
      out += ',';
    const std::string number = std::to_string(i);
    std::size_t done = 0;
    for (std::size_t at = entry.find('#'); at != std::string::npos; at = entry.find('#', done)) {
      out.append(entry, done, at - done).append(number);
      done = at + 1;
    }
    out.append(entry, done);
  }
  return out + "}";
}

std::string v4(std::size_t i) {
  return "10." + std::to_string(i / 65536 % 256) + "." + std::to_string(i / 256 % 256) + "." +
         std::to_string(i % 256);
}

std::string many_session_keys(std::size_t count) {
  std::string out = R"({"session":{)";
  for (std::size_t i = 0; i < count; ++i)
    out +=
        (i > 0 ? ",\"" : "\"") + v4(i) + R"(":{"maxmind":{"asn":)" + std::to_string(i + 1) + "}}";
  return out + "}}";
}

const std::string valid_document =
    R"({"dshield":{"ip":{"number":"192.0.2.1","count":3,"asn":"4134","asname":"C\u00e4","ascountry":"CN"}},)"
    R"("maxmind":{"country":"DE","asn":3320,"asn_org":"DTAG"}, "spur":["a","b","c","DATACENTER"],)"
    R"("session":{"192.0.2.1":{"a":1},"192.0.2.2":{"spur":{"client":{"types":["VPN","\ud83d\ude00"]}}}},)"
    R"("session_metadata":{"source_ip":"192.0.2.1"},"greynoise":{"noise":true},"x":[1,2.5e3,{"y":null}],)"
    "\"u\":\"\xC3\xA4\",\"enriched_at\":\"2025-01-01T00:00:00Z\"}";

TEST(Hostile, every_truncation_gives_facts_or_a_reject) {
  EnrichmentReader reader;
  const std::string whole = all_of(reader, valid_document);
  for (std::size_t size = 1; size < valid_document.size(); ++size) {
    // A copy of exactly this size: a read beyond its end is a read beyond the allocation.
    const std::string cut(valid_document.data(), size);
    all_of(reader, cut);
    reader.read(cut);
    const Facts &facts = reader.resolve();
    ASSERT_EQ(facts.rejects.size(), 1U) << cut;
    ASSERT_EQ(facts.rejects[0].reason, RejectReason::document_unparsable) << cut;
    ASSERT_TRUE(facts.source_ip.empty()) << cut;
  }
  EXPECT_EQ(all_of(reader, valid_document), whole);
}

/**
 * A damaged document: facts, or one reject that says why, or neither where it is no object any
 * more; read a second time, the same.
 */
void expect_facts_or_a_reject(EnrichmentReader &reader, const std::string &json) {
  const std::string first = all_of(reader, json);
  ASSERT_EQ(all_of(reader, json), first) << json;
  reader.read(json);
  const Facts &facts = reader.resolve();
  const bool unreadable =
      facts.rejects.size() == 1 && facts.rejects[0].reason == RejectReason::document_unparsable;
  const bool no_object = json.front() != '{' && facts.rejects.empty();
  ASSERT_TRUE(facts.has_document || unreadable || no_object) << json;
  ASSERT_TRUE(!unreadable || facts.source_ip.empty()) << json;
}

TEST(Hostile, every_changed_byte_gives_facts_or_a_reject) {
  EnrichmentReader reader;
  for (std::size_t at = 0; at < valid_document.size(); ++at) {
    for (const char c : {'{', '}', '[', ']', '"', '\\', ',', ':', ' ', '\0', '\xFF', '1'}) {
      std::string changed = valid_document;
      changed[at] = c;
      expect_facts_or_a_reject(reader, changed);
    }
  }
}

TEST(Hostile, every_removed_byte_gives_facts_or_a_reject) {
  EnrichmentReader reader;
  for (std::size_t at = 0; at < valid_document.size(); ++at) {
    std::string changed = valid_document;
    changed.erase(at, 1);
    expect_facts_or_a_reject(reader, changed);
  }
}

TEST(Hostile, depth_1000_is_read) { EXPECT_EQ(facts_of(nested(1000)), "doc data asn=1/maxmind"); }

TEST(Hostile, depth_1001_is_too_deep) {
  const std::string json = nested(1001);
  EXPECT_EQ(facts_of(json), "doc !document_too_deep@enrichment=" + json.substr(0, 200));
}

TEST(Hostile, many_brackets_are_not_deep) {
  EXPECT_EQ(facts_of(R"({"maxmind":{"asn":1},"a":[)" + repeated("[],{},", 5000) + "1]}"),
            "doc data asn=1/maxmind");
}

TEST(Hostile, brackets_in_strings_are_not_deep) {
  EXPECT_EQ(facts_of(R"({"maxmind":{"asn":1},"a":"\")" + std::string(5000, '[') + "\"}"),
            "doc data asn=1/maxmind");
}

TEST(Hostile, depth_100000_in_brackets) {
  const std::string json = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_EQ(facts_of(json), "!document_too_deep@enrichment=" + std::string(200, '['));
}

TEST(Hostile, depth_100000_in_objects) {
  const std::string json = repeated("{\"a\":", 100000) + "1" + std::string(100000, '}');
  EXPECT_EQ(facts_of(json).substr(0, 34), "doc !document_too_deep@enrichment=");
}

TEST(Hostile, depth_100000_unclosed) {
  EXPECT_EQ(facts_of(std::string(100000, '[')),
            "!document_too_deep@enrichment=" + std::string(200, '['));
}

TEST(Hostile, depth_100000_in_event) {
  EnrichmentReader reader;
  reader.read(R"({"maxmind":{"asn":1}})");
  const EventAddress event = reader.read_event(nested(100000));
  ASSERT_EQ(event.rejects.size(), 1U);
  EXPECT_EQ(event.rejects[0].reason, RejectReason::document_too_deep);
  EXPECT_EQ(reader.resolve().asn, 1);
}

TEST(Hostile, too_deep_and_empty_object_has_no_document) {
  EXPECT_EQ(facts_of("{}" + std::string(1001, '[')).substr(0, 29), "!document_too_deep@enrichment");
}

TEST(Hostile, document_of_100_megabytes) {
  std::string json = R"({"virustotal":[)";
  const std::string element = R"({"hash":"0123456789abcdef0123456789abcdef","n":[1,2,3]},)";
  while (json.size() < 100 * 1000 * 1000)
    json += element;
  json += R"(0],"maxmind":{"asn":1}})";
  EXPECT_EQ(facts_of(json), "doc data asn=1/maxmind");
}

TEST(Hostile, string_of_10_megabytes_skipped) {
  EXPECT_EQ(
      facts_of(R"({"password_stats":")" + std::string(10000000, 'x') + R"(","maxmind":{"asn":1}})"),
      "doc data asn=1/maxmind");
}

TEST(Hostile, string_of_10_megabytes_in_every_field) {
  const std::string big = "\"" + std::string(10000000, '\\') + "\"";
  const std::string json = R"({"maxmind":{"asn":)" + big + R"(,"country":)" + big +
                           R"(,"asn_org":)" + big + R"(},"enriched_at":)" + big +
                           R"(,"session_metadata":{"source_ip":)" + big + "}}";
  const std::string cut(200, '\\');
  EXPECT_EQ(facts_of(json),
            "doc data !ip_invalid@session_metadata.source_ip=" + cut +
                " !asn_invalid@maxmind.asn=" + cut + " !country_invalid@maxmind.country=" + cut +
                " !value_too_long@maxmind.asn_org=" + cut + " !enriched_at_invalid@enriched_at=" +
                cut + " !value_too_long@maxmind={\"asn\":\"" + cut.substr(8));
}

TEST(Hostile, key_of_10_megabytes) {
  EXPECT_EQ(facts_of("{\"" + std::string(10000000, 'k') + R"(":1,"maxmind":{"asn":1}})"),
            "doc data asn=1/maxmind");
}

TEST(Hostile, number_of_10_megabytes) {
  const std::string number(10000000, '9');
  EnrichmentReader reader;
  reader.read(R"({"maxmind":{"asn":)" + number + "}}");
  EXPECT_EQ(text_of(reader.resolve()),
            "doc data !asn_out_of_range@maxmind.asn=" + std::string(200, '9'));
  EXPECT_EQ(reader.provider_data(), R"({"maxmind":{"asn":")" + number + "\"}}");
}

TEST(Hostile, very_many_types) {
  EnrichmentReader reader;
  reader.read(R"({"spur":{"client":{"types":[)" + repeated("\"T\",", very_many) + R"("VPN"]}}})");
  const Facts &facts = reader.resolve();
  EXPECT_EQ(facts.ip_types.size(), very_many + 1);
  EXPECT_EQ(facts.ip_type, "VPN");
}

TEST(Hostile, very_many_repeated_keys) {
  EnrichmentReader reader;
  reader.read("{" + repeated(R"("maxmind":{"asn":1},)", very_many) + R"("maxmind":{"asn":2}})");
  EXPECT_EQ(text_of(reader.resolve()), "doc data asn=2/maxmind");
  EXPECT_EQ(reader.provider_data(), R"({"maxmind":{"asn":2}})");
}

TEST(Hostile, very_many_repeated_null_keys) {
  EnrichmentReader reader;
  reader.read("{" + repeated(R"("a":1,"b":2,"a":null,)", very_many) + R"("b":null})");
  EXPECT_EQ(text_of(reader.resolve()), "doc");
  EXPECT_EQ(reader.provider_data(), R"({"a":null,"b":null})");
}

TEST(Hostile, very_many_escaped_keys) {
  EnrichmentReader reader;
  reader.read(numbered(R"("\u0061#":#)", very_many));
  EXPECT_EQ(text_of(reader.resolve()), "doc data");
  EXPECT_EQ(reader.provider_data(), numbered(R"("a#":#)", very_many));
}

TEST(Hostile, very_many_session_keys) {
  EnrichmentReader reader;
  reader.read(many_session_keys(very_many));
  EXPECT_TRUE(reader.needs_event());
  EXPECT_EQ(text_of(reader.resolve()), "doc data ip=10.0.0.0 asn=1/maxmind");
  EventAddress event;
  event.ip = v4(very_many - 1);
  EXPECT_EQ(text_of(reader.resolve({}, &event)),
            "doc data ip=" + v4(very_many - 1) + " asn=" + std::to_string(very_many) + "/maxmind");
  EXPECT_EQ(reader.provider_data(), R"({"maxmind":{"asn":)" + std::to_string(very_many) + "}}");
}

TEST(Hostile, very_many_repeated_session_keys) {
  EnrichmentReader reader;
  reader.read(R"({"session":{)" + repeated(R"("1.1.1.1":{"maxmind":{"asn":1}},)", very_many) +
              R"("::ffff:1.1.1.1":{"maxmind":{"asn":2}}}})");
  EXPECT_FALSE(reader.needs_event());
  EXPECT_EQ(text_of(reader.resolve()), "doc data ip=1.1.1.1 asn=2/maxmind");
}

TEST(Hostile, very_many_unusable_session_keys) {
  EXPECT_EQ(facts_of(R"({"session":)" + numbered(R"("k#":{})", very_many) + "}"),
            "doc !ip_invalid@session=k0");
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/** A sixteen times longer document takes about sixteen times as long; quadratic would be 256 times.
 *  The thread's own processor time, and the best of three tries: a busy machine does not count. */
TEST(Hostile, time_is_linear) {
  const auto seconds = [](const std::string &json) {
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      EnrichmentReader reader;
      const double start = processor_seconds();
      all_of(reader, json);
      best = std::min(best, processor_seconds() - start);
    }
    return best;
  };
  constexpr std::size_t n = 10000, times = 16;
  constexpr double measurable = 0.001;
  const auto check = [&](const char *what, auto document_of) {
    const double once = std::max(seconds(document_of(n)), measurable);
    EXPECT_LT(seconds(document_of(n * times)), once * times * 8) << what;
  };
  check("session keys", [](std::size_t size) { return many_session_keys(size); });
  check("keys", [](std::size_t size) { return numbered("\"k#\":#", size); });
  check("null keys", [](std::size_t size) { return numbered("\"k#\":1,\"k#\":null", size); });
  check("keys of the entry", [](std::size_t size) {
    return R"({"session":{"1.1.1.1":)" + numbered("\"k#\":#", size) + "}}";
  });
  check("types", [](std::size_t size) {
    return R"({"spur":{"client":{"types":[)" + repeated("\"TYPE\",", size) + R"("VPN"]}}})";
  });
  check("escapes", [](std::size_t size) {
    return R"({"maxmind":{"asn_org":")" + repeated("\\u0000\\ud800", size) + "\"}}";
  });
  check("openings", [](std::size_t size) { return repeated("[", 40 * size); });
  check("quotes", [](std::size_t size) { return repeated("\"", 40 * size); });
  check("backslashes", [](std::size_t size) { return repeated("\\", 40 * size); });
}

TEST(Hostile, release_gives_memory_back_and_reading_goes_on) {
  EnrichmentReader reader;
  reader.read(many_session_keys(100000));
  (void)reader.resolve();
  reader.release();
  EXPECT_EQ(text_of(reader.resolve()), "");
  EXPECT_EQ(reader.provider_data(), "{}");
  EXPECT_EQ(reader.asn_data(), "{}");
  reader.read(R"({"maxmind":{"asn":1}})");
  EXPECT_EQ(text_of(reader.resolve()), "doc data asn=1/maxmind");
  reader.release();
  EXPECT_EQ(text_of(reader.resolve()), "doc data asn=1/maxmind") << "small buffers stay";
}

TEST(Hostile, documents_do_not_depend_on_each_other) {
  EnrichmentReader reader;
  const std::string whole = all_of(reader, valid_document);
  for (const std::string &between :
       {std::string("null"), std::string("{"), many_session_keys(1000), nested(1001),
        std::string(R"({"spur":["a","b","c","VPN"],"session":{"x":1}})")}) {
    all_of(reader, between);
    EXPECT_EQ(all_of(reader, valid_document), whole);
  }
}

TEST(Hostile, a_moved_reader_goes_on) {
  EnrichmentReader reader;
  reader.read(valid_document);
  const std::string before = text_of(reader.resolve());
  EnrichmentReader moved = std::move(reader);
  EXPECT_EQ(text_of(moved.resolve()), before);
}

} // namespace
} // namespace cowrie
