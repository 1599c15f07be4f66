// Work tables: what exists only while a migration runs, and how it goes.
//
// Error regime: throws what the port throws, and Failure where something else has the name.
#pragma once

#include <string>

#include "core/ports/ports.hpp"
#include "core/schema/situation.hpp"

namespace cowrie {

/** Drops a work table of an earlier run; throws when something else has its name. */
void drop_work_table(Database &database, const std::string &name);

/** Makes the table of the earliest raw events, where no index leads to them. */
void create_event_table(Database &database);

/** Drops what an unfinished online migration has left. Needs ACCESS EXCLUSIVE on the sessions. */
void drop_online_objects(Database &database, const OnlineObjects &found);

} // namespace cowrie
