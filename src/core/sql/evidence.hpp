// Evidence, as SQL: what a run records of the state before and after it, and a report measures
// again.
//
// Error regime: never fails.
#pragma once

#include <string>
#include <vector>

namespace cowrie::evidence {

/** Sizes of the tables in the schema with the OID $1: name, heap, TOAST and indexes in bytes. */
std::string sizes();

/** The same as one object of jsonb. */
std::string sizes_as_json();

/** Which of the columns that the migration fills are there, in the table with the OID $1. */
std::string filled_columns();

/** How many sessions there are, and how many have each of these columns: as name and number. */
std::string filled(const std::string &sessions, const std::vector<std::string> &columns);

/** The same as one object of jsonb. */
std::string filled_as_json(const std::string &sessions, const std::vector<std::string> &columns);

/** The settings of the extension and the server that a run depends on, as one object of jsonb. */
extern const char *const settings;

} // namespace cowrie::evidence
