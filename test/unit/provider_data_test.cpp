// Provider data and ASN data: what is written for the inventories.
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "core/document/enrichment.hpp"

namespace cowrie {
namespace {

struct Row {
  const char *name;
  std::string json;
  std::string written;
};

void PrintTo(const Row &row, std::ostream *out) { *out << row.json.substr(0, 500); }

constexpr auto row_name = [](const auto &info) { return std::string(info.param.name); };

const std::string u_fffd = "\xEF\xBF\xBD";

class ProviderDataTest : public testing::TestWithParam<Row> {};

TEST_P(ProviderDataTest, is_written) {
  EnrichmentReader reader;
  reader.read(GetParam().json);
  (void)reader.resolve();
  EXPECT_EQ(reader.provider_data(), GetParam().written);
  EXPECT_EQ(reader.provider_data(), GetParam().written) << "a second time";
}

const Row provider_rows[] = {
    {"nothing", "", "{}"},
    {"json_null", "null", "{}"},
    {"array", "[1]", "{}"},
    {"empty_object", "{}", "{}"},
    {"unparsable", R"({"a":1)", "{}"},
    {"too_deep", R"({"a":)" + std::string(1000, '[') + std::string(1000, ']') + "}", "{}"},
    {"one_key", R"({"a":1})", R"({"a":1})"},
    {"all_kinds", R"({"a":1.50,"b":"x","c":true,"d":false,"e":null,"f":[1,"2"],"g":{"h":{}}})",
     R"({"a":1.50,"b":"x","c":true,"d":false,"e":null,"f":[1,"2"],"g":{"h":{}}})"},
    {"spaces_between", " { \"a\" : [ 1 , 2 ] , \"b\" : 3 } ", R"({"a":[ 1 , 2 ],"b":3})"},
    {"session_scoped_left_out",
     R"({"password_stats":1,"virustotal":2,"session":3,"session_metadata":4,"a":5})", R"({"a":5})"},
    {"session_scoped_escaped_left_out", R"({"password\u005fstats":1,"a":5})", R"({"a":5})"},
    {"session_scoped_nested_kept", R"({"a":{"session":1,"virustotal":2}})",
     R"({"a":{"session":1,"virustotal":2}})"},
    {"last_of_equal_keys", R"({"a":1,"b":2,"a":3})", R"({"b":2,"a":3})"},
    {"last_of_escaped_keys", R"({"a":1,"\u0061":2})", R"({"a":2})"},
    {"last_is_null", R"({"a":1,"a":null})", R"({"a":null})"},
    {"empty_key", R"({"":1})", R"({"":1})"},
    {"entry_added", R"({"a":1,"session":{"1.1.1.1":{"b":2}}})", R"({"a":1,"b":2})"},
    {"entry_only", R"({"session":{"1.1.1.1":{"b":2}}})", R"({"b":2})"},
    {"top_wins", R"({"a":1,"session":{"1.1.1.1":{"a":2}}})", R"({"a":1})"},
    {"top_wins_whole", R"({"a":{"x":1},"session":{"1.1.1.1":{"a":{"y":2}}}})", R"({"a":{"x":1}})"},
    {"top_null_filled", R"({"a":null,"session":{"1.1.1.1":{"a":2}}})", R"({"a":2})"},
    {"top_null_kept", R"({"a":null,"session":{"1.1.1.1":{"b":2}}})", R"({"a":null,"b":2})"},
    {"top_and_entry_null", R"({"a":null,"session":{"1.1.1.1":{"a":null}}})", R"({"a":null})"},
    {"top_escaped_wins", R"({"\u0061":1,"session":{"1.1.1.1":{"a":2}}})", R"({"a":1})"},
    {"entry_session_scoped_left_out",
     R"({"session":{"1.1.1.1":{"session":1,"virustotal":{},"session_metadata":1,"password_stats":1,"b":2}}})",
     R"({"b":2})"},
    {"entry_last_of_equal_keys", R"({"session":{"1.1.1.1":{"b":1,"b":2}}})", R"({"b":2})"},
    {"entry_of_source_ip",
     R"({"session_metadata":{"source_ip":"1.1.1.2"},"session":{"1.1.1.1":{"b":1},"1.1.1.2":{"c":2}}})",
     R"({"c":2})"},
    {"entry_repeated_last", R"({"session":{"1.1.1.1":{"b":1},"1.1.1.1":{"c":2}}})", R"({"c":2})"},
    {"entry_is_string", R"({"a":1,"session":{"1.1.1.1":"x"}})", R"({"a":1})"},
    {"nul", R"({"a":"x\u0000y"})", R"({"a":"x)" + u_fffd + R"(y"})"},
    {"nul_in_key", R"({"x\u0000":1})", R"({"x)" + u_fffd + R"(":1})"},
    {"nul_nested_in_key", R"({"a":[{"x\u0000":1}]})", R"({"a":[{"x)" + u_fffd + R"(":1}]})"},
    {"escaped_backslash_then_u0000", R"({"a":"\\u0000"})", R"({"a":"\\u0000"})"},
    {"lone_high", R"({"a":"\ud800"})", R"({"a":")" + u_fffd + R"("})"},
    {"lone_low", R"({"a":"\uDC00x"})", R"({"a":")" + u_fffd + R"(x"})"},
    {"low_before_high", R"({"a":"\udc00\ud800"})", R"({"a":")" + u_fffd + u_fffd + R"("})"},
    {"pair_kept", R"({"a":"\ud83d\uDE00"})", R"({"a":"\ud83d\uDE00"})"},
    {"high_then_pair", R"({"a":"\ud83d\ud83d\ude00"})", R"({"a":")" + u_fffd + R"(\ud83d\ude00"})"},
    {"other_escapes_kept", R"({"a":"\"\\\/\b\f\n\r\t\u00e4"})",
     R"({"a":"\"\\\/\b\f\n\r\t\u00e4"})"},
    {"key_escapes", R"({"\"\\\n\u00e4":1})", "{\"\\\"\\\\\\u000a\xC3\xA4\":1}"},
    {"surrogate_keys_become_one", R"({"\ud800":1,"\ud801":2})", R"({")" + u_fffd + R"(":2})"},
    {"number_text_kept", R"({"a":[1e3,-0.0,1E+2,12345678901234567890.50]})",
     R"({"a":[1e3,-0.0,1E+2,12345678901234567890.50]})"},
    {"number_largest", R"({"a":1e131071})", R"({"a":1e131071})"},
    {"number_too_large", R"({"a":1e131072})", R"({"a":"1e131072"})"},
    {"number_too_large_negative", R"({"a":[-1e131072]})", R"({"a":["-1e131072"]})"},
    {"number_large_by_digits", R"({"a":10e131070})", R"({"a":10e131070})"},
    {"number_too_large_by_digits", R"({"a":10e131071})", R"({"a":"10e131071"})"},
    {"number_small_large_exponent", R"({"a":0.001e131074})", R"({"a":0.001e131074})"},
    {"number_zero_large_exponent", R"({"a":0e200000})", R"({"a":0e200000})"},
    {"number_finest", R"({"a":1e-16383})", R"({"a":1e-16383})"},
    {"number_too_fine", R"({"a":1e-16384})", R"({"a":"1e-16384"})"},
    {"number_too_fine_zero", R"({"a":0e-16384})", R"({"a":"0e-16384"})"},
    {"number_too_fine_digits", R"({"a":0.)" + std::string(16384, '1') + "}",
     R"({"a":"0.)" + std::string(16384, '1') + "\"}"},
    {"number_fine_digits", R"({"a":0.)" + std::string(16383, '1') + "}",
     R"({"a":0.)" + std::string(16383, '1') + "}"},
    {"number_most_digits", R"({"a":)" + std::string(131072, '1') + "}",
     R"({"a":)" + std::string(131072, '1') + "}"},
    {"number_too_many_digits", R"({"a":)" + std::string(131073, '1') + "}",
     R"({"a":")" + std::string(131073, '1') + "\"}"},
    {"number_absurd_exponent", R"({"a":0e99999999999999999999})",
     R"({"a":"0e99999999999999999999"})"},
    {"number_in_string_kept", R"({"a":"1e131072"})", R"({"a":"1e131072"})"},
    {"number_in_key_kept", R"({"a":{"1e131072":1}})", R"({"a":{"1e131072":1}})"},
    {"number_too_large_among_others", R"({"a":[1,1e131072,"\u0000",2]})",
     R"({"a":[1,"1e131072",")" + u_fffd + R"(",2]})"},
};
INSTANTIATE_TEST_SUITE_P(table, ProviderDataTest, testing::ValuesIn(provider_rows), row_name);

