// Partitions: the statements of an online migration that are about single partitions.
//
// What it may know: names and the declaration. Only for a target whose sessions are partitioned,
// where nothing else is said. Error regime: never fails.
#pragma once

#include <string>

#include "core/sql/online.hpp"

namespace cowrie::online {

/** Of the place after `places.after`: schema and name of its leaf, each NULL where that is no
 *  partition any more, and the last of these places that is of the same leaf. */
std::string leaf_of_places(const Target &target, const Places &places);

/** What the staging table says of itself: which partitions it was made with, how each was attached,
 *  and in which file it is. Rows with one column, `mark`, and the partition, `id`. */
std::string marks(const Target &target);
/** Whether a row of the staging table, `s`, is a mark. */
std::string is_mark();

/** Returns those of which the staging table does not know: OID, schema and name, and whether it is
 *  a leaf. None where nothing is known. */
std::string unknown_partitions(const Target &target);
/** Makes one of them known. */
std::string mark_partition(const Target &target, std::int64_t id);
/** Selects the sessions of one leaf. */
std::string sessions_of_leaf(const std::string &leaf);

/** The name of an index of a leaf until the index of the whole takes it in. */
std::string leaf_index_name(const std::string &index, const std::string &leaf_id);
/** Returns OID, schema and name of every leaf, and whether its index of that name is valid; NULL:
 *  there is none. */
std::string list_leaf_indexes(const Target &target, const std::string &index);
/** Selects statements that give indexes which have been taken in the names that the server gives to
 *  those it makes itself. */
std::string rename_leaf_indexes(const Target &target, const std::string &index);

/** Returns schema and name of every leaf, and whether its foreign key of that name is validated;
 *  NULL: there is none. */
std::string list_leaf_foreign_keys(const Target &target, const std::string &constraint);

/** Selects what an online migration has given to single partitions and nothing has taken in yet:
 *  classid, objid, and the statement that drops it. */
std::string loose_parts(const std::string &sessions);

} // namespace cowrie::online
