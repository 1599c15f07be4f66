// SPI: SQL from C++, rows as values.
//
// Error regime: throws PgError.
#pragma once

#include "core/ports/ports.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/** Connects to SPI for the length of a scope. */
class SpiSession : Live {
public:
  /** `nonatomic`: transactions may end within it. */
  explicit SpiSession(bool nonatomic = false);
  ~SpiSession();
  SpiSession(const SpiSession &) = delete;
  SpiSession &operator=(const SpiSession &) = delete;
};

/** A snapshot of this moment, for the length of a scope: catalog questions that are read-only to
 * SPI would else be answered as of the beginning of the caller's statement. */
class FreshSnapshot : Live {
public:
  FreshSnapshot();
  ~FreshSnapshot();
  FreshSnapshot(const FreshSnapshot &) = delete;
  FreshSnapshot &operator=(const FreshSnapshot &) = delete;

private:
  int level_; ///< of subtransactions: an error that ends that one takes the snapshot with it
};

/** Executes one statement; returns the number of rows processed and fills rows where wanted. */
std::int64_t spi_execute(const std::string &sql, const std::vector<Parameter> &parameters,
                         bool read_only, std::vector<Row> *rows);

/** Rows of a query. A read-only one sees the caller's snapshot and works on a standby. */
std::vector<Row> spi_query(const std::string &sql, const std::vector<Parameter> &parameters,
                           bool read_only);

/** Rows of a query that is asked again and again: planned once in the life of the process. Its text
 * must be one of a few, and its parameters of the same types each time. */
std::vector<Row> spi_query_often(const std::string &sql, const std::vector<Parameter> &parameters,
                                 bool read_only);

} // namespace cowrie::pg
