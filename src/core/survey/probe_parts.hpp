// Probe parts: what a probe is, and what the queries of the probes have in common.
//
// Error regime: these are texts; nothing throws but std::bad_alloc.
#pragma once

#include <string>
#include <vector>

#include "core/survey/hazard.hpp"

namespace cowrie::probes {

/** A hazard's name, and the query that finds it: severity, detail, remedy. $1 is the schema. */
struct Probe {
  const char *hazard;
  std::string sql;
};

inline constexpr const char *this_database = "(SELECT oid FROM pg_database WHERE datname ="
                                             " current_database())";

// The longest that a migration waits for a lock: a transaction that lasts longer blocks it.
inline constexpr const char *longest_wait =
    "COALESCE(NULLIF(current_setting('lock_timeout')::interval,"
    " '0'), '5 s')";

/** The names of the tables that version 16 adds. */
std::vector<std::string> inventories();

/** The tables that a migration reads or changes: WITH tables (oid, relname, name, …). */
std::string tables();

/** The partitions of session_summaries, after tables(): partitions (id, relname, name, of, …). */
std::string partitions();

/** Other sessions in this database that have no part in a migration: WITH run_processes, others
 * (pid, …, who). */
std::string other_sessions();

} // namespace cowrie::probes
