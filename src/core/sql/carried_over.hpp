// Carried over: what hangs on a column that a repair replaces, and goes with it unless it is made
// again on the new one.
//
// Error regime: never fails.
#pragma once

#include <string>
#include <vector>

namespace cowrie {

/**
 * Asks what of the user's hangs on these columns of the table $1 and follows a column by itself:
 * indexes, constraints, extended statistics, grants, comment, statistics target and options. What
 * has one of the names `declared` is the plan's own. Columns: what it is, in words; the statement
 * that drops it, or NULL; the statement that makes it again. One row per statement.
 */
std::string carried_over_query(const std::vector<std::string> &columns,
                               const std::vector<std::string> &declared);

} // namespace cowrie
