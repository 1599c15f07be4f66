// Lock holders: who holds a lock.
#include "core/sql/lock_holders.hpp"

#include "core/schema/schema.hpp"
#include "core/sql/fill.hpp"

namespace cowrie {

std::string holder_in_words(const std::string &pid, const std::string &locks,
                            const std::string &activity, const std::string &unknown) {
  return sql::fill(
      R"(format('process %s of user %s holds %s (state %s, transaction since %s)', {pid},
  COALESCE({a}.usename, '?'), {locks}, COALESCE({a}.state, {unknown}),
  COALESCE({a}.xact_start::text, '?')))",
      {{"pid", pid}, {"locks", locks}, {"a", activity}, {"unknown", quote_literal(unknown)}});
}

std::string lock_holders_query(const std::string &tables) {
  return sql::fill(R"(SELECT DISTINCT {holder}
FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND n.nspname = $1::text AND c.relname = ANY ({tables}) ORDER BY 1)",
                   {{"holder", holder_in_words("l.pid", "l.mode || ' on ' || c.relname", "a", "?")},
                    {"tables", tables}});
}

} // namespace cowrie
