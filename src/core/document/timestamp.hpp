// Timestamps: ISO 8601 text -> microseconds since 1970-01-01 UTC.
//
// Only what names one instant is read: no words, no bare numbers, no two-digit or five-digit years.
// What it may know: text. Error regime: never throws.
#pragma once

#include "core/document/network_values.hpp"

namespace cowrie {

/** An ISO 8601 time, without offset in UTC, as microseconds since 1970-01-01 UTC. */
Parsed<std::int64_t> parse_timestamp(std::string_view text) noexcept;

} // namespace cowrie
