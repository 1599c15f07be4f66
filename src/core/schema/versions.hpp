// Versions: the list of declared versions, each an addition to the one before it.
//
// What it may know: the declarations. Error regime: plain data.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/schema/schema.hpp"

namespace cowrie {

/** Tells whether there is a declaration of a version, from 16 on. */
bool is_declared(int version) noexcept;

/** What all versions up to this one add to version 15, in the phases that lead to it. Of a version
 *  that is not declared: the newest. */
const Schema &declared_schema(int version);
const Schema &newest_schema();

/** `15, 16 and 17`: version 15 and the declared ones. */
std::string known_versions();

/** session_summaries as the statements of the derivation of a version know it: with the columns
 *  that they fill. */
const Table &filled_sessions(int version);

std::string_view phase_name(int phase) noexcept;

/** What schema_subphase says once a phase is complete: `16.3`. */
std::string subphase_text(int phase);

/** The rows that a run to a version writes to schema_state, key and value, as VALUES has them. */
std::string state_values(const Schema &declared);

/** The phase that schema_subphase says, among those of a schema: `17.1` means of version 16 that
 *  all is complete. Nothing: it says none. */
std::optional<int> phase_of_subphase(std::string_view text, const Schema &declared);

} // namespace cowrie
