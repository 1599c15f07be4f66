// Rewrite way: whether the heap of the sessions can be copied alone, or ALTER TABLE must copy
// everything.
//
// What it may know: the ports. Reads the catalog, changes nothing. Error regime: throws what the
// port throws.
#pragma once

#include <string>

#include "core/ports/ports.hpp"

namespace cowrie {

/** The question for why the table must be rewritten by ALTER TABLE: a row with the first reason, or
 *  with NULL. */
std::string alter_table_reason_query(const Target &target);

/** Tells why the sessions must be rewritten by ALTER TABLE; empty: their heap can be copied alone.
 *  What the types of the columns say to it is not asked here: see unfit_column(). */
std::string alter_table_reason(Database &database);

} // namespace cowrie
