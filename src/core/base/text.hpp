// Text: lists, prefixes and numbers in text.
//
// Error regime: never fails, but for to_number().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cowrie {

inline bool starts_with(std::string_view text, std::string_view prefix) noexcept {
  return text.substr(0, prefix.size()) == prefix;
}

inline bool contains(std::string_view text, std::string_view part) noexcept {
  return text.find(part) != std::string_view::npos;
}

/** Adds an item to a list: `a, b`. */
inline void append(std::string &list, std::string_view item, std::string_view between = ", ") {
  if (!list.empty())
    list += between;
  list += item;
}

/** Lists what `write` makes of each item. */
template <typename Items, typename Write>
std::string join(const Items &items, std::string_view between, Write write) {
  std::string result;
  for (const auto &each : items)
    append(result, write(each), between);
  return result;
}

template <typename Items> std::string join(const Items &items, std::string_view between = ", ") {
  return join(
      items, between, [](const auto &each) -> const auto & { return each; });
}

/** The whole number that the server wrote; NULL counts as 0. Throws what std::stoll throws. */
inline std::int64_t to_number(const std::optional<std::string> &text) {
  return text ? std::stoll(*text) : 0;
}

} // namespace cowrie