class HasProviderDataTest : public testing::TestWithParam<Row> {};

TEST_P(HasProviderDataTest, is_told) {
  EnrichmentReader reader;
  reader.read(GetParam().json);
  EXPECT_EQ(reader.resolve().has_provider_data, GetParam().written == "yes");
}

const Row has_rows[] = {
    {"nothing", "", "no"},
    {"null_only", R"({"a":null})", "no"},
    {"false_counts", R"({"a":false})", "yes"},
    {"empty_object_counts", R"({"a":{}})", "yes"},
    {"null_then_value", R"({"a":null,"b":1})", "yes"},
    {"value_then_null", R"({"b":1,"a":null})", "yes"},
    {"repeated_as_null", R"({"a":1,"a":null})", "no"},
    {"repeated_as_null_escaped", R"({"a":1,"\u0061":null})", "no"},
    {"repeated_as_null_then_value", R"({"a":1,"a":null,"a":2})", "yes"},
    {"other_key_remains", R"({"a":1,"b":2,"a":null})", "yes"},
    {"other_key_repeated_too", R"({"a":1,"b":2,"a":null,"b":null})", "no"},
    {"third_key_remains", R"({"a":1,"b":2,"c":3,"a":null,"b":null})", "yes"},
    {"session_scoped_only", R"({"session_metadata":{"a":1},"virustotal":{}})", "no"},
    {"entry", R"({"session":{"1.1.1.1":{"a":1}}})", "yes"},
    {"entry_null", R"({"session":{"1.1.1.1":{"a":null}}})", "no"},
    {"entry_repeated_as_null", R"({"session":{"1.1.1.1":{"a":1,"a":null}}})", "no"},
    {"entry_other_key_remains", R"({"session":{"1.1.1.1":{"a":1,"b":2,"a":null}}})", "yes"},
    {"entry_fills_top_null", R"({"a":null,"session":{"1.1.1.1":{"a":1}}})", "yes"},
    {"entry_of_other_ip",
     R"({"session_metadata":{"source_ip":"1.1.1.2"},"session":{"1.1.1.1":{"a":1}}})", "no"},
};
INSTANTIATE_TEST_SUITE_P(table, HasProviderDataTest, testing::ValuesIn(has_rows), row_name);

