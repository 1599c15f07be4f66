// Leaves: what statements must say of a table whose rows may be in partitions.
//
// Error regime: plain values.
#pragma once

#include "core/ports/target.hpp"

namespace cowrie {

/** The columns that tell where a row of the sessions is: `ctid AS place`, and of which partition,
 * as `leaf`. */
std::string place(const Target &target);
/** Whether the row of `sessions` is at the place that the row `at` tells. */
std::string at_place(const Target &target, const std::string &sessions, const std::string &at);

/** A condition on an oid: it is that of a table, given in SQL as text, or of one below it where
 * that is partitioned. */
std::string is_in_tree(const std::string &oid, const std::string &table);

} // namespace cowrie
