// Fuzz target: any bytes as an enrichment document, as a payload and as a known address. What is
// promised for every document is checked for every document.
//
//   cmake -S . -B build/fuzz -DSANITIZE=ON -DCMAKE_CXX_COMPILER=clang++ &&
//   cmake --build build/fuzz --target enrichment_fuzz
//   build/fuzz/enrichment_fuzz -max_total_time=180 build/corpus test/fuzz/corpus
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "../unit/facts_text.hpp"
#include "core/document/enrichment.hpp"

namespace {

void require(bool condition, const char *promise) {
  if (condition)
    return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

void require_text(std::string_view text) {
  require(simdjson::validate_utf8(text.data(), text.size()), "text is valid UTF-8");
  require(text.find('\0') == std::string_view::npos, "text has no NUL");
}

void require_country(const std::string &country) {
  require(country.empty() || (country.size() == 2 && country != "XX"), "a country is two letters");
}

void check(const cowrie::Facts &facts) {
  require(facts.source_ip.size() <= 45, "an address fits its column");
  require(facts.asn >= 0, "an ASN is positive");
  require((facts.asn == 0) == (facts.asn_source == cowrie::Provider::none), "an ASN has a source");
  require_country(facts.country);
  require_country(facts.organization_country);
  require_text(facts.ip_type);
  require(facts.ip_type.size() <= 1000 && facts.organization.size() <= 1000, "indexed texts fit");
  require_text(facts.organization);
  require_text(facts.registry);
  for (const std::string &type : facts.ip_types) {
    require_text(type);
    require(!type.empty() && type.find_first_of("\"\\\n") == std::string::npos, "a type is plain");
  }
  for (const cowrie::RejectedValue &reject : facts.rejects) {
    require_text(reject.field);
    require_text(reject.value);
    require(reject.value.size() <= 200, "a reported value is short");
  }
}

/** Checks the JSON that is written against simdjson's DOM, which is stricter than PostgreSQL. */
void check_written(cowrie::EnrichmentReader &reader, const cowrie::Facts &facts,
                   std::string_view json) {
  const std::string provider_data = reader.provider_data();
  const std::string asn_data = reader.asn_data();
  static simdjson::dom::parser parser;
  const bool valid = parser.parse(json.data(), json.size()).error() == simdjson::SUCCESS;
  if (!valid)
    return;
  require_text(provider_data);
  require_text(asn_data);
  simdjson::dom::object object;
  require(parser.parse(asn_data).get(object) == simdjson::SUCCESS, "asn_data is an object");
  require(parser.parse(provider_data).get(object) == simdjson::SUCCESS,
          "provider_data is an object");
  bool has_value = false;
  for (const auto field : object)
    has_value = has_value || !field.value.is_null();
  require(has_value == facts.has_provider_data, "has_provider_data tells what is in it");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char *>(data), size);
  static cowrie::EnrichmentReader reader;

  reader.read(input);
  (void)reader.needs_event();
  const std::string alone = cowrie::text_of(reader.resolve());
  check(reader.resolve());
  check_written(reader, reader.resolve(), input);

  const cowrie::EventAddress event = reader.read_event(input);
  check(reader.resolve("192.0.2.2", &event));
  check_written(reader, reader.resolve("192.0.2.2", &event), input);
  require(cowrie::text_of(reader.resolve()) == alone, "an event leaves the document alone");

  // A document after another gives what it gives alone.
  reader.read(input.substr(0, size / 2));
  check(reader.resolve());
  reader.read(input);
  require(cowrie::text_of(reader.resolve()) == alone, "documents do not depend on each other");
  return 0;
}
