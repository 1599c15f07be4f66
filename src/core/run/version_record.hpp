// Version record: which version the schema has, as the application records it.
//
// Error regime: throws Failure where a trigger or rule swallows the change.
#pragma once

#include "core/ports/ports.hpp"

namespace cowrie {

/** The last change of a migration: `schema_version` becomes that of the target, unless indexes were
 *  skipped. */
void raise_version(Database &database, int version, std::size_t skipped_indexes, StepResult &row);

/** Writes `schema_version`. */
void record_version(Database &database, int version);

/** Writes `schema_subphase` (`16.5`); 0 removes it. */
void record_subphase(Database &database, int phase);

/** Records a phase that is complete. Where a version ends with it on the way to a later one, that
 *  is the version from then on, if the one that was recorded was lower. */
void record_phase(Database &database, int phase, int version);

} // namespace cowrie
