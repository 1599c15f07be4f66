// Samples: recognises a statement by the function that writes it, whatever its arguments were.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cowrie::test {

/**
 * Compares a statement with a sample that the same function has written with marks for arguments.
 * Returns what stands in the place of each mark, in the order of the sample; nothing: it is another
 * statement.
 */
inline std::optional<std::vector<std::string>> arguments_of(const std::string &sql,
                                                            const std::string &sample,
                                                            const std::vector<std::string> &marks) {
  std::vector<std::string> found;
  std::size_t at = 0, from = 0;
  for (;;) {
    std::size_t next = std::string::npos, length = 0;
    for (const std::string &mark : marks)
      if (const std::size_t place = sample.find(mark, from); place < next) {
        next = place;
        length = mark.size();
      }
    const std::string piece = sample.substr(from, next == std::string::npos ? next : next - from);
    if (next == std::string::npos) { // the rest
      if (sql.size() < at + piece.size() ||
          sql.compare(sql.size() - piece.size(), piece.size(), piece) != 0)
        return std::nullopt;
      if (from > 0)
        found.push_back(sql.substr(at, sql.size() - piece.size() - at));
      else if (sql != sample)
        return std::nullopt;
      return found;
    }
    const std::size_t here =
        from == 0 ? (sql.compare(0, piece.size(), piece) == 0 ? 0 : std::string::npos)
                  : sql.find(piece, at);
    if (here == std::string::npos)
      return std::nullopt;
    if (from > 0)
      found.push_back(sql.substr(at, here - at));
    at = here + piece.size();
    from = next + length;
  }
}

/** Tells whether a statement is what a sample is, but for its marks. */
inline bool is_like(const std::string &sql, const std::string &sample,
                    const std::vector<std::string> &marks) {
  return arguments_of(sql, sample, marks).has_value();
}

/** Marks for arguments: numbers and texts that no test has. */
inline constexpr long long mark_1 = 100'000'000'001, mark_2 = 100'000'000'002;
inline const std::string mark = "<mark>";
inline const std::vector<std::string> marks = {std::to_string(mark_1), std::to_string(mark_2),
                                               "'" + mark + "'", "\"" + mark + "\"", mark};

} // namespace cowrie::test
