// Report: the evidence of a run as one page: what it did, by its records, and what has come of it.
//
// Changes nothing. Error regime: throws Failure for a run that is not there, and what must end the
// call; what cannot be measured is a sentence on the page.
#pragma once

#include <optional>

#include "core/ports/ports.hpp"
#include "core/ports/records.hpp"
#include "core/report/page.hpp"

namespace cowrie::report {

/** The page about the run with this number, or the latest one. */
Page migration_report(Database &database, Ledger &ledger, Records &records,
                      std::optional<std::int64_t> run);

} // namespace cowrie::report
