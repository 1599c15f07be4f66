// Parallel insert: INSERT … SELECT into a new table, its rows selected by parallel workers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cowrie::pg {

/**
 * Executes an INSERT … SELECT; returns the number of rows.
 *
 * The server never plans one with parallel workers. Here its own analysis of the statement, with
 * every cast and default that it adds, is planned as the SELECT that it is but for its target; the
 * rows that arrive are written by this backend, generated columns and NOT NULL as ever; frozen
 * where the current subtransaction has created the table, as by COPY FREEZE. Nothing, and nothing
 * done: the statement or its table has more to it (an index, a trigger, a rule, a check, row
 * security, ON CONFLICT, RETURNING). Throws PgError.
 */
std::optional<std::int64_t> insert_in_parallel(const std::string &sql);

} // namespace cowrie::pg
