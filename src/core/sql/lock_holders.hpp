// Lock holders: who holds a lock, as it is asked and told everywhere.
//
// Error regime: plain text.
#pragma once

#include <string>

namespace cowrie {

/** `process 42 of user app holds … (state …, transaction since …)`: an SQL expression.
 *  @param pid, locks SQL expressions
 *  @param activity   the alias of pg_stat_activity
 *  @param unknown    what is said of a state that the caller may not see */
std::string holder_in_words(const std::string &pid, const std::string &locks,
                            const std::string &activity, const std::string &unknown);

/** Asks who holds locks on these tables of the schema $1, other processes than those of the run,
 * the longest transactions first: in words, the process, the table.
 *  @param readers whether locks that only read count, too */
std::string lock_holders_query(const std::string &tables, bool readers);

/** Asks how often a strong lock is asked for before an online run gives up. With the pauses, a
 *  hundred attempts are about three minutes. */
inline constexpr const char *lock_attempts_query =
    "SELECT current_setting('cowrie_migrate.lock_attempts')";

} // namespace cowrie
