// Distribution: tables whose rows the extension citus keeps in shards.
#include "pg/catalog/distribution.hpp"

#include "core/base/failure.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"
#include "pg/catalog/trust.hpp"

namespace cowrie::pg {
namespace {

/** Tells whether the catalog of Citus is here, and is that of the extension. */
bool has_catalog() {
  return !spi_query("SELECT FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_depend AS d"
                    " ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid"
                    " AND d.deptype = 'e' WHERE e.extname = 'citus'"
                    " AND d.classid = 'pg_catalog.pg_class'::regclass"
                    " AND d.objid = to_regclass('pg_catalog.pg_dist_partition')",
                    {}, true)
              .empty();
}

/** How Citus keeps a relation, as its catalog has it: h, by a hash; nothing: it does not. */
std::optional<std::string> method_of(Oid relation) {
  const std::vector<Row> found = spi_query("SELECT partmethod FROM pg_catalog.pg_dist_partition"
                                           " WHERE logicalrelid = $1::int8::oid::regclass",
                                           {std::int64_t(relation)}, true);
  return found.empty() ? std::nullopt : found.front()[0];
}

} // namespace

void refuse_distributed_tables(const ResolvedTarget &target) {
  if (!call([] { return OidIsValid(get_extension_oid("citus", /* missing_ok: */ true)); }))
    return;
  const PinnedSettings settings;
  const SpiSession spi;
  if (!has_catalog())
    return;
  for (const std::string &each : tables_of_the_schema()) {
    const Oid relation = call([&] { return get_relname_relid(each.c_str(), target.schema); });
    const bool events = each == events_table;
    if (!OidIsValid(relation) || (events && relation != target.events))
      continue;
    const std::optional<std::string> method = method_of(relation);
    if (!method)
      continue;
    const std::string table = qualified(target.names.schema, each);
    throw Failure(
        sqlstate::feature_not_supported, table + " is a Citus table",
        "Citus stores its rows in shards, on this node or on others (method \"" + *method +
            "\" in pg_dist_partition); the table itself has no rows.",
        "If this node has enough disk space for all rows, run SELECT undistribute_table(" +
            quote_literal(table) +
            ", cascade_via_foreign_keys => true); and repeat the call. Distribute the tables again "
            "afterwards with create_distributed_table()." +
            (events ? " Or ignore raw events: SET cowrie_migrate.use_raw_events ="
                      " off;"
                    : ""));
  }
}

} // namespace cowrie::pg
