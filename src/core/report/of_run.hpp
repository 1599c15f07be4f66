// Of the run: the parts of a report that come from the records.
//
// Error regime: never fails.
#pragma once

#include "core/report/subject.hpp"

namespace cowrie::report {

/** `Run 12 (online), called by role "app_owner", 2026-11-27 09:00:01 to 09:00:09 UTC, 8.1 s`. */
Text lead_of(const Subject &subject, const std::string &database);

/** What failed, and where to read on; what has happened since. */
std::vector<Block> notes_of(const Subject &subject, const Target &target);

Section the_run(const Subject &subject, const std::string &database, const std::string &schema);
Section phases_and_steps(const Subject &subject);
Section settings(const Subject &subject);
Section other_runs(const Subject &subject);

} // namespace cowrie::report
