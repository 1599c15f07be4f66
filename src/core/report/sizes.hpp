// Sizes: the part of a report that compares the tables before a run and after it.
//
// Error regime: never fails.
#pragma once

#include "core/report/subject.hpp"

namespace cowrie::report {

/** `now`: as they are, where the run has recorded no end. */
Section sizes(const Subject &subject, const std::vector<TableSize> &now);

} // namespace cowrie::report
