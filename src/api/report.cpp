// The function cowrie_migration_report: the evidence of a run, as a page.
//
// Error regime: every function runs in pg::entry.
#include "pg/boundary/imports.h"

#include "api/calls.hpp"
#include "api/values.hpp"
#include "core/report/html.hpp"
#include "core/report/markdown.hpp"
#include "core/report/report.hpp"
#include "pg/ledger/records.hpp"

namespace cowrie::pg {
namespace {

enum class Format : std::uint8_t { html, markdown };

Format format_argument(FunctionCallInfo fcinfo, const std::optional<std::string> &schema) {
  const std::string format = PG_ARGISNULL(0) ? "html" : call([&]() -> const char * {
    return text_to_cstring(PG_GETARG_TEXT_PP(0));
  });
  if (format == "html")
    return Format::html;
  if (format == "markdown")
    return Format::markdown;
  Target target;
  target.named_schema = schema.value_or("");
  throw Failure(sqlstate::invalid_parameter, "format must be 'html' or 'markdown'",
                "It is \"" + format + "\".",
                "Run SELECT " + target.call("cowrie_migration_report", "format => 'markdown'") +
                    ";");
}

/** What has come out of the database is in its encoding; the writers read UTF-8, and make do with
 *  anything. */
void read_as_utf8(report::Page &page) {
  const int encoding = GetDatabaseEncoding();
  if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
    return;
  report::for_each_text(page, [](std::string &text) {
    const std::string server = std::move(text);
    text = call([&]() -> const char * {
      return pg_server_to_any(server.c_str(), static_cast<int>(server.size()), PG_UTF8);
    });
  });
}

Datum migration_report(FunctionCallInfo fcinfo) {
  const auto schema = schema_argument(fcinfo, 2);
  const Format format = format_argument(fcinfo, schema);
  const std::optional<std::int64_t> run =
      PG_ARGISNULL(1) ? std::nullopt : std::optional<std::int64_t>(PG_GETARG_INT64(1));
  ResolvedTarget target = target_of(fcinfo, schema, Access::read);
  const std::string text =
      with_database(target, Access::measure, [&](auto &database, auto &ledger, auto &) {
        LedgerRecords records(target);
        report::Page page = report::migration_report(database, ledger, records, run);
        read_as_utf8(page);
        return format == Format::html ? report::html(page) : report::markdown(page);
      });
  return call([&] { return text_datum_unsafe(text); });
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_migration_report, migration_report(fcinfo))
}