class AsnDataTest : public testing::TestWithParam<Row> {};

TEST_P(AsnDataTest, is_written) {
  EnrichmentReader reader;
  reader.read(GetParam().json);
  (void)reader.resolve();
  EXPECT_EQ(reader.asn_data(), GetParam().written);
}

const Row asn_rows[] = {
    {"nothing", "", "{}"},
    {"unparsable", R"({"maxmind":{"asn":1})", "{}"},
    {"no_provider", R"({"a":1})", "{}"},
    {"maxmind", R"({"maxmind":{"country":"DE","asn":1,"asn_org":"A"}})",
     R"({"maxmind":{"asn":1,"asn_org":"A"}})"},
    {"cymru", R"({"cymru":{"registry":"x","country":"DE","asn":"1","asn_org":"A","more":1}})",
     R"({"cymru":{"asn":"1","asn_org":"A","country":"DE","registry":"x"}})"},
    {"dshield", R"({"dshield":{"ip":{"count":1,"asn":"1","asname":"A","ascountry":"DE"}}})",
     R"({"dshield":{"ip":{"asn":"1","asname":"A","ascountry":"DE"}}})"},
    {"all", R"({"dshield":{"ip":{"asn":3}},"cymru":{"asn":2},"maxmind":{"asn":1}})",
     R"({"maxmind":{"asn":1},"cymru":{"asn":2},"dshield":{"ip":{"asn":3}}})"},
    {"null_left_out", R"({"maxmind":{"asn":null,"asn_org":"A"}})",
     R"({"maxmind":{"asn_org":"A"}})"},
    {"empty_left_out", R"({"maxmind":{},"cymru":{"asn":null},"dshield":{"ip":{}}})", "{}"},
    {"unusable_kept", R"({"maxmind":{"asn":{"x":[1]},"asn_org":false}})",
     R"({"maxmind":{"asn":{"x":[1]},"asn_org":false}})"},
    {"sanitised", R"({"maxmind":{"asn":1e131072,"asn_org":"a\u0000"}})",
     R"({"maxmind":{"asn":"1e131072","asn_org":"a)" + u_fffd + R"("}})"},
    {"entry", R"({"session":{"1.1.1.1":{"maxmind":{"asn":1},"dshield":{"ip":{"asn":3}}}}})",
     R"({"maxmind":{"asn":1},"dshield":{"ip":{"asn":3}}})"},
    {"top_provider_wins_whole",
     R"({"maxmind":{"asn":1},"session":{"1.1.1.1":{"maxmind":{"asn_org":"E"},"cymru":{"asn":2}}}})",
     R"({"maxmind":{"asn":1},"cymru":{"asn":2}})"},
    {"top_provider_null", R"({"maxmind":null,"session":{"1.1.1.1":{"maxmind":{"asn_org":"E"}}}})",
     R"({"maxmind":{"asn_org":"E"}})"},
    {"top_provider_string", R"({"maxmind":"x","session":{"1.1.1.1":{"maxmind":{"asn_org":"E"}}}})",
     "{}"},
    {"repeated", R"({"maxmind":{"asn":1},"maxmind":{"asn_org":"E"}})",
     R"({"maxmind":{"asn_org":"E"}})"},
};
INSTANTIATE_TEST_SUITE_P(table, AsnDataTest, testing::ValuesIn(asn_rows), row_name);

