// Fingerprint: an order-independent 128-bit sum over rows.
#include "core/document/fingerprint.hpp"

#include <cstdio>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace cowrie {
namespace {

Sum128 hash(const void *data, std::size_t size, std::uint64_t seed) noexcept {
  const XXH128_hash_t value = XXH3_128bits_withSeed(data, size, seed);
  return {value.low64, value.high64};
}

// Any constant: it tells an absent value from an empty one.
constexpr std::uint64_t absent = 0x9e3779b97f4a7c15u;

} // namespace

void Sum128::add(Sum128 other) noexcept {
  const std::uint64_t sum = low + other.low;
  high += other.high + (sum < low ? 1 : 0);
  low = sum;
}

void Sum128::subtract(Sum128 other) noexcept {
  high -= other.high + (low < other.low ? 1 : 0);
  low -= other.low;
}

std::string Sum128::hex() const {
  char text[33];
  (void)std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(high),
                      static_cast<unsigned long long>(low));
  return text;
}

Sum128 Sum128::of_hex(std::string_view text) noexcept {
  Sum128 result;
  for (const char each : text) {
    const int digit = each <= '9' ? each - '0' : each - 'a' + 10;
    result.high = result.high << 4 | result.low >> 60;
    result.low = result.low << 4 | static_cast<std::uint64_t>(digit & 15);
  }
  return result;
}

std::uint64_t hash64(std::string_view bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Sum128 document_sum(std::string_view session_id,
                    std::optional<std::string_view> document) noexcept {
  const std::uint64_t seed = hash64(session_id);
  return document ? hash(document->data(), document->size(), seed) : hash("", 0, seed ^ absent);
}

void SessionsFingerprint::add(std::string_view session_id, std::optional<std::string_view> document,
                              std::optional<std::int64_t> first,
                              std::optional<std::int64_t> last) noexcept {
  add(session_id, document_sum(session_id, document), first, last);
}

void SessionsFingerprint::add(std::string_view session_id, Sum128 document,
                              std::optional<std::int64_t> first,
                              std::optional<std::int64_t> last) noexcept {
  const std::uint64_t seed = hash64(session_id);
  ++sessions;
  documents.add(document);
  const std::uint64_t moments[4] = {first.has_value(), last.has_value(),
                                    static_cast<std::uint64_t>(first.value_or(0)),
                                    static_cast<std::uint64_t>(last.value_or(0))};
  times.add(hash(moments, sizeof moments, seed));
}

void SessionsFingerprint::add(const SessionsFingerprint &other) noexcept {
  sessions += other.sessions;
  documents.add(other.documents);
  times.add(other.times);
}

SessionsFingerprint SessionsFingerprint::without(const SessionsFingerprint &some) const noexcept {
  SessionsFingerprint rest = *this;
  rest.sessions -= some.sessions;
  rest.documents.subtract(some.documents);
  rest.times.subtract(some.times);
  return rest;
}

void ProofSum::add(std::string_view session_id, Sum128 document, std::optional<std::int64_t> first,
                   std::optional<std::int64_t> last, bool settled) noexcept {
  all.add(session_id, document, first, last);
  if (!settled)
    unsettled.add(session_id, document, first, last);
}

void ProofSum::add(const ProofSum &other) noexcept {
  all.add(other.all);
  unsettled.add(other.unsettled);
}

} // namespace cowrie
