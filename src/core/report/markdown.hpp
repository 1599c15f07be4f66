// Markdown: a page with the tables of GitHub's flavour.
//
// Error regime: never fails.
#pragma once

#include <string>
#include <string_view>

#include "core/report/page.hpp"

namespace cowrie::report {

/** The document, in UTF-8. */
std::string markdown(const Page &page);

/** Text that no reader of Markdown takes for anything else, neither in a line nor in a table. */
std::string markdown_text(std::string_view utf8);

/** The same as a span of code; in a table only where it holds no bar. */
std::string markdown_code(std::string_view utf8, bool in_table);

} // namespace cowrie::report
