// Figures: sizes and durations as people read them.
//
// Error regime: never fails.
#pragma once

#include <cstdint>
#include <string>

namespace cowrie {

/** `13 MB`: what the server's pg_size_pretty() writes for a number of bytes. */
std::string size_pretty(std::int64_t bytes);

/** `under 1 ms`, `12 ms`, `1.2 s`, `1 min 04 s`, `2 h 05 min`. */
std::string duration(std::int64_t microseconds);

/** Rounded to milliseconds. */
std::int64_t whole_milliseconds(std::int64_t microseconds) noexcept;

} // namespace cowrie
