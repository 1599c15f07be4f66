// Network values: one row per spelling, one test per row.
#include "core/document/network_values.hpp"
#include "core/document/timestamp.hpp"

#include <ostream>
#include <string>

#include <gtest/gtest.h>

namespace cowrie {
namespace {

using namespace std::string_literals;

constexpr ValueState absent = ValueState::absent;
constexpr ValueState used = ValueState::used;
constexpr ValueState invalid = ValueState::invalid;
constexpr ValueState out_of_range = ValueState::out_of_range;

/** A text, what becomes of it, and the value it gives. */
template <typename T> struct Row {
  const char *name;
  std::string text;
  ValueState state;
  T value{};
};

template <typename T> void PrintTo(const Row<T> &row, std::ostream *out) { *out << row.text; }

constexpr auto row_name = [](const auto &info) { return std::string(info.param.name); };

class IpTest : public testing::TestWithParam<Row<std::string>> {};

TEST_P(IpTest, parses) {
  const auto parsed = parse_ip(GetParam().text);
  EXPECT_EQ(parsed.state, GetParam().state);
  EXPECT_EQ(parsed.value, GetParam().value);
}

const Row<std::string> ip_rows[] = {
    {"v4", "192.0.2.1", used, "192.0.2.1"},
    {"v4_zero", "0.0.0.0", used, "0.0.0.0"},
    {"v4_broadcast", "255.255.255.255", used, "255.255.255.255"},
    {"v4_two_digit_parts", "10.20.30.99", used, "10.20.30.99"},
    {"v4_spaces_around", "  192.0.2.1 ", used, "192.0.2.1"},
    {"v4_tab_and_newline_around", "\t192.0.2.1\r\n", used, "192.0.2.1"},
    {"v4_vertical_tab_around", "\v192.0.2.1\f", used, "192.0.2.1"},
    {"empty", "", absent, ""},
    {"blank", "   ", absent, ""},
    {"blank_tab", "\t\n", absent, ""},
    {"v4_port", "192.0.2.1:22", invalid, ""},
    {"v4_netmask", "192.0.2.1/24", invalid, ""},
    {"v4_host_mask", "192.0.2.1/32", invalid, ""},
    {"v4_leading_zero", "192.0.02.1", invalid, ""},
    {"v4_leading_zeros", "010.010.010.010", invalid, ""},
    {"v4_double_zero", "192.0.00.1", invalid, ""},
    {"v4_octet_256", "192.0.2.256", invalid, ""},
    {"v4_octet_999", "192.0.2.999", invalid, ""},
    {"v4_octet_four_digits", "192.0.2.1000", invalid, ""},
    {"v4_three_parts", "192.0.2", invalid, ""},
    {"v4_five_parts", "192.0.2.1.1", invalid, ""},
    {"v4_trailing_dot", "192.0.2.1.", invalid, ""},
    {"v4_leading_dot", ".192.0.2.1", invalid, ""},
    {"v4_empty_part", "192..2.1", invalid, ""},
    {"v4_one_number", "3221225985", invalid, ""},
    {"v4_hexadecimal", "0xC0.0.2.1", invalid, ""},
    {"v4_space_inside", "192.0. 2.1", invalid, ""},
    {"v4_two_addresses", "192.0.2.1 192.0.2.2", invalid, ""},
    {"v4_list", "192.0.2.1,192.0.2.2", invalid, ""},
    {"v4_sign", "+192.0.2.1", invalid, ""},
    {"v4_negative", "192.0.2.-1", invalid, ""},
    {"v4_nul_at_end", "192.0.2.1\0"s, invalid, ""},
    {"v4_nul_inside", "192.0\0.2.1"s, invalid, ""},
    {"v4_no_break_space",
     "\xC2\xA0"
     "192.0.2.1",
     invalid, ""},
    {"v4_full_width_digits", "\xEF\xBC\x91.0.2.1", invalid, ""},
    {"host_name", "example.com", invalid, ""},
    {"localhost", "localhost", invalid, ""},
    {"word", "unknown", invalid, ""},
    {"quoted", "'192.0.2.1'", invalid, ""},
    {"url", "http://192.0.2.1/", invalid, ""},
    {"v6_loopback", "::1", used, "::1"},
    {"v6_any", "::", used, "::"},
    {"v6_upper_case", "2001:DB8::ABCD", used, "2001:db8::abcd"},
    {"v6_full", "2001:0db8:0000:0000:0000:0000:0000:0001", used, "2001:db8::1"},
    {"v6_no_zero_run", "1:2:3:4:5:6:7:8", used, "1:2:3:4:5:6:7:8"},
    {"v6_single_zero_group", "1:2:3:0:5:6:7:8", used, "1:2:3:0:5:6:7:8"},
    {"v6_longest_run_compressed", "1:0:0:2:0:0:0:3", used, "1:0:0:2::3"},
    {"v6_first_of_equal_runs", "1:0:0:2:3:0:0:4", used, "1::2:3:0:0:4"},
    {"v6_trailing_run", "fe80::", used, "fe80::"},
    {"v6_longest_text", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", used,
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"v6_spaces_around", " 2001:db8::1 ", used, "2001:db8::1"},
    {"v6_mapped", "::ffff:192.0.2.1", used, "192.0.2.1"},
    {"v6_mapped_upper_case", "::FFFF:192.0.2.1", used, "192.0.2.1"},
    {"v6_mapped_hexadecimal", "::ffff:c000:201", used, "192.0.2.1"},
    {"v6_mapped_full", "0:0:0:0:0:ffff:192.0.2.1", used, "192.0.2.1"},
    {"v6_compatible", "::192.0.2.1", used, "::192.0.2.1"},
    {"v6_nat64", "64:ff9b::192.0.2.1", used, "64:ff9b::c000:201"},
    {"v6_small_number", "::2", used, "::2"},
    {"v6_zone", "fe80::1%eth0", invalid, ""},
    {"v6_numeric_zone", "fe80::1%1", invalid, ""},
    {"v6_mask", "2001:db8::/32", invalid, ""},
    {"v6_brackets", "[2001:db8::1]", invalid, ""},
    {"v6_brackets_port", "[2001:db8::1]:22", invalid, ""},
    {"v6_two_runs", "1::2::3", invalid, ""},
    {"v6_nine_groups", "1:2:3:4:5:6:7:8:9", invalid, ""},
    {"v6_seven_groups", "1:2:3:4:5:6:7", invalid, ""},
    {"v6_five_digits", "12345::1", invalid, ""},
    {"v6_not_hexadecimal", "2001:dbg::1", invalid, ""},
    {"v6_trailing_colon", "2001:db8:", invalid, ""},
    {"v6_leading_colon", ":2001:db8::1", invalid, ""},
    {"v6_three_colons", ":::1", invalid, ""},
    {"v6_mapped_leading_zero", "::ffff:192.0.02.1", invalid, ""},
    {"v6_mapped_octet_256", "::ffff:192.0.2.256", invalid, ""},
    {"v6_46_characters", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", invalid, ""},
    {"very_long", std::string(100000, '1'), invalid, ""},
    {"very_long_zeros", std::string(60, '0') + "1.2.3.4", invalid, ""},
    {"v6_nul", "::1\0"s, invalid, ""},
    {"spaces_do_not_count_as_length", std::string(1000, ' ') + "::1", used, "::1"},
};
INSTANTIATE_TEST_SUITE_P(table, IpTest, testing::ValuesIn(ip_rows), row_name);

class AsnTextTest : public testing::TestWithParam<Row<int>> {};

TEST_P(AsnTextTest, parses) {
  const auto parsed = parse_asn_text(GetParam().text);
  EXPECT_EQ(parsed.state, GetParam().state);
  EXPECT_EQ(parsed.value, GetParam().value);
}

const Row<int> asn_text_rows[] = {
    {"digits", "4134", used, 4134},
    {"with_as", "AS4134", used, 4134},
    {"with_lower_case_as", "as4134", used, 4134},
    {"with_mixed_case_as", "aS4134", used, 4134},
    {"spaces_around", " 4134 ", used, 4134},
    {"spaces_around_as", "\t AS4134\n", used, 4134},
    {"one", "1", used, 1},
    {"largest", "2147483647", used, 2147483647},
    {"largest_with_as", "AS2147483647", used, 2147483647},
    {"leading_zeros", "00004134", used, 4134},
    {"many_leading_zeros", std::string(5000, '0') + "7", used, 7},
    {"plus_sign", "+4134", invalid, 0},
    {"empty", "", absent},
    {"blank", "  ", absent},
    {"zero", "0", out_of_range},
    {"as_zero", "AS0", out_of_range},
    {"negative", "-1", out_of_range},
    {"negative_zero", "-0", out_of_range},
    {"above_largest", "2147483648", out_of_range},
    {"as_above_largest", "AS2147483648", out_of_range},
    {"largest_32_bit", "4294967295", out_of_range},
    {"above_64_bit", "18446744073709551617", out_of_range},
    {"thousand_digits", std::string(1000, '9'), out_of_range},
    {"negative_thousand_digits", "-" + std::string(1000, '9'), out_of_range},
    {"as_only", "AS", invalid},
    {"a_only", "A", invalid},
    {"as_space", "AS 4134", invalid},
    {"as_negative", "AS-1", invalid},
    {"as_plus", "AS+1", invalid},
    {"as_twice", "ASAS1", invalid},
    {"asn_prefix", "ASN4134", invalid},
    {"sign_before_as", "-AS1", invalid},
    {"sign_only", "-", invalid},
    {"two_signs", "--1", invalid},
    {"fraction", "4134.0", invalid},
    {"half", "1.5", invalid},
    {"exponent", "1e3", invalid},
    {"hexadecimal", "0x1026", invalid},
    {"dotted", "1.10", invalid},
    {"space_inside", "41 34", invalid},
    {"trailing_letter", "4134x", invalid},
    {"long_digits_then_letter", std::string(100, '9') + "x", invalid},
    {"word", "unknown", invalid},
    {"na", "NA", invalid},
    {"two_numbers", "4134 4837", invalid},
    {"nul", "4134\0"s, invalid},
    {"arabic_digits", "\xD9\xA1", invalid},
};
INSTANTIATE_TEST_SUITE_P(table, AsnTextTest, testing::ValuesIn(asn_text_rows), row_name);

class AsnNumberTest : public testing::TestWithParam<Row<int>> {};

TEST_P(AsnNumberTest, parses) {
  const auto parsed = parse_asn_number(GetParam().text);
  EXPECT_EQ(parsed.state, GetParam().state);
  EXPECT_EQ(parsed.value, GetParam().value);
}

const Row<int> asn_number_rows[] = {
    {"integer", "4134", used, 4134},
    {"whole_with_fraction", "4134.0", used, 4134},
    {"whole_with_long_fraction", "4134." + std::string(5000, '0'), used, 4134},
    {"exponent", "1e3", used, 1000},
    {"exponent_upper_case", "1E3", used, 1000},
    {"exponent_plus", "1e+3", used, 1000},
    {"exponent_leading_zeros", "1e" + std::string(5000, '0') + "3", used, 1000},
    {"fraction_made_whole", "1.5e1", used, 15},
    {"fraction_made_whole_far", "0.0004134e7", used, 4134},
    {"negative_exponent_whole", "41340e-1", used, 4134},
    {"zeros_and_exponent", "4134000000e-6", used, 4134},
    {"long_digits_and_exponent", "1" + std::string(5000, '0') + "e-5000", used, 1},
    {"one", "1", used, 1},
    {"largest", "2147483647", used, 2147483647},
    {"largest_by_exponent", "2.147483647e9", used, 2147483647},
    {"zero", "0", out_of_range},
    {"negative_zero", "-0", out_of_range},
    {"zero_fraction", "0.0", out_of_range},
    {"zero_exponent", "0e5", out_of_range},
    {"zero_huge_exponent", "0e99999999999999999999", out_of_range},
    {"negative", "-1", out_of_range},
    {"negative_whole", "-4134.0", out_of_range},
    {"above_largest", "2147483648", out_of_range},
    {"largest_32_bit", "4294967295", out_of_range},
    {"ten_digits", "9999999999", out_of_range},
    {"eleven_digits", "10000000000", out_of_range},
    {"above_64_bit", "18446744073709551617", out_of_range},
    {"numeric_limit", "1e131071", out_of_range},
    {"exponent_of_32_bit", "1e2147483648", out_of_range},
    {"exponent_of_100_digits", "1e" + std::string(100, '9'), out_of_range},
    {"thousand_digits", std::string(1000, '9'), out_of_range},
    {"half", "1.5", invalid},
    {"negative_half", "-1.5", invalid},
    {"tiny", "1e-1", invalid},
    {"tiny_of_100_digits", "1e-" + std::string(100, '9'), invalid},
    {"large_with_fraction", "4294967295.5", invalid},
    {"exponent_too_small", "1.55e1", invalid},
    {"empty", "", invalid},
    {"sign_only", "-", invalid},
    {"plus", "+1", invalid},
    {"leading_zero", "01", invalid},
    {"no_fraction_digits", "1.", invalid},
    {"no_integer_digits", ".5", invalid},
    {"no_exponent_digits", "1e", invalid},
    {"no_exponent_digits_sign", "1e+", invalid},
    {"trailing_space", "1 ", invalid},
    {"trailing_letter", "1x", invalid},
    {"word", "NaN", invalid},
    {"infinity", "Infinity", invalid},
};
INSTANTIATE_TEST_SUITE_P(table, AsnNumberTest, testing::ValuesIn(asn_number_rows), row_name);

class CountryTest : public testing::TestWithParam<Row<std::string>> {};

TEST_P(CountryTest, parses) {
  const auto parsed = parse_country(GetParam().text);
  EXPECT_EQ(parsed.state, GetParam().state);
  EXPECT_EQ(parsed.value, GetParam().value);
}

const Row<std::string> country_rows[] = {
    {"upper_case", "CN", used, "CN"},
    {"lower_case", "cn", used, "CN"},
    {"mixed_case", "cN", used, "CN"},
    {"turkish_trap", "in", used, "IN"},
    {"first_letter", "AA", used, "AA"},
    {"last_letter", "zz", used, "ZZ"},
    {"empty", "", absent, ""},
    {"unknown", "XX", invalid, ""},
    {"unknown_lower_case", "xx", invalid, ""},
    {"unknown_mixed_case", "xX", invalid, ""},
    {"one_letter", "C", invalid, ""},
    {"three_letters", "CHN", invalid, ""},
    {"name", "China", invalid, ""},
    {"forty_letters", std::string(40, 'C'), invalid, ""},
    {"digit", "C1", invalid, ""},
    {"digits", "86", invalid, ""},
    {"blanks", "  ", invalid, ""},
    {"not_trimmed", " CN", invalid, ""},
    {"letter_and_blank", "C ", invalid, ""},
    {"two_byte_letter", "\xC3\x84", invalid, ""},
    {"kelvin_sign", "\xE2\x84\xAA", invalid, ""},
    {"nul", "C\0"s, invalid, ""},
    {"punctuation", "--", invalid, ""},
    {"before_a", "@@", invalid, ""},
    {"after_z", "[[", invalid, ""},
    {"after_lower_z", "{{", invalid, ""},
};
INSTANTIATE_TEST_SUITE_P(table, CountryTest, testing::ValuesIn(country_rows), row_name);

class TimestampTest : public testing::TestWithParam<Row<std::int64_t>> {};

TEST_P(TimestampTest, parses) {
  const auto parsed = parse_timestamp(GetParam().text);
  EXPECT_EQ(parsed.state, GetParam().state);
  EXPECT_EQ(parsed.value, GetParam().value);
}

constexpr std::int64_t second = 1000000;
constexpr std::int64_t hour = 3600 * second;
constexpr std::int64_t y2025 = 1735689600 * second; // 2025-01-01

const Row<std::int64_t> timestamp_rows[] = {
    {"epoch_utc", "1970-01-01T00:00:00Z", used, 0},
    {"no_offset_is_utc", "2025-01-01T00:00:00", used, y2025},
    {"z", "2025-01-01T12:30:15Z", used, y2025 + 12 * hour + 1815 * second},
    {"lower_case_z", "2025-01-01T00:00:00z", used, y2025},
    {"lower_case_t", "2025-01-01t00:00:00Z", used, y2025},
    {"space_between", "2025-01-01 01:00:00", used, y2025 + hour},
    {"no_seconds", "2025-01-01T01:00", used, y2025 + hour},
    {"no_seconds_offset", "2025-01-01T01:00+01:00", used, y2025},
    {"date_only", "2025-01-01", used, y2025},
    {"blanks_around", " \t2025-01-01T00:00:00Z\n", used, y2025},
    {"plus_zero", "2025-01-01T00:00:00+00:00", used, y2025},
    {"minus_zero", "2025-01-01T00:00:00-00:00", used, y2025},
    {"east", "2025-01-01T02:00:00+02:00", used, y2025},
    {"west", "2025-01-01T00:00:00-05:30", used, y2025 + 5 * hour + hour / 2},
    {"offset_hours", "2025-01-01T02:00:00+02", used, y2025},
    {"offset_basic", "2025-01-01T05:30:00+0530", used, y2025},
    {"offset_seconds", "2025-01-01T00:00:00+00:00:01", used, y2025 - second},
    {"offset_most", "2025-01-01T15:59:59+15:59:59", used, y2025},
    {"offset_least", "2025-01-01T00:00:00-15:59", used, y2025 + 16 * hour - 60 * second},
    {"microseconds", "2025-01-01T00:00:00.123456+00:00", used, y2025 + 123456},
    {"one_digit_fraction", "2025-01-01T00:00:00.5Z", used, y2025 + 500000},
    {"milliseconds", "2025-01-01T00:00:00.123Z", used, y2025 + 123000},
    {"nanoseconds_down", "2025-01-01T00:00:00.123456499", used, y2025 + 123456},
    {"nanoseconds_up", "2025-01-01T00:00:00.123456501", used, y2025 + 123457},
    {"half_to_even_down", "2025-01-01T00:00:00.1234565", used, y2025 + 123456},
    {"half_to_even_up", "2025-01-01T00:00:00.1234575", used, y2025 + 123458},
    {"just_above_half", "2025-01-01T00:00:00.12345650000000000001", used, y2025 + 123457},
    {"eight_digits_zero", "2025-01-01T00:00:00.12345650", used, y2025 + 123456},
    {"fraction_carries", "2025-01-01T00:00:00.9999999", used, y2025 + second},
    {"ten_thousand_digits", "2025-01-01T00:00:00." + std::string(10000, '0') + "9", used, y2025},
    {"second_60", "2025-01-01T00:00:60Z", used, y2025 + 60 * second},
    {"leap_second", "2024-12-31T23:59:60Z", used, y2025},
    {"hour_24", "2024-12-31T24:00:00Z", used, y2025},
    {"hour_24_no_seconds", "2024-12-31T24:00", used, y2025},
    {"basic", "20250101T010000Z", used, y2025 + hour},
    {"basic_no_seconds", "20250101T0100", used, y2025 + hour},
    {"basic_fraction", "20250101T000000.25", used, y2025 + 250000},
    {"basic_offset", "20250101T010000+0100", used, y2025},
    {"leap_day", "2024-02-29T00:00:00Z", used, 1709164800 * second},
    {"leap_day_2000", "2000-02-29", used, 951782400 * second},
    {"before_epoch", "1969-12-31T23:59:59.999999Z", used, -1},
    {"first_year", "0001-01-01T00:00:00Z", used, -62135596800 * second},
    {"last_year", "9999-12-31T23:59:59Z", used, 253402300799 * second},
    {"last_year_next_day", "9999-12-31T24:00:00Z", used, 253402300800 * second},
    {"end_of_february", "2023-02-28", used, 1677542400 * second},
    {"empty", "", absent},
    {"blank", "  ", invalid},
    {"now", "now", invalid},
    {"infinity", "infinity", invalid},
    {"minus_infinity", "-infinity", invalid},
    {"today", "today", invalid},
    {"epoch", "epoch", invalid},
    {"epoch_seconds", "1735689600", invalid},
    {"epoch_milliseconds", "1735689600000", invalid},
    {"epoch_fraction", "1735689600.5", invalid},
    {"eight_digits", "20250101", invalid},
    {"year_only", "2025", invalid},
    {"year_and_month", "2025-01", invalid},
    {"year_0", "0000-01-01", invalid},
    {"year_of_two_digits", "25-01-01", invalid},
    {"year_5874897", "5874897-12-31T00:00:00Z", invalid},
    {"year_10000", "10000-01-01T00:00:00Z", invalid},
    {"negative_year", "-2025-01-01", invalid},
    {"year_with_plus", "+2025-01-01", invalid},
    {"before_christ", "2025-01-01 BC", invalid},
    {"month_0", "2025-00-01", invalid},
    {"month_13", "2025-13-01T00:00:00Z", invalid},
    {"day_0", "2025-01-00", invalid},
    {"day_32", "2025-01-32", invalid},
    {"day_31_in_april", "2025-04-31", invalid},
    {"february_30", "2024-02-30", invalid},
    {"february_29_common_year", "2025-02-29", invalid},
    {"february_29_century", "1900-02-29", invalid},
    {"hour_25", "2025-01-01T25:00:00", invalid},
    {"hour_24_and_a_second", "2025-01-01T24:00:01", invalid},
    {"hour_24_and_a_microsecond", "2025-01-01T24:00:00.000001", invalid},
    {"minute_60", "2025-01-01T00:60:00", invalid},
    {"second_61", "2025-01-01T00:00:61", invalid},
    {"offset_16", "2025-01-01T00:00:00+16:00", invalid},
    {"offset_minute_60", "2025-01-01T00:00:00+01:60", invalid},
    {"offset_second_60", "2025-01-01T00:00:00+01:00:60", invalid},
    {"offset_one_digit", "2025-01-01T00:00:00+1", invalid},
    {"offset_three_digits", "2025-01-01T00:00:00+013", invalid},
    {"offset_six_digits", "2025-01-01T00:00:00+013000", invalid},
    {"offset_after_space", "2025-01-01T00:00:00 +01:00", invalid},
    {"offset_sign_only", "2025-01-01T00:00:00+", invalid},
    {"offset_trailing_colon", "2025-01-01T00:00:00+01:", invalid},
    {"date_with_offset", "2025-01-01+01:00", invalid},
    {"date_with_z", "2025-01-01Z", invalid},
    {"zone_name", "2025-01-01T00:00:00 Europe/Berlin", invalid},
    {"zone_abbreviation", "2025-01-01T00:00:00 UTC", invalid},
    {"z_and_offset", "2025-01-01T00:00:00Z+01:00", invalid},
    {"two_spaces_between", "2025-01-01  00:00:00", invalid},
    {"t_only", "2025-01-01T", invalid},
    {"hour_only", "2025-01-01T10", invalid},
    {"one_digit_hour", "2025-01-01T1:00:00", invalid},
    {"one_digit_month", "2025-1-01", invalid},
    {"fraction_without_digits", "2025-01-01T00:00:00.", invalid},
    {"fraction_with_comma", "2025-01-01T00:00:00,5", invalid},
    {"fraction_of_minute", "2025-01-01T00:00.5", invalid},
    {"am_pm", "2025-01-01 01:00:00 PM", invalid},
    {"slashes", "2025/01/01", invalid},
    {"american", "01/02/2025", invalid},
    {"ordinal_date", "2025-001", invalid},
    {"week_date", "2025-W01-1", invalid},
    {"basic_with_space", "20250101 000000", invalid},
    {"basic_date_extended_time", "20250101T00:00:00", invalid},
    {"extended_date_basic_time", "2025-01-01T000000", invalid},
    {"trailing_text", "2025-01-01T00:00:00Zx", invalid},
    {"text_before", "x2025-01-01", invalid},
    {"nul", "2025-01-01\0"s, invalid},
    {"full_width_digit",
     "\xEF\xBC\x92"
     "025-01-01",
     invalid},
    {"very_long", std::string(100000, '2'), invalid},
};
INSTANTIATE_TEST_SUITE_P(table, TimestampTest, testing::ValuesIn(timestamp_rows), row_name);

} // namespace
} // namespace cowrie
