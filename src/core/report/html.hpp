// HTML: a page as one document that needs nothing else.
//
// No script, no reference to anything outside, and a policy that forbids both. Error regime: never
// fails.
#pragma once

#include <string>

#include "core/report/page.hpp"

namespace cowrie::report {

/** The document, in ASCII. */
std::string html(const Page &page);

} // namespace cowrie::report
