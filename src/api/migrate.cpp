// SQL API: the functions that an operator calls. Decodes arguments, calls core, encodes rows.
//
// Error regime: every function runs in pg::entry.
#include "pg/boundary/imports.h"

#include "core/base/figures.hpp"
#include "core/inspect/validate.hpp"
#include "core/run/atomic_run.hpp"
#include "core/run/cleanup.hpp"
#include "core/schema/versions.hpp"
#include "pg/database/database.hpp"
#include "pg/boundary/fault.hpp"
#include "pg/ledger/ledger_store.hpp"
#include "pg/catalog/refusals.hpp"
#include "api/row_builder.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"
#include "api/calls.hpp"
#include "api/values.hpp"

namespace cowrie::pg {
namespace {

void put_steps(ReturnSetInfo *result, const std::vector<StepResult> &steps) {
  RowBuilder row(result);
  for (const StepResult &each : steps) {
    std::optional<std::int64_t> elapsed;
    if (each.status != "planned")
      elapsed = whole_milliseconds(each.elapsed_us);
    row.integer(each.phase)
        .text(each.step)
        .text(each.status)
        .bigint_or_null(each.rows)
        .interval_or_null(elapsed)
        .text_or_null(each.detail)
        .put();
  }
}

OnFailure on_failure_argument(FunctionCallInfo fcinfo, int position,
                              const std::optional<std::string> &schema, int version) {
  const std::string policy = PG_ARGISNULL(position) ? "abort" : call([&]() -> const char * {
    return text_to_cstring(PG_GETARG_TEXT_PP(position));
  });
  if (policy == "abort")
    return OnFailure::abort;
  if (policy == "keep")
    return OnFailure::keep;
  Target target;
  target.version = version;
  target.named_schema = schema.value_or("");
  throw Failure(sqlstate::invalid_parameter, "on_failure must be 'abort' or 'keep'",
                "It is \"" + policy + "\".", "Run " + target.migration("on_failure => 'abort'"));
}

Datum migrate_to(FunctionCallInfo fcinfo, int version) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  MigrateOptions options;
  options.repair = flag_argument(fcinfo, 1);
  options.dry_run = flag_argument(fcinfo, 2);
  options.on_failure = on_failure_argument(fcinfo, 3, schema, version);
  const Access access = options.dry_run ? Access::read : Access::change;
  ResolvedTarget target = target_of(fcinfo, schema, access, version);
  put_steps(result, with_database(target, access, [&](auto &database, auto &ledger, auto &monitor) {
              refuse_missing_privileges(target);
              refuse_unsuitable_tables(target);
              return migrate(database, ledger, monitor, options);
            }));
  return Datum(0);
}

/** Where phases to keep are an argument, it stands before the others. */
enum class Phases : bool { all, chosen };

Datum cleanup_of(FunctionCallInfo fcinfo, int version, Phases phases) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  CleanupOptions options;
  int next = 1;
  if (phases == Phases::chosen) {
    if (!PG_ARGISNULL(next))
      options.to_phase = PG_GETARG_INT32(next);
    ++next;
  }
  options.dry_run = flag_argument(fcinfo, next);
  options.force = flag_argument(fcinfo, next + 1);
  const Access access = options.dry_run ? Access::read : Access::change;
  ResolvedTarget target = target_of(fcinfo, schema, access, version);
  target.written = false;
  put_steps(result, with_database(target, access, [&](auto &database, auto &ledger, auto &monitor) {
              refuse_unsuitable_tables(target);
              return cleanup(database, ledger, monitor, options);
            }));
  return Datum(0);
}

Datum validate_schema(FunctionCallInfo fcinfo) {
  ReturnSetInfo *result = begin_rows(fcinfo);
  const auto schema = schema_argument(fcinfo, 0);
  const int version = PG_ARGISNULL(1) ? Target().version : PG_GETARG_INT32(1);
  ResolvedTarget target =
      target_of(fcinfo, schema, Access::read, is_declared(version) ? version : Target().version);
  const std::vector<Finding> findings =
      with_database(target, Access::read,
                    [&](auto &database, auto &, auto &) { return validate(database, version); });
  RowBuilder row(result);
  for (const Finding &each : findings)
    row.text(name_of(each.severity))
        .text(name_of(each.object_type))
        .text(each.object_name())
        .text(name_of(each.problem))
        .text_or_null(each.expected)
        .text_or_null(each.actual)
        .text_or_null(each.remedy)
        .flag(each.loses_data)
        .put();
  return Datum(0);
}

} // namespace
} // namespace cowrie::pg

extern "C" {
COWRIE_FUNCTION(cowrie_migrate_v16, migrate_to(fcinfo, 16))
COWRIE_FUNCTION(cowrie_migrate_v17, migrate_to(fcinfo, 17))
COWRIE_FUNCTION(cowrie_cleanup_v16, cleanup_of(fcinfo, 16, Phases::chosen))
COWRIE_FUNCTION(cowrie_cleanup_v17, cleanup_of(fcinfo, 17, Phases::all))
COWRIE_FUNCTION(cowrie_validate_schema, validate_schema(fcinfo))
}
