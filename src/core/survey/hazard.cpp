// Hazard: the names of its severities.
#include "core/survey/hazard.hpp"

namespace cowrie {

std::string_view name_of(HazardSeverity severity) noexcept {
  switch (severity) {
  case HazardSeverity::blocker:
    return "blocker";
  case HazardSeverity::warning:
    return "warning";
  default:
    return "info";
  }
}

} // namespace cowrie
