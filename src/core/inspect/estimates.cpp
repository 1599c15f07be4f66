// Estimates: the arithmetic of pages and of samples.
#include "core/inspect/estimates.hpp"

#include <algorithm>
#include <cmath>

namespace cowrie {
namespace {

std::int64_t align8(std::int64_t bytes) { return (bytes + 7) / 8 * 8; }

} // namespace

std::int64_t rounded(double value) { return std::llround(std::max(0.0, value)); }

std::int64_t btree_bytes(std::int64_t rows, std::int64_t distinct, std::int64_t key) {
  if (rows <= 0)
    return static_cast<std::int64_t>(page);
  distinct = std::clamp<std::int64_t>(distinct, 1, rows);
  constexpr std::int64_t entry_header = 8, row_pointer = 6, longest_list = 200;
  const std::int64_t entry = align8(entry_header + key) + static_cast<std::int64_t>(line_pointer);
  double bytes = static_cast<double>(rows) * static_cast<double>(entry);
  const std::int64_t each = rows / distinct;
  if (each >= 2) { // a list of rows for each value, several for a frequent one
    const std::int64_t lists = distinct * ((each + longest_list - 1) / longest_list);
    bytes = static_cast<double>(lists) * static_cast<double>(entry) +
            static_cast<double>(rows * row_pointer);
  }
  const double leaves = std::ceil(bytes / ((page - 40) * 0.9));
  return rounded((leaves * 1.006 + 2) * page); // inner pages, the meta page
}

std::int64_t distinct_in_all(std::int64_t rows, std::int64_t sample, std::int64_t distinct,
                             std::int64_t once) {
  if (sample <= 0 || rows <= sample)
    return distinct;
  const auto n = static_cast<double>(sample), d = static_cast<double>(distinct);
  const auto f = static_cast<double>(once);
  return std::min(rows, rounded(n * d / (n - f + f * n / static_cast<double>(rows))));
}

} // namespace cowrie
