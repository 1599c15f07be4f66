// Refusals: what a run does not touch, said before anything changes.
//
// Reads only. Error regime: throws Failure.
#pragma once

#include <string>
#include <vector>

#include "core/inspect/inspection.hpp"
#include "core/plan/step.hpp"

namespace cowrie {

/** Refuses, without `repair`, what is neither version 15 nor complete nor resumable. */
void refuse_incomplete(const Target &target, const Situation &situation);

/** Refuses a repair that would lose somebody's rows or values; completes the findings with what the
 *  rows show. */
void refuse_losses(Database &database, Inspection &inspection);

/** Refuses sessions that are there more than once: the key of a session is what everything goes by.
 */
void refuse_duplicates(Database &database);

/** Asks whether something keeps the keys of the table $1 apart. */
extern const char *const unique_sessions_query;
/** Asks for columns of other tables that have the row type of the table $1, by themselves or inside
 *  a type. */
extern const char *const row_type_users_query;

/** Refuses a plan that must change the type of a column by ALTER TABLE, which the server does not
 *  do to a table whose rows are stored in others. */
void refuse_row_type_users(Database &database, const std::vector<Step> &plan);

/** Refuses a plan when some other relation of the schema has the name of an index, a key or a table
 *  that it makes: indexes and keys share their names with all relations. Likewise a type that has
 *  the name of a table, a constraint of another kind that has the name of one, and a table that has
 *  no room for the columns. */
void refuse_taken_names(Database &database, const std::vector<Step> &plan);

/** Asks for a type of the schema $1, of no relation, with one of the names $2. */
extern const char *const type_names_query;
/** Asks how many columns the table $1 has had, how many of them are dropped, and how many of the
 *  columns $2 it has not. */
extern const char *const room_for_columns_query;

/** Asks for relations of the schema $1 that have these names and belong to no table as wanted:
 *  `wanted` is a list of `('name', 'table')`. */
std::string taken_names_query(const std::string &wanted);
/** Asks for constraints of the schema $1 with these names on these tables that are neither CHECKs
 *  nor foreign keys. */
std::string taken_constraints_query(const std::string &wanted);

/** Refuses a relation that has a name which the migration needs. */
[[noreturn]] void refuse_name(const Target &target, const std::string &name,
                              const std::string &what = "a table of its own");

/** Asks for a relation of the name $1, whatever it is; no row: there is none. */
inline constexpr const char *relation_exists_query =
    "SELECT 1 WHERE to_regclass($1::text) IS NOT NULL";

/** Asks how the relation $1 is stored. */
extern const char *const work_table_query;

/** Tells whether an earlier run has left a work table; throws when something else has its name. */
bool has_work_table(Database &database, const std::string &name);

} // namespace cowrie
