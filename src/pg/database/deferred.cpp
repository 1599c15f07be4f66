// Deferred constraints: those of the tables that a run writes are checked at once.
#include "pg/database/deferred.hpp"

#include "core/schema/schema.hpp"
#include "core/schema/versions.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {
namespace {

/** Sets the deferrable constraints of which a condition on pg_constraint as k holds. */
void set_constraints(const ResolvedTarget &target, const std::string &condition,
                     const std::string &mode) {
  std::vector<std::string> tables = {"schema_state"};
  for (const Table &each : newest_schema().tables)
    tables.push_back(each.name);
  const std::string names =
      spi_query("SELECT string_agg(DISTINCT format('%I.%I', s.nspname, k.conname), ', ')"
                " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                " JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgdeferrable"
                " JOIN pg_constraint AS k ON k.oid = t.tgconstraint"
                " JOIN pg_namespace AS s ON s.oid = k.connamespace"
                " WHERE (n.nspname = $1::text AND c.relname = ANY (" +
                    text_array(tables) +
                    ") OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass("
                    "format('%I.session_summaries', $1::text))))) AND " +
                    condition,
                {target.names.schema}, true)
          .front()
          .front()
          .value_or("");
  if (!names.empty())
    spi_execute("SET CONSTRAINTS " + names + " " + mode, {}, false, nullptr);
}

} // namespace

void defer_nothing(const ResolvedTarget &target) { set_constraints(target, "true", "IMMEDIATE"); }

void defer_again(const ResolvedTarget &target) {
  set_constraints(target, "k.condeferred", "DEFERRED");
}

} // namespace cowrie::pg
