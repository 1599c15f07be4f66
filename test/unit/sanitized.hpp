// Tests under sanitizers, which check every access and take ten times as long: what they leave to
// the plain build, unless full counts are wanted.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace cowrie::test {

#ifdef __has_feature
inline constexpr bool sanitized = __has_feature(address_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif

/** Chooses between the counts of the plain build and those under sanitizers. */
inline std::size_t counts(std::size_t all, std::size_t under_sanitizers) {
  return sanitized && !std::getenv("COWRIE_FULL") ? under_sanitizers : all;
}

} // namespace cowrie::test
