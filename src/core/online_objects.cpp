// Online objects: what exists only while an online migration does, and how it goes.
#include "core/failure.hpp"
#include "core/online.hpp"

namespace cowrie {
namespace {

/** Tells of a relation of that name whether it is the table of changed keys; nothing: none there.
 */
std::optional<bool> changes_are_ours(Database &database, const std::string &name) {
  const std::vector<Row> found =
      database.query("SELECT relkind = 'r' AND obj_description(oid, 'pg_class') = $2::text FROM"
                     " pg_class WHERE oid = to_regclass($1::text)",
                     {name, std::string(online::changes_comment)});
  if (found.empty())
    return std::nullopt;
  return found.front()[0] == "t";
}

} // namespace

void drop_changes(Database &database) {
  const std::string name = qualified(database.target().schema, online::changes_table);
  const std::optional<bool> ours = changes_are_ours(database, name);
  if (ours && !*ours)
    throw Failure(sqlstate::duplicate_table, "relation " + name + " is in the way",
                  "The migration needs this name for a table of its own.",
                  "Rename it: ALTER TABLE " + name + " RENAME TO other_name;");
  if (ours)
    database.execute("DROP TABLE " + name);
}

bool drop_online_objects(Database &database) {
  const Target &target = database.target();
  const bool found = !database.query(online::find_trigger(target)).empty();
  if (found)
    database.execute(online::drop_trigger(target));
  for (const char *each : {derivation::event_table, online::delta_table, derivation::staging_table})
    drop_work_table(database, each);
  if (changes_are_ours(database, qualified(target.schema, online::changes_table)).value_or(false))
    drop_changes(database);
  return found;
}

} // namespace cowrie