/** Provider data of more than 16 MB is not stored: what jsonb can hold, and at which cost, depends
 * on what is in it. */
TEST(ProviderData, what_is_too_large_is_left_out) {
  const std::string large = "\"" + std::string(17 * 1024 * 1024, 'x') + "\"";
  const std::string half = "\"" + std::string(9 * 1024 * 1024, 'x') + "\"";
  EnrichmentReader reader;

  reader.read(R"({"maxmind":{"asn":1},"junk":)" + large + R"(,"more":1})");
  const Facts &facts = reader.resolve();
  ASSERT_EQ(facts.rejects.size(), 1U);
  EXPECT_EQ(facts.rejects[0].reason, RejectReason::value_too_long);
  EXPECT_EQ(facts.rejects[0].field, "junk");
  EXPECT_EQ(facts.rejects[0].value, std::string(large, 0, 200));
  EXPECT_EQ(facts.asn, 1);
  EXPECT_TRUE(facts.has_provider_data);
  EXPECT_EQ(reader.provider_data(), R"({"maxmind":{"asn":1},"more":1})");

  reader.read(R"({"a":)" + half + R"(,"b":)" + half + R"(,"c":)" + half + "}");
  ASSERT_EQ(reader.resolve().rejects.size(), 1U) << "reported once";
  EXPECT_EQ(reader.resolve().rejects[0].field, "b");
  EXPECT_EQ(reader.provider_data(), R"({"a":)" + half + "}");

  reader.read(R"({"session":{"1.1.1.1":{"j\u0075nk":)" + large + "}}}");
  ASSERT_EQ(reader.resolve().rejects.size(), 1U);
  EXPECT_EQ(reader.resolve().rejects[0].field, "session.1.1.1.1.junk");
  EXPECT_FALSE(reader.resolve().has_provider_data);
  EXPECT_EQ(reader.provider_data(), "{}");

  reader.read(R"({"password_stats":)" + large + R"(,"a":1})");
  EXPECT_TRUE(reader.resolve().rejects.empty()) << "it would not be stored anyway";
  EXPECT_EQ(reader.provider_data(), R"({"a":1})");

  reader.read(R"({"maxmind":{"asn":1,"asn_org":{"x":)" + large + "}}}");
  (void)reader.resolve();
  EXPECT_EQ(reader.asn_data(), R"({"maxmind":{"asn":1}})");
}

} // namespace
} // namespace cowrie
