// Inspection: the catalog and the recorded version, compared with the declaration.
//
// Reads only. Error regime: throws Failure where no version is recorded, and what the port throws.
#pragma once

#include "core/ports/ports.hpp"
#include "core/schema/situation.hpp"

namespace cowrie {

/** The catalog and the recorded version, compared with the declaration. */
struct Inspection {
  Schema observed;
  Schema declared; ///< with the server's form of its expressions
  Situation situation;
};

/** The call that repairs, in the form of the entry point that is running; where an online migration
 *  has not ended, the CALL that resumes it. */
std::string repair_call(const Target &target, const Situation &situation);

/** Reads the catalog and the recorded version. Throws: no schema_state, or no version in it. */
Inspection inspect(Database &database);

/** Finds what an unfinished online migration has left. */
OnlineObjects find_online_objects(Database &database);

} // namespace cowrie
