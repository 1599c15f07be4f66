// Expression form: what the server's parser makes of an expression, as comparable text.
//
// Two expressions mean the same when their parsed forms are equal; deparsed text differs between
// versions, parsed forms of one server do not. Error regime: throws PgError.
#pragma once

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

enum class ExpressionKind { default_value, generated, check, index_predicate };

/** Parses an expression against a relation, as CREATE TABLE or CREATE INDEX would, and returns its
 *  normal form. `column` is the column whose default or generation expression it is. */
std::string parsed_form(Oid relation, const std::string &sql, ExpressionKind kind,
                        const std::string &column);

/** Returns the normal form of a stored pg_node_tree: without positions in the source text. */
std::string normal_form(const std::string &node_tree);

} // namespace cowrie::pg
