// Assessment, as SQL: the sessions of a database, counted in one parallel scan.
//
// Error regime: throws what the port throws.
#pragma once

#include <map>
#include <string>

#include "core/document/assessment.hpp"
#include "core/ports/ports.hpp"

namespace cowrie {

/** What the aggregate cowrie_assessment() returned. */
class Amounts {
public:
  struct Amount {
    std::int64_t amount = 0;
    std::string examples; ///< session ids, quoted
  };

  explicit Amounts(const std::vector<Row> &rows);

  /** By the name of a measure or of a reject reason. */
  const Amount &of(std::string_view name) const;
  std::int64_t of(Measure measure) const { return of(name_of(measure)).amount; }

private:
  std::map<std::string, Amount, std::less<>> amounts_;
};

enum class SessionsAssessed : std::uint8_t {
  all_sessions,
  unfilled_sessions, ///< those that have none of the new columns yet
  filled_columns,    ///< all sessions, as they are: no raw event is asked
};

/**
 * Counts what the documents of the sessions give, and their raw events where these are wanted and
 * can be looked up by an index.
 * @param observed session_summaries as it is: values that are there already are kept
 * @param share    the part of the table's pages that is read, from 0 to 1
 */
Amounts assess_sessions(Database &database, const Table &observed, SessionsAssessed which,
                        double share);

} // namespace cowrie
