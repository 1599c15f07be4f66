// SPI: SQL from C++, rows as values. Every statement of the extension passes through here, which is
// what lets cowrie_migrate.fail_at make each of them fail.
//
// Error regime: throws PgError.
#pragma once

#include "core/ports.hpp"
#include "pg/guard.hpp"

namespace cowrie::pg {

/** Connects to SPI for the length of a scope. */
class SpiSession {
public:
  SpiSession();
  ~SpiSession();
  SpiSession(const SpiSession &) = delete;
  SpiSession &operator=(const SpiSession &) = delete;
};

/** Executes one statement; returns the number of rows processed and fills rows where wanted. */
std::int64_t spi_execute(const std::string &sql, const std::vector<Parameter> &parameters,
                         bool read_only, std::vector<Row> *rows);

/** Rows of a query. A read-only one sees the caller's snapshot and works on a standby. */
std::vector<Row> spi_query(const std::string &sql, const std::vector<Parameter> &parameters,
                           bool read_only);

namespace fault {
/** Starts counting statements anew: a run begins. */
void begin_run() noexcept;
/** Names where the run is, for fail_at => '<phase>.<step>'; raises there. */
void at(int phase, std::string_view step);
/** Counts a statement; raises when cowrie_migrate.fail_at names it. */
void statement();
/** Statements counted since begin_run(). */
std::int64_t count() noexcept;
} // namespace fault

} // namespace cowrie::pg
