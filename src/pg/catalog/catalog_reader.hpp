// Catalog reader: pg_catalog -> core's Schema, and the server's own form of declared expressions.
//
// Read-only, ACCESS SHARE at most. Error regime: throws PgError.
#pragma once

#include "core/schema/schema.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/** Reads the tables that `wanted` names, in one schema. Needs an SPI session. Unless `read_only`,
 * it sees what this transaction has done so far. */
Schema observe_schema(const std::string &schema_name, const Schema &wanted, bool read_only);

/** Fills in Expression::form of the declaration, as the server would parse it for the tables that
 *  are there. Where a column it needs is missing or of another type, the form stays empty. */
Schema bind_schema(Oid schema, const Schema &declared, const Schema &observed);

} // namespace cowrie::pg
