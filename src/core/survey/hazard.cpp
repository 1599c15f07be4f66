// Hazard: the names of its severities.
#include "core/survey/hazard.hpp"

#include <cmath>

namespace cowrie {

std::string percent(double share) {
  const auto tenths = static_cast<std::int64_t>(std::floor(share * 1000 + 1e-9));
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

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
