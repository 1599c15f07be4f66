// Evidence: what a run records for those who ask for a report.
#include "pg/ledger/evidence.hpp"

#include "core/schema/schema.hpp"
#include "core/sql/evidence.hpp"
#include "pg/ledger/ledger_store.hpp"

namespace cowrie::pg {

Evidence::Evidence(const ResolvedTarget &target)
    : ledger_(target.extension.ledger),
      sessions_(qualified(target.names.schema, "session_summaries")), schema_(target.names.schema),
      place_(ledger_place(target)), call_(target.call), ledger_owner_(target.extension.owner),
      tables_owner_(target.owner), schema_oid_(target.schema), sessions_oid_(target.sessions) {
  kept_ = call([&] {
    return get_attnum(get_relname_relid("cowrie_migration_log", target.extension.schema),
                      "evidence") != InvalidAttrNumber;
  });
}

/** Whether the run before it has not come to an end: then both are one migration. */
bool Evidence::goes_on(std::int64_t run) const {
  const std::vector<Row> before =
      ledger_rows(ledger_owner_,
                  "SELECT l.status <> 'done' AND l.mode <> 'cleanup' FROM " + ledger_ +
                      " AS l WHERE " + about_place +
                      " AND l.phase IS NULL AND l.log_id < $3::int8 ORDER BY l.log_id DESC"
                      " LIMIT 1",
                  {schema_, place_, run}, true);
  return !before.empty() && before.front()[0] == "t";
}

/** How many sessions have each column that is filled; empty where none is there yet. */
std::string Evidence::filled() const {
  std::vector<std::string> columns;
  for (const Row &row :
       ledger_rows(tables_owner_, evidence::filled_columns(), {sessions_oid_}, true))
    columns.push_back(row[0].value_or(""));
  if (columns.empty())
    return "{}";
  return ledger_rows(tables_owner_, evidence::filled_as_json(sessions_, columns), {}, true)
      .front()[0]
      .value_or("{}");
}

void Evidence::write(std::int64_t run, const std::string &value,
                     std::vector<Parameter> parameters) const {
  parameters.insert(parameters.begin(), run);
  ledger_rows(ledger_owner_,
              "UPDATE " + ledger_ + " SET evidence = COALESCE(evidence, '{}') || " + value +
                  " WHERE log_id = $1::int8",
              parameters, false);
}

/** Asked for as the owner of the tables: the schema may be closed to that of the ledger. */
std::string Evidence::sizes() const {
  return ledger_rows(tables_owner_, evidence::sizes_as_json(), {schema_oid_}, true)
      .front()[0]
      .value_or("{}");
}

void Evidence::before(std::int64_t run, bool fills) {
  if (!kept_)
    return;
  write(run,
        "jsonb_build_object('server', current_setting('server_version'), 'database',"
        " current_database(), 'settings', (" +
            std::string(evidence::settings) +
            "), 'before', jsonb_build_object('sizes', $3::text::jsonb, 'filled', $4::text::jsonb))"
            " || $2::text::jsonb",
        {call_.empty() ? std::string("{}") : call_, sizes(),
         fills && !goes_on(run) ? filled() : std::string("{}")});
}

void Evidence::after(std::int64_t run) {
  if (!kept_)
    return;
  write(run, "jsonb_build_object('after', jsonb_build_object('sizes', $2::text::jsonb))",
        {sizes()});
}

} // namespace cowrie::pg
