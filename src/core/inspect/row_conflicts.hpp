// Row conflicts: checks the stored rows for data that a repair would lose, and counts what it has
// to fill.
//
// What it may know: the ports. Reads only what a finding gives reason to read: a complete database
// costs nothing. Error regime: throws what the port throws.
#pragma once

#include <vector>

#include "core/inspect/inspection.hpp"
#include "core/plan/row_facts.hpp"

namespace cowrie {

/**
 * Completes findings with what only the rows can tell. A finding whose repair would lose a value
 * or a row gets `loses_data`, a remedy that says so in SQL, and in `actual` the number of rows.
 */
void find_data_losses(Database &database, Inspection &inspection);

std::string has_rows_query(const Target &target, const std::string &table);

/** Learns what the plan of a repair depends on. Throws (2BP01) when columns must change their type
 *  and something of the user's forbids it. */
RowFacts row_facts(Database &database, const Inspection &inspection);

/** The sessions that lack something: once a run of ours has been through them all, a snapshot that
 *  is there is final. */
FillCount count_unfilled(Database &database, const Situation &situation);

} // namespace cowrie
