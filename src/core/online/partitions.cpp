// Online partitions: what an online migration does partition by partition.
#include "core/online/partitions.hpp"

#include "core/base/text.hpp"
#include "core/schema/ddl.hpp"
#include "core/sql/partitions.hpp"

namespace cowrie {
namespace {

/** A leaf, in the first columns of a row. */
struct Leaf {
  std::string schema, name;
  Leaf(const Row &row, std::size_t column)
      : schema(row[column].value_or("")), name(row[column + 1].value_or("")) {}
  std::string quoted() const { return qualified(schema, name); }
};

} // namespace

// What another call has left half-built can only be dropped.
void OnlinePartitions::build_indexes(const Index &index) {
  std::vector<Row> leaves;
  steps_.in(TransactionKind::work,
            [&] { leaves = database().query(online::list_leaf_indexes(target(), index.name)); });
  const auto execute = [&](const std::string &sql) {
    steps_.ports().transactions.execute_alone(sql, sql + ";");
  };
  for (const Row &row : leaves) {
    if (row[3] == "t")
      continue;
    const Leaf leaf(row, 1);
    Index of_leaf = index;
    of_leaf.name = online::leaf_index_name(index.name, row[0].value_or(""));
    if (row[3])
      execute("DROP INDEX CONCURRENTLY " + qualified(leaf.schema, of_leaf.name));
    execute(ddl::create_index(leaf.schema, leaf.name, of_leaf, ddl::Concurrently::yes));
  }
}

// Under this lock no partition comes, and the server finds that nothing is to be built.
bool OnlinePartitions::unite_indexes(const Index &index, const std::string &statement) {
  steps_.lock("session_summaries", "SHARE");
  for (const Row &row : database().query(online::list_leaf_indexes(target(), index.name)))
    if (row[3] != "t")
      return false;
  database().execute(statement);
  for (const Row &row : database().query(online::rename_leaf_indexes(target(), index.name)))
    database().execute(row[0].value_or(""));
  return true;
}

void OnlinePartitions::add_foreign_key(const Constraint &constraint) {
  for (const Row &row :
       database().query(online::list_leaf_foreign_keys(target(), constraint.name))) {
    const Leaf leaf(row, 0);
    if (!row[2])
      database().execute("ALTER TABLE " + leaf.quoted() + " ADD " +
                         ddl::constraint_clause(target().schema, constraint, ddl::Validated::no));
  }
}

// A partition that comes between the cut-over and this has no foreign key: the server validates
// that one under the lock.
void OnlinePartitions::unite_foreign_keys(const Table &table, const Constraint &constraint) {
  std::vector<Row> leaves;
  steps_.in(TransactionKind::work, [&] {
    leaves = database().query(online::list_leaf_foreign_keys(target(), constraint.name));
  });
  steps_.step(constraint.phase, "validate_" + constraint.name, [&](StepResult &row) {
    for (const Row &each : leaves) {
      const Leaf leaf(each, 0);
      if (each[2] == "f")
        steps_.lock_retry().until_locked(TransactionKind::work, [&] {
          database().execute(ddl::validate_constraint(leaf.schema, leaf.name, constraint.name));
        });
    }
    row.detail = "partition by partition";
    steps_.report_by_itself(row);
  });
  steps_.step_in(TransactionKind::catalog, constraint.phase, constraint.name, [&](StepResult &) {
    steps_.lock(table.name, "SHARE ROW EXCLUSIVE");
    database().execute(
        ddl::add_constraint(target().schema, table.name, constraint, ddl::Validated::yes));
  });
}

void note_attached(Database &database, Monitor &monitor) {
  const Target &target = database.target();
  if (!target.partitioned)
    return;
  for (const Row &row : database.query(online::unknown_partitions(target))) {
    const std::string name = qualified(row[1].value_or(""), row[2].value_or(""));
    std::int64_t sessions = 0;
    if (row[3] == "t")
      sessions = database.note_sessions(online::sessions_of_leaf(name));
    database.execute(online::mark_partition(target, to_number(row[0])));
    monitor.notice("partition " + name + " has been attached during this migration",
                   "Its sessions, " + std::to_string(sessions) +
                       " by now, are processed like those that the application changes.");
  }
}

bool cut_to_leaf(Database &database, online::Places &places) {
  const Row row = database.query(online::leaf_of_places(database.target(), places)).front();
  places.last = to_number(row[2]);
  if (!row[0])
    return false;
  places.table = Leaf(row, 0).quoted();
  return true;
}

} // namespace cowrie
