// Fill: a statement is one raw string with named holes.
#include "core/sql/fill.hpp"

#include "core/base/text.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace cowrie::sql {
namespace {

constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz_";

} // namespace

std::string fill(std::string_view text, std::initializer_list<Hole> holes) {
  std::string result;
  std::vector<bool> used(holes.size());
  for (std::size_t open; (open = text.find('{')) != std::string_view::npos;) {
    result += text.substr(0, open);
    text.remove_prefix(open);
    const std::size_t close = text.find_first_not_of(letters, 1);
    if (close == 1 || close == std::string_view::npos || text[close] != '}') {
      result += text.front();
      text.remove_prefix(1);
      continue;
    }
    const std::string_view name = text.substr(1, close - 1);
    const Hole *const hole = std::find_if(holes.begin(), holes.end(),
                                          [&](const Hole &each) { return each.name == name; });
    if (hole == holes.end())
      throw std::logic_error("nothing fills the hole {" + std::string(name) + "}");
    used[static_cast<std::size_t>(hole - holes.begin())] = true;
    result += hole->value;
    text.remove_prefix(close + 1);
  }
  for (std::size_t i = 0; i < used.size(); ++i)
    if (!used[i])
      throw std::logic_error("there is no hole {" + std::string((holes.begin() + i)->name) + "}");
  return result.append(text);
}

} // namespace cowrie::sql
