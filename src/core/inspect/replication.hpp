// Replication: what logical replication has to do with the rows that a run writes.
//
// Every database that is migrated derives its version and its inventories itself. So what a run
// writes to schema_state must not reach a subscriber, and a subscriber must not be sent the
// inventories while it derives its own. Reads only. Error regime: throws Failure.
#pragma once

#include "core/ports/ports.hpp"
#include "core/sql/online.hpp"

namespace cowrie {

extern const char *const wal_is_decoded_query;
online::Decoded wal_is_decoded(Database &database);

/** Tells whether a publication of all tables, or of all of the schema, sends the rows of
 *  schema_state. */
bool state_is_published(Database &database);
/** Asks that of the table $1. */
extern const char *const published_query;

/** Tells whether a publication sends the updates of session_summaries. (A rewrite it does not.) */
bool updates_are_sent(Database &database);
/** Asks that of the schema $1. */
extern const char *const sends_updates_query;

/** Refuses what cannot be kept from subscribers: a schema_state that is published by name, or by a
 *  publication of all tables while a foreign key forbids that it become unlogged. */
void refuse_published_state(Database &database);
extern const char *const published_by_name_query;
extern const char *const referring_keys_query;

/** Refuses to fill inventories that a subscription of this database writes, too: the publisher
 *  would send rows that are there. */
void refuse_subscribed_inventories(Database &database);
/** Asks which of the tables $2 of the schema $1 subscriptions write to, and for those. */
extern const char *const subscribed_tables_query;

} // namespace cowrie
