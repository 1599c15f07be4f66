// Session reading: the form in which the facts of a session cross from one process to another.
#include "core/document/facts_message.hpp"

#include "core/base/text.hpp"

#include <cstring>
#include <type_traits>

namespace cowrie {
namespace {

template <typename Value> void put(std::string &message, const Value &value) {
  static_assert(std::is_trivially_copyable_v<Value>);
  message.append(reinterpret_cast<const char *>(&value), sizeof value);
}

void put(std::string &message, const std::string &text) {
  put(message, static_cast<std::uint32_t>(text.size()));
  message += text;
}

template <typename Value> bool get(std::string_view &message, Value &value) {
  static_assert(std::is_trivially_copyable_v<Value>);
  if (message.size() < sizeof value)
    return false;
  std::memcpy(&value, message.data(), sizeof value);
  message.remove_prefix(sizeof value);
  return true;
}

bool get(std::string_view &message, std::string &text) {
  std::uint32_t size = 0;
  if (!get(message, size) || message.size() < size)
    return false;
  text.assign(message.data(), size);
  message.remove_prefix(size);
  return true;
}

/** What has a fixed size. */
struct Fixed {
  std::uint64_t stored = 0;
  Sum128 document, kept;
  std::int64_t enriched_at = 0;
  std::int32_t asn = 0;
  std::uint32_t rejects = 0;
  Provider asn_source = Provider::none;
  bool read = false, null_escape = false;
  bool has_enriched_at = false, has_document = false, has_provider_data = false;
};

Fixed fixed_of(const SessionReading &reading) noexcept {
  Fixed fixed;
  const Facts &facts = reading.facts;
  fixed.stored = reading.stored;
  fixed.document = reading.document;
  fixed.kept = reading.kept;
  fixed.enriched_at = facts.enriched_at.value_or(0);
  fixed.asn = facts.asn;
  fixed.rejects = static_cast<std::uint32_t>(facts.rejects.size());
  fixed.asn_source = facts.asn_source;
  fixed.read = reading.read;
  fixed.null_escape = reading.null_escape;
  fixed.has_enriched_at = facts.enriched_at.has_value();
  fixed.has_document = facts.has_document;
  fixed.has_provider_data = facts.has_provider_data;
  return fixed;
}

/** The texts, in the order in which they are written. */
template <typename Of> auto texts_of(Of &facts) {
  return std::array{&facts.source_ip,    &facts.country,  &facts.ip_type,
                    &facts.organization, &facts.registry, &facts.organization_country};
}

} // namespace

void append(std::string &message, const SessionReading &reading) {
  put(message, reading.session_id);
  put(message, fixed_of(reading));
  if (!reading.read)
    return;
  for (const std::string *text : texts_of(reading.facts))
    put(message, *text);
  for (const RejectedValue &each : reading.facts.rejects)
    put(message, each.reason);
}

bool take(std::string_view &message, SessionReading &reading) {
  Fixed fixed;
  if (!get(message, reading.session_id) || !get(message, fixed))
    return false;
  reading.stored = fixed.stored;
  reading.document = fixed.document;
  reading.kept = fixed.kept;
  reading.read = fixed.read;
  reading.null_escape = fixed.null_escape;
  Facts &facts = reading.facts;
  facts.enriched_at.reset();
  if (fixed.has_enriched_at)
    facts.enriched_at = fixed.enriched_at;
  facts.asn = fixed.asn;
  facts.asn_source = fixed.asn_source;
  facts.has_document = fixed.has_document;
  facts.has_provider_data = fixed.has_provider_data;
  facts.rejects.clear();
  if (!fixed.read)
    return true;
  for (std::string *text : texts_of(facts))
    if (!get(message, *text))
      return false;
  for (std::uint32_t i = 0; i < fixed.rejects; ++i) {
    RejectReason reason{};
    if (!get(message, reason))
      return false;
    facts.rejects.push_back({reason, {}, {}});
  }
  return true;
}

} // namespace cowrie
