// Online objects: what exists only while an online migration does, and how it goes.
#include "core/base/failure.hpp"
#include "core/online/online_run.hpp"

namespace cowrie {

OnlineObjects find_online_objects(Database &database) {
  const Row row = database.query(online::find_objects(database.target())).front();
  return {std::stoll(row[0].value_or("0")), row[1] == "t", row[2] == "t",
          std::stoll(row[3].value_or("0"))};
}

void drop_online_objects(Database &database, const OnlineObjects &found) {
  const Target &target = database.target();
  if (found.trigger != 0)
    database.execute(online::drop_trigger(target));
  for (const char *each : {derivation::event_table, online::delta_table, derivation::staging_table})
    drop_work_table(database, each);
  if (found.changes_table)
    database.execute("DROP TABLE " + qualified(target.schema, online::changes_table));
  if (found.queue != 0)
    database.execute("DROP TABLE " + qualified(target.schema, online::queue_table));
}

} // namespace cowrie
