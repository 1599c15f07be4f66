// Dependents: what would go along without a word, or stand in the way, when objects are dropped.
// The text of the question to pg_depend; the extension and the plain SQL script ask it alike.
//
// What it may know: pg_catalog. Error regime: plain text.
#pragma once

#include <string>

namespace cowrie {

/**
 * Returns a query with a row (description, drop statement or NULL) per dependent, in an order in
 * which they can be dropped.
 * @param removed a query of the objects that shall be dropped, with what belongs to them, as
 *                columns classid, objid, objsubid of pg_depend
 */
std::string dependents_query(const std::string &removed);

/** Returns a query with a row per routine whose body names one of the words. It depends on nothing
 *  that the server knows of: its body is mere text. */
std::string naming_routines_query(const std::string &words);

} // namespace cowrie
