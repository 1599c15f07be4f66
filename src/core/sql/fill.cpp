// Fill: a statement is one raw string with named holes.
#include "core/sql/fill.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include "core/base/text.hpp"
#include "core/schema/schema.hpp"
#include "core/sql/derivation.hpp"
#include "core/sql/online.hpp"

namespace cowrie::sql {
namespace {

constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz_";

std::optional<std::string> of_target(const Target &target, std::string_view hole) {
  for (const auto &[name, table] : std::initializer_list<std::pair<std::string_view, const char *>>{
           {"sessions", "session_summaries"},
           {"raw_events", "raw_events"},
           {"asn_inventory", "asn_inventory"},
           {"ip_inventory", "ip_inventory"},
           {"ip_asn_history", "ip_asn_history"},
           {"staging", target.staging.c_str()},
           {"events", derivation::event_table},
           {"chosen", derivation::chosen_table},
           {"changes", online::changes_table},
           {"queue", online::queue_table},
           {"delta", online::delta_table}})
    if (hole == name)
      return qualified(target.schema, table);
  if (hole == "document_type")
    return target.document_type;
  if (starts_with(hole, "cowrie_"))
    return qualified(target.extension_schema, hole);
  return std::nullopt;
}

std::string fill(const Target *target, std::string_view text, std::initializer_list<Hole> holes) {
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
    std::optional<std::string> value;
    if (hole != holes.end()) {
      used[static_cast<std::size_t>(hole - holes.begin())] = true;
      value = hole->value;
    } else if (target) {
      value = of_target(*target, name);
    }
    if (!value)
      throw std::logic_error("nothing fills the hole {" + std::string(name) + "}");
    result += *value;
    text.remove_prefix(close + 1);
  }
  for (std::size_t i = 0; i < used.size(); ++i)
    if (!used[i])
      throw std::logic_error("there is no hole {" + std::string((holes.begin() + i)->name) + "}");
  return result.append(text);
}

} // namespace

std::string fill(const Target &target, std::string_view text, std::initializer_list<Hole> holes) {
  return fill(&target, text, holes);
}

std::string fill(std::string_view text, std::initializer_list<Hole> holes) {
  return fill(nullptr, text, holes);
}

} // namespace cowrie::sql
