// Unfit column: what keeps a copy of the heap from filling the sessions.
#include "core/plan/unfit_column.hpp"

namespace cowrie {
namespace {

/** Tells whether values of this type can be read as they are stored. */
bool is_read_as_stored(const std::string &column, const std::string &type) {
  const auto begins = [&](std::string_view word) {
    return type.compare(0, word.size(), word) == 0;
  };
  if (column == "session_id")
    return begins("character varying") || type == "text" || begins("text COLLATE");
  if (column == "enrichment")
    return type == "json" || type == "jsonb";
  return begins("timestamp with") || begins("timestamp(");
}

} // namespace

std::string unfit_column(const Table &declared, const Table &observed) {
  const auto has_type = [](const Column &each) {
    return "column \"" + each.name + "\" is of type " + each.type;
  };
  for (const Column &each : declared.columns)
    if (const Column *seen = observed.column(each.name)) {
      if (seen->type != each.type)
        return has_type(*seen);
      if (!seen->generated.empty())
        return "column \"" + each.name + "\" is generated";
    }
  for (const std::string &each : declared.retired_columns)
    if (observed.column(each))
      return "column \"" + each + "\" has values from an earlier attempt";
  for (const char *each :
       {"session_id", "enrichment", "first_event_at", "last_event_at", "created_at"}) {
    const Column *seen = observed.column(each);
    if (!seen)
      return "column \"" + std::string(each) + "\" does not exist";
    if (!is_read_as_stored(each, seen->type))
      return has_type(*seen);
  }
  return {};
}

} // namespace cowrie
