// Work tables: what exists only while a migration runs, and how it goes.
#include "core/run/work_tables.hpp"

#include "core/inspect/refusals.hpp"
#include "core/sql/online.hpp"

namespace cowrie {

void drop_work_table(Database &database, const std::string &name) {
  if (has_work_table(database, name))
    database.execute("DROP TABLE " + qualified(database.target().schema, name));
}

void create_event_table(Database &database) {
  drop_work_table(database, derivation::event_table);
  database.execute(derivation::create_event_table(database.target()));
  database.execute(derivation::index_event_table(database.target()));
}

void drop_online_objects(Database &database, const OnlineObjects &found) {
  const Target &target = database.target();
  if (found.trigger != 0)
    database.execute(online::drop_trigger(target));
  for (const char *each : {derivation::event_table, online::delta_table, derivation::staging_table})
    drop_work_table(database, each);
  for (const std::string &sql : found.loose)
    database.execute(sql);
  if (found.changes_table)
    database.execute("DROP TABLE " + qualified(target.schema, online::changes_table));
  if (found.queue != 0)
    database.execute("DROP TABLE " + qualified(target.schema, online::queue_table));
}

} // namespace cowrie
