// Notes: the keys of sessions that an online migration has still to look at, one a row.
//
// They are written and removed below SQL, and so that logical decoding finds nothing in the WAL: a
// publication of all tables would send them to subscribers that have no such table, and would
// demand a replica identity of it. They are logged all the same, so that a crash forgets none.
// Error regime: may longjmp.
#pragma once

#include "pg/boundary/imports.h"

namespace cowrie::pg {

/** Opens the table of notes in this schema, with the lock of a writer; null: there is none, or it
 *  is not that owner's. */
Relation open_notes_unsafe(Oid schema, Oid owner);

/** Adds a note to the open table. */
void insert_note_unsafe(Relation notes, Datum session_id);

} // namespace cowrie::pg
